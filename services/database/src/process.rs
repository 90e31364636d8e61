//! Opening `job.db` for the life of a process.

use std::path::Path;

use cc_runtime::config::Config;
use cc_runtime::files::lock::{DatabaseLock, Purpose};
use cc_runtime::tasks::{Stage, Tasks};

use crate::{Database, Error, Options, Result};

/// Takes the lock of a database that is there: no lock file is left beside one that is not, where a mistaken path would
/// be taken for a site.
///
/// # Errors
/// [`Error::Missing`], [`Error::Locked`].
pub fn lock(path: impl AsRef<Path>, purpose: Purpose) -> Result<DatabaseLock> {
    let path = path.as_ref();
    if matches!(path.try_exists(), Ok(false)) {
        return Err(Error::Missing { path: path.to_owned() });
    }
    Ok(DatabaseLock::take(path, purpose)?)
}

impl Database {
    /// Opens the database of the configuration for serving, and has it closed when the shutdown comes to its stage: the log is folded
    /// into the file then, so that a cold copy is complete (spec job-db.md 1, rule 13). A second server of the same services on the same
    /// file is refused.
    ///
    /// # Errors
    /// [`crate::Error::Locked`], and as [`Database::open`].
    pub async fn of_process(config: &Config, tasks: &Tasks, purpose: Purpose) -> Result<Self> {
        let lock = lock(&config.main.db, purpose)?;
        let database = Self::open(&config.main.db, &Options::from(&config.main.db_config)).await?;
        let closing = database.clone();
        tasks.at(Stage::Database).on_shutdown("close job.db", async move {
            if let Err(error) = closing.close().await {
                tracing::error!(error = %cc_runtime::error::chain(&error), "job.db was not closed cleanly");
            }
            drop(lock);
        });
        Ok(database)
    }

    /// Opens the database of the configuration for one action of the command line, also beside running services.
    ///
    /// # Errors
    /// As [`Database::of_process`].
    pub async fn of_action(config: &Config) -> Result<(Self, DatabaseLock)> {
        let lock = lock(&config.main.db, Purpose::Action)?;
        Ok((Self::open(&config.main.db, &Options::from(&config.main.db_config)).await?, lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_not_there_gets_no_lock_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.db");
        let serve = Purpose::Serve { auth: true, job_db: true };
        for purpose in [Purpose::Alone, Purpose::Action, serve] {
            assert!(matches!(lock(&path, purpose), Err(Error::Missing { .. })));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        std::fs::write(&path, b"").unwrap();
        let first = lock(&path, Purpose::Alone).unwrap();
        assert!(matches!(lock(&path, Purpose::Action), Err(Error::Locked(_))));
        drop(first);
    }
}
