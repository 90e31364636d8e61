//! The command line's way to put an imported job into the table, without the service's background work.

use std::sync::Arc;

use cc_database::Database;
use cc_model::{Clusters, Job};
use cc_runtime::caller::Caller;
use cc_runtime::clock::Clock;

use crate::app::rest::ImportJob;
use crate::app::writer;
use crate::error::Error;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store as _, Unit as _};

/// An open table of jobs. Works beside running services: each insert is one short transaction, and they see the
/// change like any other.
#[derive(Debug)]
pub struct Importer {
    store: SqliteStore,
    clock: Clock,
    clusters: Arc<Clusters>,
}

impl Importer {
    /// Prepares the side tables.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn open(database: &Database, clock: &Clock, clusters: Clusters) -> Result<Self, Error> {
        let store = SqliteStore::open(database.clone()).await?;
        Ok(Self { store, clock: clock.clone(), clusters: Arc::new(clusters) })
    }

    /// Whether the job can be inserted, before anything of it is written elsewhere.
    ///
    /// # Errors
    /// [`Error::JobExists`], and what a row cannot hold.
    pub async fn check(&self, job: &Job) -> Result<(), Error> {
        self.import(job)?;
        let mut unit = self.store.begin("import").await?;
        let known = unit.job_by_key(&job.key()).await?;
        match known.and_then(|known| known.id) {
            Some(id) => Err(Error::exists(id, &job.key())),
            None => Ok(()),
        }
    }

    /// Inserts the row with its tags. Returns its database id; durable.
    ///
    /// # Errors
    /// As [`Importer::check`].
    pub async fn insert(&self, job: &Job) -> Result<i64, Error> {
        let import = self.import(job)?;
        let (now, clusters) = (self.clock.unix(), Arc::clone(&self.clusters));
        writer::apply_alone(&self.store, now, clusters, &import).await?
    }

    fn import(&self, job: &Job) -> Result<ImportJob, Error> {
        ImportJob::new(job.clone(), &Caller::service("import"), &self.clusters)
    }
}
