//! Sends the spool's events over the public gRPC stream (spec integrations.md 9.8) until each is acknowledged: any number of
//! connections, each with `Hello`, the server's resume position, credits, heartbeats.

use std::time::Duration;

use cc_proto::scheduler::v1::{Command, CommandDone, Event, EventResult};
use cc_runtime::clock::Clock;
use tokio::time::Instant;
use tonic::{Code, Status};

pub use self::backoff::Backoff;
pub use self::channel::{ChannelError, NoAnswer, Server, Transport, channel};
pub use self::outbox::Outbox;
use self::session::Session;
use crate::spool;

mod backoff;
mod channel;
mod fit;
mod outbox;
mod session;
mod window;

/// The behaviour of the protocol that is spoken here.
pub const REVISION: u32 = 1;

/// How an adapter introduces itself, and how patient it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Stable name of the adapter.
    pub adapter_id: String,
    /// What feeds it: `slurm`, `replay`.
    pub scheduler: String,
    /// Version of that, as text; may be empty.
    pub scheduler_version: String,
    /// Time between heartbeats; three missed ones of the server end the connection.
    pub heartbeat: Duration,
    /// Longest wait for an answer to `Hello` and to the opening of the stream.
    pub answer_within: Duration,
    /// Waits between connections.
    pub backoff: Backoff,
    /// Give up after this long without any acknowledgement; `None`: never.
    pub patience: Option<Duration>,
}

impl Options {
    /// The values of the specification, never giving up.
    pub fn new(adapter_id: impl Into<String>) -> Self {
        Self {
            adapter_id: adapter_id.into(),
            scheduler: String::new(),
            scheduler_version: String::new(),
            heartbeat: Duration::from_secs(15),
            answer_within: Duration::from_secs(30),
            backoff: Backoff::default(),
            patience: None,
        }
    }
}

/// Gives the bearer token of each new connection, so that a renewed token is taken up.
pub trait Token: Send + Sync {
    /// The token; `None`: connect without one.
    ///
    /// # Errors
    /// Text for people, e.g. that the file cannot be read.
    fn token(&self) -> Result<Option<String>, String>;
}

/// Hears what becomes of events.
pub trait Observer: Send {
    /// The server's result of an event; once per event.
    fn result(&mut self, cluster: &str, event: &Event, result: &EventResult);
    /// An event was acknowledged over a connection that broke before its result came.
    fn acknowledged(&mut self, cluster: &str, event: &Event);
    /// The server asks for something.
    fn command(&mut self, command: &Command) -> CommandDone;
}

/// Why sending ended before everything was acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refuses this adapter for a reason that trying again does not change.
    #[error("the server refuses: {} ({:?})", .0.message(), .0.code())]
    Refused(Status),
    /// The server speaks another revision of the protocol.
    #[error("the server speaks revision {found} of the protocol, this adapter {REVISION}")]
    Revision {
        /// What it speaks.
        found: u32,
    },
    /// No token to show.
    #[error("no usable token: {0}")]
    Token(String),
    /// The spool does not work.
    #[error("the spool does not work")]
    Spool(#[from] spool::Error),
    /// Nothing was acknowledged for too long.
    #[error("nothing was acknowledged for {} s, {waiting} events wait; the last failure: {last}", patience.as_secs())]
    OutOfPatience {
        /// How long.
        patience: Duration,
        /// Events that wait.
        waiting: usize,
        /// What happened last.
        last: String,
    },
}

/// Why a connection ended.
#[derive(Debug)]
enum Ended {
    /// Everything is acknowledged and no more will come.
    Done,
    /// Try again after a wait.
    Broken(String),
    /// Try again at once: the spool has a new epoch.
    Renewed,
}

/// Sends until everything is acknowledged and the outbox is closed.
///
/// # Errors
/// [`Error`]; what waits stays in the spool.
pub async fn run(
    outbox: &Outbox,
    transport: Transport,
    token: &dyn Token,
    options: &Options,
    clock: &Clock,
    observer: &mut dyn Observer,
) -> Result<(), Error> {
    let mut backoff = options.backoff.clone();
    let mut progress = Instant::now();
    while !outbox.is_done() {
        let session = Session::new(outbox, transport.clone(), token, options, clock, progress);
        let (ended, latest) = session.run(observer).await;
        if latest > progress {
            progress = latest;
            backoff.reset();
        }
        match ended? {
            Ended::Done => break,
            Ended::Renewed => {}
            Ended::Broken(why) => {
                let wait = backoff.wait();
                if let Some(patience) = options.patience
                    && progress.elapsed() + wait >= patience
                {
                    return Err(Error::OutOfPatience { patience, waiting: outbox.waiting(), last: why });
                }
                tracing::warn!(wait_ms = wait.as_millis(), "connection lost, trying again: {why}");
                tokio::time::sleep(wait).await;
            }
        }
    }
    Ok(())
}

/// Reasons of `FAILED_PRECONDITION` that the next `Hello` removes: the process that had heard it is gone.
const HELLO_HELPS: [&str; 2] = ["HELLO_REQUIRED", "EPOCH_UNKNOWN"];

/// Whether trying again is of no use. A token may be renewed and a server configured meanwhile, but nobody waits for that in
/// front of a command.
fn is_final(status: &Status) -> bool {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument | Code::Unimplemented => true,
        Code::FailedPrecondition => {
            !cc_runtime::error::reason(status).is_some_and(|reason| HELLO_HELPS.contains(&reason.as_str()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
