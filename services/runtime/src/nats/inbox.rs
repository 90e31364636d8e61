//! The messages of one subject.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::durable::{self, Durable};
use super::receipt::{Broker, Receipt, Waiting};
use super::{IN_FLIGHT_BYTES, Link, Purpose, Sparing};
use crate::tasks::{OnError, OnShutdown, chain};

/// Messages of one subject that wait at most.
const MESSAGES_MAX: usize = 1 << 16;
/// What a message costs besides its bytes.
const OVERHEAD_BYTES: usize = 256;
/// Pause before listening is tried anew.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause before a stream is looked for again where there was none, doubled up to the second figure.
const STREAM_PAUSE: Duration = Duration::from_secs(5);
const STREAM_PAUSE_MAX: Duration = Duration::from_mins(1);
/// What the broker has sent already is taken at the end for so long.
const DRAIN: Duration = Duration::from_secs(3);

/// One message.
#[derive(Debug)]
pub struct Message {
    /// What was sent.
    pub payload: Bytes,
    /// To be told when everything that the message says is stored, or refused for good.
    pub receipt: Receipt,
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
    pub(super) purpose: Purpose,
    pub(super) subject: String,
    group: Option<String>,
    outlet: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    /// Of a stream. They wait on when the broker is asked anew.
    waiting: Waiting,
    drops: Sparing,
    stop: CancellationToken,
}

pub(super) fn open(link: &Link, purpose: Purpose, subject: &str, group: Option<String>) -> Inbox {
    let (outlet, inbox) = mpsc::channel(MESSAGES_MAX);
    let listener = Listener {
        link: link.clone(),
        purpose,
        subject: subject.to_owned(),
        group,
        outlet,
        room: Arc::new(Semaphore::new(IN_FLIGHT_BYTES)),
        waiting: Waiting::default(),
        drops: Sparing::default(),
        stop: link.0.tasks.token(),
    };
    let name = format!("nats {} of {subject}", purpose.what());
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
                        self.purpose.what(),
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
        if let Some(durable) = durable::open(self, client).await? {
            return self.take_durable(durable).await;
        }
        if self.link.0.client.durable.is_some() {
            tracing::warn!(
                "NATS: no stream holds {:?}: nats-client.durable does nothing there before there is one, what is sent while nobody listens is lost",
                self.subject
            );
        }
        let asked = match &self.group {
            Some(group) => client.queue_subscribe(self.subject.clone(), group.clone()).await,
            None => client.subscribe(self.subject.clone()).await,
        };
        let mut subscriber = asked.map_err(|error| format!("subscribing failed: {}", chain(&error)))?;
        // Whoever publishes as soon as the log says so is heard.
        client.flush().await.map_err(|error| chain(&error))?;
        tracing::info!("NATS: taking {} from {:?}", self.purpose.what(), self.subject);
        let durable = tokio::select! {
            () = self.take_passing(&mut subscriber) => return Ok(()),
            durable = self.stream_at_last(client) => durable,
        };
        // The consumer is there already: what comes meanwhile comes twice, which changes nothing, and nothing is lost.
        self.drain(&mut subscriber).await;
        self.take_durable(durable).await
    }

    /// A stream that somebody makes later.
    async fn stream_at_last(&self, client: &Client) -> Durable {
        let mut pause = STREAM_PAUSE;
        let mut told = String::new();
        loop {
            if self.link.0.client.durable.is_none() || self.stop.is_cancelled() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(STREAM_PAUSE_MAX);
            match durable::open(self, client).await {
                Ok(Some(durable)) => return durable,
                Ok(None) => {}
                Err(text) if text == told => {}
                Err(text) => {
                    tracing::warn!("NATS: looking for a stream of {:?} failed: {text}", self.subject);
                    told = text;
                }
            }
        }
    }

    /// Core NATS: what finds no room is lost, since the connection cannot be held up without losing it.
    async fn take_passing(&self, subscriber: &mut Subscriber) {
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
        self.drain(subscriber).await;
    }

    /// Takes what the broker has sent already.
    async fn drain(&self, subscriber: &mut Subscriber) {
        let drained = async {
            if subscriber.drain().await.is_ok() {
                while let Some(message) = subscriber.next().await {
                    self.pass_on_or_drop(message);
                }
            }
        };
        // In time or not, it ends now.
        let _in_time = tokio::time::timeout(DRAIN, drained).await.is_ok();
    }

    fn pass_on_or_drop(&self, message: async_nats::Message) {
        let bytes = weight(message.payload.len());
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok();
        let passed = room.is_some_and(|room| {
            let receipt = Receipt::passing(Some(room));
            self.outlet.try_send(Message { payload: message.payload, receipt }).is_ok()
        });
        if passed {
            ::metrics::counter!("nats_messages_total", "what" => self.purpose.what()).increment(1);
            return;
        }
        ::metrics::counter!("nats_messages_dropped_total", "what" => self.purpose.what()).increment(1);
        if let Some(before) = self.drops.turn() {
            tracing::error!(
                "NATS: {} of {:?} DROPPED, too many wait ({before} more before); with a stream and nats-client.durable they would wait in the broker",
                self.purpose.what(),
                self.subject
            );
        }
    }

    /// A stream keeps what finds no room here.
    async fn take_durable(&self, durable: Durable) -> Result<(), String> {
        let Durable { messages, again } = durable;
        tracing::info!("NATS: taking {} from {:?}, durable", self.purpose.what(), self.subject);
        tokio::select! {
            ended = self.pass_on(messages, again) => ended,
            () = self.waiting.keep(again) => Ok(()),
        }
    }

    async fn pass_on(
        &self,
        mut messages: jetstream::consumer::pull::Stream,
        again: Duration,
    ) -> Result<(), String> {
        loop {
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                message = messages.next() => message,
            };
            let Some(message) = message else { return Ok(()) };
            let (message, acker) = message.map_err(|error| chain(&error))?.split();
            let broker: Arc<dyn Broker> = Arc::new(acker);
            self.waiting.add(&broker);
            let bytes = weight(message.payload.len());
            let room = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                room = Arc::clone(&self.room).acquire_many_owned(bytes) => room.ok(),
            };
            ::metrics::counter!("nats_messages_total", "what" => self.purpose.what()).increment(1);
            let receipt = Receipt::durable(broker, again, room);
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
