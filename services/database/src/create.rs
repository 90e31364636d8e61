//! Making a fresh file of version 11 (`-init`, `-migrate-db` without a database).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sqlx::{Connection, SqliteConnection};

use crate::error::{Error, Result};
use crate::open;
use crate::options::Options;

/// The whole of version 11 as one script.
pub(crate) const SCHEMA: &str = include_str!("schema_v11.sql");

/// Password hashes are in it: not for everybody to read.
pub(crate) const FILE_MODE: u32 = 0o640;

/// Makes a database of version 11 at `path`, which must not exist or be empty (also an empty one of SQLite). The
/// directory must exist. After a crash on the way the file is still empty, and the call can be repeated.
///
/// # Errors
/// [`Error::Exists`], [`Error::Create`], [`Error::Open`], [`Error::Query`].
pub async fn create(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let io_error = |source| Error::Create { path: path.to_owned(), source };
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path).map_err(io_error)?;
    let options = Options::default();
    let mut connection = open::connect_patiently(&open::plain(path, &options), path, &options).await?;
    let outcome = fill(&mut connection, path).await;
    connection.close().await.map_err(|source| Error::open(path, source))?;
    outcome?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io_error)
}

async fn fill(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    const OPERATION: &str = "create the schema";
    let mut transaction =
        connection.begin_with("BEGIN IMMEDIATE").await.map_err(|source| Error::open(path, source))?;
    // golang-migrate leaves an empty bookkeeping table where the reference only looked at a file
    let others: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sqlite_master WHERE tbl_name <> 'schema_migrations' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(|source| Error::open(path, source))?;
    let (version, _) = open::version(&mut transaction).await.map_err(|source| Error::open(path, source))?;
    if others > 0 || version > 0 {
        return Err(Error::Exists { path: path.to_owned() });
    }
    sqlx::raw_sql("DROP TABLE IF EXISTS schema_migrations")
        .execute(&mut *transaction)
        .await
        .map_err(Error::in_query(OPERATION))?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await.map_err(Error::in_query(OPERATION))?;
    transaction.commit().await.map_err(Error::in_query(OPERATION))
}
