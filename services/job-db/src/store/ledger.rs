//! What is remembered about events of scheduler adapters (spec/integrations.md 9.5).

use cc_model::{JobKey, JobState};

use super::DbId;

/// Dead letters kept at most.
pub(crate) const DEAD_MAX: i64 = 100_000;
/// Events parked at most; more are refused for good.
pub(crate) const PARKED_MAX: u32 = 10_000;

/// An adapter, bound to the first credential that used its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adapter {
    pub(crate) adapter_id: String,
    pub(crate) bound_to: String,
}

/// How far the events of one (adapter, cluster) are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) adapter_id: String,
    pub(crate) cluster: String,
    pub(crate) epoch: i64,
    /// Highest contiguous sequence number whose result is committed.
    pub(crate) durable_seq: i64,
    pub(crate) fencing: i64,
}

/// What became of an event. The numbers are those of the table and of the proto enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied = 1,
    Duplicate = 2,
    Stale = 3,
    Parked = 4,
    Rejected = 5,
}

impl Outcome {
    /// The outcome of a stored number.
    pub(crate) fn of(number: i64) -> Option<Self> {
        [Self::Applied, Self::Duplicate, Self::Stale, Self::Parked, Self::Rejected]
            .into_iter()
            .find(|outcome| *outcome as i64 == number)
    }
}

/// The remembered result of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) outcome: Outcome,
    pub(crate) code: String,
    /// 0 = no job.
    pub(crate) id: DbId,
}

/// Where an event came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) adapter_id: String,
    pub(crate) cluster: String,
    pub(crate) epoch: i64,
    pub(crate) seq: i64,
    pub(crate) event_id: Vec<u8>,
}

/// An event that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dead {
    pub(crate) origin: Origin,
    pub(crate) code: String,
    pub(crate) field: String,
    pub(crate) detail: String,
    /// The event as it came, encoded.
    pub(crate) payload: Vec<u8>,
}

/// An event that waits for a cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parked {
    /// 0 until stored; parking again under the same id keeps the order of arrival.
    pub(crate) id: i64,
    /// Unix seconds.
    pub(crate) received_at: i64,
    pub(crate) origin: Origin,
    pub(crate) key: JobKey,
    pub(crate) code: String,
    pub(crate) field: String,
    pub(crate) detail: String,
    pub(crate) payload: Vec<u8>,
}

/// An older run that is closed at `close_at` unless its own stop event comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Superseded {
    pub(crate) id: DbId,
    /// Unix seconds.
    pub(crate) close_at: i64,
    pub(crate) stop_time: i64,
    pub(crate) state: JobState,
}
