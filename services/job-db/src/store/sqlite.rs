//! The store on `job.db` (spec/job-db.md).

mod copies;
mod filter;
mod jobs;
mod ledger;
mod list;
mod nodes;
mod queue;
mod queue_writes;
pub(crate) mod rebuild;
mod retention;
mod row;
mod schema;
mod statistics;
mod tagging;
mod unit;

use cc_database::{Database, side};
use cc_model::{Job, Tag};

use super::change::Change;
use super::nodes::{NodeFilter, NodeView, StateCounts, StateTimes};
use super::query::{Filter, Query};
use super::statistics::{Found, Question};
use super::visible::{TagScopes, Visible};
use super::{
    DbId, Keep, Listing, Load, Needed, NodeStore, Overlap, Queued, Result, RunningHosts, Store, ToCopy,
};

pub(crate) use unit::SqliteUnit;

/// The tables of an open `job.db`.
#[derive(Debug, Clone)]
pub(crate) struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Makes the side tables where they are missing.
    ///
    /// # Errors
    /// Those of [`side::ensure`].
    pub(crate) async fn open(database: Database) -> Result<Self> {
        side::ensure(&database, schema::COMPONENT, schema::STEPS).await?;
        side::ensure(&database, tagging::COMPONENT, tagging::STEPS).await?;
        Ok(Self { database })
    }
}

impl Store for SqliteStore {
    type Unit = SqliteUnit;

    async fn begin(&self, purpose: &'static str) -> Result<SqliteUnit> {
        Ok(SqliteUnit::new(self.database.write(purpose).await?, self.database.quirks()))
    }

    async fn list(
        &self,
        visible: &Visible,
        scopes: &TagScopes,
        query: &Query,
        load: Load,
        now: i64,
    ) -> Result<Listing> {
        list::list(&self.database, visible, scopes, query, load, now).await
    }

    async fn count(&self, visible: &Visible, filters: &[Filter]) -> Result<u64> {
        let mut reader = self.database.read().await?;
        list::count(&mut reader, visible, filters, self.database.quirks()).await
    }

    async fn statistics(&self, visible: &Visible, question: &Question, now: i64) -> Result<Found> {
        statistics::statistics(&self.database, visible, question, now).await
    }

    async fn get(&self, scopes: &TagScopes, id: DbId, now: i64) -> Result<Option<Job>> {
        list::get(&self.database, scopes, id, now).await
    }

    async fn tags(&self, scopes: &TagScopes) -> Result<Vec<Tag>> {
        list::tags(&self.database, scopes).await
    }

    async fn partitions(&self, cluster: &str) -> Result<Vec<String>> {
        list::partitions(&self.database, cluster).await
    }

    async fn changes(&self, after: u64, limit: u32) -> Result<Vec<Change>> {
        queue::changes(&self.database, after, limit).await
    }

    async fn change_span(&self) -> Result<(u64, u64)> {
        queue::change_span(&self.database).await
    }

    async fn queue_due(&self, now: i64, limit: u32) -> Result<Vec<Queued>> {
        queue::due(&self.database, now, limit).await
    }

    async fn queue_next(&self, now: i64) -> Result<Option<i64>> {
        queue::next(&self.database, now).await
    }

    async fn copies_due(&self, now: i64, limit: u32) -> Result<Vec<ToCopy>> {
        copies::due(&self.database, now, limit).await
    }

    async fn copy_of(&self, id: DbId) -> Result<Option<ToCopy>> {
        copies::of(&self.database, id).await
    }

    async fn copies_next(&self, now: i64) -> Result<Option<i64>> {
        copies::next(&self.database, now).await
    }

    async fn started_before(
        &self,
        time: i64,
        keep: Keep,
        with_running: bool,
        after: DbId,
        limit: u32,
    ) -> Result<Vec<DbId>> {
        copies::started_before(&self.database, time, keep, with_running, after, limit).await
    }

    async fn needed(&self) -> Result<Vec<Needed>> {
        queue::needed(&self.database).await
    }

    async fn running_hosts(&self, cluster: Option<&str>, before: Option<i64>) -> Result<Vec<RunningHosts>> {
        nodes::running_hosts(&self.database, cluster, before).await
    }

    async fn overlapping(&self, visible: &Visible, span: &Overlap<'_>) -> Result<Vec<(DbId, i64)>> {
        nodes::overlapping(&self.database, visible, span).await
    }

    async fn ledger_sizes(&self) -> Result<(u64, u64)> {
        queue::ledger_sizes(&self.database).await
    }

    async fn running_ids(&self, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        queue::running_ids(&self.database, after, limit).await
    }

    async fn overdue_ids(&self, ended_by: i64, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        retention::overdue_ids(&self.database, ended_by, after, limit).await
    }

    async fn ended_ids(&self, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        tagging::ended_ids(&self.database, after, limit).await
    }

    async fn ended_count(&self) -> Result<u64> {
        tagging::ended_count(&self.database).await
    }

    async fn tagger_position(&self) -> Result<Option<u64>> {
        tagging::position(&self.database).await
    }

    async fn unqueued(&self, since: i64, after: DbId, limit: u32) -> Result<Vec<DbId>> {
        queue::unqueued(&self.database, since, after, limit).await
    }
}

impl NodeStore for SqliteStore {
    async fn nodes(&self, filters: &[NodeFilter]) -> Result<Vec<NodeView>> {
        nodes::list(&self.database, filters).await
    }

    async fn node(&self, id: i64) -> Result<Option<NodeView>> {
        nodes::get(&self.database, id).await
    }

    async fn node_counts(&self, filters: &[NodeFilter]) -> Result<StateCounts> {
        nodes::counts(&self.database, filters).await
    }

    async fn node_times(&self, filters: &[NodeFilter], health: bool) -> Result<Vec<StateTimes>> {
        nodes::times(&self.database, filters, health).await
    }
}
