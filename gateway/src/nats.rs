//! Job events and node states from the message broker (integrations.md 3): another way in to the use cases behind REST
//! start, stop and node states, for senders that want no answer.
//!
//! A message is read as line protocol ([`mod@line`]), its events as the same JSON as the REST bodies ([`event`]), and each event
//! is applied by the lane of its job ([`lane`]), so a stop never overtakes its start. While few messages wait, events are
//! applied in the order in which they came; the lanes are for bursts. Nobody is there to be told of a
//! refusal: each is counted, and logged with the reason.

mod ask;
mod event;
mod lane;
mod line;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use cc_runtime::cpu;
use cc_runtime::error::{Failure, Kind as Why};
use cc_runtime::health::Health;
use cc_runtime::nats::{Inbox, Link, Message, Purpose, Sparing};
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};

use self::ask::JobDb;
use self::event::{Event, Found, Kind};
use self::lane::{Common, Lane, Work};
use crate::metrics;
use crate::state::State;

/// Events that wait in front of a lane; more wait in the inbox.
const LANE_EVENTS: usize = 64;
/// Larger messages are read on a thread of their own.
const LARGE_BYTES: usize = 32 * 1024;

/// Listens to the subjects of `main.api-subjects`, if there are any and a broker to listen to. `tasks` end before the
/// services do.
pub(crate) fn start(state: &State, health: &Health, tasks: &Tasks) {
    let Some(subjects) = &state.config().main.api_subjects else { return };
    if !state.settings().rest_job_events {
        tracing::info!("main.api-subjects: jobs are started and stopped over NATS, not over REST");
    }
    let Some(link) = Link::open(state.config(), "gateway", health, tasks) else {
        tracing::error!(
            "main.api-subjects: there is no nats.address, so no job event and no node state will arrive over NATS"
        );
        return;
    };
    tracing::warn!(
        "NATS: whoever may publish to {:?} and {:?} may start and stop jobs: let the broker's permissions see to that",
        subjects.job_event,
        subjects.node_state
    );
    let group = Some(state.config().nats_client.queue_group.as_str());
    let jobs = link.listen(Purpose::JobEvents, &subjects.job_event, group);
    open(state, tasks, Kind::Job, jobs, subjects.job_concurrency);
    let nodes = link.listen(Purpose::NodeStates, &subjects.node_state, group);
    open(state, tasks, Kind::Node, nodes, subjects.node_concurrency);
}

/// One reader and `lanes` lanes.
fn open(state: &State, tasks: &Tasks, kind: Kind, inbox: Inbox, lanes: usize) {
    let refusals = Arc::new(Sparing::default());
    let common = Common::new(Arc::clone(&refusals), tasks.token());
    let job_db = JobDb::new(state.clone());
    let lanes = (0..lanes.max(1)).map(|number| {
        let (sender, receiver) = mpsc::channel(LANE_EVENTS);
        let lane = Lane::new(job_db.clone(), common.clone());
        let name = format!("nats {} lane {number}", kind.what());
        tasks.spawn(name, OnError::Log, OnShutdown::Drain, lane.run(receiver));
        sender
    });
    let reader = Reader { kind, lanes: lanes.collect(), refusals };
    tasks.spawn(format!("nats {}", kind.what()), OnError::Log, OnShutdown::Drain, reader.run(inbox));
}

/// Takes messages apart and hands their events to the lanes.
struct Reader {
    kind: Kind,
    lanes: Vec<mpsc::Sender<Work>>,
    refusals: Arc<Sparing>,
}

impl Reader {
    async fn run(self, mut inbox: Inbox) {
        let mut last: Option<oneshot::Receiver<()>> = None;
        while let Some(message) = inbox.next().await {
            let Message { payload, receipt } = message;
            let kind = self.kind;
            let found = read(payload, kind).await;
            for found in found {
                match found {
                    Found::Event(event) => {
                        let lane = self.lane_of(&event);
                        let (done, applied) = oneshot::channel();
                        if let Some(before) = last.replace(applied)
                            && inbox.waiting() < self.lanes.len()
                        {
                            // nothing is sent: the other end is dropped when the event is dealt with
                            let _dealt_with = before.await.is_err();
                        }
                        let work = Work::new(event, receipt.share(), done);
                        let Some(lane) = lane else { continue };
                        // a lane ends after the last sender, unless it panicked
                        if let Err(SendError(work)) = lane.send(work).await {
                            lane::unfinished(work, "its lane has ended").await;
                        }
                    }
                    Found::Other => metrics::nats_events(kind.word(), "ignored"),
                    Found::Wrong(text) => {
                        metrics::nats_events(kind.word(), "malformed");
                        self.tell(&text);
                    }
                }
            }
            receipt.done().await;
        }
    }

    fn tell(&self, text: &str) {
        if let Some(before) = self.refusals.turn() {
            tracing::warn!("NATS: {} refused: {text}{}", self.kind.what(), lane::more(before));
        }
    }

    /// Always the same one for a job, and for the nodes of a cluster.
    fn lane_of(&self, event: &Event) -> Option<&mpsc::Sender<Work>> {
        let mut hasher = DefaultHasher::new();
        match event {
            // a stop need not name the cluster
            Event::Start(request) => {
                request.job.as_ref().map_or(0, |job| job.job_id).hash(&mut hasher);
            }
            Event::Stop(request) => request.job_id.hash(&mut hasher),
            Event::Nodes(request) => request.cluster.hash(&mut hasher),
        }
        let lanes = u64::try_from(self.lanes.len()).unwrap_or(1).max(1);
        self.lanes.get(usize::try_from(hasher.finish() % lanes).unwrap_or(0))
    }
}

/// Takes a message apart, a large one off the threads that serve everybody: a job script may be a megabyte.
async fn read(payload: Bytes, kind: Kind) -> Vec<Found> {
    if payload.len() <= LARGE_BYTES {
        return event::read(&payload, kind);
    }
    let work = payload.clone();
    let found = cpu::wait(move || event::read(&work, kind)).await;
    found.unwrap_or_else(|lost| read_here(&payload, kind, &lost))
}

/// No other thread has read it. An event is never refused because of that, unless reading itself is what failed.
fn read_here(payload: &[u8], kind: Kind, lost: &Failure) -> Vec<Found> {
    match lost.kind() {
        Why::Internal => vec![Found::Wrong(lost.to_string())],
        _ => event::read(payload, kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_event_is_read_whoever_has_time_for_it() {
        let script = "x".repeat(LARGE_BYTES);
        let text = format!(r#"job,function=stop_job event="{{\"jobId\":7,\"cluster\":\"{script}\"}}" 5"#);
        let payload = Bytes::from(text.into_bytes());
        let is_stop =
            |found: &[Found]| matches!(found, [Found::Event(Event::Stop(stop))] if stop.job_id == 7);
        assert!(is_stop(&read(payload.clone(), Kind::Job).await));
        for why in [Why::Busy, Why::Unavailable] {
            assert!(is_stop(&read_here(&payload, Kind::Job, &Failure::new(why, "CPU_BUSY", "busy"))));
        }
        let panicked = Failure::new(Why::Internal, "PANIC", "internal error");
        assert!(matches!(&read_here(&payload, Kind::Job, &panicked)[..], [Found::Wrong(_)]));
    }
}
