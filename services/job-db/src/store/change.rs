//! The log of changes behind `Watch`: one row per committed change, in commit order.

use cc_model::{Job, JobKey, JobState};

use super::DbId;

/// What happened to a job. The numbers are those of the table and of the proto enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It is new.
    Started = 2,
    /// Attributes or the monitoring status changed.
    Updated = 3,
    /// It ended, or its end was corrected.
    Stopped = 4,
    /// Its archive entry is complete.
    Archived = 5,
    /// Its row is gone.
    Deleted = 6,
}

impl ChangeKind {
    /// The kind of a stored number; rows of later releases may hold others.
    pub(crate) fn of(number: i64) -> Option<Self> {
        [Self::Started, Self::Updated, Self::Stopped, Self::Archived, Self::Deleted]
            .into_iter()
            .find(|kind| *kind as i64 == number)
    }
}

/// One change, with what decides who may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Counts from 1 without gaps, in commit order.
    pub(crate) position: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) id: DbId,
    pub(crate) key: JobKey,
    pub(crate) user: String,
    pub(crate) project: String,
    pub(crate) state: JobState,
}

impl Change {
    /// A change of a job as it is after it; the position is set when it is logged.
    pub(crate) fn of(kind: ChangeKind, id: DbId, job: &Job) -> Self {
        Self {
            position: 0,
            kind,
            id,
            key: job.key(),
            user: job.user.clone(),
            project: job.project.clone(),
            state: job.state,
        }
    }
}
