//! Job events and node states from the message broker (integrations.md 3): another way in to the use cases behind REST
//! start, stop and node states, for senders that want no answer.
//!
//! A message is read as line protocol ([`mod@line`]), its events as the same JSON as the REST bodies ([`event`]), and each event
//! is applied by the lane of its job ([`lane`]), so a stop never overtakes its start. While few messages wait, events are
//! applied in the order in which they came; the lanes are for bursts. Nobody is there to be told of a
//! refusal: each is counted, and logged with the reason.

mod event;
mod lane;
mod line;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use cc_runtime::cpu;
use cc_runtime::health::Health;
use cc_runtime::nats::{Inbox, Link, Sparing};
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use tokio::sync::{mpsc, oneshot};

use self::event::{Event, Found, Kind};
use self::lane::{Lane, Work};
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
    let jobs = link.listen("job events", &subjects.job_event, group);
    open(state, tasks, Kind::Job, jobs, subjects.job_concurrency);
    let nodes = link.listen("node states", &subjects.node_state, group);
    open(state, tasks, Kind::Node, nodes, subjects.node_concurrency);
}

/// One reader and `lanes` lanes.
fn open(state: &State, tasks: &Tasks, kind: Kind, inbox: Inbox, lanes: usize) {
    let refusals = Arc::new(Sparing::default());
    let lanes = (0..lanes.max(1)).map(|number| {
        let (sender, receiver) = mpsc::channel(LANE_EVENTS);
        let lane = Lane::new(state.clone(), Arc::clone(&refusals), tasks.token());
        let name = format!("nats {} lane {number}", kind.what());
        tasks.spawn(name, OnError::Log, OnShutdown::Drain, lane.run(receiver));
        sender
    });
    let reader = Reader { kind, lanes: lanes.collect(), refusals: Arc::clone(&refusals) };
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
            let (kind, payload) = (self.kind, message.payload);
            let found = if payload.len() > LARGE_BYTES {
                // a job script may be a megabyte: not on the threads that serve everybody
                cpu::run(move || event::read(&payload, kind))
                    .await
                    .unwrap_or_else(|lost| vec![Found::lost(&lost)])
            } else {
                event::read(&payload, kind)
            };
            let receipt = Arc::new(message.receipt);
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
                        let work = Work::new(event, Arc::clone(&receipt), done);
                        // a lane ends after the last sender only
                        if let Some(lane) = lane {
                            let _sent = lane.send(work).await.is_ok();
                        }
                    }
                    Found::Other => metrics::nats_events(kind.word(), "ignored"),
                    Found::Wrong(text) => {
                        metrics::nats_events(kind.word(), "malformed");
                        self.tell(&text);
                    }
                }
            }
            lane::acknowledge(receipt).await;
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
