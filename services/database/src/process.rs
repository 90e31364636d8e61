//! Opening `job.db` for the life of a process.

use cc_runtime::config::Config;
use cc_runtime::files::lock::{DatabaseLock, Purpose};
use cc_runtime::tasks::{Stage, Tasks};

use crate::{Database, Options, Result};

impl Database {
    /// Opens the database of the configuration for serving, and has it closed when the shutdown comes to its stage: the log is folded
    /// into the file then, so that a cold copy is complete (spec job-db.md 1, rule 13). A second server of the same services on the same
    /// file is refused.
    ///
    /// # Errors
    /// [`crate::Error::Locked`], and as [`Database::open`].
    pub async fn of_process(config: &Config, tasks: &Tasks, purpose: Purpose) -> Result<Self> {
        let lock = DatabaseLock::take(&config.main.db, purpose)?;
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
        let lock = DatabaseLock::take(&config.main.db, Purpose::Action)?;
        Ok((Self::open(&config.main.db, &Options::from(&config.main.db_config)).await?, lock))
    }
}
