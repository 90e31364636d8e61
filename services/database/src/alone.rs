//! A file that one action has to itself: what no service may do while others read.

use std::fs::OpenOptions;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::SqliteConnection;

use crate::create::FILE_MODE;
use crate::error::{Error, Result};
use crate::migrate::{self, Progress};
use crate::open;
use crate::options::Options;
use crate::space::{self, Space};
use crate::sql::Sql;

/// The one connection to a `job.db` of version 11; the caller holds the lock
/// [`cc_runtime::files::lock::Purpose::Alone`]. Foreign keys are not enforced.
pub struct Alone {
    connection: SqliteConnection,
    path: PathBuf,
}

impl std::fmt::Debug for Alone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Alone").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Indexes that were dropped, as the file described them.
#[derive(Debug, Default)]
pub struct Aside {
    statements: Vec<(String, String)>,
}

impl Aside {
    /// Adds those of another table.
    pub fn extend(&mut self, other: Self) {
        self.statements.extend(other.statements);
    }
}

impl Alone {
    /// Opens the file, with a page cache of 64 MiB; sorting takes as much before it goes to temporary files.
    ///
    /// # Errors
    /// As [`crate::Database::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        open::check(path, &Options::default()).await?;
        let mut connection = migrate::alone(path).await?;
        sqlx::raw_sql("PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536")
            .execute(&mut connection)
            .await
            .map_err(Error::in_query("open alone"))?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Attaches another file as the schema `beside`; it is made where it is missing. It is for data that can be made
    /// again: its writes are not waited for.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn attach(&mut self, path: &Path) -> Result<()> {
        const OPERATION: &str = "attach a working file";
        // the connection may not make files, and an empty one is an empty database
        let made = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path);
        made.map_err(|source| Error::Create { path: path.to_owned(), source })?;
        sqlx::query("ATTACH DATABASE ? AS beside")
            .bind(path.to_string_lossy().into_owned())
            .execute(&mut self.connection)
            .await
            .map_err(Error::in_query(OPERATION))?;
        sqlx::raw_sql("PRAGMA beside.journal_mode = WAL; PRAGMA beside.synchronous = NORMAL")
            .execute(&mut self.connection)
            .await
            .map_err(Error::in_query(OPERATION))?;
        Ok(())
    }

    /// Detaches it again.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn detach(&mut self) -> Result<()> {
        sqlx::raw_sql("DETACH DATABASE beside")
            .execute(&mut self.connection)
            .await
            .map_err(Error::in_query("detach a working file"))?;
        Ok(())
    }

    /// Whether there is room to replace all rows by `jobs` new ones that take `bytes` elsewhere: the old pages go to a
    /// rollback journal, the file grows by what the new ones take more, and the indexes are made again.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::NoTemporarySpace`].
    pub fn room_to_refill(&self, bytes: u64, jobs: u64) -> Result<()> {
        let space = refill(space::bytes_on_disk(&self.path), bytes, jobs);
        space::check(&self.path, space, "put the new jobs in place", "")
    }

    /// Drops the indexes of a table, to be put back by [`Alone::put_back`] in the same transaction: many rows
    /// go in several times as fast without them.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn set_indexes_aside(&mut self, table: &str) -> Result<Aside> {
        const OPERATION: &str = "set indexes aside";
        let statements: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL
             ORDER BY rowid",
        )
        .bind(table)
        .fetch_all(&mut self.connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
        for (name, _) in &statements {
            let mut sql = Sql::new("DROP INDEX main.");
            sql.identifier(name)
                .build()
                .execute(&mut self.connection)
                .await
                .map_err(Error::in_query(OPERATION))?;
        }
        Ok(Aside { statements })
    }

    /// Makes them again with the words that the file had.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn put_back(&mut self, aside: &Aside, progress: Progress<'_>) -> Result<()> {
        let count = aside.statements.len();
        for (number, (name, statement)) in aside.statements.iter().enumerate() {
            progress(&format!("Creating index {name} ({} of {count})...", number + 1));
            Sql::of_the_schema(statement)
                .build()
                .execute(&mut self.connection)
                .await
                .map_err(Error::in_query("put indexes back"))?;
        }
        Ok(())
    }

    /// Drops our own triggers on a table. Whoever made them finds them gone and rebuilds what they kept.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn drop_own_triggers(&mut self, table: &str) -> Result<()> {
        const OPERATION: &str = "drop triggers";
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND name LIKE 'ccx\\_%' ESCAPE '\\'",
        )
        .bind(table)
        .fetch_all(&mut self.connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
        for name in &names {
            let mut sql = Sql::new("DROP TRIGGER main.");
            sql.identifier(name)
                .build()
                .execute(&mut self.connection)
                .await
                .map_err(Error::in_query(OPERATION))?;
        }
        Ok(())
    }

    /// Closes the file; its log is folded into it.
    ///
    /// # Errors
    /// [`Error::Open`]; what was committed is durable all the same.
    pub async fn close(self) -> Result<()> {
        migrate::closed(self.connection, &self.path, Ok(())).await
    }
}

impl Deref for Alone {
    type Target = SqliteConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Alone {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

fn refill(old: u64, bytes: u64, jobs: u64) -> Space {
    let new = bytes.saturating_add(jobs.saturating_mul(space::ALL_INDEX_BYTES_PER_JOB));
    Space { beside: old.max(new), temporary: space::sorting(jobs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refill_takes_the_old_pages_and_what_the_file_grows_by() {
        // nothing new: all of the old into the journal
        assert_eq!(refill(1_000, 0, 0), Space { beside: 1_000, temporary: 0 });
        // from an empty file: 100 rows of 1,000 bytes with their indexes
        assert_eq!(refill(0, 100_000, 100), Space { beside: 240_000, temporary: 40_000 });
        assert_eq!(refill(1_000_000, 100_000, 100).beside, 1_000_000);
    }
}
