//! Samples over NATS (spec metric-store.md 5): each message of a subject of `metric-store.nats-subscriptions` is a batch of
//! lines, as one body of `/api/write`.
//!
//! Every subscription has an inbox and a worker of its own, so its messages stay in order and their untagged lines belong to
//! its own cluster. A message that cannot be stored now (log full, metrics not known yet) is kept and tried again; those behind
//! it wait, in the broker where a stream keeps them.

use std::sync::Arc;
use std::time::Duration;

use cc_runtime::config::Config;
use cc_runtime::health::Health;
use cc_runtime::nats::{Inbox, Link, Message, Purpose, Sparing};
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::ingest::Ingest;
use crate::ingest::report::Report;
use crate::store::Store;

/// Bytes of lines that are taken before other work gets its turn.
const LINES_AT_ONCE: usize = 64 << 10;
/// The pause before a message is tried again, doubled up to the second figure.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// At the end of the process a message is tried so often.
const LAST_TRIES: u32 = 3;

/// Listens to all subscriptions, if there are any and a broker to listen to.
pub(crate) fn start(store: &Arc<Store>, config: &Config, health: &Health, tasks: &Tasks) {
    let subscriptions = config.metric_store.as_ref().map_or(&[][..], |section| &section.nats_subscriptions);
    if subscriptions.is_empty() {
        return;
    }
    let Some(link) = Link::open(config, "metric-store", health, tasks) else {
        tracing::error!(
            "metric-store.nats-subscriptions: there is no nats.address, so no sample will arrive over NATS"
        );
        return;
    };
    for (index, subscription) in subscriptions.iter().enumerate() {
        let subject = &subscription.subscribe_to;
        if subscriptions.iter().take(index).any(|earlier| earlier.subscribe_to == *subject) {
            // told when the configuration was read: a message is taken once
            continue;
        }
        let worker = Worker {
            store: Arc::clone(store),
            subject: subject.clone(),
            cluster: subscription.cluster_tag.clone(),
            refusals: Sparing::default(),
            stop: tasks.token(),
        };
        let inbox = link.listen(Purpose::Samples, subject, None);
        tasks.spawn(format!("nats samples {subject}"), OnError::Log, OnShutdown::Drain, worker.run(inbox));
    }
}

/// Takes the messages of one subscription.
struct Worker {
    store: Arc<Store>,
    subject: String,
    /// Of lines without the tag; may be empty: such lines are refused.
    cluster: String,
    refusals: Sparing,
    stop: CancellationToken,
}

impl Worker {
    async fn run(self, mut inbox: Inbox) {
        while let Some(Message { payload, receipt }) = inbox.next().await {
            if self.store_lines(&payload).await {
                receipt.done().await;
            } else {
                receipt.give_up().await;
            }
        }
    }

    /// Whether the message is dealt with: everything good in it is in the log.
    async fn store_lines(&self, lines: &[u8]) -> bool {
        let (mut pause, mut tries) = (PAUSE, 0);
        loop {
            let error = match take(&self.store, &self.cluster, lines).await {
                Ok(report) => {
                    self.tell(&report);
                    return true;
                }
                // counted with the batch; the series that are there already have their samples
                Err(Error::MemoryCap { refused }) => {
                    self.warn(&format!(
                        "{refused} lines would begin new series, memory is at metric-store.memory-cap"
                    ));
                    return true;
                }
                Err(error) => error,
            };
            if self.stop.is_cancelled() {
                tries += 1;
                if tries >= LAST_TRIES {
                    tracing::error!(
                        "NATS: samples of {:?} were not stored before the end of this process ({error}); a durable stream sends them again",
                        self.subject
                    );
                    return false;
                }
            } else if pause == PAUSE_MAX {
                self.warn(&format!("samples wait: {error}"));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled(), if tries == 0 => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Lines that are none; what the reference passes over in silence is counted only.
    fn tell(&self, report: &Report) {
        if let Some(first) = &report.first_error {
            self.warn(&format!("a message has lines that were refused, the first: {first}"));
        }
    }

    fn warn(&self, text: &str) {
        if let Some(before) = self.refusals.turn() {
            let more = if before == 0 { String::new() } else { format!(" ({before} more before)") };
            tracing::warn!("NATS: samples of {:?}: {text}{more}", self.subject);
        }
    }
}

/// Stores a batch.
async fn take(store: &Arc<Store>, cluster: &str, lines: &[u8]) -> Result<Report, Error> {
    let mut ingest = Ingest::new(store, cluster)?;
    for piece in lines.chunks(LINES_AT_ONCE) {
        ingest.push(piece)?;
        tokio::task::yield_now().await;
    }
    ingest.finish()
}
