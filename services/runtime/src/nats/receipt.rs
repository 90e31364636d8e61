//! What the broker is told about a message.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::message::Acker;
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::MissedTickBehavior;

/// A message that could not be dealt with comes again after so long: at the end of a process another one takes it soon, and
/// a part that is broken does not make a whirl of one message.
const LOST_AGAIN: Duration = Duration::from_secs(5);

/// What can be said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Everything that it says is stored, or refused for good.
    Done,
    /// Something of it was not: the broker sends it again.
    Lost,
    /// It still waits here: the broker keeps it to us.
    Waiting,
}

/// The way back to the broker.
pub trait Broker: Send + Sync {
    /// Says it. The text of the error is for the log.
    fn tell(&self, word: Word) -> BoxFuture<'_, Result<(), String>>;
}

impl Broker for Acker {
    fn tell(&self, word: Word) -> BoxFuture<'_, Result<(), String>> {
        let kind = match word {
            Word::Done => AckKind::Ack,
            Word::Lost => AckKind::Nak(Some(LOST_AGAIN)),
            Word::Waiting => AckKind::Progress,
        };
        Box::pin(async move { self.ack_with(kind).await.map_err(|error| error.to_string()) })
    }
}

/// The duty to acknowledge a message, in as many [shares](Receipt::share) as there are things to do for it. The message is
/// acknowledged with the last share, if every one of them was [done](Receipt::done). A share that is dropped or
/// [given up](Receipt::give_up) leaves the message to the broker's stream, which sends it again.
pub struct Receipt {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    broker: Option<Arc<dyn Broker>>,
    again: Duration,
    lost: AtomicBool,
    /// Room for other messages, given back with the last share.
    _room: Option<OwnedSemaphorePermit>,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Receipt").field("again", &self.comes_again_after()).finish_non_exhaustive()
    }
}

impl Receipt {
    /// Nobody waits for this one: of a message that did not come from a broker.
    pub fn none() -> Self {
        Self { shared: None }
    }

    /// Of a message that nobody sends again.
    pub(super) fn passing(room: Option<OwnedSemaphorePermit>) -> Self {
        Self::new(None, Duration::ZERO, room)
    }

    /// Of a message that `broker` sends again `again` after it was last heard of.
    pub fn durable(broker: Arc<dyn Broker>, again: Duration, room: Option<OwnedSemaphorePermit>) -> Self {
        Self::new(Some(broker), again, room)
    }

    fn new(broker: Option<Arc<dyn Broker>>, again: Duration, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { shared: Some(Arc::new(Shared { broker, again, lost: AtomicBool::new(false), _room: room })) }
    }

    /// Another share of the duty.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { shared: self.shared.clone() }
    }

    /// When the broker sends a message again that somebody took and did not acknowledge; `None` when it does not.
    pub fn comes_again_after(&self) -> Option<Duration> {
        self.shared.as_ref().filter(|shared| shared.broker.is_some()).map(|shared| shared.again)
    }

    /// This share is dealt with.
    pub async fn done(mut self) {
        if let Some(shared) = self.shared.take() {
            settle(shared).await;
        }
    }

    /// This share will not be dealt with here.
    pub async fn give_up(mut self) {
        if let Some(shared) = self.shared.take() {
            shared.lost.store(true, Ordering::Release);
            settle(shared).await;
        }
    }
}

/// Tells the broker, with the last share.
async fn settle(shared: Arc<Shared>) {
    let Some(Shared { broker: Some(broker), lost, .. }) = Arc::into_inner(shared) else { return };
    let word = if lost.into_inner() { Word::Lost } else { Word::Done };
    if let Err(error) = broker.tell(word).await {
        // It comes again; doing it twice changes nothing.
        tracing::warn!("NATS: a message was not acknowledged: {error}");
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.lost.store(true, Ordering::Release);
        }
    }
}

/// The messages of a consumer that wait here.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<Weak<dyn Broker>>>);

impl Waiting {
    /// Until the last strong reference is gone.
    pub(super) fn add(&self, broker: &Arc<dyn Broker>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(broker));
    }

    /// Tells the broker for ever that they are not lost, often enough for one that sends them again after `again`.
    pub(super) async fn keep(&self, again: Duration) {
        let every = (again / 3).max(Duration::from_millis(100));
        let mut turns = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            let all: Vec<Arc<dyn Broker>> = {
                let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.retain(|one| one.strong_count() > 0);
                waiting.iter().filter_map(Weak::upgrade).collect()
            };
            for broker in all {
                if let Err(error) = broker.tell(Word::Waiting).await {
                    tracing::debug!("NATS: the broker was not told that a message waits: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Word>>);

    impl Broker for Heard {
        fn tell(&self, word: Word) -> BoxFuture<'_, Result<(), String>> {
            self.0.lock().unwrap().push(word);
            futures::future::ready(Ok(())).boxed()
        }
    }

    impl Heard {
        fn all(&self) -> Vec<Word> {
            self.0.lock().unwrap().clone()
        }
    }

    fn receipt() -> (Arc<Heard>, Receipt) {
        let heard = Arc::new(Heard::default());
        (Arc::clone(&heard), Receipt::durable(heard, Duration::from_secs(30), None))
    }

    #[tokio::test]
    async fn a_message_is_acknowledged_with_its_last_event() {
        let (heard, first) = receipt();
        let (second, third) = (first.share(), first.share());
        second.done().await;
        first.done().await;
        assert_eq!(heard.all(), []);
        third.done().await;
        assert_eq!(heard.all(), [Word::Done]);
    }

    #[tokio::test]
    async fn one_event_that_was_not_applied_keeps_the_message_in_the_stream() {
        let (heard, first) = receipt();
        let second = first.share();
        second.give_up().await;
        assert_eq!(heard.all(), []);
        first.done().await;
        assert_eq!(heard.all(), [Word::Lost]);
        // a task that was ended with the event in its hands
        let (heard, first) = receipt();
        drop(first.share());
        first.done().await;
        assert_eq!(heard.all(), [Word::Lost]);
        let (heard, first) = receipt();
        drop(first);
        assert_eq!(heard.all(), [], "nobody is left to say it: the stream finds out by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn the_broker_hears_of_what_waits_until_it_is_done() {
        let (heard, receipt) = receipt();
        let waiting = Waiting::default();
        let broker: Arc<dyn Broker> = Arc::<Heard>::clone(&heard);
        waiting.add(&broker);
        drop(broker);
        let again = receipt.comes_again_after().unwrap();
        let work = async {
            tokio::time::sleep(again * 2).await;
            receipt.done().await;
        };
        tokio::select! {
            () = waiting.keep(again) => {}
            () = work => {}
        }
        let said = heard.all();
        assert_eq!(said.last(), Some(&Word::Done));
        assert!((5..=6).contains(&(said.len() - 1)), "{said:?}");
        drop(heard);
        let more = tokio::time::timeout(again, waiting.keep(again)).await;
        assert!(more.is_err() && waiting.0.lock().unwrap().is_empty());
    }
}
