//! Works the durable archive queue off: archive the job, then store what that found out, in this order, so that a
//! crash between the two repeats the step and changes nothing (spec/job-db.md 6.4, architecture.md 5).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cc_model::footprint::{self, FootprintKeys};
use cc_model::job::JobStatistics;
use cc_model::{Job, MonitoringStatus};
use cc_runtime::clock::Clock;
use cc_runtime::error::Kind;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::clusters::{ClusterFiles, ClusterState};
use super::copies::Copied;
use super::writer::{Context, Mutation, Writer};
use crate::error::Error;
use crate::metrics;
use crate::store::change::ChangeKind;
use crate::store::visible::TagScopes;
use crate::store::{self, ArchiveResult, DbId, Queued, Store, Unit};

/// Jobs archived at the same time.
pub(crate) const PARALLEL: usize = 4;
/// Entries read at a time.
const DUE_AT_ONCE: u32 = 64;
/// Attempts that may fail for a reason of the job's own before it is marked as failed.
pub(crate) const ATTEMPTS_MAX: i64 = 5;
/// Longest pause between attempts.
const PAUSE_MAX_SECONDS: i64 = 300;
/// Longest time without a look at the queue, whatever was announced.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Pause after a failed look.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Longest error text kept with an entry, in bytes.
const ERROR_BYTES_MAX: usize = 1_024;

/// Why a job could not be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// Whether trying again may help without any change of the job.
    pub(crate) retry: bool,
    pub(crate) text: String,
}

impl Failed {
    /// The failure behind a status.
    pub(crate) fn of(status: &tonic::Status) -> Self {
        let retry = cc_runtime::error::kind(status).retryable()
            || cc_runtime::error::kind(status) == Kind::Unauthenticated;
        let reason = cc_runtime::error::reason(status).unwrap_or_else(|| format!("{:?}", status.code()));
        Self { retry, text: format!("{reason}: {}", status.message()) }
    }
}

/// The archive, as far as this task needs it.
pub(crate) trait Archive: Clone + Send + Sync + 'static {
    /// Archives a job, returns its statistics by metric.
    fn archive(
        &self,
        job: &Job,
    ) -> impl Future<Output = Result<BTreeMap<String, JobStatistics>, Failed>> + Send;

    /// Replaces metadata and tags in the entry of a job.
    fn update_meta(&self, job: &Job) -> impl Future<Output = Result<Copied, Failed>> + Send;
}

/// The task.
#[derive(Debug)]
pub(crate) struct Archiver<S: Store, A: Archive> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) archive: A,
    pub(crate) clusters: ClusterState,
    pub(crate) clock: Clock,
    pub(crate) refusals: Refusals,
}

/// How often jobs were refused for good, as far as this process knows: after a restart they get all their attempts again.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<DbId, (i64, i64)>>);

impl Refusals {
    /// Counts one more for a generation of an entry; how many there are now.
    fn count(&self, id: DbId, generation: i64) -> i64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, count) = known.entry(id).or_insert((generation, 0));
        if *of != generation {
            (*of, *count) = (generation, 0);
        }
        *count += 1;
        *count
    }

    fn forget(&self, id: DbId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl<S: Store, A: Archive> Archiver<S, A> {
    /// Runs until `stop` resolves; what is being archived then is finished first.
    pub(crate) async fn run(self, mut wake: mpsc::Receiver<()>, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut running = FuturesUnordered::new();
        let mut in_flight: HashSet<DbId> = HashSet::new();
        loop {
            let pause = match self.due(&in_flight).await {
                Ok((due, pause)) => {
                    for entry in due.into_iter().take(PARALLEL.saturating_sub(running.len())) {
                        in_flight.insert(entry.id);
                        running.push(self.one(entry));
                    }
                    pause
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read the archive queue: {error}");
                    AFTER_FAILURE
                }
            };
            let free = running.len() < PARALLEL;
            tokio::select! {
                () = &mut stop => break,
                Some(id) = running.next(), if !running.is_empty() => {
                    in_flight.remove(&id);
                }
                Some(()) = wake.recv(), if free => {}
                () = tokio::time::sleep(pause), if free => {}
            }
        }
        while running.next().await.is_some() {}
    }

    /// Entries that are due and not being worked on, and how long to wait if nothing happens.
    async fn due(&self, in_flight: &HashSet<DbId>) -> store::Result<(Vec<Queued>, Duration)> {
        let now = self.clock.unix();
        let mut due = self.store.queue_due(now, DUE_AT_ONCE).await?;
        metrics::archive_queue(due.len());
        due.retain(|entry| !in_flight.contains(&entry.id));
        let next = self.store.queue_next(now).await?;
        let pause = next.map_or(LOOK_EVERY, |next| {
            Duration::from_secs((next - now).max(1).unsigned_abs()).min(LOOK_EVERY)
        });
        Ok((due, pause))
    }

    /// Archives one job and records the outcome; never fails, the entry stays when it could not be recorded.
    async fn one(&self, entry: Queued) -> DbId {
        let id = entry.id;
        if let Err(error) = self.attempt(&entry).await {
            // the database: the entry is still there and will be found again
            tracing::error!(job.db_id = id, %error, "cannot record the archiving of job {id}: {error}");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        id
    }

    async fn attempt(&self, entry: &Queued) -> Result<(), Error> {
        let now = self.clock.unix();
        let Some(job) = self.store.get(&TagScopes::Every, entry.id, now).await? else {
            self.refusals.forget(entry.id);
            return self.writer.run(Forget { id: entry.id }).await;
        };
        match self.archive_one(&job).await {
            Ok(result) => {
                metrics::archive_attempt("archived");
                self.refusals.forget(entry.id);
                let (id, generation) = (entry.id, entry.generation);
                tracing::info!(job.db_id = id, "archived job {} (dbid: {id})", job.key());
                self.writer.run(Archived { id, generation, result }).await
            }
            Err(failed) => self.put_off(entry, &job, failed, now).await,
        }
    }

    async fn archive_one(&self, job: &Job) -> Result<ArchiveResult, Failed> {
        // Before the archive's first report nothing is known of any cluster, which says nothing about the job.
        let Some(ClusterFiles { clusters, .. }) = self.clusters.current() else {
            return Err(Failed { retry: true, text: "the cluster files are not read yet".to_owned() });
        };
        let config = clusters.get(&job.cluster).and_then(|cluster| cluster.sub_cluster(&job.sub_cluster));
        let Some(config) = config else {
            let text =
                format!("sub-cluster {:?} of cluster {:?} is not configured", job.sub_cluster, job.cluster);
            return Err(Failed { retry: false, text });
        };
        let statistics = self.archive.archive(job).await?;
        let energy = footprint::energy(config, &statistics, job.num_nodes, job.duration);
        Ok(ArchiveResult {
            footprint: footprint::footprint(config, &statistics, FootprintKeys::Configured),
            energy_footprint: energy.metrics,
            energy: energy.total,
        })
    }

    async fn put_off(&self, entry: &Queued, job: &Job, failed: Failed, now: i64) -> Result<(), Error> {
        let (id, generation) = (entry.id, entry.generation);
        let text = cc_runtime::error::cut(&failed.text, ERROR_BYTES_MAX).to_owned();
        // Only refusals count: after an outage with many attempts the first one must not be the last.
        let refused = if failed.retry { 0 } else { self.refusals.count(id, generation) };
        if refused >= ATTEMPTS_MAX {
            self.refusals.forget(id);
            metrics::archive_attempt("failed");
            tracing::error!(job.db_id = id, "gave up archiving job {} (dbid: {id}): {text}", job.key());
            return self.writer.run(GiveUp { id, generation }).await;
        }
        metrics::archive_attempt("deferred");
        let pause = pause_seconds(entry.attempts);
        tracing::warn!(job.db_id = id, "archiving job {} (dbid: {id}) again in {pause} s: {text}", job.key());
        self.writer.run(Defer { id, not_before: now + pause, text }).await
    }
}

/// Doubling pauses.
pub(crate) fn pause_seconds(attempts: i64) -> i64 {
    1_i64
        .checked_shl(u32::try_from(attempts.clamp(0, 30)).unwrap_or(30))
        .unwrap_or(i64::MAX)
        .min(PAUSE_MAX_SECONDS)
}

/// The archive has the job.
#[derive(Debug, Clone)]
pub(crate) struct Archived {
    pub(crate) id: DbId,
    pub(crate) generation: i64,
    pub(crate) result: ArchiveResult,
}

impl Mutation for Archived {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<()> {
        // the job's end was corrected while its entry was written: that end has to be archived
        if unit.queued(self.id).await?.is_none_or(|entry| entry.generation != self.generation) {
            return Ok(());
        }
        unit.dequeue(self.id).await?;
        let Some(job) = unit.job(self.id).await? else { return Ok(()) };
        unit.archived(self.id, &self.result).await?;
        context.log(unit, ChangeKind::Archived, self.id, &job).await
    }
}

/// The job cannot be archived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GiveUp {
    pub(crate) id: DbId,
    pub(crate) generation: i64,
}

impl Mutation for GiveUp {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<()> {
        if unit.queued(self.id).await?.is_none_or(|entry| entry.generation != self.generation) {
            return Ok(());
        }
        unit.dequeue(self.id).await?;
        let Some(job) = unit.job(self.id).await? else { return Ok(()) };
        unit.monitoring(self.id, MonitoringStatus::ArchivingFailed).await?;
        context.log(unit, ChangeKind::Updated, self.id, &job).await
    }
}

/// Try again later.
#[derive(Debug, Clone)]
pub(crate) struct Defer {
    pub(crate) id: DbId,
    pub(crate) not_before: i64,
    pub(crate) text: String,
}

impl Mutation for Defer {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        unit.defer(self.id, self.not_before, &self.text).await
    }
}

/// The job is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forget {
    pub(crate) id: DbId,
}

impl Mutation for Forget {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        unit.dequeue(self.id).await
    }
}

/// Queues jobs that ended and were never archived.
#[derive(Debug, Clone)]
pub(crate) struct QueueAgain {
    pub(crate) ids: Vec<DbId>,
}

impl Mutation for QueueAgain {
    type Answer = ();

    fn weight(&self) -> usize {
        self.ids.len()
    }

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<()> {
        for id in &self.ids {
            if unit.queued(*id).await?.is_none() {
                unit.enqueue(*id, context.now).await?;
            }
        }
        Ok(())
    }
}
