//! Section `archive` (config-and-cli.md 3.5).

use std::fmt;
use std::path::PathBuf;

use super::main::warn_of_missing_target;
use super::section::Section;

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

/// The region where none is named.
const REGION_DEFAULT: &str = "us-east-1";

#[derive(Clone, Copy)]
enum Kind {
    File,
    S3,
    Sqlite,
}

/// Reads the section.
pub(super) fn read(section: Section<'_>) -> Archive {
    let mut archive = Archive::default();
    let kinds = [("file", Kind::File), ("s3", Kind::S3), ("sqlite", Kind::Sqlite)];
    let kind = needed_choice(&section, "kind", &kinds);
    let path = section.get::<PathBuf>("path").unwrap_or_default();
    let db_path = section.get::<PathBuf>("db-path").unwrap_or_default();
    let text = |key| section.get::<String>(key).unwrap_or_default();
    let bucket = S3 {
        endpoint: text("endpoint"),
        bucket: text("bucket"),
        access_key: text("access-key"),
        secret_key: text("secret-key"),
        region: Some(text("region"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| REGION_DEFAULT.to_owned()),
        use_path_style: section.get("use-path-style").unwrap_or_default(),
    };
    let needs = |key, missing: bool| {
        if missing {
            section.at.key(key).error("missing; this kind of archive needs it");
        }
    };
    match kind {
        Some(Kind::File) => {
            needs("path", path.as_os_str().is_empty());
            archive.place = Place::File { path };
        }
        Some(Kind::S3) => {
            needs("bucket", bucket.bucket.is_empty());
            archive.place = Place::S3(bucket);
        }
        Some(Kind::Sqlite) => {
            needs("db-path", db_path.as_os_str().is_empty());
            archive.place = Place::Sqlite { path: db_path };
        }
        None => {}
    }
    section.set_positive("compression", &mut archive.compression_days);
    archive.retention = section.object("retention").and_then(read_retention);
    section.finish();
    archive
}

fn read_retention(section: Section<'_>) -> Option<Retention> {
    let section = section.with_hints(&[("location", "the target directory is target-path")]);
    let policies =
        [("none", Policy::None), ("delete", Policy::Delete), ("copy", Policy::Copy), ("move", Policy::Move)];
    let policy = needed_choice(&section, "policy", &policies);
    let formats = [("json", Format::Json), ("parquet", Format::Parquet)];
    let omissions = [("none", OmitTagged::None), ("all", OmitTagged::All), ("user", OmitTagged::User)];
    let mut retention = Retention {
        policy: policy.unwrap_or(Policy::None),
        format: section.choice("format", &formats).unwrap_or(Format::Json),
        include_db: true,
        omit_tagged: section.choice("omit-tagged", &omissions).unwrap_or(OmitTagged::None),
        age_days: None,
        target: read_target(&section),
        max_file_size_mb: 512,
    };
    section.set("include-db", &mut retention.include_db);
    section.set("age", &mut retention.age_days);
    section.set_positive("max-file-size-mb", &mut retention.max_file_size_mb);
    retention.age_days = retention.age_days.filter(|days| *days > 0);
    if matches!(policy, Some(Policy::Delete | Policy::Move)) && retention.age_days.is_none() {
        let text =
            "missing or 0: every job would be taken, so this policy does not run; expected days, e.g. 365";
        section.at.key("age").warn(text);
    }
    if matches!(policy, Some(Policy::Copy | Policy::Move)) {
        warn_of_missing_target(&section.at, &retention.target);
    }
    section.finish();
    policy.map(|_| retention)
}

/// The keys `target-…` of a retention.
pub(super) fn read_target(section: &Section<'_>) -> Target {
    let text = |key| section.get::<String>(key).unwrap_or_default();
    let path = section.get::<PathBuf>("target-path").unwrap_or_default();
    let bucket = S3 {
        endpoint: text("target-endpoint"),
        bucket: text("target-bucket"),
        access_key: text("target-access-key"),
        secret_key: text("target-secret-key"),
        region: Some(text("target-region"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| REGION_DEFAULT.to_owned()),
        use_path_style: section.get("target-use-path-style").unwrap_or_default(),
    };
    match section.choice("target-kind", &[("file", false), ("s3", true)]) {
        Some(true) => Target::S3(bucket),
        Some(false) | None => Target::File { path },
    }
}

/// One of several words, which must be there.
pub(super) fn needed_choice<T: Copy>(
    section: &Section<'_>,
    key: &'static str,
    choices: &[(&str, T)],
) -> Option<T> {
    if section.value(key).is_none() {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        section.at.key(key).error(format!("missing; expected one of {}", names.join(", ")));
    }
    section.choice(key, choices)
}
