//! The messages of one subject.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{IN_FLIGHT_BYTES, Link, Sparing, durable};
use crate::tasks::{OnError, OnShutdown, chain};

/// Messages of one subject that wait at most.
const MESSAGES_MAX: usize = 1 << 16;
/// What a message costs besides its bytes.
const OVERHEAD_BYTES: usize = 256;
/// Pause before listening is tried anew.
const PAUSE: Duration = Duration::from_secs(1);
/// What the broker has sent already is taken at the end of the process for so long.
const DRAIN: Duration = Duration::from_secs(3);

/// One message.
#[derive(Debug)]
pub struct Message {
    /// What was sent.
    pub payload: Bytes,
    /// To be told when everything that the message says is stored, or refused for good.
    pub receipt: Receipt,
}

/// The duty to acknowledge a message. Dropped instead of [`Receipt::done`], a stream sends it again later.
pub struct Receipt {
    acker: Option<jetstream::message::Acker>,
    /// Room for other messages, given back with the receipt.
    _room: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Receipt").field("durable", &self.acker.is_some()).finish_non_exhaustive()
    }
}

impl Receipt {
    /// Nobody waits for this one: of a message that did not come from a broker.
    pub fn none() -> Self {
        Self { acker: None, _room: None }
    }

    /// The message is dealt with.
    pub async fn done(self) {
        if let Some(acker) = self.acker
            && let Err(error) = acker.ack().await
        {
            // It comes again; doing it twice changes nothing.
            tracing::warn!("NATS: a message was not acknowledged: {error}");
        }
    }
}

/// The messages of a subject, in the order in which they arrived.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Message>);

impl Inbox {
    /// The next message; `None` when the process ends and all that had arrived was given out.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.recv().await
    }

    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }
}

/// The other end of an [`Inbox`].
pub(super) struct Listener {
    pub(super) link: Link,
    what: &'static str,
    pub(super) subject: String,
    group: Option<String>,
    outlet: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    drops: Sparing,
    stop: CancellationToken,
}

pub(super) fn open(link: &Link, what: &'static str, subject: &str, group: Option<&str>) -> Inbox {
    let (outlet, inbox) = mpsc::channel(MESSAGES_MAX);
    let listener = Listener {
        link: link.clone(),
        what,
        subject: subject.to_owned(),
        group: group.map(str::to_owned),
        outlet,
        room: Arc::new(Semaphore::new(IN_FLIGHT_BYTES)),
        drops: Sparing::default(),
        stop: link.0.tasks.token(),
    };
    let name = format!("nats {what} of {subject}");
    link.0.tasks.spawn(name, OnError::Log, OnShutdown::Drain, listener.run());
    Inbox(inbox)
}

impl Listener {
    async fn run(self) {
        let mut told = String::new();
        while !self.stop.is_cancelled() {
            let client = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                client = self.link.client() => client,
            };
            if let Err(text) = self.listen(&client).await {
                if told != text {
                    tracing::error!(
                        "NATS: {} of {:?} cannot be taken: {text}; trying again",
                        self.what,
                        self.subject
                    );
                }
                told = text;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn listen(&self, client: &Client) -> Result<(), String> {
        if let Some(prefix) = &self.link.0.client.durable
            && let Some(messages) = durable::messages(self, client, prefix).await?
        {
            tracing::info!("NATS: taking {} from {:?}, durable", self.what, self.subject);
            return self.take_durable(messages).await;
        }
        let asked = match &self.group {
            Some(group) => client.queue_subscribe(self.subject.clone(), group.clone()).await,
            None => client.subscribe(self.subject.clone()).await,
        };
        let subscriber = asked.map_err(|error| format!("subscribing failed: {}", chain(&error)))?;
        // Whoever publishes as soon as the log says so is heard.
        client.flush().await.map_err(|error| chain(&error))?;
        tracing::info!("NATS: taking {} from {:?}", self.what, self.subject);
        self.take_passing(subscriber).await;
        Ok(())
    }

    /// Core NATS: what finds no room is lost, since the connection cannot be held up without losing it.
    async fn take_passing(&self, mut subscriber: Subscriber) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                message = subscriber.next() => match message {
                    Some(message) => self.pass_on_or_drop(message),
                    None => return,
                },
            }
        }
        let drained = async {
            if subscriber.drain().await.is_ok() {
                while let Some(message) = subscriber.next().await {
                    self.pass_on_or_drop(message);
                }
            }
        };
        // In time or not, the process ends now.
        let _in_time = tokio::time::timeout(DRAIN, drained).await.is_ok();
    }

    fn pass_on_or_drop(&self, message: async_nats::Message) {
        let bytes = weight(message.payload.len());
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok();
        let passed = room.is_some_and(|room| {
            let receipt = Receipt { acker: None, _room: Some(room) };
            self.outlet.try_send(Message { payload: message.payload, receipt }).is_ok()
        });
        if passed {
            ::metrics::counter!("nats_messages_total", "what" => self.what).increment(1);
            return;
        }
        ::metrics::counter!("nats_messages_dropped_total", "what" => self.what).increment(1);
        if let Some(before) = self.drops.turn() {
            tracing::error!(
                "NATS: {} of {:?} DROPPED, too many wait ({before} more before); with a stream and nats-client.durable they would wait in the broker",
                self.what,
                self.subject
            );
        }
    }

    /// A stream keeps what finds no room here.
    async fn take_durable(&self, mut messages: jetstream::consumer::pull::Stream) -> Result<(), String> {
        loop {
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                message = messages.next() => message,
            };
            let Some(message) = message else { return Ok(()) };
            let (message, acker) = message.map_err(|error| chain(&error))?.split();
            let bytes = weight(message.payload.len());
            let room = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                room = Arc::clone(&self.room).acquire_many_owned(bytes) => room.ok(),
            };
            ::metrics::counter!("nats_messages_total", "what" => self.what).increment(1);
            let receipt = Receipt { acker: Some(acker), _room: room };
            if self.outlet.send(Message { payload: message.payload, receipt }).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// A single message may be as large as everything together.
fn weight(bytes: usize) -> u32 {
    u32::try_from((bytes + OVERHEAD_BYTES).min(IN_FLIGHT_BYTES)).unwrap_or(u32::MAX)
}
