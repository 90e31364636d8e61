//! Between the schema versions 10 and 11 (spec/job-db.md 3, config-and-cli.md 6.6).
//!
//! Both differ in indexes on `job` alone. Every step is one transaction that includes the version row: whoever is
//! killed on the way leaves the file as it was, never a dirty one. The caller holds the lock
//! [`cc_runtime::files::lock::Purpose::Alone`].

mod backup;
mod steps;

pub(crate) use steps::{create_missing, indexes};

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};

use crate::create::create;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::{SCHEMA_VERSION, open};

/// The version that release 1.5 of the reference began with, and the one `-revert-db` goes back to.
const PREVIOUS: i64 = 10;

/// Index entries of one job that version 11 adds, in bytes; measured on files of 1 M jobs, rounded up.
const INDEX_BYTES_PER_JOB: u64 = 900;

/// Told what is being done, one line at a time.
pub type Progress<'life> = &'life mut (dyn FnMut(&str) + Send);

/// What becomes of the file as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backup {
    /// It is copied beside the database and the copy verified before anything is changed.
    Verified,
    /// The operator has one (`-no-backup`).
    None,
}

/// What [`migrate`] found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// There was no database; now there is an empty one of version 11.
    Created,
    /// It was of version 11 already and was not touched.
    AlreadyCurrent,
    /// It was of version 10.
    Upgraded {
        /// The file as it was, if one was asked for.
        backup: Option<PathBuf>,
    },
}

/// Brings the file to version 11: makes it where there is none, leaves it where it has that version, changes the
/// indexes of a version 10.
///
/// # Errors
/// [`Error::NoMigration`] for the versions 1–9, [`Error::TooNew`], [`Error::Dirty`], [`Error::NoSpace`],
/// [`Error::Backup`], and those of [`create`]. The file is then as it was.
pub async fn migrate(path: impl AsRef<Path>, backup: Backup, progress: Progress<'_>) -> Result<Migrated> {
    let path = path.as_ref();
    match state(path).await {
        Err(Error::Missing { .. }) | Ok((0, false)) => {
            create(path).await?;
            Ok(Migrated::Created)
        }
        Err(error) => Err(error),
        Ok((_, true)) => Err(Error::Dirty),
        Ok((SCHEMA_VERSION, false)) => {
            open::check(path, &Options::default()).await?;
            Ok(Migrated::AlreadyCurrent)
        }
        Ok((PREVIOUS, false)) => upgrade(path, backup, progress).await,
        Ok((found, false)) if found > SCHEMA_VERSION => Err(Error::TooNew { found }),
        Ok((found, false)) => Err(Error::NoMigration { found }),
    }
}

async fn upgrade(path: &Path, backup: Backup, progress: Progress<'_>) -> Result<Migrated> {
    const OPERATION: &str = "migrate to version 11";
    // Opened first and dropped last: its end takes the locks of the connection along.
    let original = File::open(path).map_err(|source| Error::open(path, sqlx::Error::Io(source)))?;
    let original = Arc::new(original);
    let mut connection = alone(path).await?;
    let outcome = async {
        let jobs = steps::count_jobs(&mut connection).await?;
        backup::room(path, backup, jobs)?;
        // One transaction: what is copied is what is changed.
        match backup {
            Backup::None => sqlx::raw_sql("BEGIN IMMEDIATE")
                .execute(&mut connection)
                .await
                .map(drop)
                .map_err(Error::in_query(OPERATION))?,
            Backup::Verified => backup::hold(&mut connection, path).await?,
        }
        let copy = match backup {
            Backup::None => None,
            Backup::Verified => {
                Some(backup::take(&mut connection, &original, path, PREVIOUS, progress).await?)
            }
        };
        progress(&format!("Changing the indexes of {jobs} jobs..."));
        steps::up(&mut connection, progress).await?;
        sqlx::raw_sql("COMMIT").execute(&mut connection).await.map_err(Error::in_query(OPERATION))?;
        Ok(Migrated::Upgraded { backup: copy })
    }
    .await;
    // a transaction that was not committed ends with the connection
    let outcome = closed(connection, path, outcome).await;
    drop(original);
    outcome
}

/// Takes the file back to version 10: the indexes of version 11 go, those of version 10 come.
///
/// # Errors
/// [`Error::Missing`], [`Error::NoMigration`] for versions before 10, [`Error::TooNew`], [`Error::Dirty`].
pub async fn revert(path: impl AsRef<Path>, progress: Progress<'_>) -> Result<()> {
    let path = path.as_ref();
    match state(path).await? {
        (_, true) => Err(Error::Dirty),
        (PREVIOUS, false) => Ok(()),
        (SCHEMA_VERSION, false) => {
            let mut connection = alone(path).await?;
            let outcome = steps::down(&mut connection, progress).await;
            closed(connection, path, outcome).await
        }
        (found, false) if found > SCHEMA_VERSION => Err(Error::TooNew { found }),
        (found, false) => Err(Error::NoMigration { found }),
    }
}

/// Writes the version row (11, clean) whatever stands there. Nothing else is changed or looked at.
///
/// # Errors
/// [`Error::Missing`], [`Error::Open`], [`Error::Query`].
pub async fn force(path: impl AsRef<Path>) -> Result<()> {
    const OPERATION: &str = "force the version";
    let path = path.as_ref();
    open::present(path)?;
    let mut connection = alone(path).await?;
    let outcome = async {
        let mut transaction =
            connection.begin_with("BEGIN IMMEDIATE").await.map_err(Error::in_query(OPERATION))?;
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version uint64, dirty bool);
             CREATE UNIQUE INDEX IF NOT EXISTS version_unique ON schema_migrations (version)",
        )
        .execute(&mut *transaction)
        .await
        .map_err(Error::in_query(OPERATION))?;
        steps::set_version(&mut transaction, SCHEMA_VERSION).await?;
        transaction.commit().await.map_err(Error::in_query(OPERATION))
    }
    .await;
    closed(connection, path, outcome).await
}

/// Version and dirty flag of a file, without changing it.
async fn state(path: &Path) -> Result<(i64, bool)> {
    open::present(path)?;
    let options = Options::default();
    let connect = open::plain(path, &options).pragma("query_only", "ON");
    let mut connection = open::connect_patiently(&connect, path, &options).await?;
    let outcome = open::version(&mut connection).await.map_err(|source| Error::open(path, source));
    closed(connection, path, outcome).await
}

/// The one connection of an action that has the file for itself. Sorting of whole tables goes to temporary files,
/// not to memory.
pub(crate) async fn alone(path: &Path) -> Result<SqliteConnection> {
    let options = Options::default();
    open::connect_patiently(&open::writer(path, &options).pragma("temp_store", "file"), path, &options).await
}

/// Closes the connection, which folds the log into the file, whatever the outcome was.
pub(crate) async fn closed<T>(connection: SqliteConnection, path: &Path, outcome: Result<T>) -> Result<T> {
    let closed = connection.close().await.map_err(|source| Error::open(path, source));
    let value = outcome?;
    closed.map(|()| value)
}
