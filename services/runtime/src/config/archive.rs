//! Section `archive` (config-and-cli.md 3.5).

use std::fmt;
use std::path::PathBuf;

/// The job archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// `kind` with the keys of that kind. Default: the directory `./var/job-archive`.
    pub place: Place,
    /// `compression`: days after which job data is compressed, always ≥ 1. Default 7.
    pub compression_days: u32,
    /// `retention`; absent: jobs are kept for ever.
    pub retention: Option<Retention>,
}

impl Default for Archive {
    fn default() -> Self {
        Self { place: Place::File { path: "./var/job-archive".into() }, compression_days: 7, retention: None }
    }
}

/// `archive.kind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `file`: a directory.
    File {
        /// `path`.
        path: PathBuf,
    },
    /// `s3`: a bucket.
    S3(S3),
    /// `sqlite`: a database file.
    Sqlite {
        /// `db-path`.
        path: PathBuf,
    },
}

/// A bucket and how to reach it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3 {
    /// `endpoint`: URL of an S3-compatible server; empty: AWS.
    pub endpoint: String,
    /// `bucket`.
    pub bucket: String,
    /// `access-key`; with `secret-key` empty the usual AWS sources are asked.
    pub access_key: String,
    /// `secret-key`.
    pub secret_key: String,
    /// `region`. Default `us-east-1`.
    pub region: String,
    /// `use-path-style`: the bucket in the path, not in the host name. Default false.
    pub use_path_style: bool,
}

impl fmt::Debug for S3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3")
            .field("endpoint", &self.endpoint)
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("use_path_style", &self.use_path_style)
            .finish_non_exhaustive()
    }
}

/// Where retention copies or moves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `target-kind` `file`: a directory.
    File {
        /// `target-path`; empty when the file names none.
        path: PathBuf,
    },
    /// `target-kind` `s3`.
    S3(S3),
}

/// `archive.retention`: what happens to old jobs, daily.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `policy`.
    pub policy: Policy,
    /// `format` of copies. Default JSON.
    pub format: Format,
    /// `include-db`: delete and move take the rows in the database too. Default true.
    pub include_db: bool,
    /// `omit-tagged`: which tagged jobs stay. Default none.
    pub omit_tagged: OmitTagged,
    /// `age`: days since the start of a job. Absent: delete and move refuse to run, because the reference would
    /// take everything.
    pub age_days: Option<u32>,
    /// Where copies go.
    pub target: Target,
    /// `max-file-size-mb`: size at which a Parquet file is split. Default 512.
    pub max_file_size_mb: u32,
}

/// `archive.retention.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Keep.
    None,
    /// Delete, at 03:00.
    Delete,
    /// Copy to the target, at 04:00.
    Copy,
    /// Copy to the target, verify, delete, at 05:00.
    Move,
}

/// `archive.retention.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Files as in the archive.
    Json,
    /// Parquet.
    Parquet,
}

/// `archive.retention.omit-tagged`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OmitTagged {
    /// No exception.
    None,
    /// Jobs with any tag stay.
    All,
    /// Jobs with a tag that no tagger set (type neither `app` nor `jobClass`) stay.
    User,
}
