//! The naive twin of the database: every rule as a loop over rows. Slow, small, and the judge of the other one.

mod rows;
mod statistics;
mod unit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cc_model::{Job, JobState, MonitoringStatus, Tag};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::change::Change;
use super::ledger::{Adapter, Dead, Parked, Recorded, Stream, Superseded};
use super::nodes::NodeRow;
use super::query::{Filter, Page, Query};
use super::statistics::{Found, Question};
use super::visible::{TagScopes, Visible};
use super::{
    DbId, Keep, Listing, Load, Metadata, Needed, Overlap, Queued, Result, RunningHosts, Store, ToCopy,
};

/// All tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    pub(crate) jobs: BTreeMap<DbId, Job>,
    pub(crate) buffer: Vec<Job>,
    pub(crate) tags: BTreeMap<i64, Tag>,
    pub(crate) attached: BTreeSet<(DbId, i64)>,
    pub(crate) queue: BTreeMap<DbId, Queued>,
    pub(crate) adapters: BTreeMap<String, Adapter>,
    pub(crate) streams: BTreeMap<(String, String), Stream>,
    pub(crate) events: BTreeMap<Vec<u8>, Recorded>,
    pub(crate) dead: Vec<Dead>,
    pub(crate) parked: BTreeMap<i64, Parked>,
    pub(crate) superseded: BTreeMap<DbId, Superseded>,
    pub(crate) nodes: Vec<(i64, NodeRow)>,
    pub(crate) changes: BTreeMap<u64, Change>,
    /// With the time when each is due.
    pub(crate) copies: BTreeMap<DbId, (ToCopy, i64)>,
    /// Generations given out in the queue and the notes; none comes again.
    pub(crate) generations: i64,
    pub(crate) tagger_position: Option<u64>,
}

/// A store that forgets everything with the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

impl MemoryStore {
    /// The committed rows.
    pub(crate) async fn tables(&self) -> Tables {
        self.tables.lock().await.clone()
    }
}

/// A copy that replaces the committed rows.
#[derive(Debug)]
pub(crate) struct MemoryUnit {
    committed: OwnedMutexGuard<Tables>,
    tables: Tables,
}

impl Store for MemoryStore {
    type Unit = MemoryUnit;

    async fn begin(&self, _: &'static str) -> Result<MemoryUnit> {
        let committed = Arc::clone(&self.tables).lock_owned().await;
        Ok(MemoryUnit { tables: committed.clone(), committed })
    }

    async fn list(
        &self,
        visible: &Visible,
        scopes: &TagScopes,
        query: &Query,
        load: Load,
        now: i64,
    ) -> Result<Listing> {
        let tables = self.tables().await;
        let mut jobs = tables.matching(visible, &query.filters);
        rows::sort(&mut jobs, query.order.as_ref());
        let count = jobs.len();
        let (jobs, has_next_page): (Vec<Job>, bool) = match query.page {
            Page::All => (jobs, false),
            Page::Rows { offset, limit } => {
                let (offset, limit) = (usize::try_from(offset).unwrap(), usize::try_from(limit).unwrap());
                (jobs.into_iter().skip(offset).take(limit).collect(), count > offset.saturating_add(limit))
            }
        };
        let shown = jobs.into_iter().map(|job| tables.shown(job, scopes, load, now)).collect();
        Ok(Listing {
            jobs: shown,
            has_next_page,
            count: query.count.then_some(count as u64),
            position: tables.changes.keys().last().copied().unwrap_or_default(),
        })
    }

    async fn count(&self, visible: &Visible, filters: &[Filter]) -> Result<u64> {
        Ok(self.tables().await.matching(visible, filters).len() as u64)
    }

    async fn statistics(&self, visible: &Visible, question: &Question, now: i64) -> Result<Found> {
        let jobs = self.tables().await.matching(visible, &question.filters);
        Ok(statistics::statistics(&jobs, question, now))
    }

    async fn get(&self, scopes: &TagScopes, id: DbId, now: i64) -> Result<Option<Job>> {
        let tables = self.tables().await;
        let load = Load { metadata: Metadata::All, tags: true };
        Ok(tables.jobs.get(&id).map(|job| tables.shown(job.clone(), scopes, load, now)))
    }

    async fn tags(&self, scopes: &TagScopes) -> Result<Vec<Tag>> {
        Ok(self.tables().await.tags.into_values().filter(|tag| scopes.allows(&tag.scope)).collect())
    }

    async fn partitions(&self, cluster: &str) -> Result<Vec<String>> {
        let jobs = self.tables().await.jobs.into_values();
        let partitions: BTreeSet<String> = jobs
            .filter(|job| job.cluster == cluster && !job.partition.is_empty())
            .map(|job| job.partition)
            .collect();
        Ok(partitions.into_iter().collect())
    }

    async fn changes(&self, after: u64, limit: u32) -> Result<Vec<Change>> {
        let tables = self.tables().await;
        let later = tables.changes.range(after + 1..).map(|(_, change)| change.clone());
        Ok(later.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn change_span(&self) -> Result<(u64, u64)> {
        let tables = self.tables().await;
        let first = tables.changes.keys().next().copied().unwrap_or_default();
        Ok((first, tables.changes.keys().last().copied().unwrap_or_default()))
    }

    async fn queue_due(&self, now: i64, limit: u32) -> Result<Vec<Queued>> {
        let mut due: Vec<Queued> =
            self.tables().await.queue.into_values().filter(|entry| entry.not_before <= now).collect();
        due.sort_by_key(|entry| (entry.not_before, entry.id));
        due.truncate(usize::try_from(limit).unwrap());
        Ok(due)
    }

    async fn queue_next(&self, now: i64) -> Result<Option<i64>> {
        let queue = self.tables().await.queue;
        Ok(queue.into_values().map(|entry| entry.not_before).filter(|time| *time > now).min())
    }

    async fn copies_due(&self, now: i64, limit: u32) -> Result<Vec<ToCopy>> {
        let mut due: Vec<(ToCopy, i64)> =
            self.tables().await.copies.into_values().filter(|(_, time)| *time <= now).collect();
        due.sort_by_key(|(copy, time)| (*time, copy.id));
        Ok(due.into_iter().map(|(copy, _)| copy).take(usize::try_from(limit).unwrap()).collect())
    }

    async fn copy_of(&self, id: DbId) -> Result<Option<ToCopy>> {
        Ok(self.tables().await.copies.get(&id).map(|(copy, _)| *copy))
    }

    async fn copies_next(&self, now: i64) -> Result<Option<i64>> {
        Ok(self.tables().await.copies.into_values().map(|(_, time)| time).filter(|time| *time > now).min())
    }

    async fn started_before(
        &self,
        time: i64,
        keep: Keep,
        with_running: bool,
        after: DbId,
        limit: u32,
    ) -> Result<Vec<DbId>> {
        let tables = self.tables().await;
        let stays = |id: DbId| {
            let mut tags = tables.attached.iter().filter(|(job, _)| *job == id).map(|(_, tag)| tag);
            match keep {
                Keep::Nothing => false,
                Keep::Tagged => tags.next().is_some(),
                Keep::TaggedByPeople => {
                    tags.any(|tag| !super::TAGGER_TYPES.contains(&tables.tags[tag].kind.as_str()))
                }
            }
        };
        let goes = |(id, job): &(&DbId, &Job)| {
            job.start_time < time && (with_running || !job.state.is_running()) && !stays(**id)
        };
        let later = tables.jobs.range(after + 1..).filter(goes).map(|(id, _)| *id);
        Ok(later.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn needed(&self) -> Result<Vec<Needed>> {
        let tables = self.tables().await;
        let wanted = |job: &&Job| job.state.is_running() || tables.queue.contains_key(&job.id.unwrap());
        let needed = |job: &Job| Needed {
            cluster: job.cluster.clone(),
            hosts: job.resources.iter().map(|resource| resource.hostname.clone()).collect(),
            from: job.start_time,
        };
        Ok(tables.jobs.values().filter(wanted).map(needed).collect())
    }

    async fn running_hosts(&self, cluster: Option<&str>, before: Option<i64>) -> Result<Vec<RunningHosts>> {
        let jobs = self.tables().await.jobs.into_values();
        let wanted = |job: &Job| {
            job.state.is_running()
                && cluster.is_none_or(|cluster| cluster == job.cluster)
                && before.is_none_or(|before| job.start_time < before)
        };
        let hosts = |job: Job| RunningHosts {
            cluster: job.cluster,
            sub_cluster: job.sub_cluster,
            hosts: job.resources.into_iter().map(|resource| resource.hostname).collect(),
        };
        Ok(jobs.filter(wanted).map(hosts).collect())
    }

    async fn overlapping(&self, visible: &Visible, span: &Overlap<'_>) -> Result<Vec<(DbId, i64)>> {
        let jobs = self.tables().await.jobs;
        let on_host = |job: &&Job| {
            visible.allows(job)
                && job.cluster == span.cluster
                && job.resources.iter().any(|resource| resource.hostname == span.host)
        };
        let (running, ended): (Vec<&Job>, Vec<&Job>) =
            jobs.values().filter(on_host).partition(|job| job.state.is_running());
        let ended = ended.into_iter().filter(|job| {
            job.start_time < span.before && job.start_time + i64::from(job.duration) > span.after
        });
        let running = running.into_iter().filter(|job| job.start_time <= span.before);
        Ok(ended.chain(running).map(|job| (job.id.unwrap(), job.job_id)).collect())
    }

    async fn ledger_sizes(&self) -> Result<(u64, u64)> {
        let tables = self.tables().await;
        Ok((tables.dead.len() as u64, tables.parked.len() as u64))
    }

    async fn running_ids(&self, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        let jobs = self.tables().await.jobs;
        let later = jobs.range(after + 1..).filter(|(_, job)| job.state.is_running()).map(|(id, _)| *id);
        Ok(later.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn overdue_ids(&self, ended_by: i64, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        let jobs = self.tables().await.jobs;
        let overdue = |(_, job): &(&DbId, &Job)| {
            job.state.is_running() && job.walltime > 0 && job.start_time + job.walltime < ended_by
        };
        let found = jobs.range(after + 1..).filter(overdue).map(|(id, _)| *id);
        Ok(found.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn ended_ids(&self, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        let jobs = self.tables().await.jobs;
        let later = jobs.range(after + 1..).filter(|(_, job)| !job.state.is_running()).map(|(id, _)| *id);
        Ok(later.take(usize::try_from(limit).unwrap()).collect())
    }

    async fn ended_count(&self) -> Result<u64> {
        let jobs = self.tables().await.jobs;
        Ok(jobs.values().filter(|job| !job.state.is_running()).count() as u64)
    }

    async fn tagger_position(&self) -> Result<Option<u64>> {
        Ok(self.tables().await.tagger_position)
    }

    async fn unqueued(&self, since: i64, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        let tables = self.tables().await;
        let lost = |(id, job): &(&DbId, &Job)| {
            !matches!(job.state, JobState::Running | JobState::Suspended)
                && job.monitoring_status == MonitoringStatus::RunningOrArchiving
                && job.start_time + i64::from(job.duration) >= since
                && !tables.queue.contains_key(id)
        };
        let later = tables.jobs.range(after + 1..).filter(lost).map(|(id, _)| *id);
        Ok(later.take(usize::try_from(limit).unwrap()).collect())
    }
}
