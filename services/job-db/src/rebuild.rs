//! The tables `job`, `tag` and `jobtag` made anew from the archive (`-init-db`, spec/job-db.md 13.1).
//!
//! The rows are collected in a working file beside the database, in batches: a rebuild that is ended goes on where it
//! was. Only then one transaction puts them in place of the old ones. Until it is committed the database is as it
//! was; after it, it is whole.
//!
//! Better than the reference: jobs and changes that the archive has not got yet, or never will, stay; a job keeps its
//! id if the database knew it, and no other one gets it; tags keep their scopes.

use std::fs;
use std::path::{Path, PathBuf};

use cc_database::{Alone, Database, Options, Progress, Quirks};
use cc_model::{Clusters, Job};
use cc_runtime::caller::Caller;

use crate::app::rest::ImportJob;
use crate::error::Error;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::rebuild::{self as rows, Inserted};

/// Checks a job of the archive and completes it to what its row has: sub-cluster, tags with scopes, footprint (keys
/// `<metric>_avg`, as the reference writes them here) and energy from the statistics. Work for the processor.
///
/// # Errors
/// As [`crate::Importer::check`], the database aside.
pub fn row_of_entry(mut job: Job, clusters: &Clusters) -> Result<Job, Error> {
    (job.footprint, job.energy_footprint) = (None, None);
    job.statistics.get_or_insert_default();
    let mut row = ImportJob::new(job, &Caller::service("rebuild"), clusters)?.into_job();
    row.statistics = None;
    Ok(row)
}

/// The tables were not rebuilt; they are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The database.
    #[error(transparent)]
    Database(#[from] cc_database::Error),
    /// Another program wrote to the database meanwhile.
    #[error(
        "another program changed the database meanwhile; stop it (also cc-backend) and run -init-db again"
    )]
    Changed,
    /// An archive that is not mounted looks like an empty one.
    #[error(
        "the archive has no job of {clusters}, which the database has as archived. Is the archive mounted? If these \
         jobs are meant to go, delete them first: sqlite3 JOB_DB \"DELETE FROM job WHERE cluster = '...'\""
    )]
    Lacking {
        /// With the number of rows of each.
        clusters: String,
    },
}

/// A rebuild under way.
#[derive(Debug)]
pub struct Rebuild {
    database: Alone,
    working_file: PathBuf,
    stamp: String,
    quirks: Quirks,
    position: Option<String>,
    jobs: u64,
}

/// What of a batch is not in the tables as the archive has it, each in one line.
pub type Reports = Vec<String>;

/// What a finished rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows from the archive.
    pub jobs: u64,
    /// Rows that stayed: the archive has not got them as they are.
    pub kept: u64,
    /// Tags of the archive that are left out.
    pub reports: Reports,
}

impl Rebuild {
    /// Opens the database, which the caller has alone, and goes on with a rebuild that was ended before, if the
    /// database is as that one left it. `archive` says which archive it is: another one is begun anew.
    ///
    /// # Errors
    /// [`RebuildError::Database`].
    pub async fn begin(path: &Path, archive: &str) -> Result<Self, RebuildError> {
        let database = Database::open(path, &Options::default()).await?;
        let quirks = database.quirks();
        SqliteStore::open(database.clone()).await?;
        database.close().await?;
        let mut name = path.to_owned().into_os_string();
        name.push(".rebuild");
        let working_file = PathBuf::from(name);
        let mut database = Alone::open(path).await?;
        let stamp = rows::stamp(&mut database, archive).await?;
        let (position, jobs) =
            rows::attach(&mut database, &working_file, &stamp, || remove(&working_file)).await?;
        Ok(Self { database, working_file, stamp, quirks, position, jobs })
    }

    /// The entries that a former run left out, by position. When one of them is good now, [`Rebuild::anew`] is called
    /// for: the tables must not depend on when a run was ended.
    ///
    /// # Errors
    /// [`RebuildError::Database`].
    pub async fn left_out(&mut self) -> Result<Vec<String>, RebuildError> {
        Ok(rows::left_out(&mut self.database).await?)
    }

    /// Forgets what was collected.
    ///
    /// # Errors
    /// [`RebuildError::Database`].
    pub async fn anew(&mut self) -> Result<(), RebuildError> {
        self.database.detach().await?;
        remove(&self.working_file);
        (self.position, self.jobs) =
            rows::attach(&mut self.database, &self.working_file, &self.stamp, || remove(&self.working_file))
                .await?;
        Ok(())
    }

    /// The entry up to which a former run came. Entries are given in an order that is always the same, those after it.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Jobs so far.
    pub fn jobs(&self) -> u64 {
        self.jobs
    }

    /// Adds jobs, remembers the entries of the batch that gave none, and `position`, its last entry.
    ///
    /// # Errors
    /// [`RebuildError::Database`]; nothing of the batch remains then.
    pub async fn add(
        &mut self,
        jobs: &[Job],
        left_out: &[String],
        position: &str,
    ) -> Result<Reports, RebuildError> {
        let mut reports = Reports::new();
        let mut count = self.jobs;
        rows::begin(&mut self.database).await?;
        let outcome = async {
            for job in jobs {
                match rows::insert(&mut self.database, job, self.quirks).await? {
                    Inserted::Row => count += 1,
                    Inserted::Twice => reports.push(format!("job {} is there twice", job.key())),
                    Inserted::WithoutTag => {
                        count += 1;
                        reports.push(format!("a tag of job {} is there in another scope", job.key()));
                    }
                }
            }
            for entry in left_out {
                rows::leave_out(&mut self.database, entry).await?;
            }
            Ok(())
        }
        .await;
        rows::end(&mut self.database, outcome, position, count).await?;
        self.jobs = count;
        self.position = Some(position.to_owned());
        Ok(reports)
    }

    /// Ends without a change of the database; what was collected is kept for the next time.
    ///
    /// # Errors
    /// [`RebuildError::Database`].
    pub async fn leave(self) -> Result<(), RebuildError> {
        Ok(self.database.close().await?)
    }

    /// Puts the collected rows in place of the old ones.
    ///
    /// # Errors
    /// [`RebuildError`]; the database is then as it was. What was collected is kept for the next attempt, unless the
    /// archive or the database is another one than it was collected from.
    pub async fn finish(mut self, progress: Progress<'_>) -> Result<Rebuilt, RebuildError> {
        let outcome = rows::swap(&mut self.database, progress).await;
        // What was committed is in the file, and a failure has a better reason to tell than these.
        let _ = self.database.detach().await;
        let _ = self.database.close().await;
        if matches!(outcome, Ok(_) | Err(RebuildError::Changed | RebuildError::Lacking { .. })) {
            remove(&self.working_file);
        }
        let rows::Swapped { jobs, kept, reports } = outcome?;
        Ok(Rebuilt { jobs: jobs.unsigned_abs(), kept: kept.unsigned_abs(), reports })
    }
}

/// Removes the working file with its log; one that stays is noticed the next time.
fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.to_owned().into_os_string();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}
