//! One lane: applies its events one after the other, and waits with those that cannot be applied yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cc_proto::common::v1::Job;
use cc_proto::job_db::v1::StartJobRequest;
use cc_runtime::caller::{self, Caller, How, Role};
use cc_runtime::error::{self, Kind};
use cc_runtime::nats::{Receipt, Sparing};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::event::Event;
use crate::metrics;
use crate::state::State;

/// A stop whose job is not known waits so long for the start: another gateway may be about to apply it.
const PARK: Duration = Duration::from_mins(1);
/// Between two looks for the start.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Stops that wait at once in a lane; the oldest gives way.
const PARKED_MAX: usize = 1024;
/// The pause before an event is tried again while job-db is not there, doubled up to the second figure.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often an event is tried that makes job-db fail.
const FAILURES_MAX: u32 = 5;
/// At the end of the process an event is tried so often.
const LAST_TRIES: u32 = 3;

/// An event on its way.
#[derive(Debug)]
pub(super) struct Work {
    event: Event,
    receipt: Arc<Receipt>,
    /// Dropped when the event is dealt with, or waits for another one.
    done: Option<oneshot::Sender<()>>,
}

impl Work {
    /// Of a message with that receipt. `done` is dropped as soon as the next event may be applied.
    pub(super) fn new(event: Event, receipt: Arc<Receipt>, done: oneshot::Sender<()>) -> Self {
        Self { event, receipt, done: Some(done) }
    }
}

/// Acknowledges a message when the last of its events is done.
pub(super) async fn acknowledge(receipt: Arc<Receipt>) {
    if let Some(receipt) = Arc::into_inner(receipt) {
        receipt.done().await;
    }
}

/// The end of a log line.
pub(super) fn more(held_back: u64) -> String {
    if held_back == 0 { String::new() } else { format!(" ({held_back} more like this before)") }
}

struct Parked {
    work: Work,
    look: Instant,
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

/// See the module.
pub(super) struct Lane {
    state: State,
    caller: Caller,
    refusals: Arc<Sparing>,
    stop: CancellationToken,
    parked: VecDeque<Parked>,
}

impl Lane {
    /// `stop` is cancelled when the process ends.
    pub(super) fn new(state: State, refusals: Arc<Sparing>, stop: CancellationToken) -> Self {
        // whoever may publish may do what a program with a token may
        let caller = Caller {
            name: "nats".to_owned(),
            roles: vec![Role::Api],
            projects: Vec::new(),
            how: How::ApiToken,
        };
        Self { state, caller, refusals, stop, parked: VecDeque::new() }
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
                Verdict::NotYet(text) => unfinished(&work, &text),
                verdict => self.settle(work, verdict).await,
            }
        }
    }

    async fn take(&mut self, work: Work) {
        match self.apply(&work.event).await {
            Verdict::NotYet(_) => self.park(work).await,
            verdict => {
                let started = matches!(work.event, Event::Start(_));
                self.settle(work, verdict).await;
                if started && !self.parked.is_empty() {
                    self.look_now();
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
        self.parked.push_back(Parked { work, look: now + LOOK_EVERY, until: now + PARK });
    }

    /// A job has started: perhaps the one that somebody waits for.
    fn look_now(&mut self) {
        let now = Instant::now();
        self.parked.iter_mut().for_each(|parked| parked.look = now);
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
                    parked.look = now + LOOK_EVERY;
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
                    && let Some(before) = self.refusals.turn()
                {
                    tracing::warn!("NATS: {} refused: {text}{}", name(&work.event), more(before));
                }
                acknowledge(work.receipt).await;
            }
            Verdict::NotYet(text) | Verdict::Unfinished(text) => unfinished(&work, &text),
        }
    }

    /// Asks job-db, again and again while it is not there.
    async fn apply(&self, event: &Event) -> Verdict {
        let (mut pause, mut failures, mut last_tries) = (PAUSE, 0, 0);
        loop {
            let status = match self.ask(event).await {
                Ok(()) => return Verdict::Done("applied", None),
                Err(status) => status,
            };
            match error::kind(&status) {
                Kind::Unavailable | Kind::Busy | Kind::Deadline => {}
                Kind::Internal if failures < FAILURES_MAX => failures += 1,
                _ => return refusal(event, &status),
            }
            if self.stop.is_cancelled() {
                last_tries += 1;
                if last_tries >= LAST_TRIES {
                    return Verdict::Unfinished(status.message().to_owned());
                }
            } else if pause == PAUSE_MAX {
                tracing::warn!("NATS: {} waits: {}", name(event), status.message());
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled(), if last_tries == 0 => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn ask(&self, event: &Event) -> Result<(), Status> {
        let mut job_db = self.state.job_db();
        match event {
            Event::Start(request) => {
                job_db.start_job(caller::request(StartJobRequest::clone(request), &self.caller)).await?;
            }
            Event::Stop(request) => {
                let stopped = job_db.stop_job(caller::request(request.clone(), &self.caller)).await?;
                let Job { id, cluster, job_id, user, start_time, .. } =
                    stopped.into_inner().job.unwrap_or_default();
                tracing::info!(
                    "NATS: archiving job (dbid: {id}): cluster={cluster}, jobId={job_id}, user={user}, startTime={start_time}"
                );
            }
            Event::Nodes(request) => {
                let reported = job_db.report_nodes(caller::request(request.clone(), &self.caller)).await?;
                let skipped = reported.into_inner().skipped;
                if let Some(first) = skipped.first() {
                    tracing::warn!(
                        "NATS: {} nodes are in no subcluster and were skipped, the first is {first}",
                        skipped.len()
                    );
                }
            }
        }
        Ok(())
    }
}

/// The process ends in the middle of it.
fn unfinished(work: &Work, text: &str) {
    metrics::nats_events(kind(&work.event), "unfinished");
    tracing::error!(
        "NATS: {} was not applied before the end of this process ({text}); a durable stream sends it again",
        name(&work.event)
    );
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
