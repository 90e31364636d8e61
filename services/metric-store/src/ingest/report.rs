//! What became of the lines of a batch.

use crate::store::Store;

/// Why a line was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Not the line protocol.
    Syntax,
    /// A field of another name or type.
    ValueType,
    /// The metric is not configured.
    UnknownMetric,
    /// Older than what is kept.
    TooOld,
    /// Further in the future than clocks differ.
    TooNew,
    /// Cluster, host or component is missing, too long or no name.
    BadName,
    /// It would begin a new series and memory is at its cap.
    MemoryCap,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Syntax,
        Self::ValueType,
        Self::UnknownMetric,
        Self::TooOld,
        Self::TooNew,
        Self::BadName,
        Self::MemoryCap,
    ];

    /// The stable word in answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "SYNTAX",
            Self::ValueType => "VALUE_TYPE",
            Self::UnknownMetric => "UNKNOWN_METRIC",
            Self::TooOld => "TOO_OLD",
            Self::TooNew => "TOO_NEW",
            Self::BadName => "BAD_NAME",
            Self::MemoryCap => "MEMORY_CAP",
        }
    }
}

/// Lines refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub lines: u64,
    /// The first of them: metric and host.
    pub example: String,
    /// The line of that one.
    line: u64,
}

/// What became of the lines of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Samples in the log and in memory.
    pub samples: u64,
    /// The first syntax or type error, in the reference's words: such a batch is answered with 400.
    pub first_error: Option<String>,
    /// The line of that error.
    first_error_line: u64,
    refused: [Refused; Reason::ALL.len()],
}

impl Report {
    /// Lines refused for a reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused.get(reason as usize).map_or(0, |refused| refused.lines)
    }

    /// The reasons for which lines were refused.
    pub fn all_refused(&self) -> impl Iterator<Item = (Reason, &Refused)> {
        Reason::ALL.into_iter().zip(&self.refused).filter(|(_, refused)| refused.lines > 0)
    }

    /// Counts the line of that number. `error` and `example` are asked only where they are kept: lines that were put together by host
    /// come out of their order.
    pub(super) fn refuse(
        &mut self,
        line: u64,
        reason: Reason,
        error: Option<&dyn Fn() -> String>,
        example: impl FnOnce() -> String,
    ) {
        if let Some(error) = error
            && (self.first_error.is_none() || line < self.first_error_line)
        {
            self.first_error = Some(error());
            self.first_error_line = line;
        }
        if let Some(refused) = self.refused.get_mut(reason as usize) {
            if refused.lines == 0 || line < refused.line {
                refused.example = example();
                refused.line = line;
            }
            refused.lines += 1;
        }
    }

    /// Adds the batch to the counters of the process.
    pub(super) fn count(&self, store: &Store) {
        store.counters().batch(self);
    }
}
