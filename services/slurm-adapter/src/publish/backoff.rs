//! Waiting between connections: full jitter, so that a hundred adapters do not come back in the same moment.

use std::time::Duration;

/// Upper bounds grow from half a second to half a minute; the wait is a random part of the bound (spec integrations.md
/// 9.8).
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(30))
    }
}

impl Backoff {
    /// Bounds from `first`, doubled at each failure, to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The wait after one more failure in a row.
    pub fn wait(&mut self) -> Duration {
        self.bound().mul_f64(rand::random::<f64>())
    }

    fn bound(&mut self) -> Duration {
        let bound = self.first.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        bound
    }

    /// Something worked: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        let bounds: Vec<u128> = (0..8).map(|_| backoff.bound().as_millis()).collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.bound(), Duration::from_secs(30));
        backoff.reset();
        assert_eq!(backoff.bound(), Duration::from_millis(500));
    }

    #[test]
    fn waits_are_spread_over_the_whole_bound() {
        let waits: Vec<Duration> = (0..1000).map(|_| Backoff::default().wait()).collect();
        assert!(waits.iter().all(|wait| *wait < Duration::from_millis(500)));
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(100)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(400)));
    }
}
