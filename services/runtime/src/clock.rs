//! Wall-clock time as a parameter: nothing in the house asks the operating system for the time except here.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Tells the time. Clones share one source, so a test that moves its clock moves it for everybody.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    System,
    Fixed(Mutex<Timestamp>),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(Arc::new(Source::System))
    }

    /// A clock that stands still at `now` until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn fixed(now: Timestamp) -> Self {
        Self(Arc::new(Source::Fixed(Mutex::new(now))))
    }

    /// The present moment.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::System => Timestamp::now(),
            Source::Fixed(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Whole seconds since 1970-01-01 UTC, rounded down: the unit of `job.db` and of metric samples.
    pub fn unix(&self) -> i64 {
        self.now().as_millisecond().div_euclid(1000)
    }

    /// The present moment in the time zone of the machine (`TZ`), for daily tasks and log dates.
    pub fn local(&self) -> Zoned {
        self.now().to_zoned(TimeZone::system())
    }

    /// Moves a fixed clock forward (or back, by a negative duration). The system clock ignores it.
    /// Stops at the ends of the representable range.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Fixed(now) = &*self.0 {
            let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = now.saturating_add(by).unwrap_or(*now);
        }
    }

    /// Sets a fixed clock. The system clock ignores it.
    pub fn set(&self, to: Timestamp) {
        if let Source::Fixed(now) = &*self.0 {
            *now.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::System => formatter.write_str("Clock(system)"),
            Source::Fixed(_) => write!(formatter, "Clock({})", self.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_clock_moves_only_when_told_and_for_all_clones() {
        let clock = Clock::fixed(Timestamp::from_second(1_000).unwrap());
        let same = clock.clone();
        assert_eq!(clock.unix(), 1_000);
        same.advance(SignedDuration::from_millis(1_500));
        assert_eq!(clock.unix(), 1_001);
        assert_eq!(clock.now().as_millisecond(), 1_001_500);
        clock.set(Timestamp::from_second(5).unwrap());
        assert_eq!(same.unix(), 5);
        clock.advance(SignedDuration::from_secs(-7));
        assert_eq!(same.unix(), -2);
    }

    #[test]
    fn system_clock_cannot_be_moved() {
        let clock = Clock::system();
        clock.set(Timestamp::UNIX_EPOCH);
        clock.advance(SignedDuration::from_hours(-24 * 365 * 50));
        assert!(clock.unix() > 1_700_000_000);
    }

    #[test]
    fn seconds_before_the_epoch_round_down() {
        let clock = Clock::fixed(Timestamp::from_millisecond(-500).unwrap());
        assert_eq!(clock.unix(), -1);
    }
}
