//! The open file: one handle per process, shared by the services in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use crate::error::{Error, Result};
use crate::options::Options;
use crate::{open, read, write};

/// Differences between files that are all version 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// False in files that pre-release builds of the reference made: `node_state` has no `health_metrics`.
    pub node_state_has_health_metrics: bool,
    /// True where the CHECK of `job_state` knows `out-of-memory` instead of `out_of_memory`.
    pub out_of_memory_with_hyphens: bool,
}

/// `job.db`, open. Clones share the connections.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    quirks: Quirks,
    writer: SqlitePool,
    /// Set by a write transaction that was dropped unfinished; the writer is rolled back before it is used again.
    unfinished: Arc<AtomicBool>,
    readers: SqlitePool,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Database").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens an existing file of version 11 for reading and writing.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::TooOld`], [`Error::TooNew`], [`Error::Dirty`], [`Error::Incomplete`]; otherwise
    /// [`Error::Open`] with its class (read-only, damaged, no database, locked). Until the checks have passed the
    /// file is not changed.
    pub async fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        write::describe();
        let path = path.as_ref();
        let quirks = open::check(path, options).await?;
        let unfinished = Arc::new(AtomicBool::new(false));
        let writer = writer_pool(path, options, &unfinished);
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers_max.max(1))
            .idle_timeout(options.reader_idle_max)
            .max_lifetime(None)
            // `lock_handle` in `read` waits for the worker thread, which shows that it lives
            .test_before_acquire(false)
            .acquire_timeout(options.busy_timeout)
            .connect_lazy_with(open::reader(path, options));
        // another process may be switching the file to its log right now: wait once, here
        let first = open::connect_patiently(&open::writer(path, options), path, options).await?;
        drop(first);
        let inner = Inner { path: path.to_owned(), quirks, writer, unfinished, readers };
        let database = Self { inner: Arc::new(inner) };
        database.check_writable().await?;
        Ok(database)
    }

    /// Takes the write lock once, so that a read-only file or directory is found at start and not at the first job.
    async fn check_writable(&self) -> Result<()> {
        match self.write("open").await {
            Ok(transaction) => transaction.rollback().await,
            Err(Error::Query { class, source, .. }) => {
                Err(Error::Open { path: self.inner.path.clone(), class, source })
            }
            Err(error) => Err(error),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What is special about this file.
    pub fn quirks(&self) -> Quirks {
        self.inner.quirks
    }

    /// Starts a write transaction. Waits for the process's one writer in order of arrival, then for other
    /// processes at most the busy timeout; `purpose` (a constant) labels the measured wait.
    ///
    /// # Errors
    /// [`Error::Query`], usually of class `Busy` (locked by another process) or `ReadOnly`.
    pub async fn write(&self, purpose: &'static str) -> Result<write::WriteTx> {
        write::begin(&self.inner.writer, Arc::clone(&self.inner.unfinished), purpose).await
    }

    /// Takes a reader. Statements that still run when it is dropped are interrupted.
    ///
    /// # Errors
    /// [`Error::Query`] of class `Pool` when all readers stay taken, or the class of a failed connect.
    pub async fn read(&self) -> Result<read::Reader> {
        read::acquire(&self.inner.readers).await
    }

    /// Ends all connections; the last process to do so leaves one file without log (spec/job-db.md 1, rule 13).
    /// Waits for readers and writers that are still in use.
    ///
    /// # Errors
    /// [`Error::Query`] when the log could not be copied back; the connections are closed all the same and the log
    /// stays valid beside the file.
    pub async fn close(&self) -> Result<()> {
        const OPERATION: &str = "copy the log back into the database at close";
        self.inner.readers.close().await;
        let copied = match self.inner.writer.acquire().await {
            // another process that uses the file may hold its lock: it will copy the log back when it ends
            Ok(mut connection) => {
                sqlx::raw_sql("PRAGMA busy_timeout = 2000; PRAGMA wal_checkpoint(TRUNCATE)")
                    .execute(&mut *connection)
                    .await
                    .map(drop)
                    .map_err(Error::in_query(OPERATION))
            }
            Err(sqlx::Error::PoolClosed) => Ok(()),
            Err(source) => Err(Error::query(OPERATION, source)),
        };
        self.inner.writer.close().await;
        copied
    }
}

/// A pool of one: sqlx keeps the order of arrival, reopens a broken connection, and runs the roll-back of a
/// transaction that was dropped.
fn writer_pool(path: &Path, options: &Options, unfinished: &Arc<AtomicBool>) -> SqlitePool {
    let unfinished = Arc::clone(unfinished);
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(options.busy_timeout)
        .after_release(move |connection, _| {
            let unfinished = Arc::clone(&unfinished);
            Box::pin(async move {
                if unfinished.swap(false, Ordering::AcqRel) {
                    // an error means that SQLite rolled back by itself (disk full, I/O)
                    let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(open::writer(path, options))
}
