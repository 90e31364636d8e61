//! Where jobs, tags, nodes and the ledger are kept. One trait for reading and one for the unit of work that
//! writes; the rules in `app` know nothing below them, so that another database is another pair of implementations.
//!
//! [`sqlite`] is the one that ships; `memory` is the naive oracle of the tests.

pub(crate) mod change;
pub(crate) mod ledger;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod nodes;
#[cfg(test)]
mod property;
pub(crate) mod query;
pub(crate) mod sqlite;
pub(crate) mod visible;

use std::collections::BTreeMap;
use std::future::Future;

use cc_model::{Job, JobKey, JobState, MonitoringStatus, Tag};

use self::change::Change;
use self::ledger::{Adapter, Dead, Parked, Recorded, Stream, Superseded};
use self::nodes::{NodeFilter, NodeRow, NodeView, StateCounts, StateTimes};
use self::query::{Filter, Query};
use self::visible::{TagScopes, Visible};

/// Database id of a job: `job.id`, never an id of the reference's buffer table.
pub(crate) type DbId = i64;

/// Every operation of a store fails in one way only: the database did.
pub(crate) type Result<T> = std::result::Result<T, cc_database::Error>;

/// What duplicate rules and lookups need of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobHead {
    pub(crate) id: DbId,
    pub(crate) start_time: i64,
    pub(crate) state: JobState,
    pub(crate) walltime: i64,
}

/// What a read brings besides the row's own columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) metadata: Metadata,
    pub(crate) tags: bool,
}

/// How much of the metadata; scripts in it make it large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Metadata {
    #[default]
    None,
    /// The key `jobName` alone.
    JobName,
    All,
}

/// What archiving found out about a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArchiveResult {
    pub(crate) footprint: BTreeMap<String, f64>,
    pub(crate) energy_footprint: BTreeMap<String, f64>,
    pub(crate) energy: f64,
}

/// One entry of the durable archive queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) id: DbId,
    /// Grows each time the job's end is corrected: a result of an earlier end does not count.
    pub(crate) generation: i64,
    /// Failed attempts so far.
    pub(crate) attempts: i64,
    /// Unix seconds before which it is not tried again.
    pub(crate) not_before: i64,
}

/// Metadata and tags of one archived job that its entry does not have yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToCopy {
    pub(crate) id: DbId,
    /// Grows with each change: what was copied before a later one does not count.
    pub(crate) generation: i64,
    /// Failed attempts so far.
    pub(crate) attempts: i64,
}

/// Which jobs stay when old ones are deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    /// None.
    #[default]
    Nothing,
    /// Those with a tag.
    Tagged,
    /// Those with a tag that no tagger set.
    TaggedByPeople,
}

/// Types of the tags that taggers set (taggers.md).
pub(crate) const TAGGER_TYPES: [&str; 2] = ["app", "jobClass"];

/// Hosts of a job whose samples are still needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) cluster: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) from: i64,
}

/// Hosts of one running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunningHosts {
    pub(crate) cluster: String,
    pub(crate) sub_cluster: String,
    pub(crate) hosts: Vec<String>,
}

/// Which jobs share a host with a job (graphql-api.md 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap<'text> {
    pub(crate) cluster: &'text str,
    pub(crate) host: &'text str,
    /// They started before this; running ones also at this very time.
    pub(crate) before: i64,
    /// Those that ended did so after this.
    pub(crate) after: i64,
}

/// A page of jobs with what belongs to it, all of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Listing {
    pub(crate) jobs: Vec<Job>,
    pub(crate) has_next_page: bool,
    /// All matching rows; only when asked for.
    pub(crate) count: Option<u64>,
    /// Last change that this listing includes.
    pub(crate) position: u64,
}

/// Reads, and the way to write.
pub(crate) trait Store: Clone + Send + Sync + 'static {
    /// The unit of work.
    type Unit: Unit;

    /// Starts a unit of work; there is one at a time.
    fn begin(&self, purpose: &'static str) -> impl Future<Output = Result<Self::Unit>> + Send;

    /// Jobs that match all filters and may be seen. `now` dates running durations.
    fn list(
        &self,
        visible: &Visible,
        scopes: &TagScopes,
        query: &Query,
        load: Load,
        now: i64,
    ) -> impl Future<Output = Result<Listing>> + Send;

    /// How many jobs [`Store::list`] would find.
    fn count(&self, visible: &Visible, filters: &[Filter]) -> impl Future<Output = Result<u64>> + Send;

    /// One job with metadata and visible tags, whoever may see it: the caller checks with [`Visible::allows`].
    fn get(&self, scopes: &TagScopes, id: DbId, now: i64)
    -> impl Future<Output = Result<Option<Job>>> + Send;

    /// All tags of the scopes.
    fn tags(&self, scopes: &TagScopes) -> impl Future<Output = Result<Vec<Tag>>> + Send;

    /// Distinct non-empty partitions of a cluster's jobs, sorted.
    fn partitions(&self, cluster: &str) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Changes after a position in order, at most `limit`.
    fn changes(&self, after: u64, limit: u32) -> impl Future<Output = Result<Vec<Change>>> + Send;

    /// First and last position kept; `(0, 0)` when there is none.
    fn change_span(&self) -> impl Future<Output = Result<(u64, u64)>> + Send;

    /// Entries of the archive queue that may be tried at `now`, oldest first, at most `limit`.
    fn queue_due(&self, now: i64, limit: u32) -> impl Future<Output = Result<Vec<Queued>>> + Send;

    /// When the next entry that is not due yet becomes due.
    fn queue_next(&self, now: i64) -> impl Future<Output = Result<Option<i64>>> + Send;

    /// Entries of the archive that lack changes and may be tried at `now`, oldest first, at most `limit`.
    fn copies_due(&self, now: i64, limit: u32) -> impl Future<Output = Result<Vec<ToCopy>>> + Send;

    /// The change that the archive entry of a job lacks.
    fn copy_of(&self, id: DbId) -> impl Future<Output = Result<Option<ToCopy>>> + Send;

    /// When the next entry that is not due yet becomes due.
    fn copies_next(&self, now: i64) -> impl Future<Output = Result<Option<i64>>> + Send;

    /// Ids above `after` of jobs that started before a time, ascending, at most `limit`.
    fn started_before(
        &self,
        time: i64,
        keep: Keep,
        with_running: bool,
        after: DbId,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DbId>>> + Send;

    /// Running jobs and those in the archive queue.
    fn needed(&self) -> impl Future<Output = Result<Vec<Needed>>> + Send;

    /// Hosts of running jobs, of one cluster or all, started before a time or whenever.
    fn running_hosts(
        &self,
        cluster: Option<&str>,
        before: Option<i64>,
    ) -> impl Future<Output = Result<Vec<RunningHosts>>> + Send;

    /// Visible jobs on a host of a cluster that overlap a span; ended ones first.
    fn overlapping(
        &self,
        visible: &Visible,
        span: &Overlap<'_>,
    ) -> impl Future<Output = Result<Vec<(DbId, i64)>>> + Send;

    /// How many dead letters and parked events there are.
    fn ledger_sizes(&self) -> impl Future<Output = Result<(u64, u64)>> + Send;

    /// Ids of running jobs after `after`, ascending, at most `limit`.
    fn running_ids(&self, after: DbId, limit: u32) -> impl Future<Output = Result<Vec<DbId>>> + Send;

    /// Ids after `after` of running jobs whose walltime was over before a time, ascending, at most `limit`.
    fn overdue_ids(
        &self,
        ended_by: i64,
        after: DbId,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DbId>>> + Send;

    /// Ids of jobs that do not run, after `after`, ascending, at most `limit`.
    fn ended_ids(&self, after: DbId, limit: u32) -> impl Future<Output = Result<Vec<DbId>>> + Send;

    /// How many jobs do not run.
    fn ended_count(&self) -> impl Future<Output = Result<u64>> + Send;

    /// How far the taggers followed the log of changes; nothing before the first time.
    fn tagger_position(&self) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// Jobs that ended at `since` or later, should be archived, and are in no queue (left by the reference or a
    /// crash of it), at most `limit` after `after`.
    fn unqueued(&self, since: i64, after: DbId, limit: u32)
    -> impl Future<Output = Result<Vec<DbId>>> + Send;
}

/// Reads of nodes and their reported states.
pub(crate) trait NodeStore: Store {
    /// Latest state of each node that matches all filters, by host name.
    fn nodes(&self, filters: &[NodeFilter]) -> impl Future<Output = Result<Vec<NodeView>>> + Send;

    /// Latest state of one node.
    fn node(&self, id: i64) -> impl Future<Output = Result<Option<NodeView>>> + Send;

    /// Nodes by latest state.
    fn node_counts(&self, filters: &[NodeFilter]) -> impl Future<Output = Result<StateCounts>> + Send;

    /// Nodes by state (`health`: of their samples) and time, over all reports.
    fn node_times(
        &self,
        filters: &[NodeFilter],
        health: bool,
    ) -> impl Future<Output = Result<Vec<StateTimes>>> + Send;
}

/// One transaction. Dropped without [`Unit::commit`] nothing of it remains.
pub(crate) trait Unit: Send {
    /// Makes everything durable.
    fn commit(self) -> impl Future<Output = Result<()>> + Send;

    // jobs

    /// All jobs with this scheduler id on this cluster.
    fn heads(&mut self, cluster: &str, job_id: i64) -> impl Future<Output = Result<Vec<JobHead>>> + Send;

    /// The job with metadata; running durations are as stored.
    fn job(&mut self, id: DbId) -> impl Future<Output = Result<Option<Job>>> + Send;

    /// The job of a key, with metadata.
    fn job_by_key(&mut self, key: &JobKey) -> impl Future<Output = Result<Option<Job>>> + Send;

    /// The newest job (highest id) of a scheduler id, optionally of a cluster and start time.
    fn newest(
        &mut self,
        job_id: i64,
        cluster: Option<&str>,
        start_time: Option<i64>,
    ) -> impl Future<Output = Result<Option<Job>>> + Send;

    /// Inserts a job; its `id` and tags are not looked at.
    fn insert(&mut self, job: &Job) -> impl Future<Output = Result<DbId>> + Send;

    /// Writes what a later event may add: partition, project, walltime, array id, counts, resources, metadata.
    fn fill(&mut self, id: DbId, job: &Job) -> impl Future<Output = Result<()>> + Send;

    /// Ends a job (or corrects its end).
    fn end(
        &mut self,
        id: DbId,
        state: JobState,
        duration: i32,
        monitoring: MonitoringStatus,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores what archiving found and sets the monitoring status to archived.
    fn archived(&mut self, id: DbId, result: &ArchiveResult) -> impl Future<Output = Result<()>> + Send;

    /// Stores the footprint so far of a job that still runs.
    fn put_footprint(
        &mut self,
        id: DbId,
        footprint: &BTreeMap<String, f64>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Sets the monitoring status.
    fn monitoring(&mut self, id: DbId, status: MonitoringStatus) -> impl Future<Output = Result<()>> + Send;

    /// Sets the duration of those of the jobs that still run to `now - start`.
    fn refresh_durations(&mut self, ids: &[DbId], now: i64) -> impl Future<Output = Result<()>> + Send;

    /// Moves the reference's buffered starts into the table; returns the moved jobs and how many were known already.
    fn drain_buffer(&mut self) -> impl Future<Output = Result<(Vec<Job>, u64)>> + Send;

    // tags

    /// The tag of a type and name, in whatever scope.
    fn tag(&mut self, kind: &str, name: &str) -> impl Future<Output = Result<Option<Tag>>> + Send;

    /// Creates a tag, returns its id.
    fn insert_tag(&mut self, kind: &str, name: &str, scope: &str)
    -> impl Future<Output = Result<i64>> + Send;

    /// Attaches a tag; nothing happens when it is attached already.
    fn attach(&mut self, job: DbId, tag: i64) -> impl Future<Output = Result<()>> + Send;

    /// The tag of an id.
    fn tag_by_id(&mut self, id: i64) -> impl Future<Output = Result<Option<Tag>>> + Send;

    /// Detaches a tag; nothing happens when it is not attached.
    fn detach(&mut self, job: DbId, tag: i64) -> impl Future<Output = Result<()>> + Send;

    /// Deletes a tag with its links and notes every ended job that had it for [`Store::copies_due`].
    fn delete_tag(&mut self, tag: i64, now: i64) -> impl Future<Output = Result<()>> + Send;

    // changes of single jobs by people and programs

    /// Replaces the metadata.
    fn put_metadata(
        &mut self,
        id: DbId,
        metadata: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Notes that the archive entry of a job lacks a change, due at once.
    fn note_copy(&mut self, id: DbId, now: i64) -> impl Future<Output = Result<()>> + Send;

    /// Forgets that note, unless there was a later change.
    fn copied(&mut self, copy: ToCopy) -> impl Future<Output = Result<()>> + Send;

    /// Counts a failed attempt and sets when the next one is due.
    fn defer_copy(&mut self, id: DbId, not_before: i64) -> impl Future<Output = Result<()>> + Send;

    /// Deletes the row of a job, its tag links and what our own tables hold about it; false: there was none.
    fn delete_job(&mut self, id: DbId) -> impl Future<Output = Result<bool>> + Send;

    /// All tags of a job, whatever their scope (for the archive).
    fn tags_of(&mut self, job: DbId) -> impl Future<Output = Result<Vec<Tag>>> + Send;

    // archive queue

    /// Queues a job for archiving, due at once; an entry that exists gets the next generation.
    fn enqueue(&mut self, id: DbId, now: i64) -> impl Future<Output = Result<()>> + Send;

    /// The entry of a job.
    fn queued(&mut self, id: DbId) -> impl Future<Output = Result<Option<Queued>>> + Send;

    /// Removes the entry of a job.
    fn dequeue(&mut self, id: DbId) -> impl Future<Output = Result<()>> + Send;

    /// Counts a failed attempt and sets when the next one is due.
    fn defer(&mut self, id: DbId, not_before: i64, error: &str) -> impl Future<Output = Result<()>> + Send;

    // ledger

    /// The adapter of a name.
    fn adapter(&mut self, adapter_id: &str) -> impl Future<Output = Result<Option<Adapter>>> + Send;

    /// Remembers an adapter.
    fn put_adapter(&mut self, adapter: &Adapter, now: i64) -> impl Future<Output = Result<()>> + Send;

    /// The stream of an adapter for a cluster.
    fn stream(
        &mut self,
        adapter_id: &str,
        cluster: &str,
    ) -> impl Future<Output = Result<Option<Stream>>> + Send;

    /// Stores a stream's epoch and position.
    fn put_stream(&mut self, stream: &Stream, now: i64) -> impl Future<Output = Result<()>> + Send;

    /// What became of an event.
    fn event(&mut self, event_id: &[u8]) -> impl Future<Output = Result<Option<Recorded>>> + Send;

    /// Remembers (or replaces) what became of an event.
    fn put_event(
        &mut self,
        event_id: &[u8],
        recorded: &Recorded,
        now: i64,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Keeps an event that cannot be applied for people to look at.
    fn put_dead(&mut self, dead: &Dead, now: i64) -> impl Future<Output = Result<()>> + Send;

    /// Keeps an event that may be applied later.
    fn park(&mut self, parked: &Parked) -> impl Future<Output = Result<()>> + Send;

    /// Parked events with ids above `after`, oldest first, at most `limit`.
    fn parked(&mut self, after: i64, limit: u32) -> impl Future<Output = Result<Vec<Parked>>> + Send;

    /// How many events are parked; counts up to `limit` only.
    fn parked_count(&mut self, limit: u32) -> impl Future<Output = Result<u32>> + Send;

    /// Whether an event of this job is parked.
    fn has_parked(&mut self, key: &JobKey) -> impl Future<Output = Result<bool>> + Send;

    /// Forgets a parked event.
    fn unpark(&mut self, id: i64) -> impl Future<Output = Result<()>> + Send;

    /// Marks a run that a newer run of the same job has replaced.
    fn supersede(&mut self, superseded: &Superseded) -> impl Future<Output = Result<()>> + Send;

    /// Forgets such a mark.
    fn unsupersede(&mut self, id: DbId) -> impl Future<Output = Result<()>> + Send;

    /// Marked runs whose time is over at `now`, at most `limit`.
    fn superseded_due(
        &mut self,
        now: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Superseded>>> + Send;

    /// Forgets events, dead letters and parked events older than `before`, at most `limit` of each, and all but the
    /// newest [`ledger::DEAD_MAX`] dead letters.
    fn prune_ledger(&mut self, before: i64, limit: u32) -> impl Future<Output = Result<()>> + Send;

    // nodes

    /// Removes reports before a time, at most `limit`, but the newest of each node; returns how many.
    fn prune_node_states(&mut self, before: i64, limit: u32) -> impl Future<Output = Result<u64>> + Send;

    /// Stores one report of a node, and the node when it is new.
    fn put_node(&mut self, node: &NodeRow, now: i64) -> impl Future<Output = Result<()>> + Send;

    // changes

    /// Last position used; other processes may have logged changes since the last look.
    fn last_position(&mut self) -> impl Future<Output = Result<u64>> + Send;

    /// Appends a change.
    fn put_change(&mut self, change: &Change) -> impl Future<Output = Result<()>> + Send;

    /// Stores how far the taggers followed the log.
    fn put_tagger_position(&mut self, position: u64) -> impl Future<Output = Result<()>> + Send;

    /// Forgets changes up to a position.
    fn prune_changes(&mut self, up_to: u64) -> impl Future<Output = Result<()>> + Send;
}
