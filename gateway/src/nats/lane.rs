//! One lane: applies its events one after the other, and waits with those that cannot be applied yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cc_runtime::error::{self, Kind};
use cc_runtime::nats::{Receipt, Sparing};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::ask::Apply;
use super::event::Event;
use crate::metrics;

/// A stop whose job is not known waits at least so long for the start: another gateway may be about to apply it. Where a
/// stream would send that start again, the stop waits for it twice as long as that takes.
const PARK: Duration = Duration::from_mins(1);
/// Until the first look for the start; then it doubles up to the second figure.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(15);
/// Stops that wait at once in a lane; the oldest gives way.
const PARKED_MAX: usize = 1024;
/// The pause before an event is tried again while job-db is not there, doubled up to the second figure.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often an event is tried that makes job-db fail.
const FAILURES_MAX: u32 = 5;
/// At the end of the process an event is tried so often, and each answer waited for so long. Nothing is tried any more
/// after the first one for which that was in vain: the process has to end, and be heard on what it leaves.
const LAST_TRIES: u32 = 3;
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// An event on its way.
#[derive(Debug)]
pub(super) struct Work {
    event: Event,
    receipt: Receipt,
    /// Dropped when the event is dealt with, or waits for another one.
    done: Option<oneshot::Sender<()>>,
}

impl Work {
    /// With its share of the message's receipt. `done` is dropped as soon as the next event may be applied.
    pub(super) fn new(event: Event, receipt: Receipt, done: oneshot::Sender<()>) -> Self {
        Self { event, receipt, done: Some(done) }
    }
}

/// The end of a log line.
pub(super) fn more(held_back: u64) -> String {
    if held_back == 0 { String::new() } else { format!(" ({held_back} more like this before)") }
}

struct Parked {
    work: Work,
    look: Instant,
    /// Until the look after that.
    pause: Duration,
    until: Instant,
}

/// What became of an event.
enum Verdict {
    /// Over; the word is for metrics, the text for the log.
    Done(&'static str, Option<String>),
    /// A stop without its job.
    NotYet(String),
    /// The process ends and nobody could be asked: a stream sends the message again.
    Unfinished(String),
}

/// What the lanes of a subject have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    refusals: Arc<Sparing>,
    /// Cancelled when the process ends.
    stop: CancellationToken,
    /// The process ends, and there is nobody to apply what is left.
    hopeless: Arc<AtomicBool>,
}

impl Common {
    pub(super) fn new(refusals: Arc<Sparing>, stop: CancellationToken) -> Self {
        Self { refusals, stop, hopeless: Arc::default() }
    }
}

/// See the module.
pub(super) struct Lane<A> {
    job_db: A,
    common: Common,
    parked: VecDeque<Parked>,
}

impl<A: Apply> Lane<A> {
    pub(super) fn new(job_db: A, common: Common) -> Self {
        Self { job_db, common, parked: VecDeque::new() }
    }

    /// Works until the last sender is gone and everything is done.
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<Work>) {
        loop {
            let look = self.parked.iter().map(|parked| parked.look).min();
            let wait = async {
                match look {
                    Some(look) => tokio::time::sleep_until(look).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                work = events.recv() => match work {
                    Some(work) => self.take(work).await,
                    None => break,
                },
                () = wait => self.look().await,
            }
        }
        for Parked { work, .. } in std::mem::take(&mut self.parked) {
            match self.apply(&work.event).await {
                Verdict::NotYet(text) => unfinished(work, &text).await,
                verdict => self.settle(work, verdict).await,
            }
        }
    }

    async fn take(&mut self, work: Work) {
        match self.apply(&work.event).await {
            Verdict::NotYet(_) => self.park(work).await,
            verdict => {
                let started = job_id(&work.event).filter(|_| matches!(work.event, Event::Start(_)));
                self.settle(work, verdict).await;
                if let Some(started) = started {
                    self.look_now(started);
                }
            }
        }
    }

    async fn park(&mut self, mut work: Work) {
        work.done = None;
        if self.parked.len() == PARKED_MAX
            && let Some(oldest) = self.parked.pop_front()
        {
            let text = "its job did not start, and too many stops wait like it".to_owned();
            self.settle(oldest.work, Verdict::Done("refused", Some(text))).await;
        }
        let now = Instant::now();
        let park = work.receipt.comes_again_after().map_or(PARK, |again| PARK.max(again * 2));
        self.parked.push_back(Parked {
            work,
            look: now + LOOK_EVERY,
            pause: LOOK_EVERY * 2,
            until: now + park,
        });
    }

    /// A job has started: perhaps somebody waits for it.
    fn look_now(&mut self, started: i64) {
        let now = Instant::now();
        for parked in &mut self.parked {
            if job_id(&parked.work.event) == Some(started) {
                parked.look = now;
            }
        }
    }

    /// Tries the stops whose turn it is.
    async fn look(&mut self) {
        for mut parked in std::mem::take(&mut self.parked) {
            let now = Instant::now();
            if parked.look > now {
                self.parked.push_back(parked);
                continue;
            }
            match self.apply(&parked.work.event).await {
                Verdict::NotYet(_) if now < parked.until => {
                    // the last look is when the time is over
                    parked.look = (now + parked.pause).min(parked.until);
                    parked.pause = (parked.pause * 2).min(LOOK_EVERY_MAX);
                    self.parked.push_back(parked);
                }
                Verdict::NotYet(text) => {
                    self.settle(parked.work, Verdict::Done("refused", Some(text))).await;
                }
                verdict => self.settle(parked.work, verdict).await,
            }
        }
    }

    /// Counts, tells, acknowledges.
    async fn settle(&self, work: Work, verdict: Verdict) {
        match verdict {
            Verdict::Done(outcome, told) => {
                metrics::nats_events(kind(&work.event), outcome);
                if let Some(text) = told
                    && let Some(before) = self.common.refusals.turn()
                {
                    tracing::warn!("NATS: {} refused: {text}{}", name(&work.event), more(before));
                }
                work.receipt.done().await;
            }
            Verdict::NotYet(text) | Verdict::Unfinished(text) => unfinished(work, &text).await,
        }
    }

    /// Asks job-db, again and again while it is not there.
    async fn apply(&self, event: &Event) -> Verdict {
        let Common { stop, hopeless, .. } = &self.common;
        let (mut pause, mut failures, mut last_tries) = (PAUSE, 0, 0);
        loop {
            if hopeless.load(Ordering::Relaxed) {
                return Verdict::Unfinished("nor was one before it".to_owned());
            }
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST_ANSWER).await;
            };
            let answer = tokio::select! {
                biased;
                answer = self.job_db.apply(event) => answer,
                () = late => {
                    hopeless.store(true, Ordering::Relaxed);
                    return Verdict::Unfinished("no answer".to_owned());
                }
            };
            let status = match answer {
                Ok(()) => return Verdict::Done("applied", None),
                Err(status) => status,
            };
            match error::kind(&status) {
                Kind::Unavailable | Kind::Busy | Kind::Deadline => {}
                Kind::Internal if failures < FAILURES_MAX => failures += 1,
                _ => return refusal(event, &status),
            }
            if stop.is_cancelled() {
                if last_tries == 0 {
                    pause = PAUSE;
                }
                last_tries += 1;
                if last_tries >= LAST_TRIES {
                    hopeless.store(true, Ordering::Relaxed);
                    return Verdict::Unfinished(status.message().to_owned());
                }
            } else if pause == PAUSE_MAX {
                tracing::warn!("NATS: {} waits: {}", name(event), status.message());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled(), if last_tries == 0 => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Nobody will apply it here: the process ends in the middle of it.
pub(super) async fn unfinished(work: Work, text: &str) {
    metrics::nats_events(kind(&work.event), "unfinished");
    tracing::error!(
        "NATS: {} was not applied before the end of this process ({text}); a durable stream sends it again",
        name(&work.event)
    );
    work.receipt.give_up().await;
}

fn refusal(event: &Event, status: &Status) -> Verdict {
    match (event, error::reason(status).as_deref()) {
        // adapters tell all they know again after each of their starts
        (Event::Start(_), Some("JOB_EXISTS")) | (Event::Stop(_), Some("JOB_ALREADY_STOPPED")) => {
            Verdict::Done("duplicate", None)
        }
        (Event::Stop(_), Some("JOB_NOT_FOUND")) => Verdict::NotYet(status.message().to_owned()),
        _ => Verdict::Done("refused", Some(status.message().to_owned())),
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Start(_) | Event::Stop(_) => "job",
        Event::Nodes(_) => "nodestate",
    }
}

fn job_id(event: &Event) -> Option<i64> {
    match event {
        Event::Start(request) => request.job.as_ref().map(|job| job.job_id),
        Event::Stop(request) => Some(request.job_id),
        Event::Nodes(_) => None,
    }
}

/// For the log.
fn name(event: &Event) -> String {
    match event {
        Event::Start(request) => {
            let job = request.job.as_ref();
            let (id, cluster) = job.map_or((0, ""), |job| (job.job_id, &*job.cluster));
            format!("start of job {id} on cluster {cluster:?}")
        }
        Event::Stop(request) => {
            format!(
                "stop of job {} on cluster {:?}",
                request.job_id,
                request.cluster.as_deref().unwrap_or_default()
            )
        }
        Event::Nodes(request) => {
            format!("report of {} nodes of cluster {:?}", request.nodes.len(), request.cluster)
        }
    }
}

#[cfg(test)]
mod tests;
