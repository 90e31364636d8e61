//! Connecting: checks before anything is changed, then the settings of each connection (spec/job-db.md 2).

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::error::{Class, Error, Result};
use crate::options::Options;
use crate::{Quirks, SCHEMA_VERSION};

/// Frames after which a commit copies the log back into the file (16 MiB of pages): with 54 indexes a start
/// touches some 60 pages, and copying back every 1,000 would take place in every few commits.
const CHECKPOINT_PAGES: &str = "4096";

/// The log is cut back to this size once it was copied whole.
const LOG_BYTES_KEPT: &str = "67108864";

/// Tables without which a file of version 11 is not one.
const TABLES: [&str; 8] =
    ["job", "job_cache", "tag", "jobtag", "hpc_user", "configuration", "node", "node_state"];

/// What every connection has in common. Changes nothing in the file.
pub(crate) fn plain(path: &Path, options: &Options) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(options.busy_timeout)
        .foreign_keys(true)
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

/// The writer: write-ahead log, and a commit is on the disk before it returns.
pub(crate) fn writer(path: &Path, options: &Options) -> SqliteConnectOptions {
    plain(path, options)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", format!("-{}", options.writer_cache_kib()))
        .pragma("soft_heap_limit", (u64::from(options.soft_heap_limit_mib) * 1024 * 1024).to_string())
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
        .statement_cache_capacity(200)
        .thread_name(|_| "job.db writer".to_owned())
}

/// A reader: cannot write, whatever statement it is given.
pub(crate) fn reader(path: &Path, options: &Options) -> SqliteConnectOptions {
    plain(path, options)
        .pragma("query_only", "ON")
        .pragma("cache_size", format!("-{}", options.reader_cache_kib()))
        .row_buffer_size(256)
        .thread_name(|number| format!("job.db read {number}"))
}

/// Reads version and shape of an existing file without changing it.
///
/// # Errors
/// The version errors of spec/config-and-cli.md 6.6, [`Error::Incomplete`], [`Error::Open`].
pub(crate) async fn check(path: &Path, options: &Options) -> Result<Quirks> {
    present(path)?;
    let mut connection =
        connect_patiently(&plain(path, options).pragma("query_only", "ON"), path, options).await?;
    let outcome = check_connection(&mut connection, path).await;
    connection.close().await.map_err(|source| Error::open(path, source))?;
    outcome
}

/// [`Error::Missing`] when there is no file.
pub(crate) fn present(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Missing { path: path.to_owned() })
        }
        Err(source) => Err(Error::open(path, sqlx::Error::Io(source))),
    }
}

async fn check_connection(connection: &mut SqliteConnection, path: &Path) -> Result<Quirks> {
    let (version, dirty) = version(connection).await.map_err(|source| Error::open(path, source))?;
    match version {
        found if found < SCHEMA_VERSION => return Err(Error::TooOld { found }),
        found if found > SCHEMA_VERSION => return Err(Error::TooNew { found }),
        _ if dirty => return Err(Error::Dirty),
        _ => {}
    }
    for table in TABLES {
        if !has_table(connection, table).await.map_err(|source| Error::open(path, source))? {
            return Err(Error::Incomplete { path: path.to_owned(), table });
        }
    }
    quirks(connection).await.map_err(|source| Error::open(path, source))
}

/// Version and dirty flag as golang-migrate keeps them; no table or no row is version 0.
pub(crate) async fn version(connection: &mut SqliteConnection) -> sqlx::Result<(i64, bool)> {
    if !has_table(connection, "schema_migrations").await? {
        return Ok((0, false));
    }
    let row: Option<(i64, bool)> = sqlx::query_as(
        "SELECT CAST(version AS INTEGER), CAST(dirty AS INTEGER) FROM schema_migrations LIMIT 1",
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.unwrap_or((0, false)))
}

async fn has_table(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)")
        .bind(table)
        .fetch_one(connection)
        .await
}

/// Differences between real files of version 11 (spec/job-db.md 1 "DDL text", 3 "Migration hazards").
async fn quirks(connection: &mut SqliteConnection) -> sqlx::Result<Quirks> {
    let node_health: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('node_state') WHERE name = 'health_metrics')",
    )
    .fetch_one(&mut *connection)
    .await?;
    let hyphen: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'job'
         AND sql LIKE '%''out-of-memory''%')",
    )
    .fetch_one(connection)
    .await?;
    Ok(Quirks { node_state_has_health_metrics: node_health, out_of_memory_with_hyphens: hyphen })
}

/// Connects, waiting for a process that is just switching the file to its write-ahead log: SQLite does not apply
/// the busy timeout there.
pub(crate) async fn connect_patiently(
    connect: &SqliteConnectOptions,
    path: &Path,
    options: &Options,
) -> Result<SqliteConnection> {
    const STEP: Duration = Duration::from_millis(20);
    let mut left = options.busy_timeout;
    loop {
        match connect.connect().await {
            Ok(connection) => return Ok(connection),
            Err(source) if Class::of(&source) == Class::Busy && !left.is_zero() => {
                tokio::time::sleep(STEP).await;
                left = left.saturating_sub(STEP);
            }
            Err(source) => return Err(Error::open(path, source)),
        }
    }
}
