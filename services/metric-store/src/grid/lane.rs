//! One series of a grid: its phase and its range.

/// There is no phase yet.
const NONE: u32 = u32::MAX;

/// See the module's description. Slots are those of the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    /// First and last slot with a sample; `first > last` while empty.
    first: i64,
    last: i64,
    /// Below the interval; [`NONE`] until the first sample.
    phase: u32,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self { phase: NONE, first: i64::MAX, last: i64::MIN }
    }

    /// The phase, which the first sample fixes.
    #[inline]
    pub(super) fn take_phase(&mut self, time: i64, interval: i64) -> i64 {
        if self.phase != NONE {
            return i64::from(self.phase);
        }
        let phase = time.rem_euclid(interval);
        // Intervals are at most 2^31.
        self.phase = u32::try_from(phase).unwrap_or(0);
        phase
    }

    #[inline]
    pub(super) fn phase(&self) -> i64 {
        if self.phase == NONE { 0 } else { i64::from(self.phase) }
    }

    /// Notes that a slot holds a sample.
    #[inline]
    pub(super) fn extend(&mut self, slot: i64) {
        self.first = self.first.min(slot);
        self.last = self.last.max(slot);
    }

    /// First and last slot with a sample.
    #[inline]
    pub(super) fn slots(&self) -> Option<(i64, i64)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }

    /// Sets first and last slot anew. An empty lane forgets its phase: the next sample begins a new series.
    pub(super) fn set_slots(&mut self, slots: Option<(i64, i64)>) {
        match slots {
            Some((first, last)) => (self.first, self.last) = (first, last),
            None => *self = Self::new(),
        }
    }
}
