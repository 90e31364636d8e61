//! What can go wrong with the file, told apart by what a person has to do about it.

use std::path::{Path, PathBuf};

use cc_runtime::error::{Failure, Kind};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

const MIB: u64 = 1 << 20;

/// A failed operation on `job.db`. The texts of the version errors are those of spec/config-and-cli.md 6.6.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the file in a way that excludes ours.
    #[error(transparent)]
    Locked(#[from] cc_runtime::files::lock::Error),
    /// There is no file at the path.
    #[error("there is no database file '{}'", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file exists and holds something already.
    #[error("database file '{}' already exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The schema is older than version 11.
    #[error("unsupported database version {found}, need 11.")]
    TooOld {
        /// Version in `schema_migrations`; 0 when there is none.
        found: i64,
    },
    /// The schema is newer than version 11.
    #[error("unsupported database version {found}, need 11.")]
    TooNew {
        /// Version in `schema_migrations`.
        found: i64,
    },
    /// Versions before 10: their migrations rewrite whole tables, and this release has none of them.
    #[error(
        "this release migrates databases of version 10, found version {found}. Run -migrate-db of cc-backend 1.5.4 \
         on a copy of the file first: it takes version {found} to version 11"
    )]
    NoMigration {
        /// Version in `schema_migrations`.
        found: i64,
    },
    /// Not enough room for a backup, a rewrite or new indexes.
    #[error(
        "not enough space beside '{}' to {task}: about {} MiB are needed, {} MiB are free{}",
        path.display(), needed.div_ceil(MIB), free / MIB, way_out
    )]
    NoSpace {
        /// The database.
        path: PathBuf,
        /// In words, e.g. `back it up and migrate it`.
        task: &'static str,
        /// Bytes needed, estimated.
        needed: u64,
        /// Bytes free for this user.
        free: u64,
        /// What else can be done; begins with punctuation, or is empty.
        way_out: &'static str,
    },
    /// Not enough room where SQLite puts its temporary files.
    #[error(
        "not enough space for temporary files in '{}' to {task}: about {} MiB are needed, {} MiB are free. Free some, \
         or name another folder in the environment variable SQLITE_TMPDIR",
        folder.display(), needed.div_ceil(MIB), free / MIB
    )]
    NoTemporarySpace {
        /// The folder.
        folder: PathBuf,
        /// In words, e.g. `rewrite it`.
        task: &'static str,
        /// Bytes needed, estimated.
        needed: u64,
        /// Bytes free for this user.
        free: u64,
    },
    /// The copy taken before a migration could not be made or is not as good as the original, which is unchanged.
    #[error("failed to back the database up to '{}': {problem}; it was not changed", path.display())]
    Backup {
        /// The copy.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A migration of the reference stopped half-way.
    #[error(
        "last migration to version 11 has failed, please fix the db manually and force version with -force-db flag"
    )]
    Dirty,
    /// The file says version 11 and lacks a table that version 11 has.
    #[error("database file '{}' says version 11 but has no table '{table}'", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What is missing.
        table: &'static str,
    },
    /// Our own side tables were written by a later release.
    #[error("side tables of {component} have version {found}, this release knows up to {known}")]
    SideTablesTooNew {
        /// The service that owns them.
        component: &'static str,
        /// Version found.
        found: i64,
        /// Highest known.
        known: i64,
    },
    /// The file could not be made, before SQLite saw it.
    #[error("failed to create database file '{}'", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file could not be opened.
    #[error("failed to open database file '{}': {}", path.display(), class.advice())]
    Open {
        /// The file.
        path: PathBuf,
        /// What kind of failure.
        class: Class,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// A statement failed.
    #[error("failed to {operation}: {}", class.advice())]
    Query {
        /// In words, e.g. `insert job`.
        operation: &'static str,
        /// What kind of failure.
        class: Class,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
}

/// The SQLite result codes that call for different reactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Another process holds the write lock longer than the busy timeout.
    Busy,
    /// The file system is full.
    Full,
    /// The file, its directory or its file system may not be written.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// The file is not a SQLite database.
    NotADatabase,
    /// The file cannot be opened (missing directory, permissions).
    CannotOpen,
    /// The operating system failed to read or write.
    Io,
    /// UNIQUE or PRIMARY KEY.
    Unique,
    /// CHECK, NOT NULL or FOREIGN KEY.
    Constraint,
    /// The reader was dropped or interrupted.
    Interrupted,
    /// A value or a statement exceeds a limit of SQLite.
    TooBig,
    /// A stored value has another type than its column allows.
    Decode,
    /// All readers are taken, or the pool is closed.
    Pool,
    /// Everything else: our fault.
    Other,
}

impl Class {
    /// The class of a driver error.
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                let code = database.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or_default();
                Self::of_code(code)
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Pool,
            sqlx::Error::Io(_) => Self::Io,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Decode,
            _ => Self::Other,
        }
    }

    /// The class of an extended result code of SQLite.
    fn of_code(code: i64) -> Self {
        const UNIQUE: i64 = 2067;
        const PRIMARY_KEY: i64 = 1555;
        const ROWID: i64 = 2579;
        match (code & 0xff, code) {
            (5 | 6, _) => Self::Busy,
            (8, _) => Self::ReadOnly,
            (9, _) => Self::Interrupted,
            (10, _) => Self::Io,
            (11, _) => Self::Corrupt,
            (13, _) => Self::Full,
            (14, _) => Self::CannotOpen,
            (18, _) => Self::TooBig,
            (19, UNIQUE | PRIMARY_KEY | ROWID) => Self::Unique,
            (19, _) => Self::Constraint,
            (26, _) => Self::NotADatabase,
            _ => Self::Other,
        }
    }

    /// What it means and what to do, for the log and the command line.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Busy => "another process holds the write lock longer than db-config.busy-timeout-ms",
            Self::Full => "no space left on its file system; free some, nothing acknowledged is lost",
            Self::ReadOnly => "it may not be written; file and directory must be writable for this user",
            Self::Corrupt => {
                "the file is damaged; restore a backup, or save what is readable with 'sqlite3 FILE .recover'"
            }
            Self::NotADatabase => "this is not a SQLite database",
            Self::CannotOpen => "it cannot be opened; the directory must exist and be writable for this user",
            Self::Io => "the operating system failed to read or write it",
            Self::Unique => "such a row exists already",
            Self::Constraint => "the table does not allow this value",
            Self::Interrupted => "it was interrupted",
            Self::TooBig => "a value exceeds what SQLite can store",
            Self::Decode => "a stored value has an unexpected type",
            Self::Pool => "no connection is free",
            Self::Other => "unexpected answer of SQLite",
        }
    }

    /// Whether the same statement may succeed later, when a person or another process has acted.
    pub fn transient(self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::ReadOnly | Self::Io | Self::Pool | Self::Interrupted)
    }
}

impl Error {
    /// Wraps a driver error of the statement that was to `operation` (in words, e.g. `insert job`).
    pub fn query(operation: &'static str, source: sqlx::Error) -> Self {
        Self::Query { operation, class: Class::of(&source), source }
    }

    /// Wraps a driver error for [`Result::map_err`].
    pub fn in_query(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::query(operation, source)
    }

    pub(crate) fn open(path: &Path, source: sqlx::Error) -> Self {
        let class = Class::of(&source);
        Self::Open { path: path.to_owned(), class, source }
    }

    /// The class of a failed statement or open; `None` for the other variants.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Open { class, .. } | Self::Query { class, .. } => Some(*class),
            _ => None,
        }
    }

    /// The way out that the command line prints below the error (spec/config-and-cli.md 6.6).
    pub fn way_out(&self) -> Option<&'static str> {
        match self {
            Self::TooOld { .. } => Some("Please backup your database file and run cc-backend -migrate-db"),
            Self::TooNew { .. } => {
                Some("Please refer to documentation how to downgrade db with external migrate tool")
            }
            Self::Missing { .. } => Some(
                "A new site is made with cc-backend -init, only the database with cc-backend -migrate-db",
            ),
            _ => None,
        }
    }

    /// The lines a program prints before it gives up, as the reference prints them.
    pub fn abort_text(&self) -> String {
        let mut text = format!("DB Connection: Failed DB version check.\nError: {self}\n");
        if let Some(way_out) = self.way_out() {
            text.push_str(way_out);
            text.push('\n');
        }
        text
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// Also by reference: one failed commit is the answer to many requests.
impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (kind, reason) = match error.class() {
            Some(Class::Busy | Class::Pool) => (Kind::Unavailable, "DATABASE_BUSY"),
            Some(Class::Full) => (Kind::Unavailable, "DATABASE_FULL"),
            Some(Class::ReadOnly) => (Kind::Unavailable, "DATABASE_READ_ONLY"),
            Some(Class::Io | Class::CannotOpen) => (Kind::Unavailable, "DATABASE_IO"),
            Some(Class::Corrupt | Class::NotADatabase) => (Kind::Internal, "DATABASE_CORRUPT"),
            Some(Class::Interrupted) => (Kind::Deadline, "INTERRUPTED"),
            Some(Class::TooBig) => (Kind::TooLarge, "TOO_LARGE"),
            Some(Class::Unique | Class::Constraint | Class::Decode | Class::Other) | None => {
                return Self::unexpected("database operation", error);
            }
        };
        tracing::error!(error = %cc_runtime::error::chain(error), "database operation failed");
        Self::new(kind, reason, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_result_codes_have_a_class() {
        for (code, class) in [
            (5, Class::Busy),
            (261, Class::Busy),
            (517, Class::Busy),
            (8, Class::ReadOnly),
            (1032, Class::ReadOnly),
            (778, Class::Io),
            (11, Class::Corrupt),
            (779, Class::Corrupt),
            (13, Class::Full),
            (14, Class::CannotOpen),
            (26, Class::NotADatabase),
            (2067, Class::Unique),
            (1555, Class::Unique),
            (275, Class::Constraint),
            (787, Class::Constraint),
            (1299, Class::Constraint),
            (1, Class::Other),
        ] {
            assert_eq!(Class::of_code(code), class, "{code}");
        }
    }

    #[test]
    fn version_errors_speak_as_the_reference() {
        assert_eq!(
            Error::TooOld { found: 10 }.abort_text(),
            "DB Connection: Failed DB version check.\nError: unsupported database version 10, need 11.\n\
             Please backup your database file and run cc-backend -migrate-db\n"
        );
        assert_eq!(
            Error::TooNew { found: 12 }.abort_text(),
            "DB Connection: Failed DB version check.\nError: unsupported database version 12, need 11.\n\
             Please refer to documentation how to downgrade db with external migrate tool\n"
        );
        assert_eq!(
            Error::Dirty.abort_text(),
            "DB Connection: Failed DB version check.\nError: last migration to version 11 has failed, \
             please fix the db manually and force version with -force-db flag\n"
        );
    }
}
