//! Changes in commit order, for open pages and for the background work of this service.

use std::sync::Arc;

use futures::Stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::error::Error;
use crate::store::Store;
use crate::store::change::Change;
use crate::store::visible::Visible;

/// Groups of changes that a slow watcher may be behind before it reads the log again.
const GROUPS_BEHIND_MAX: usize = 1_024;
/// Changes read from the log at a time.
const READ_AT_ONCE: u32 = 1_000;
/// A watcher that sees none of so many changes is told the position all the same, so that it can resume there.
const SILENT_MAX: u64 = 1_000;

/// Spreads committed changes.
#[derive(Debug, Clone)]
pub(crate) struct Hub(broadcast::Sender<Arc<[Change]>>);

impl Default for Hub {
    fn default() -> Self {
        Self(broadcast::Sender::new(GROUPS_BEHIND_MAX))
    }
}

impl Hub {
    /// Publishes what one transaction changed. Called after its commit, in commit order.
    pub(crate) fn publish(&self, changes: Vec<Change>) {
        if !changes.is_empty() {
            // nobody listening is no failure
            let _ = self.0.send(changes.into());
        }
    }

    /// Changes from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<[Change]>> {
        self.0.subscribe()
    }
}

/// What a watcher gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Continue from here.
    Position(u64),
    Change(Change),
}

/// The changes after `after` (default: from now on) of jobs that may be seen; first the position itself.
///
/// # Errors
/// [`Error::Horizon`] when `after` is older than the log or newer than the database (it was restored); database errors.
pub(crate) async fn watch<S: Store>(
    store: S,
    hub: &Hub,
    visible: Visible,
    after: Option<u64>,
) -> Result<impl Stream<Item = Result<Seen, Error>> + Send + 'static + use<S>, Error> {
    // subscribed before the log is read: nothing can fall between
    let live = hub.subscribe();
    let (first, last) = store.change_span().await?;
    let start = after.unwrap_or(last);
    if start > last || start + 1 < first {
        return Err(Error::Horizon { after: start });
    }
    let watcher =
        Watcher { store, visible, live, sent: start, told: start, pending: vec![Seen::Position(start)] };
    Ok(futures::stream::unfold(Some(watcher), Watcher::step))
}

struct Watcher<S> {
    store: S,
    visible: Visible,
    live: broadcast::Receiver<Arc<[Change]>>,
    /// Last position looked at.
    sent: u64,
    /// Last position the watcher knows of.
    told: u64,
    /// To be delivered, last one first.
    pending: Vec<Seen>,
}

impl<S: Store> Watcher<S> {
    async fn step(this: Option<Self>) -> Option<(Result<Seen, Error>, Option<Self>)> {
        let mut this = this?;
        loop {
            if let Some(seen) = this.pending.pop() {
                return Some((Ok(seen), Some(this)));
            }
            match this.more().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some((Err(error), None)),
            }
        }
    }

    /// Waits for changes; false when there will be no more.
    async fn more(&mut self) -> Result<bool, Error> {
        // the log first: right after the start, and when this watcher was too slow
        let logged = self.store.changes(self.sent, READ_AT_ONCE).await?;
        if !logged.is_empty() {
            let gap = logged.first().is_some_and(|change| change.position != self.sent + 1);
            if gap {
                return Err(Error::Horizon { after: self.sent });
            }
            self.take(&logged);
            return Ok(true);
        }
        loop {
            match self.live.recv().await {
                Ok(group) => {
                    let next =
                        group.iter().map(|change| change.position).find(|position| *position > self.sent);
                    match next {
                        None => {} // read from the log before
                        Some(next) if next == self.sent + 1 => {
                            self.take(&group);
                            if !self.pending.is_empty() {
                                return Ok(true);
                            }
                        }
                        Some(_) => return Ok(true),
                    }
                }
                Err(RecvError::Lagged(_)) => return Ok(true),
                Err(RecvError::Closed) => return Ok(false),
            }
        }
    }

    fn take(&mut self, changes: &[Change]) {
        let mut seen = Vec::new();
        for change in changes {
            if change.position <= self.sent {
                continue;
            }
            self.sent = change.position;
            if self.visible.allows_change(change) {
                self.told = change.position;
                seen.push(Seen::Change(change.clone()));
            }
        }
        if self.sent - self.told >= SILENT_MAX {
            self.told = self.sent;
            seen.push(Seen::Position(self.sent));
        }
        seen.reverse();
        self.pending = seen;
    }
}

/// Wakes a background task when a change of some kind was committed; also when it missed some.
pub(crate) fn wake_on(
    hub: &Hub,
    wanted: fn(&Change) -> bool,
) -> (mpsc::Receiver<()>, impl Future<Output = ()> + Send + 'static) {
    let mut live = hub.subscribe();
    let (sender, receiver) = mpsc::channel(1);
    let task = async move {
        loop {
            let relevant = match live.recv().await {
                Ok(group) => group.iter().any(wanted),
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            };
            // a full channel means that a wake-up is pending already
            if relevant && matches!(sender.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {
                return;
            }
        }
    };
    (receiver, task)
}
