//! What can fail in the metric store, and what callers are told.

use std::io;
use std::path::PathBuf;

use cc_runtime::error::{Failure, Kind};
use cc_runtime::files;

/// A failure of one operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of log and checkpoints cannot be used.
    #[error("failed to open the metric store's directory {}: give the service a directory it may write, beside metric-store.checkpoints.directory", path.display())]
    Open {
        /// The directory, or a file in it.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("the metric store's directory {} is in use by another process; stop it first (`fuser {}` names it)", path.display(), path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A state file cannot be written.
    #[error("failed to keep the metric store's state")]
    State(#[from] files::Error),
    /// A state file is not what it should be.
    #[error("{} is damaged: {problem}; remove it, it is written anew", path.display())]
    BrokenState {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The log cannot be written: nothing more was taken.
    #[error("the log of the metric store cannot be written ({source}); samples are refused until there is room in {}", path.display())]
    Log {
        /// The directory of the log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No registry: it is not known which metrics are taken.
    #[error("no metrics are configured: the metric store waits for the cluster files")]
    NotConfigured,
    /// New series were refused because memory is at its cap.
    #[error(
        "memory is at metric-store.memory-cap: samples of {refused} lines would begin new series and were refused"
    )]
    MemoryCap {
        /// Lines refused.
        refused: u64,
    },
    /// The history of a host asked for is still loading.
    #[error("samples are still loading, try again")]
    Loading,
    /// A selector names nothing that is here.
    #[error("[METRICSTORE]> not found: {0}")]
    SelectorNotFound(String),
    /// The request is not what it should be.
    #[error("{0}")]
    Invalid(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Open { .. } | Error::InUse { .. } | Error::State(_) | Error::BrokenState { .. } => {
                Self::unexpected("use the metric store's files", &error)
            }
            Error::Log { source, .. } => {
                let full =
                    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&source.kind());
                let reason = if full { "LOG_FULL" } else { "LOG_IO" };
                Self::new(Kind::Unavailable, reason, error.to_string())
            }
            Error::NotConfigured => Self::new(Kind::Unavailable, "NOT_CONFIGURED", error.to_string()),
            Error::MemoryCap { refused } => {
                Self::new(Kind::Busy, "MEMORY_CAP", error.to_string()).with("lines", refused)
            }
            Error::Loading => Self::new(Kind::Unavailable, "LOADING", error.to_string()),
            Error::SelectorNotFound(_) => Self::new(Kind::NotFound, "SELECTOR_NOT_FOUND", error.to_string()),
            Error::Invalid(text) => Self::new(Kind::Invalid, "INVALID_REQUEST", text.clone()),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
