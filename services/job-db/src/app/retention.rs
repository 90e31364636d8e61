//! What is ended or forgotten by age: jobs that run beyond their walltime (spec/job-db.md 6.5), old states of nodes
//! (job-archive.md 19). Both in small transactions, so that events never wait long for them.

use std::time::Duration;

use cc_model::{Job, JobState};
use tokio::time::Instant;

use super::janitor::{Janitor, report, ticks};
use super::rest;
use super::writer::{Context, Mutation};
use crate::error::Error;
use crate::store::{self, DbId, Store, Unit};

/// How often jobs beyond their walltime are looked for. (The reference does so once a night.)
const OVERDUE_EVERY: Duration = Duration::from_mins(10);
/// How often old states of nodes are removed.
const STATES_EVERY: Duration = Duration::from_mins(30);
/// By how much the clock may differ from the time that passed between two looks, seconds.
const CLOCK_JUMP_S: i64 = 60;
/// Jobs per transaction.
const JOBS_CHUNK: u32 = 100;
/// States of nodes per transaction.
const STATES_CHUNK: u32 = 2_000;

impl<S: Store> Janitor<S> {
    /// Stops jobs that run `grace_s` seconds longer than they asked for: their stop was never told.
    pub(crate) async fn overdue(self, grace_s: i64) {
        let mut ticks = ticks(OVERDUE_EVERY);
        ticks.tick().await;
        let mut last = (Instant::now(), self.clock.unix());
        loop {
            ticks.tick().await;
            let now = (Instant::now(), self.clock.unix());
            let passed = i64::try_from(now.0.duration_since(last.0).as_secs()).unwrap_or(i64::MAX);
            let jumped = (now.1 - last.1).saturating_sub(passed);
            last = now;
            if jumped.saturating_abs() > CLOCK_JUMP_S {
                tracing::warn!(
                    "the clock was set by {jumped} s: jobs beyond their walltime are looked for next time"
                );
                continue;
            }
            report("stop jobs beyond their walltime", self.stop_overdue(grace_s).await.map(drop));
        }
    }

    /// One round; returns how many were stopped.
    pub(crate) async fn stop_overdue(&self, grace_s: i64) -> Result<u64, Error> {
        let mut stopped = 0;
        let mut after = 0;
        loop {
            let ended_by = self.clock.unix().saturating_sub(grace_s);
            let ids = self.store.overdue_ids(ended_by, after, JOBS_CHUNK).await?;
            let Some(last) = ids.last() else { break };
            after = *last;
            stopped += self.writer.run(StopOverdue { ids, grace_s }).await?;
        }
        if stopped > 0 {
            tracing::warn!("stopped {stopped} jobs that ran {grace_s} s beyond their walltime");
        }
        Ok(stopped)
    }

    /// Removes states of nodes that are older than `age`; the newest of each node stays.
    pub(crate) async fn node_states(self, age: Duration) {
        let mut ticks = ticks(STATES_EVERY);
        loop {
            ticks.tick().await;
            report("remove old states of nodes", self.prune_node_states(age).await.map(drop));
        }
    }

    /// One round; returns how many were removed.
    pub(crate) async fn prune_node_states(&self, age: Duration) -> Result<u64, Error> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let before = self.clock.unix().saturating_sub(age);
        let mut removed = 0;
        loop {
            let round = self.writer.run(PruneNodeStates { before }).await?;
            removed += round;
            if round < u64::from(STATES_CHUNK) {
                return Ok(removed);
            }
            // what waits comes first
            tokio::task::yield_now().await;
        }
    }
}

/// Ends jobs as failed at the end of their grace, and has them archived with what there is. (The reference gives them
/// duration 0 and never archives them.)
#[derive(Debug, Clone)]
struct StopOverdue {
    ids: Vec<DbId>,
    grace_s: i64,
}

impl StopOverdue {
    /// When a job is taken for ended; nothing while it may run.
    fn end_of(&self, job: &Job, now: i64) -> Option<i64> {
        let end = job.start_time.saturating_add(job.walltime).saturating_add(self.grace_s);
        (job.state.is_running() && job.walltime > 0 && end < now).then_some(end)
    }
}

impl Mutation for StopOverdue {
    type Answer = u64;

    fn weight(&self) -> usize {
        self.ids.len()
    }

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<u64> {
        let mut stopped = 0;
        for id in &self.ids {
            let Some(mut job) = unit.job(*id).await? else { continue };
            // its stop may have come meanwhile
            let Some(end) = self.end_of(&job, context.now) else { continue };
            job.state = JobState::Failed;
            job.duration = i32::try_from(end - job.start_time).unwrap_or(i32::MAX);
            rest::end(unit, context, *id, &job).await?;
            stopped += 1;
        }
        Ok(stopped)
    }
}

#[derive(Debug, Clone, Copy)]
struct PruneNodeStates {
    before: i64,
}

impl Mutation for PruneNodeStates {
    type Answer = u64;

    fn weight(&self) -> usize {
        // so many rows are worth a group of their own
        usize::try_from(STATES_CHUNK).unwrap_or(1) / 10
    }

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<u64> {
        unit.prune_node_states(self.before, STATES_CHUNK).await
    }
}
