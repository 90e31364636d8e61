//! The unit of work on `job.db`: one write transaction. The statements are in the modules beside.

use std::collections::BTreeMap;

use cc_database::{Quirks, WriteTx};
use cc_model::{Job, JobKey, JobState, MonitoringStatus, Tag};

use super::{copies, jobs, ledger, queue_writes as queue, retention, tagging};
use crate::store::change::Change;
use crate::store::ledger::{Adapter, Dead, Parked, Recorded, Stream, Superseded};
use crate::store::nodes::NodeRow;
use crate::store::{ArchiveResult, DbId, JobHead, Queued, Result, ToCopy, Unit};

/// An open write transaction of this service.
#[derive(Debug)]
pub(crate) struct SqliteUnit {
    transaction: WriteTx,
    quirks: Quirks,
}

impl SqliteUnit {
    pub(super) fn new(transaction: WriteTx, quirks: Quirks) -> Self {
        Self { transaction, quirks }
    }
}

impl Unit for SqliteUnit {
    async fn commit(self) -> Result<()> {
        self.transaction.commit().await
    }

    async fn heads(&mut self, cluster: &str, job_id: i64) -> Result<Vec<JobHead>> {
        jobs::heads(&mut self.transaction, cluster, job_id).await
    }

    async fn job(&mut self, id: DbId) -> Result<Option<Job>> {
        jobs::by_id(&mut self.transaction, id).await
    }

    async fn job_by_key(&mut self, key: &JobKey) -> Result<Option<Job>> {
        jobs::by_key(&mut self.transaction, key).await
    }

    async fn newest(
        &mut self,
        job_id: i64,
        cluster: Option<&str>,
        start_time: Option<i64>,
    ) -> Result<Option<Job>> {
        jobs::newest(&mut self.transaction, job_id, cluster, start_time).await
    }

    async fn insert(&mut self, job: &Job) -> Result<DbId> {
        jobs::insert(&mut self.transaction, job, self.quirks).await
    }

    async fn fill(&mut self, id: DbId, job: &Job) -> Result<()> {
        jobs::fill(&mut self.transaction, id, job).await
    }

    async fn end(
        &mut self,
        id: DbId,
        state: JobState,
        duration: i32,
        monitoring: MonitoringStatus,
    ) -> Result<()> {
        jobs::end(&mut self.transaction, id, state, duration, monitoring, self.quirks).await
    }

    async fn archived(&mut self, id: DbId, result: &ArchiveResult) -> Result<()> {
        jobs::archived(&mut self.transaction, id, result).await
    }

    async fn put_footprint(&mut self, id: DbId, footprint: &BTreeMap<String, f64>) -> Result<()> {
        jobs::put_footprint(&mut self.transaction, id, footprint).await
    }

    async fn monitoring(&mut self, id: DbId, status: MonitoringStatus) -> Result<()> {
        jobs::monitoring(&mut self.transaction, id, status).await
    }

    async fn refresh_durations(&mut self, ids: &[DbId], now: i64) -> Result<()> {
        jobs::refresh_durations(&mut self.transaction, ids, now).await
    }

    async fn drain_buffer(&mut self) -> Result<(Vec<Job>, u64)> {
        jobs::drain_buffer(&mut self.transaction).await
    }

    async fn tag(&mut self, kind: &str, name: &str) -> Result<Option<Tag>> {
        jobs::tag(&mut self.transaction, kind, name).await
    }

    async fn insert_tag(&mut self, kind: &str, name: &str, scope: &str) -> Result<i64> {
        jobs::insert_tag(&mut self.transaction, kind, name, scope).await
    }

    async fn attach(&mut self, job: DbId, tag: i64) -> Result<()> {
        jobs::attach(&mut self.transaction, job, tag).await
    }

    async fn tag_by_id(&mut self, id: i64) -> Result<Option<Tag>> {
        copies::tag_by_id(&mut self.transaction, id).await
    }

    async fn detach(&mut self, job: DbId, tag: i64) -> Result<()> {
        copies::detach(&mut self.transaction, job, tag).await
    }

    async fn delete_tag(&mut self, tag: i64, now: i64) -> Result<()> {
        copies::delete_tag(&mut self.transaction, tag, now).await
    }

    async fn put_metadata(&mut self, id: DbId, metadata: &BTreeMap<String, String>) -> Result<()> {
        copies::put_metadata(&mut self.transaction, id, metadata).await
    }

    async fn note_copy(&mut self, id: DbId, now: i64) -> Result<()> {
        copies::note(&mut self.transaction, id, now).await
    }

    async fn copied(&mut self, copy: ToCopy) -> Result<()> {
        copies::done(&mut self.transaction, copy).await
    }

    async fn defer_copy(&mut self, id: DbId, not_before: i64) -> Result<()> {
        copies::defer(&mut self.transaction, id, not_before).await
    }

    async fn delete_job(&mut self, id: DbId) -> Result<bool> {
        copies::delete_job(&mut self.transaction, id).await
    }

    async fn tags_of(&mut self, job: DbId) -> Result<Vec<Tag>> {
        jobs::tags_of(&mut self.transaction, job).await
    }

    async fn enqueue(&mut self, id: DbId, now: i64) -> Result<()> {
        queue::enqueue(&mut self.transaction, id, now).await
    }

    async fn queued(&mut self, id: DbId) -> Result<Option<Queued>> {
        queue::queued(&mut self.transaction, id).await
    }

    async fn dequeue(&mut self, id: DbId) -> Result<()> {
        queue::dequeue(&mut self.transaction, id).await
    }

    async fn defer(&mut self, id: DbId, not_before: i64, error: &str) -> Result<()> {
        queue::defer(&mut self.transaction, id, not_before, error).await
    }

    async fn adapter(&mut self, adapter_id: &str) -> Result<Option<Adapter>> {
        ledger::adapter(&mut self.transaction, adapter_id).await
    }

    async fn put_adapter(&mut self, adapter: &Adapter, now: i64) -> Result<()> {
        ledger::put_adapter(&mut self.transaction, adapter, now).await
    }

    async fn stream(&mut self, adapter_id: &str, cluster: &str) -> Result<Option<Stream>> {
        ledger::stream(&mut self.transaction, adapter_id, cluster).await
    }

    async fn put_stream(&mut self, stream: &Stream, now: i64) -> Result<()> {
        ledger::put_stream(&mut self.transaction, stream, now).await
    }

    async fn event(&mut self, event_id: &[u8]) -> Result<Option<Recorded>> {
        ledger::event(&mut self.transaction, event_id).await
    }

    async fn put_event(&mut self, event_id: &[u8], recorded: &Recorded, now: i64) -> Result<()> {
        ledger::put_event(&mut self.transaction, event_id, recorded, now).await
    }

    async fn put_dead(&mut self, dead: &Dead, now: i64) -> Result<()> {
        ledger::put_dead(&mut self.transaction, dead, now).await
    }

    async fn park(&mut self, parked: &Parked) -> Result<()> {
        ledger::park(&mut self.transaction, parked).await
    }

    async fn parked(&mut self, after: i64, limit: u32) -> Result<Vec<Parked>> {
        ledger::parked(&mut self.transaction, after, limit).await
    }

    async fn parked_count(&mut self, limit: u32) -> Result<u32> {
        ledger::parked_count(&mut self.transaction, limit).await
    }

    async fn has_parked(&mut self, key: &JobKey) -> Result<bool> {
        ledger::has_parked(&mut self.transaction, key).await
    }

    async fn unpark(&mut self, id: i64) -> Result<()> {
        ledger::unpark(&mut self.transaction, id).await
    }

    async fn supersede(&mut self, superseded: &Superseded) -> Result<()> {
        queue::supersede(&mut self.transaction, superseded).await
    }

    async fn unsupersede(&mut self, id: DbId) -> Result<()> {
        queue::unsupersede(&mut self.transaction, id).await
    }

    async fn superseded_due(&mut self, now: i64, limit: u32) -> Result<Vec<Superseded>> {
        queue::superseded_due(&mut self.transaction, now, limit).await
    }

    async fn prune_ledger(&mut self, before: i64, limit: u32) -> Result<()> {
        ledger::prune(&mut self.transaction, before, limit).await
    }

    async fn put_node(&mut self, node: &NodeRow, now: i64) -> Result<()> {
        jobs::put_node(&mut self.transaction, node, now, self.quirks).await
    }

    async fn last_position(&mut self) -> Result<u64> {
        queue::last_position(&mut self.transaction).await
    }

    async fn put_change(&mut self, change: &Change) -> Result<()> {
        queue::put_change(&mut self.transaction, change).await
    }

    async fn prune_node_states(&mut self, before: i64, limit: u32) -> Result<u64> {
        retention::prune_node_states(&mut self.transaction, before, limit).await
    }

    async fn put_tagger_position(&mut self, position: u64) -> Result<()> {
        tagging::put_position(&mut self.transaction, position).await
    }

    async fn prune_changes(&mut self, up_to: u64) -> Result<()> {
        queue::prune_changes(&mut self.transaction, up_to).await
    }
}
