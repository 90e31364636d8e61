//! The closed vocabularies of a job.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text or number that is not in a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is not one of {expected}")]
pub struct UnknownWord {
    /// What was given.
    pub word: String,
    /// What would have been accepted.
    pub expected: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// Every word.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| UnknownWord {
                    word: word.to_owned(),
                    expected: Self::ALL.iter().map(|known| known.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

words!(
    /// Scheduler state of a job (rest-api.md 5.2).
    JobState {
        /// The node did not boot.
        BootFail = "boot_fail",
        /// Cancelled by somebody.
        Cancelled = "cancelled",
        /// Ended with exit code 0.
        Completed = "completed",
        /// Ended at its deadline.
        Deadline = "deadline",
        /// Ended with an error.
        Failed = "failed",
        /// A node failed.
        NodeFail = "node_fail",
        /// Killed for using too much memory.
        OutOfMemory = "out_of_memory",
        /// Waiting, or put back into the queue.
        Pending = "pending",
        /// Made room for another job.
        Preempted = "preempted",
        /// Running.
        #[default]
        Running = "running",
        /// Suspended, may go on.
        Suspended = "suspended",
        /// Ended at its walltime.
        Timeout = "timeout",
    }
);

words!(
    /// Whether the nodes of a job are shared.
    Sharing {
        /// The job has its nodes alone.
        #[default]
        None = "none",
        /// With jobs of the same user.
        SingleUser = "single_user",
        /// With jobs of anybody.
        MultiUser = "multi_user",
    }
);

impl JobState {
    /// Running, and nothing else.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running)
    }

    /// Ended for good: neither running, suspended nor waiting.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Running | Self::Suspended | Self::Pending)
    }

    /// As [`FromStr`], but knows the spellings of old archives too (`canceled`, `stopped`).
    pub fn from_old(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "canceled" => Ok(Self::Cancelled),
            "stopped" => Ok(Self::Completed),
            _ => word.parse(),
        }
    }
}

/// How far the monitoring of a job is: a number in JSON and in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MonitoringStatus {
    /// Not monitored; never archived.
    #[default]
    Disabled,
    /// Running, or ended and waiting for its archive entry.
    RunningOrArchiving,
    /// Could not be archived.
    ArchivingFailed,
    /// Archived.
    Archived,
}

impl MonitoringStatus {
    /// The number, 0 to 3.
    pub const fn code(self) -> i32 {
        match self {
            Self::Disabled => 0,
            Self::RunningOrArchiving => 1,
            Self::ArchivingFailed => 2,
            Self::Archived => 3,
        }
    }
}

impl From<MonitoringStatus> for i32 {
    fn from(status: MonitoringStatus) -> Self {
        status.code()
    }
}

impl TryFrom<i64> for MonitoringStatus {
    type Error = UnknownWord;

    fn try_from(code: i64) -> Result<Self, UnknownWord> {
        match code {
            0 => Ok(Self::Disabled),
            1 => Ok(Self::RunningOrArchiving),
            2 => Ok(Self::ArchivingFailed),
            3 => Ok(Self::Archived),
            _ => Err(UnknownWord { word: code.to_string(), expected: "0, 1, 2, 3".to_owned() }),
        }
    }
}

impl TryFrom<i32> for MonitoringStatus {
    type Error = UnknownWord;

    fn try_from(code: i32) -> Result<Self, UnknownWord> {
        Self::try_from(i64::from(code))
    }
}
