//! Periodic work on the database: durations of running jobs, replaced runs, old ledger rows, parked events, jobs
//! that were never archived.

use std::time::Duration;

use cc_runtime::clock::Clock;

use super::archiver::QueueAgain;
use super::clusters::ClusterState;
use super::ingest::{CloseReplaced, RetryParked};
use super::rules::Body;
use super::writer::{Context, Mutation, Writer};
use crate::error::Error;
use crate::metrics;
use crate::store::{self, DbId, Store, Unit};

/// Rows per transaction of background work, so that events never wait long for it.
const CHUNK: u32 = 500;
/// How often replaced runs are looked for.
const REPLACED_EVERY: Duration = Duration::from_secs(30);
/// How often old ledger rows are removed.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// Ledger rows removed per transaction.
const PRUNE_CHUNK: u32 = 5_000;

/// What the periodic tasks need.
#[derive(Debug, Clone)]
pub(crate) struct Janitor<S: Store> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) clock: Clock,
}

impl<S: Store> Janitor<S> {
    /// Sets the stored duration of running jobs each period. What is shown is computed on read; filters and orders
    /// use the stored one (graphql-api.md 7.1).
    pub(crate) async fn durations(self, period: Duration) {
        let mut ticks = ticks(period);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let outcome = self.refresh_durations().await;
            report("refresh durations", outcome.map(|_| ()));
        }
    }

    /// One round; returns how many jobs were looked at.
    pub(crate) async fn refresh_durations(&self) -> Result<usize, Error> {
        let mut after = 0;
        let mut refreshed = 0;
        loop {
            let ids = self.store.running_ids(after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(refreshed) };
            after = *last;
            refreshed += ids.len();
            self.writer.run(RefreshDurations { ids }).await?;
        }
    }

    /// Closes replaced runs whose time is over.
    pub(crate) async fn replaced(self) {
        let mut ticks = ticks(REPLACED_EVERY);
        loop {
            ticks.tick().await;
            report("close replaced runs", self.close_replaced().await);
            if let Ok((dead, parked)) = self.store.ledger_sizes().await {
                metrics::ledger(dead, parked);
            }
        }
    }

    /// One round.
    pub(crate) async fn close_replaced(&self) -> Result<(), Error> {
        while self.writer.run(CloseReplaced { limit: CHUNK }).await? > 0 {}
        Ok(())
    }

    /// Forgets ledger rows that are older than `days`.
    pub(crate) async fn prune(self, days: u32) {
        let mut ticks = ticks(PRUNE_EVERY);
        loop {
            ticks.tick().await;
            let before = self.clock.unix() - i64::from(days) * 86_400;
            report("forget old ledger rows", self.writer.run(PruneLedger { before }).await);
        }
    }

    /// Tries parked events again whenever cluster files change.
    pub(crate) async fn parked(self, clusters: ClusterState, decode: fn(&[u8]) -> Body) {
        let mut news = clusters.subscribe();
        loop {
            if news.borrow_and_update().is_some() {
                report("try parked events again", self.retry_parked(decode).await);
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// One round over all parked events.
    pub(crate) async fn retry_parked(&self, decode: fn(&[u8]) -> Body) -> Result<(), Error> {
        let mut after = 0;
        let mut applied = 0;
        loop {
            let retried = self.writer.run(RetryParked { after, limit: CHUNK, decode }).await?;
            applied += retried.applied;
            let Some(last) = retried.last else { break };
            after = last;
        }
        if applied > 0 {
            tracing::info!("{applied} parked events could be decided after a change of cluster files");
        }
        Ok(())
    }

    /// Queues jobs that ended within the last `window` and were never archived: the reference keeps its queue in
    /// memory. Older ones stay as they are, their samples are gone and their entry may exist.
    pub(crate) async fn queue_unarchived(self, window: Duration) -> Result<(), Error> {
        let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
        let since = self.clock.unix().saturating_sub(window);
        let mut after = 0;
        let mut queued = 0;
        loop {
            let ids = self.store.unqueued(since, after, CHUNK).await?;
            let Some(last) = ids.last() else { break };
            after = *last;
            queued += ids.len();
            self.writer.run(QueueAgain { ids }).await?;
        }
        if queued > 0 {
            tracing::info!("queued {queued} jobs for archiving that had ended before this start");
        }
        Ok(())
    }
}

pub(super) fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

pub(crate) fn report(what: &str, outcome: Result<(), Error>) {
    match outcome {
        Ok(()) | Err(Error::ShuttingDown) => {}
        Err(error) => tracing::error!(%error, "failed to {what}: {error}"),
    }
}

/// Sets stored durations.
#[derive(Debug, Clone)]
struct RefreshDurations {
    ids: Vec<DbId>,
}

impl Mutation for RefreshDurations {
    type Answer = ();

    fn weight(&self) -> usize {
        self.ids.len()
    }

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<()> {
        unit.refresh_durations(&self.ids, context.now).await
    }
}

/// Removes old ledger rows.
#[derive(Debug, Clone, Copy)]
struct PruneLedger {
    before: i64,
}

impl Mutation for PruneLedger {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        unit.prune_ledger(self.before, PRUNE_CHUNK).await
    }
}

/// Moves what the reference had buffered into the table; once, before anything else is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainBuffer;

impl Mutation for DrainBuffer {
    /// Moved, and known already.
    type Answer = (usize, u64);

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<(usize, u64)> {
        let (moved, known) = unit.drain_buffer().await?;
        for job in &moved {
            if let Some(id) = job.id {
                context.log(unit, crate::store::change::ChangeKind::Started, id, job).await?;
            }
        }
        Ok((moved.len(), known))
    }
}
