//! The wires of one process to the services, whichever way each is reached: the only place that knows whether a service
//! is linked in or another process (architecture.md 3, 8 "Split: addresses").
//!
//! A process first adds the services that it runs ([`Wiring::add`]), owners before their callers, and asks for the way
//! from one to another with [`Wiring::to`]. Services that others reach from outside are served by [`Wiring::serve`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cc_proto::access::Peer;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::config::Config;
use crate::health::Readiness;
use crate::rpc::{ClientStack, House, Identity, ServerStack};
use crate::tasks::{OnError, OnShutdown, Stage, Tasks};
use crate::tls::{self, Material};

use crate::transport::{Address, ConnectError, ListenError, Listener, Transport, local, remote, serve};

/// Pause between two looks at the certificates.
const RELOAD_EVERY: Duration = Duration::from_secs(5);
/// How long running calls may take after the end of serving began.
const GRACE: Duration = Duration::from_secs(20);

/// A wire cannot be laid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keys and certificates cannot be used.
    #[error(
        "services.tls-directory: {service}: run cc-backend -init-tls, or copy what it made for this service"
    )]
    Keys {
        /// The service whose keys they are.
        service: &'static str,
        /// What is wrong.
        source: tls::Error,
    },
    /// The address of another service cannot be used.
    #[error("services.{service}.address cannot be used")]
    Connect {
        /// The other service.
        service: &'static str,
        /// Why.
        source: ConnectError,
    },
    /// A service neither runs in this process nor has an address.
    #[error("services.{0}: no address of another process, and it does not run in this one")]
    Nowhere(&'static str),
    /// A service that runs in its own process has no address to listen on.
    #[error(
        "services.{0}.address: \"in-process\" is no address to listen on, use unix:PATH or https://host:port"
    )]
    NoListen(&'static str),
    /// The address is taken, or not permitted.
    #[error("service {service} cannot listen")]
    Bind {
        /// The service.
        service: &'static str,
        /// Why.
        source: ListenError,
    },
}

/// The wires.
pub struct Wiring {
    config: Arc<Config>,
    clock: Clock,
    tasks: Tasks,
    identities: HashMap<Peer, Identity>,
    materials: HashMap<Peer, Material>,
    running: HashMap<Peer, Transport>,
}

impl fmt::Debug for Wiring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Wiring").field("running", &self.running.keys()).finish_non_exhaustive()
    }
}

impl Wiring {
    /// For a process that runs `peers`. Where any service is another process, each of them needs its keys from
    /// `services.tls-directory`; with everything in this process fresh ones are made that never leave its memory.
    ///
    /// # Errors
    /// [`Error::Keys`].
    pub fn new(config: Arc<Config>, clock: Clock, tasks: Tasks, peers: &[Peer]) -> Result<Self, Error> {
        let alone = peers.len() == Peer::ALL.len()
            && peers
                .iter()
                .filter_map(|peer| config.services.get(*peer))
                .all(|entry| entry.address == Address::InProcess && entry.listen().is_none());
        let mut identities = HashMap::new();
        let mut materials = HashMap::new();
        if alone {
            let house = House::in_memory();
            identities.extend(peers.iter().map(|peer| (*peer, house.of(*peer))));
        } else {
            for &peer in peers {
                let material = Material::load(&config.services.tls_directory, peer)
                    .map_err(|source| Error::Keys { service: peer.name(), source })?;
                material.watch(&tasks, RELOAD_EVERY);
                identities.insert(peer, material.identity());
                materials.insert(peer, material);
            }
        }
        Ok(Self { config, clock, tasks, identities, materials, running: HashMap::new() })
    }

    /// Adds a service of this process, with its layers; from now on [`Wiring::to`] leads to it.
    pub fn add(&mut self, peer: Peer, routes: Routes, readiness: &Readiness) -> Routes {
        let Some(identity) = self.identities.get(&peer) else { return routes };
        let mut stack = ServerStack::new(identity.clone(), self.clock.clone())
            .stop_streams(self.tasks.at(Stage::Requests).token());
        // The store takes samples from the first moment and waits by itself for what is still loading.
        if peer != Peer::MetricStore {
            stack = stack.ready_after(readiness.clone(), &[]);
        }
        let routes = stack.wrap(routes);
        self.running.insert(peer, local(routes.clone()));
        routes
    }

    /// The way from a service of this process to another service.
    ///
    /// # Errors
    /// [`Error::Nowhere`], [`Error::Connect`].
    pub fn to(&self, from: Peer, to: Peer) -> Result<Transport, Error> {
        let transport = match self.running.get(&to) {
            Some(transport) => transport.clone(),
            None => self.away(from, to)?,
        };
        let identity = self.identities.get(&from).ok_or(Error::Nowhere(from.name()))?;
        Ok(ClientStack::new(identity.clone(), self.clock.clone()).wrap(transport))
    }

    fn away(&self, from: Peer, to: Peer) -> Result<Transport, Error> {
        let entry = self.config.services.get(to).ok_or(Error::Nowhere(to.name()))?;
        if entry.address == Address::InProcess {
            return Err(Error::Nowhere(to.name()));
        }
        remote(&entry.address, to, self.materials.get(&from))
            .map_err(|source| Error::Connect { service: to.name(), source })
    }

    /// Listens where the configuration says and serves until the shutdown. `routes` are those that [`Wiring::add`]
    /// returned.
    ///
    /// # Errors
    /// [`Error::NoListen`], [`Error::Bind`].
    pub async fn serve(&self, peer: Peer, routes: Routes) -> Result<Address, Error> {
        let service = peer.name();
        let listen = self.config.services.get(peer).and_then(crate::config::services::Entry::listen);
        let address = listen.ok_or(Error::NoListen(service))?;
        let listener = Listener::bind(&address, self.materials.get(&peer), &[])
            .await
            .map_err(|source| Error::Bind { service, source })?;
        let bound = listener.address().clone();
        let tasks = self.tasks.at(Stage::Requests);
        let stop = tasks.token();
        tasks.spawn(format!("serve {service}"), OnError::StopProcess, OnShutdown::Drain, async move {
            serve(listener, routes, stop, GRACE).await
        });
        Ok(bound)
    }
}
