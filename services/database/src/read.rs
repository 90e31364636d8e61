//! Read-only connections whose statements end with the one who wanted the answer.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use crate::error::{Error, Result};

/// SQLite asks every so many instructions (well below a millisecond) whether to go on.
const INSTRUCTIONS_BETWEEN_LOOKS: i32 = 10_000;

/// A reader taken from the pool. Dropping it interrupts what it still executes: a page that was left, or a request
/// whose deadline passed, costs nothing from then on (product.md E3).
pub struct Reader {
    connection: PoolConnection<Sqlite>,
    abandoned: Arc<AtomicBool>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

pub(crate) async fn acquire(pool: &SqlitePool) -> Result<Reader> {
    const OPERATION: &str = "get a reader";
    let mut connection = pool.acquire().await.map_err(Error::in_query(OPERATION))?;
    let abandoned = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&abandoned);
    connection
        .lock_handle()
        .await
        .map_err(Error::in_query(OPERATION))?
        .set_progress_handler(INSTRUCTIONS_BETWEEN_LOOKS, move || !seen.load(Ordering::Relaxed));
    Ok(Reader { connection, abandoned })
}

impl Deref for Reader {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}
