//! What the store does by itself: loading, syncing, checkpoints, clean-up.

use std::sync::Arc;
use std::time::Duration;

use cc_runtime::health::Readiness;
use cc_runtime::tasks::{OnError, OnShutdown, Stage, Tasks};
use tokio::time::{Instant, MissedTickBehavior};

use super::Store;
use crate::error::Error;

/// Why the store is not ready before it is configured.
const WAITING: &str = "waiting for the metrics of the clusters";

/// How often the log is made durable: with the time that takes, at most a second after the answer.
const SYNC_EVERY: Duration = Duration::from_millis(800);

/// How often it is looked whether a checkpoint or a clean-up is due.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// A shard's checkpoint is due when its log is longer, and longer than half of the last checkpoint: a start then reads at most so much
/// of the log, which takes far longer than reading a checkpoint, and at most three bytes are written to checkpoints per byte of log.
const LOG_BYTES: u64 = 4 << 20;

/// A checkpoint that failed is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// How often expired files of the reference are looked for, at most and at least.
const CLEAN_FILES_EVERY: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(6));

/// How often expired samples are looked for, at most and at least.
const CLEAN_EVERY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));

/// Starts the store's background work. `readiness` says `ready` when history is loaded and the metrics are known.
pub fn start(store: &Arc<Store>, tasks: &Tasks, readiness: &Readiness) {
    let (loader, ready) = (Arc::clone(store), readiness.clone());
    ready.not_ready("loading samples");
    tasks.spawn(
        "metric-store-load",
        OnError::Log,
        OnShutdown::Abort,
        async move { load(loader, ready).await },
    );
    let syncer = Arc::clone(store);
    tasks.spawn(
        "metric-store-sync",
        OnError::StopProcess,
        OnShutdown::Abort,
        async move { sync(syncer).await },
    );
    let keeper = Arc::clone(store);
    tasks.spawn(
        "metric-store-keep",
        OnError::StopProcess,
        OnShutdown::Abort,
        async move { keep(keeper).await },
    );
    let last = Arc::clone(store);
    tasks.at(Stage::Flush).on_shutdown("metric-store-sync", async move {
        let finish = move || {
            last.sync_logs();
            last.export_all();
        };
        let _finished = tokio::task::spawn_blocking(finish).await;
    });
    let (exporter, token) = (Arc::clone(store), tasks.token());
    tasks.spawn("metric-store-export", OnError::Log, OnShutdown::Drain, async move {
        // A window that is being written is finished; the last ones are written when nothing comes any more.
        let _stopped = token.run_until_cancelled(export(exporter)).await;
    });
}

async fn load(store: Arc<Store>, readiness: Readiness) -> Result<(), Error> {
    if store.imports_need_metrics() {
        readiness.not_ready(WAITING);
        let (mut told, mut configured) = (store.told.subscribe(), store.configured.subscribe());
        let _told = told.wait_for(|told| *told).await.is_ok();
        // The sender lives as long as the store.
        let _known = configured.wait_for(|known| *known).await.is_ok();
    }
    let begun = Instant::now();
    let worker = |_| {
        let loader = Arc::clone(&store);
        tokio::task::spawn_blocking(move || loader.load())
    };
    let workers: Vec<_> = (0..store.options.workers.max(1)).map(worker).collect();
    let progress = async {
        let mut loaded = store.loaded.subscribe();
        while loaded.changed().await.is_ok() {
            let (done, all) = store.loaded_parts();
            readiness.not_ready(format!("loading samples {done}/{all}"));
        }
    };
    let results = tokio::select! {
        results = futures::future::join_all(workers) => results,
        // never ends: the sender lives in the store
        () = progress => return Ok(()),
    };
    for result in results {
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                readiness.not_ready(format!("samples cannot be loaded: {error}"));
                return Err(error);
            }
            // the process ends
            Err(_) => return Ok(()),
        }
    }
    let took = begun.elapsed();
    tracing::info!(duration_ms = took.as_millis(), "all samples loaded");
    let mut configured = store.configured.subscribe();
    if !store.is_configured() {
        readiness.not_ready(WAITING);
    }
    // The sender lives as long as the store.
    let _known = configured.wait_for(|known| *known).await.is_ok();
    readiness.ready();
    // What came from the reference's files is then in our own, and is not read again at the next start.
    let keeper = Arc::clone(&store);
    let _kept = tokio::task::spawn_blocking(move || keeper.keep_imported()).await;
    Ok(())
}

async fn sync(store: Arc<Store>) {
    let mut tick = tokio::time::interval(SYNC_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let syncer = Arc::clone(&store);
        if tokio::task::spawn_blocking(move || syncer.sync_logs()).await.is_err() {
            return;
        }
    }
}

/// Writes windows for the reference, and cleans up those that are older than the retention.
async fn export(store: Arc<Store>) {
    let started = store.clock.unix();
    let clean_every = (store.options.retention / 4).clamp(CLEAN_FILES_EVERY.0, CLEAN_FILES_EVERY.1);
    let mut tick = tokio::time::interval(CHECK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // As in the reference the first one is a while after the start: until then somebody may see that the clock is wrong.
    let mut cleaned = Instant::now();
    loop {
        tick.tick().await;
        let writer = Arc::clone(&store);
        if tokio::task::spawn_blocking(move || writer.export_due(started, CHECK_EVERY)).await.is_err() {
            return;
        }
        if store.is_loaded() && cleaned.elapsed() >= clean_every {
            cleaned = Instant::now();
            let cleanup = Arc::clone(&store);
            if tokio::task::spawn_blocking(move || cleanup.clean_files()).await.is_err() {
                return;
            }
        }
    }
}

async fn keep(store: Arc<Store>) {
    let mut tick = tokio::time::interval(CHECK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let clean_every = (store.options.retention / 20).clamp(CLEAN_EVERY.0, CLEAN_EVERY.1);
    let mut cleaned = Instant::now();
    // Shards take turns, so that their checkpoints do not fall together.
    let stagger = store.options.checkpoint_interval / crate::shard::SHARDS;
    let mut made: Vec<Instant> = (0..crate::shard::SHARDS)
        .map(|number| Instant::now() - (stagger * number).min(store.options.checkpoint_interval))
        .collect();
    loop {
        tick.tick().await;
        store.counters.memory(store.bytes());
        let now = Instant::now();
        if now - cleaned >= clean_every {
            cleaned = now;
            let sweeper = Arc::clone(&store);
            if tokio::task::spawn_blocking(move || sweeper.clean()).await.is_err() {
                return;
            }
        }
        for (number, made) in made.iter_mut().enumerate() {
            if store.checkpoint_is_due(number, made.elapsed()) {
                *made = Instant::now();
                let writer = Arc::clone(&store);
                if tokio::task::spawn_blocking(move || writer.checkpoint(number)).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Store {
    fn clean_files(&self) {
        match self.clean_reference() {
            Ok(cleaned) => {
                for problem in &cleaned.problems {
                    tracing::warn!(problem, "clean-up of checkpoint files: {problem}");
                }
                if cleaned.files > 0 {
                    tracing::info!(
                        files = cleaned.files,
                        "{} checkpoint files were older than metric-store.retention-in-memory",
                        cleaned.files
                    );
                }
            }
            Err(error) => {
                let text = cc_runtime::error::chain(&error);
                tracing::error!(error = %text, "checkpoint files are not cleaned up: {text}");
            }
        }
    }

    /// Makes durable what was written since the last time; blocks.
    pub fn sync_logs(&self) {
        for shard in self.shards() {
            let unsynced = shard.log().take_unsynced();
            if let Err(error) = unsynced.sync(&shard.directory) {
                // What the kernel could not write it may have dropped: only a checkpoint puts it on the disk again.
                shard.log().want_checkpoint();
                self.counters.sync_failure();
                let directory = shard.directory.display();
                tracing::error!(
                    log.directory = %directory,
                    %error,
                    "samples of the last second cannot be made durable in {directory}: {error}"
                );
            }
        }
    }

    fn checkpoint_is_due(&self, number: usize, since: Duration) -> bool {
        let Some(shard) = self.shards.get(number).filter(|shard| shard.is_loaded()) else { return false };
        let log = shard.log();
        let bytes = log.bytes();
        (log.wants_checkpoint() && since >= RETRY_AFTER)
            || bytes > LOG_BYTES.max(log.checkpoint_bytes() / 2)
            || (bytes > 0 && since >= self.options.checkpoint_interval)
    }

    /// Writes a checkpoint of one shard; blocks.
    pub(super) fn checkpoint(&self, number: usize) {
        let Some(shard) = self.shards.get(number) else { return };
        match shard.checkpoint(&self.names) {
            Ok(report) => {
                self.counters.checkpoint(&report);
                tracing::debug!(
                    shard = number,
                    hosts = report.hosts,
                    size_bytes = report.bytes,
                    "checkpoint written"
                );
            }
            Err(error) => {
                self.counters.checkpoint_failure();
                let text = cc_runtime::error::chain(&error);
                tracing::error!(shard = number, error = %text, "checkpoint failed, the log is kept: {text}");
            }
        }
    }

    /// Writes a checkpoint of every shard that has logged anything since its last one; blocks.
    pub fn checkpoint_all(&self) {
        for number in 0..self.shards.len() {
            if self.shards.get(number).is_some_and(|shard| shard.is_loaded() && shard.log().bytes() > 0) {
                self.checkpoint(number);
            }
        }
    }
}
