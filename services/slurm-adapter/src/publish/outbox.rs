//! The spool, shared between who finds events and who sends them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cc_proto::scheduler::v1::Event;
use tokio::sync::watch;

use crate::spool::{Error, Spool};

/// A spool with a bell. Clones share both.
#[derive(Debug, Clone)]
pub struct Outbox {
    spool: Arc<Mutex<Spool>>,
    state: Arc<watch::Sender<State>>,
}

/// Changes whenever there is something to do for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    appended: u64,
    /// No more events will come: when all are acknowledged the sender is done.
    pub(super) closed: bool,
}

impl Outbox {
    /// An open outbox over that spool.
    pub fn new(spool: Spool) -> Self {
        let state = watch::Sender::new(State { appended: 0, closed: false });
        Self { spool: Arc::new(Mutex::new(spool)), state: Arc::new(state) }
    }

    /// Puts events of clusters into the spool and wakes the sender. They are durable when this returns.
    ///
    /// # Errors
    /// [`Error`]; then none of them is in it.
    pub fn append(&self, events: Vec<(String, Event)>) -> Result<(), Error> {
        let count = events.len() as u64;
        self.spool().append(events)?;
        self.state.send_modify(|state| state.appended = state.appended.wrapping_add(count));
        Ok(())
    }

    /// Says that no more events will come.
    pub fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }

    /// Events that wait for their acknowledgement.
    pub fn waiting(&self) -> usize {
        self.spool().waiting()
    }

    /// Rewrites the spool without what is acknowledged.
    ///
    /// # Errors
    /// [`Error`].
    pub fn compact(&self) -> Result<(), Error> {
        self.spool().compact()
    }

    pub(super) fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn is_done(&self) -> bool {
        self.state.borrow().closed && self.waiting() == 0
    }
}
