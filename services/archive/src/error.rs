//! What can go wrong, and its one way to a status.

use std::io;
use std::path::PathBuf;

use cc_model::JobKey;
use cc_model::cluster::{AssignError, ClusterError};
use cc_model::job::{JobDecodeError, StartError};
use cc_model::series::JobDataError;
use cc_proto::convert::InvalidJob;
use cc_runtime::error::{Failure, Kind};
use cc_runtime::files;
use tonic::Status;

/// One variant per operation that fails, with the path or the job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive is on another kind of storage than this version has.
    #[error("archive.kind: {kind:?} is not built yet, use \"file\" with a \"path\"")]
    Kind {
        /// `s3` or `sqlite`.
        kind: &'static str,
    },
    /// The root or its `version.txt` cannot be read.
    #[error("initializing archive: failed to read {}", path.display())]
    ReadVersion {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The directory holds something, but nothing says that it is an archive.
    #[error("initializing archive: {} has entries but no version.txt: it is no job archive, or its version file was lost (content: 3)", path.display())]
    NoVersion {
        /// The root.
        path: PathBuf,
    },
    /// Another format.
    #[error("initializing archive: unsupported version {version}, need 3")]
    Version {
        /// What `version.txt` says.
        version: String,
    },
    /// A file or directory cannot be written.
    #[error("failed to write to the archive")]
    Write(#[source] files::Error),
    /// A cluster file cannot be read.
    #[error("failed to read {}", path.display())]
    ReadCluster {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A cluster file cannot be used.
    #[error("{} cannot be used", path.display())]
    Cluster {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: ClusterError,
    },
    /// The folder's name is not the name in its file.
    #[error("{} names the cluster {name:?}: the folder must have the same name", path.display())]
    ClusterName {
        /// The file.
        path: PathBuf,
        /// The name in it.
        name: String,
    },
    /// The archive has no such job.
    #[error("job {0} is not in the archive")]
    NoEntry(JobKey),
    /// A file of an entry cannot be read.
    #[error("failed to read {}", path.display())]
    ReadEntry {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// `meta.json` is damaged.
    #[error("{} is damaged", path.display())]
    BrokenMeta {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: JobDecodeError,
    },
    /// A job holds a number that JSON cannot.
    #[error("the meta data of job {job} cannot be written as JSON")]
    Encode {
        /// The job.
        job: JobKey,
        /// Why.
        source: serde_json::Error,
    },
    /// `data.json` is damaged.
    #[error("{} is damaged", path.display())]
    BrokenData {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: JobDataError,
    },
    /// A job in a request is none.
    #[error(transparent)]
    InvalidJob(#[from] InvalidJob),
    /// The job's cluster or subcluster is not configured.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// A job from outside that no table could hold.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The job's name for its cluster cannot be a folder.
    #[error("{0:?} cannot be the name of a cluster")]
    Name(String),
    /// The given meta data is none.
    #[error("meta data of the imported job: {0}")]
    ImportMeta(#[source] JobDecodeError),
    /// The given series are none.
    #[error("metric data of the imported job: {0}")]
    ImportData(#[source] JobDataError),
    /// The metric store does not answer as needed.
    #[error("the metric store did not give the series of job {job}")]
    Series {
        /// The job.
        job: JobKey,
        /// Its answer.
        source: Box<Status>,
    },
    /// A request lacks what it is about.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More than one request may ask for.
    #[error("{field}: at most {most} in one request")]
    TooMany {
        /// The field.
        field: &'static str,
        /// The limit.
        most: usize,
    },
    /// The pool for work of the processor refused or failed.
    #[error(transparent)]
    Cpu(#[from] Failure),
}

impl Error {
    /// Whether something is out of reach rather than wrong or missing: it may be there and good when the disk, the mount
    /// or the rights are mended.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        let not_there = [io::ErrorKind::NotFound, io::ErrorKind::IsADirectory];
        match self {
            Self::ReadEntry { source, .. } | Self::ReadVersion { source, .. } => {
                !self.is_damage() && !not_there.contains(&source.kind())
            }
            _ => false,
        }
    }

    /// Whether the bytes of an entry are wrong, rather than out of reach: a packed file that ends early shows here as a
    /// failure of reading.
    pub(crate) fn is_damage(&self) -> bool {
        let damage = [
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::InvalidData,
            io::ErrorKind::InvalidInput,
            io::ErrorKind::IsADirectory,
            io::ErrorKind::NotADirectory,
        ];
        match self {
            Self::BrokenMeta { .. } | Self::BrokenData { .. } => true,
            Self::ReadEntry { source, .. } => damage.contains(&source.kind()),
            _ => false,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let failure = match error {
            Error::NoEntry(key) => {
                Failure::new(Kind::NotFound, "ARCHIVE_ENTRY_NOT_FOUND", text).with("job", key)
            }
            Error::BrokenMeta { ref path, .. }
            | Error::BrokenData { ref path, .. }
            | Error::ReadEntry { ref path, .. } => {
                tracing::error!(error = %cc_runtime::error::chain(&error), "an entry of the archive cannot be used");
                // The path is for the log; the page names the job.
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let (reason, text) = if error.is_damage() {
                    let text =
                        format!("the archived {name} of this job is damaged; restore it from a backup");
                    ("ARCHIVE_ENTRY_BROKEN", text)
                } else {
                    let text = format!(
                        "the archived {name} of this job cannot be read; the log of the archive says why"
                    );
                    ("ARCHIVE_ENTRY_UNREADABLE", text)
                };
                return status_with_code(tonic::Code::DataLoss, reason, &text);
            }
            Error::Write(ref source) if source.is_full() => {
                tracing::error!(error = %cc_runtime::error::chain(&error), "the archive's file system is full");
                Failure::new(Kind::Unavailable, "ARCHIVE_FULL", "the file system of the job archive is full")
            }
            Error::InvalidJob(_)
            | Error::Start(_)
            | Error::Name(_)
            | Error::ImportMeta(_)
            | Error::ImportData(_)
            | Error::Missing(_)
            | Error::TooMany { .. } => Failure::new(Kind::Invalid, "INVALID_JOB", text),
            Error::Assign(_) => Failure::new(Kind::Invalid, "UNKNOWN_CLUSTER", text),
            // The store's own words and kind: the caller tries again exactly where the store says so.
            Error::Series { source, .. } => return *source,
            Error::Cpu(failure) => failure,
            other => Failure::unexpected("an archive operation", &other),
        };
        failure.into()
    }
}

fn status_with_code(code: tonic::Code, reason: &str, text: &str) -> Status {
    use tonic_types::{ErrorDetails, StatusExt as _};
    let details =
        ErrorDetails::with_error_info(reason, cc_runtime::error::DOMAIN, std::collections::HashMap::new());
    Status::with_error_details(code, text, details)
}
