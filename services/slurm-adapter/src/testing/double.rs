//! A server that keeps the rules of the stream, and breaks connections where a test says so.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use cc_proto::scheduler::v1::scheduler_ingest_server::{SchedulerIngest, SchedulerIngestServer};
use cc_proto::scheduler::v1::{
    Ack, Command, CommandDone, Credit, EventBatch, EventResult, Heartbeat, HelloRequest, HelloResponse,
    Limits, Outcome, PublishBatchRequest, PublishBatchResponse, PublishRequest, PublishResponse, command,
    publish_request, publish_response,
};
use cc_runtime::transport::local;
use futures::stream::BoxStream;
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::publish::{NoAnswer, Transport};

/// What goes wrong; one per connection, in order. Without any left, nothing does.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// `Hello` fails.
    Hello(Code),
    /// `Hello` speaks another revision.
    Revision(u32),
    /// The stream ends when so many events of it are committed, before they are acknowledged.
    EndAfter(usize, Code),
    /// The stream says nothing at all.
    Silent,
    /// The stream grants credit, hears heartbeats and acknowledges nothing.
    Stuck,
    /// All state is lost before `Hello`.
    Amnesia,
    /// Before `Hello` the server claims to have so many more events.
    Ahead(u64),
    /// The first acknowledgement names an event that was not sent.
    AckBeyond,
    /// First this is asked.
    Ask(command::What),
}

/// What the server knows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By cluster: epoch and last committed number.
    pub(crate) streams: HashMap<String, (u64, u64)>,
    ids: HashSet<Vec<u8>>,
    /// Committed events that were not duplicates: cluster, event id.
    pub(crate) applied: Vec<(String, Vec<u8>)>,
    pub(crate) epochs: HashSet<u64>,
    pub(crate) hellos: Vec<HelloRequest>,
    /// When `Hello` came.
    pub(crate) hello_at: Vec<Instant>,
    pub(crate) batches: Vec<EventBatch>,
    pub(crate) batch_at: Vec<Instant>,
    pub(crate) heartbeats: Vec<Heartbeat>,
    pub(crate) done: Vec<CommandDone>,
    pub(crate) tokens: HashSet<String>,
    /// Names in the metadata of streams.
    pub(crate) names: HashSet<String>,
    /// Most events under way at a time.
    pub(crate) under_way_max: usize,
    /// Rules the client broke.
    pub(crate) violations: Vec<String>,
    faults: VecDeque<Fault>,
    current: Option<Fault>,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    ledger: Arc<Mutex<Ledger>>,
    pub(crate) credit: Credit,
    pub(crate) limits: Limits,
}

impl Server {
    /// A server with these faults, a wide window, and acknowledgements as late as the window allows.
    pub(crate) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let ledger = Ledger { faults: faults.into_iter().collect(), ..Ledger::default() };
        let credit = Credit { events: 100, bytes: 1 << 20, retry_after_ms: 0 };
        let limits = Limits { max_batch_events: 10, max_message_bytes: 1 << 20, ..Limits::default() };
        Self { ledger: Arc::new(Mutex::new(ledger)), credit, limits }
    }

    pub(crate) fn transport(&self) -> Transport {
        BoxCloneSyncService::new(local(self.routes()).map_err(|error| NoAnswer(error.into())))
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(SchedulerIngestServer::new(self.clone()))
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }
}

impl Ledger {
    /// Takes a batch as the rules say; the results, or why the stream ends.
    fn commit(&mut self, batch: &EventBatch) -> Result<Vec<EventResult>, Status> {
        let (epoch, mut durable) = self.streams.get(&batch.cluster).copied().unwrap_or((batch.epoch, 0));
        if epoch != batch.epoch {
            return Err(Status::failed_precondition("epoch unknown"));
        }
        let mut results = Vec::new();
        for event in &batch.events {
            if event.seq != durable + 1 {
                self.violations.push(format!("{} after {durable}", event.seq));
                return Err(Status::out_of_range(format!("expected={}", durable + 1)));
            }
            durable += 1;
            let new = self.ids.insert(event.event_id.to_vec());
            if new {
                self.applied.push((batch.cluster.clone(), event.event_id.to_vec()));
            }
            let outcome = if new { Outcome::Applied } else { Outcome::Duplicate };
            results.push(EventResult {
                seq: event.seq,
                outcome: outcome.into(),
                db_id: 7,
                ..EventResult::default()
            });
        }
        self.streams.insert(batch.cluster.clone(), (epoch, durable));
        Ok(results)
    }
}

/// One stream, as what it has still to say and to hear.
struct Talk {
    server: Server,
    incoming: Streaming<PublishRequest>,
    fault: Fault,
    outgoing: VecDeque<PublishResponse>,
    /// Committed and not acknowledged.
    pending: Vec<(String, u64, EventResult)>,
    committed: usize,
    bytes: usize,
    over: bool,
}

fn say(msg: publish_response::Msg) -> PublishResponse {
    PublishResponse { msg: Some(msg) }
}

impl Talk {
    fn open(server: Server, incoming: Streaming<PublishRequest>, fault: Fault) -> Self {
        let mut outgoing = VecDeque::new();
        if !matches!(fault, Fault::Silent) {
            outgoing.push_back(say(publish_response::Msg::Credit(server.credit)));
        }
        if let Fault::Ask(what) = &fault {
            let command = Command { id: "c1".to_owned(), what: Some(what.clone()) };
            outgoing.push_back(say(publish_response::Msg::Command(command)));
        }
        Self { server, incoming, fault, outgoing, pending: Vec::new(), committed: 0, bytes: 0, over: false }
    }

    async fn next(&mut self) -> Option<Result<PublishResponse, Status>> {
        loop {
            if let Some(message) = self.outgoing.pop_front() {
                return Some(Ok(message));
            }
            if self.over {
                return None;
            }
            // acknowledge when nothing more comes for a while
            let heard =
                tokio::time::timeout(std::time::Duration::from_millis(50), self.incoming.message()).await;
            match heard {
                Err(_elapsed) => self.acknowledge(),
                Ok(Ok(Some(message))) => {
                    if let Err(status) = self.hear(message) {
                        self.over = true;
                        return Some(Err(status));
                    }
                }
                Ok(Ok(None) | Err(_)) => {
                    self.acknowledge();
                    self.over = true;
                }
            }
        }
    }

    fn hear(&mut self, message: PublishRequest) -> Result<(), Status> {
        let mut ledger = self.server.ledger.lock().unwrap();
        match message.msg {
            Some(publish_request::Msg::Heartbeat(heartbeat)) => {
                ledger.heartbeats.push(heartbeat);
                if !matches!(self.fault, Fault::Silent) {
                    self.outgoing.push_back(say(publish_response::Msg::Heartbeat(Heartbeat::default())));
                }
            }
            Some(publish_request::Msg::CommandDone(done)) => ledger.done.push(done),
            Some(publish_request::Msg::Batch(batch)) => {
                ledger.batch_at.push(Instant::now());
                ledger.batches.push(batch.clone());
                let results = ledger.commit(&batch)?;
                for (event, result) in batch.events.iter().zip(results) {
                    self.bytes += prost::Message::encoded_len(event);
                    self.pending.push((batch.cluster.clone(), event.seq, result));
                }
                self.committed += batch.events.len();
                ledger.under_way_max = ledger.under_way_max.max(self.pending.len());
                let credit = self.server.credit;
                if self.pending.len() > credit.events as usize
                    || (credit.bytes > 0 && self.bytes > credit.bytes as usize && self.pending.len() > 1)
                {
                    ledger
                        .violations
                        .push(format!("credit {credit:?} exceeded: {} events", self.pending.len()));
                }
                if let Fault::EndAfter(count, code) = self.fault
                    && self.committed >= count
                {
                    return Err(Status::new(code, "test"));
                }
            }
            None => ledger.violations.push("empty message".to_owned()),
        }
        Ok(())
    }

    fn acknowledge(&mut self) {
        if matches!(self.fault, Fault::Silent | Fault::Stuck) {
            return;
        }
        let epochs = self.server.ledger().streams.clone();
        for (cluster, seq, result) in self.pending.drain(..) {
            let epoch = epochs.get(&cluster).map_or(0, |stream| stream.0);
            let durable_seq = if matches!(self.fault, Fault::AckBeyond) { seq + 1_000_000 } else { seq };
            let ack = Ack { cluster, epoch, durable_seq, results: vec![result] };
            self.outgoing.push_back(say(publish_response::Msg::Ack(ack)));
        }
        self.bytes = 0;
    }
}

#[tonic::async_trait]
impl SchedulerIngest for Server {
    type PublishStream = BoxStream<'static, Result<PublishResponse, Status>>;

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        let token =
            request.metadata().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut ledger = self.ledger();
        ledger.tokens.insert(token.to_owned());
        let hello = request.into_inner();
        let fault = ledger.faults.pop_front().unwrap_or(Fault::None);
        ledger.current = Some(fault.clone());
        ledger.hello_at.push(Instant::now());
        ledger.hellos.push(hello.clone());
        ledger.epochs.insert(hello.epoch);
        match fault {
            Fault::Hello(code) => return Err(Status::new(code, "test")),
            Fault::Amnesia => {
                ledger.streams.clear();
                ledger.ids.clear();
            }
            Fault::Ahead(by) => {
                for cluster in &hello.clusters {
                    ledger.streams.entry(cluster.clone()).or_insert((hello.epoch, 0)).1 += by;
                }
            }
            _ => {}
        }
        for cluster in &hello.clusters {
            let stream = ledger.streams.entry(cluster.clone()).or_insert((hello.epoch, 0));
            if stream.0 != hello.epoch {
                *stream = (hello.epoch, 0);
            }
        }
        let revision = if let Fault::Revision(revision) = fault { revision } else { 1 };
        Ok(Response::new(HelloResponse {
            revision,
            durable_seq: ledger.streams.iter().map(|(cluster, stream)| (cluster.clone(), stream.1)).collect(),
            epoch: hello.epoch,
            limits: Some(self.limits),
            ..HelloResponse::default()
        }))
    }

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let name =
            request.metadata().get("x-adapter-id").and_then(|name| name.to_str().ok()).unwrap_or_default();
        self.ledger().names.insert(name.to_owned());
        let fault = self.ledger().current.clone().unwrap_or(Fault::None);
        let talk = Talk::open(self.clone(), request.into_inner(), fault);
        let stream =
            futures::stream::unfold(talk, async |mut talk| talk.next().await.map(|message| (message, talk)));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn publish_batch(
        &self,
        _request: Request<PublishBatchRequest>,
    ) -> Result<Response<PublishBatchResponse>, Status> {
        Err(Status::unimplemented("the adapter speaks over the stream"))
    }
}
