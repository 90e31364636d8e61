//! Write transactions: `BEGIN IMMEDIATE`, so that waiting happens once, at the start, and is bounded and measured.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use crate::error::{Error, Result};

/// Seconds from asking for the writer until the write lock is held, by purpose.
const WAIT_SECONDS: &str = "database_write_wait_seconds";
/// Seconds of a COMMIT, i.e. of its fsync, by purpose.
const COMMIT_SECONDS: &str = "database_commit_seconds";

/// Describes the figures for the exporter.
pub(crate) fn describe() {
    use metrics::Unit::Seconds;
    metrics::describe_histogram!(WAIT_SECONDS, Seconds, "wait for the write lock of job.db by purpose");
    metrics::describe_histogram!(COMMIT_SECONDS, Seconds, "commit to job.db, fsync included, by purpose");
}

/// An open write transaction. It is the process's only one; dropped without [`WriteTx::commit`] it is rolled back.
///
/// Own statements instead of sqlx's transaction: when the disk is full SQLite rolls back by itself, and sqlx would
/// then count one level of nesting too many on that connection for ever.
pub struct WriteTx {
    connection: PoolConnection<Sqlite>,
    unfinished: Arc<AtomicBool>,
    purpose: &'static str,
    open: bool,
}

impl std::fmt::Debug for WriteTx {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WriteTx").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

pub(crate) async fn begin(
    pool: &SqlitePool,
    unfinished: Arc<AtomicBool>,
    purpose: &'static str,
) -> Result<WriteTx> {
    let asked = Instant::now();
    let mut connection = pool.acquire().await.map_err(Error::in_query("get the writer"))?;
    let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await;
    metrics::histogram!(WAIT_SECONDS, "purpose" => purpose).record(asked.elapsed().as_secs_f64());
    begun.map_err(Error::in_query("get the write lock"))?;
    Ok(WriteTx { connection, unfinished, purpose, open: true })
}

impl WriteTx {
    /// Makes all changes durable: when this returns they are on the disk.
    ///
    /// # Errors
    /// [`Error::Query`], e.g. of class `Full`; nothing of the transaction remains then.
    pub async fn commit(mut self) -> Result<()> {
        let started = Instant::now();
        let outcome = sqlx::query("COMMIT").execute(&mut *self.connection).await;
        metrics::histogram!(COMMIT_SECONDS, "purpose" => self.purpose)
            .record(started.elapsed().as_secs_f64());
        match outcome {
            Ok(_) => {
                self.open = false;
                Ok(())
            }
            // stays marked as open: dropping rolls back what SQLite may have left of it
            Err(source) => Err(Error::query("commit", source)),
        }
    }

    /// Ends the transaction without a trace.
    ///
    /// # Errors
    /// [`Error::Query`]; the connection is not used again before it was rolled back.
    pub async fn rollback(mut self) -> Result<()> {
        sqlx::query("ROLLBACK").execute(&mut *self.connection).await.map_err(Error::in_query("roll back"))?;
        self.open = false;
        Ok(())
    }
}

impl Deref for WriteTx {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl Drop for WriteTx {
    fn drop(&mut self) {
        if self.open {
            self.unfinished.store(true, Ordering::Release);
        }
    }
}
