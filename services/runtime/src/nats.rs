//! Messages of a NATS broker: a connection that comes back by itself, and inboxes whose messages are taken one after the
//! other and acknowledged when they are done (config-and-cli.md 3.3, integrations.md 3 and 4.3).
//!
//! The program that listens never ends or waits because of the broker: while there is no connection that is told in the log,
//! on `/readyz` and by a gauge, and tried again for ever. Of what arrives at most [`IN_FLIGHT_BYTES`] per subject wait here.
//! More is left in the broker where a stream keeps it (`nats-client.durable`); core NATS keeps nothing, so there it is
//! dropped, counted and told.

mod connect;
mod durable;
mod inbox;
mod purpose;
mod receipt;
mod sparing;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

pub use self::inbox::{Inbox, Message};
pub use self::purpose::Purpose;
pub use self::receipt::{Broker, Receipt, Word};
pub use self::sparing::Sparing;

use crate::config::Config;
use crate::config::nats::{Nats, NatsClient};
use crate::health::{Health, Readiness};
use crate::tasks::{OnError, OnShutdown, Tasks};

/// Bytes of messages of one subject that wait here at most, as in the reference's client.
pub const IN_FLIGHT_BYTES: usize = 64 << 20;

/// The connection of one part of a process. Clones share it.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    /// What the broker lists the connection as.
    name: String,
    section: Nats,
    client: NatsClient,
    readiness: Readiness,
    tasks: Tasks,
    connected: watch::Sender<Option<async_nats::Client>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { name, section, .. } = &*self.0;
        formatter.debug_struct("Link").field("name", name).field("section", section).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects in the background, for the part `part` of the process, which gets a line `<part>-nats` on `/readyz`.
    /// `None` when the configuration names no broker.
    pub fn open(config: &Config, part: &str, health: &Health, tasks: &Tasks) -> Option<Self> {
        let section = config.nats.clone().filter(|nats| !nats.address.is_empty())?;
        describe();
        let readiness = health.part(&format!("{part}-nats"));
        readiness.ready_without("not connected yet");
        let link = Self(Arc::new(Inner {
            name: format!("cc-backend {part}"),
            section,
            client: config.nats_client.clone(),
            readiness,
            tasks: tasks.clone(),
            connected: watch::Sender::new(None),
        }));
        tasks.spawn("nats connection", OnError::Log, OnShutdown::Abort, connect::keep(link.clone()));
        Some(link)
    }

    /// Listens to a subject, which may have wildcards. Everybody who listens for the same purpose in one `group` shares the
    /// messages; listeners for different purposes get all of them, whatever their subjects are.
    pub fn listen(&self, purpose: Purpose, subject: &str, group: Option<&str>) -> Inbox {
        // A broker knows a group by its name alone, also across subjects that overlap.
        let group = group.filter(|group| !group.is_empty()).map(|group| purpose.named(group));
        inbox::open(self, purpose, subject, group)
    }

    /// The connection, as soon as there is one.
    async fn client(&self) -> async_nats::Client {
        let mut connected = self.0.connected.subscribe();
        loop {
            if let Some(client) = connected.borrow_and_update().clone() {
                return client;
            }
            // The sender lives in `self`: this cannot fail.
            let _closed = connected.changed().await.is_err();
        }
    }
}

fn describe() {
    ::metrics::describe_gauge!("nats_connected", "1 while there is a connection to the broker, by part.");
    ::metrics::describe_counter!("nats_messages_total", "Messages taken from the broker, by what they are.");
    ::metrics::describe_counter!(
        "nats_messages_dropped_total",
        "Messages of core NATS that were dropped because too many waited, by what they are."
    );
}
