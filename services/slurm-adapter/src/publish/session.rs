//! One connection: `Hello`, then the stream until it breaks or everything is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cc_proto::scheduler::v1::scheduler_ingest_client::SchedulerIngestClient;
use cc_proto::scheduler::v1::{
    Ack, Command, CommandDone, EventBatch, Heartbeat, HelloRequest, HelloResponse, Limits, PublishRequest,
    PublishResponse, command, publish_request, publish_response,
};
use cc_runtime::clock::Clock;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::window::Window;
use super::{Ended, Error, Observer, Options, Outbox, REVISION, Token, Transport, fit, is_final};
use crate::spool::{self, Resume};

/// Messages that may wait for the connection.
const OUTGOING_MAX: usize = 4;
/// Answers and heartbeats that may wait.
const QUEUE_MAX: usize = 64;
/// Batch and message size where the server states none (spec 9.8).
const BATCH_EVENTS_MAX: u32 = 1000;
const MESSAGE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Longest wait for the server's side of the stream to end, when there is nothing more to say.
const GOODBYE_MAX: Duration = Duration::from_secs(1);
/// Metadata with the name of the adapter, on every call.
const ADAPTER_ID: &str = "x-adapter-id";
/// Heartbeats of the server that may be missed.
const SILENT_BEATS_MAX: u32 = 3;

/// What ends a session before its loop does; `?` carries it out.
enum Stop {
    Ended(Ended),
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<spool::Error> for Stop {
    fn from(error: spool::Error) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) struct Session<'a> {
    outbox: &'a Outbox,
    client: SchedulerIngestClient<Transport>,
    token: &'a dyn Token,
    options: &'a Options,
    clock: &'a Clock,
    epoch: u64,
    limits: Limits,
    window: Window,
    /// By cluster, the last number that was sent or that the server has.
    sent: BTreeMap<String, u64>,
    /// Answers and heartbeats that go before events.
    queue: VecDeque<PublishRequest>,
    /// No events before this moment.
    not_before: Instant,
    /// Least time between two batches.
    interval: Duration,
    /// When the server was last heard.
    heard: Instant,
    /// When something was last acknowledged, in this or a former session.
    progress: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        outbox: &'a Outbox,
        transport: Transport,
        token: &'a dyn Token,
        options: &'a Options,
        clock: &'a Clock,
        progress: Instant,
    ) -> Self {
        let now = Instant::now();
        Self {
            outbox,
            client: SchedulerIngestClient::new(transport),
            token,
            options,
            clock,
            epoch: outbox.spool().epoch(),
            limits: Limits::default(),
            window: Window::default(),
            sent: BTreeMap::new(),
            queue: VecDeque::new(),
            not_before: now,
            interval: Duration::ZERO,
            heard: now,
            progress,
        }
    }

    /// Runs the connection to its end. Also gives the time of the last acknowledgement.
    pub(super) async fn run(mut self, observer: &mut dyn Observer) -> (Result<Ended, Error>, Instant) {
        let outcome = match self.talk(observer).await {
            Ok(ended) | Err(Stop::Ended(ended)) => Ok(ended),
            Err(Stop::Failed(error)) => Err(error),
        };
        (outcome, self.progress)
    }

    async fn talk(&mut self, observer: &mut dyn Observer) -> Result<Ended, Stop> {
        let hello = self.hello().await?;
        self.take_up(&hello, observer)?;
        if self.outbox.is_done() {
            return Ok(Ended::Done);
        }
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let request = self.authorized(ReceiverStream::new(messages))?;
        let opened = timeout(self.options.answer_within, self.client.publish(request)).await;
        let opened = opened.map_err(|_elapsed| broken("the stream was not opened in time"))?;
        let stream = opened.map_err(refused)?.into_inner();
        self.heard = Instant::now();
        self.exchange(stream, outgoing, observer).await
    }

    async fn hello(&mut self) -> Result<HelloResponse, Stop> {
        let message = HelloRequest {
            adapter_id: self.options.adapter_id.clone(),
            adapter_version: env!("CARGO_PKG_VERSION").to_owned(),
            revision_min: REVISION,
            revision_max: REVISION,
            scheduler: self.options.scheduler.clone(),
            scheduler_version: self.options.scheduler_version.clone(),
            clusters: self.outbox.spool().clusters(),
            epoch: self.epoch,
            want_lease: false,
            features: Vec::new(),
        };
        let request = self.authorized(message)?;
        let answer = timeout(self.options.answer_within, self.client.hello(request)).await;
        let answer = answer.map_err(|_elapsed| broken("no answer to Hello"))?.map_err(refused)?.into_inner();
        if answer.revision != REVISION {
            return Err(Error::Revision { found: answer.revision }.into());
        }
        if !answer.unknown_clusters.is_empty() {
            tracing::warn!("the server does not know the clusters {:?}", answer.unknown_clusters);
        }
        Ok(answer)
    }

    /// Drops what the server has and notes where to go on.
    fn take_up(&mut self, hello: &HelloResponse, observer: &mut dyn Observer) -> Result<(), Stop> {
        if let Some(limits) = &hello.limits {
            self.limits = *limits;
        }
        let clusters = self.outbox.spool().clusters();
        for cluster in &clusters {
            let durable = hello.durable_seq.get(cluster).copied().unwrap_or(0);
            if self.outbox.spool().resume(cluster, durable) == Resume::Misfit {
                tracing::warn!(
                    "the server has events of cluster {cluster} up to {durable}, the spool does not continue there: \
                     new epoch"
                );
                self.outbox.spool().renew()?;
                return Err(Stop::Ended(Ended::Renewed));
            }
        }
        for cluster in clusters {
            let durable = hello.durable_seq.get(&cluster).copied().unwrap_or(0);
            self.forget(&cluster, durable, observer)?;
            self.sent.insert(cluster, durable);
        }
        Ok(())
    }

    async fn exchange(
        &mut self,
        mut incoming: Streaming<PublishResponse>,
        outgoing: mpsc::Sender<PublishRequest>,
        observer: &mut dyn Observer,
    ) -> Result<Ended, Stop> {
        let mut state = self.outbox.watch();
        let mut heartbeat = interval(self.options.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        while !self.outbox.is_done() {
            let now = Instant::now();
            let has_events = self.window.room().is_some() && self.next_cluster().is_some();
            let may_send = !self.queue.is_empty() || (has_events && self.not_before <= now);
            let patience = self.options.patience.map(|patience| self.progress + patience);
            tokio::select! {
                biased;
                message = incoming.message() => {
                    let message = message.map_err(refused)?.ok_or_else(|| broken("the server closed the stream"))?;
                    self.hear(message, observer)?;
                }
                permit = outgoing.reserve(), if may_send => {
                    let permit = permit.map_err(|_closed| broken("the connection is gone"))?;
                    if let Some(message) = self.next_message()? {
                        permit.send(message);
                    }
                }
                _ = heartbeat.tick() => self.beat()?,
                _ = state.changed() => {}
                () = sleep_until(self.not_before), if has_events && self.not_before > now => {}
                () = sleep_until(patience.unwrap_or(now)), if patience.is_some() => {
                    return Err(broken("connected, but nothing is acknowledged"));
                }
            }
        }
        // say goodbye, so that the server sees the end of a stream and not a broken one
        drop(outgoing);
        let goodbye = async { while let Ok(Some(_)) = incoming.message().await {} };
        let _in_time = timeout(GOODBYE_MAX, goodbye).await.is_ok();
        Ok(Ended::Done)
    }

    fn hear(&mut self, message: PublishResponse, observer: &mut dyn Observer) -> Result<(), Stop> {
        self.heard = Instant::now();
        match message.msg {
            Some(publish_response::Msg::Ack(ack)) => self.acknowledged(&ack, observer)?,
            Some(publish_response::Msg::Credit(credit)) => {
                if credit.retry_after_ms > 0 {
                    self.not_before = self.heard + Duration::from_millis(credit.retry_after_ms.into());
                }
                self.window.grant(credit);
            }
            Some(publish_response::Msg::Command(command)) => self.obey(&command, observer),
            // no lease was asked for
            Some(publish_response::Msg::Heartbeat(_) | publish_response::Msg::Lease(_)) | None => {}
        }
        Ok(())
    }

    fn acknowledged(&mut self, ack: &Ack, observer: &mut dyn Observer) -> Result<(), Stop> {
        if ack.epoch != 0 && ack.epoch != self.epoch {
            tracing::warn!("an acknowledgement of another epoch is ignored");
            return Ok(());
        }
        if ack.durable_seq > self.sent.get(&ack.cluster).copied().unwrap_or(0) {
            // believing it would lose what was never sent
            return Err(broken("the server acknowledges events that were not sent"));
        }
        for result in &ack.results {
            let event = self.outbox.spool().report(&ack.cluster, result.seq)?;
            if let Some(event) = event {
                observer.result(&ack.cluster, &event, result);
            }
        }
        self.forget(&ack.cluster, ack.durable_seq, observer)
    }

    /// Drops events up to `durable`; those whose results never came are told as acknowledged.
    fn forget(&mut self, cluster: &str, durable: u64, observer: &mut dyn Observer) -> Result<(), Stop> {
        let mut spool = self.outbox.spool();
        for seq in spool.unreported(cluster, durable) {
            if let Some(event) = spool.report(cluster, seq)? {
                observer.acknowledged(cluster, &event);
            }
        }
        let waiting = spool.waiting();
        spool.acknowledge(cluster, durable)?;
        if spool.waiting() < waiting {
            self.progress = Instant::now();
        }
        self.window.acknowledged(cluster, durable);
        Ok(())
    }

    fn obey(&mut self, command: &Command, observer: &mut dyn Observer) {
        let done = match &command.what {
            Some(command::What::Slow(slow)) => {
                self.interval = Duration::from_millis(slow.min_interval_ms.into());
                CommandDone { id: command.id.clone(), ok: true, detail: String::new() }
            }
            _ => observer.command(command),
        };
        self.put(publish_request::Msg::CommandDone(done));
    }

    fn beat(&mut self) -> Result<(), Stop> {
        if self.heard.elapsed() > self.options.heartbeat * SILENT_BEATS_MAX {
            return Err(broken("the server is silent"));
        }
        let spool = self.outbox.spool();
        let beat = Heartbeat {
            now_ms: self.clock.now().as_millisecond(),
            spool_events: spool.waiting() as u64,
            oldest_unacked_ms: spool.oldest_observed_ms()?.unwrap_or(0),
            scheduler_reachable: true,
            note: String::new(),
        };
        drop(spool);
        self.put(publish_request::Msg::Heartbeat(beat));
        Ok(())
    }

    /// A server that asks without reading the answers does not fill the memory.
    fn put(&mut self, message: publish_request::Msg) {
        if self.queue.len() < QUEUE_MAX {
            self.queue.push_back(PublishRequest { msg: Some(message) });
        }
    }

    fn next_cluster(&self) -> Option<String> {
        let spool = self.outbox.spool();
        spool.clusters().into_iter().find(|cluster| spool.has_after(cluster, self.last_sent(cluster)))
    }

    fn last_sent(&self, cluster: &str) -> u64 {
        self.sent.get(cluster).copied().unwrap_or(0)
    }

    /// The next thing to say; `None` when the window has no room for the next event.
    fn next_message(&mut self) -> Result<Option<PublishRequest>, Stop> {
        if let Some(message) = self.queue.pop_front() {
            return Ok(Some(message));
        }
        let (Some(room), Some(cluster)) = (self.window.room(), self.next_cluster()) else { return Ok(None) };
        let batch_max = or(self.limits.max_batch_events, BATCH_EVENTS_MAX);
        let bytes_max = fit::event_bytes_max(or(self.limits.max_message_bytes, MESSAGE_BYTES_MAX));
        let found = self.outbox.spool().read(
            &cluster,
            self.last_sent(&cluster),
            batch_max.min(room.events),
            bytes_max.min(room.bytes),
        )?;
        let mut events = Vec::with_capacity(found.len());
        for (event, _) in found {
            let event = fit::fit(event, bytes_max);
            let size = prost::Message::encoded_len(&event);
            if size > room.bytes && !room.idle {
                // wait until what is under way has come home
                self.window.fill();
                return Ok(None);
            }
            self.window.sent(&cluster, event.seq, size);
            self.sent.insert(cluster.clone(), event.seq);
            events.push(event);
        }
        self.not_before = self.not_before.max(Instant::now() + self.interval);
        let batch = EventBatch { cluster, epoch: self.epoch, events, fencing_token: 0 };
        Ok(Some(PublishRequest { msg: Some(publish_request::Msg::Batch(batch)) }))
    }

    fn authorized<T>(&self, message: T) -> Result<Request<T>, Stop> {
        let mut request = Request::new(message);
        if let Some(token) = self.token.token().map_err(Error::Token)? {
            let value = format!("Bearer {}", token.trim());
            let value =
                value.parse().map_err(|_| Error::Token("it has characters that no token has".to_owned()))?;
            request.metadata_mut().insert("authorization", value);
        }
        // the process that heard Hello may be another one than the next
        if let Ok(name) = self.options.adapter_id.parse() {
            request.metadata_mut().insert(ADAPTER_ID, name);
        }
        Ok(request)
    }
}

fn or(limit: u32, default: u32) -> usize {
    (if limit == 0 { default } else { limit }) as usize
}

fn broken(why: &str) -> Stop {
    Stop::Ended(Ended::Broken(why.to_owned()))
}

fn refused(status: Status) -> Stop {
    if is_final(&status) {
        return Stop::Failed(Error::Refused(status));
    }
    Stop::Ended(Ended::Broken(format!("{:?}: {}", status.code(), status.message())))
}
