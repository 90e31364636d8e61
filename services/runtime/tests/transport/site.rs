//! One service reached over each transport, bare or with all layers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cc_proto::access::Peer;
use cc_proto::metric_store::v1::CheckHealthRequest;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::clock::Clock;
use cc_runtime::rpc::{ClientStack, House, Identity, ServerStack};
use cc_runtime::tls::{Material, init_tls};
use cc_runtime::transport::{Address, Listener, ServeError, Transport, local, remote, serve};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::probe::Probe;

/// How the service is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Local,
    Unix,
    /// TCP with TLS on both sides.
    Tcp,
}

/// A service and the way to it. Ends the server when dropped.
pub(crate) struct Reached {
    pub(crate) transport: Transport,
    /// Where it listens; `in-process` locally.
    pub(crate) address: Address,
    pub(crate) stop: CancellationToken,
    pub(crate) server: Option<JoinHandle<Result<(), ServeError>>>,
    /// Keeps the sockets' directory.
    pub(crate) ground: Option<Ground>,
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Certificates and sockets of one test.
pub(crate) struct Ground {
    pub(crate) directory: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        init_tls(&directory.path().join("tls"), &Peer::ALL, &Clock::system()).unwrap();
        Self { directory }
    }

    pub(crate) fn tls(&self) -> std::path::PathBuf {
        self.directory.path().join("tls")
    }

    pub(crate) fn material(&self, peer: Peer) -> Material {
        Material::load(&self.tls(), peer).unwrap()
    }

    /// Where a new server listens.
    pub(crate) fn listen(&self, via: Via) -> Address {
        match via {
            Via::Local => Address::InProcess,
            Via::Unix => Address::Unix(self.directory.path().join("store.sock")),
            Via::Tcp => Address::Https { host: "127.0.0.1".to_owned(), port: 0 },
        }
    }

    /// Serves `routes` as the metric store and reaches it as the gateway.
    pub(crate) async fn reach(&self, via: Via, routes: Routes, grace: Duration) -> Reached {
        self.reach_at(&self.listen(via), routes, grace).await
    }

    /// Like `reach`, at a known address.
    pub(crate) async fn reach_at(&self, address: &Address, routes: Routes, grace: Duration) -> Reached {
        let stop = CancellationToken::new();
        if *address == Address::InProcess {
            return Reached {
                transport: local(routes),
                address: Address::InProcess,
                stop,
                server: None,
                ground: None,
            };
        }
        let material = self.material(Peer::MetricStore);
        let listener = Listener::bind(address, Some(&material), &[]).await.unwrap();
        let address = listener.address().clone();
        let server = Some(spawn(serve(listener, routes, stop.clone(), grace)));
        let transport = remote(&address, Peer::MetricStore, Some(&self.material(Peer::Gateway))).unwrap();
        Reached { transport, address, stop, server, ground: None }
    }
}

/// A service without any layer of ours.
pub(crate) async fn bare(via: Via, routes: Routes) -> Reached {
    let ground = Ground::new();
    let mut reached = ground.reach(via, routes, LONG).await;
    reached.ground = Some(ground);
    reached
}

/// Longer than any test waits.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// A service with all layers and a client of the gateway.
pub(crate) struct Site {
    pub(crate) ground: Ground,
    pub(crate) probe: Arc<Probe>,
    pub(crate) reached: Reached,
    pub(crate) client: MetricStoreClient<Transport>,
    house: House,
    via: Via,
}

/// The usual layers.
pub(crate) async fn stacked(via: Via) -> Site {
    stacked_with(via, |stack| stack).await
}

/// The layers, adjusted on the answering side.
pub(crate) async fn stacked_with(via: Via, adjust: impl FnOnce(ServerStack) -> ServerStack) -> Site {
    let (ground, probe, house) = (Ground::new(), Probe::new(), House::in_memory());
    let identity = identity(via, &ground, &house, Peer::MetricStore);
    let stack = adjust(ServerStack::new(identity, Clock::system()));
    let reached = ground.reach(via, stack.wrap(probe.routes()), LONG).await;
    let stack = ClientStack::new(self::identity(via, &ground, &house, Peer::Gateway), Clock::system());
    let client = MetricStoreClient::new(stack.wrap(reached.transport.clone()));
    Site { ground, probe, reached, client, house, via }
}

/// Keys in memory within one process, from files between processes.
fn identity(via: Via, ground: &Ground, house: &House, peer: Peer) -> Identity {
    match via {
        Via::Local => house.of(peer),
        Via::Unix | Via::Tcp => ground.material(peer).identity(),
    }
}

impl Site {
    /// The keys of a service.
    pub(crate) fn identity(&self, peer: Peer) -> Identity {
        identity(self.via, &self.ground, &self.house, peer)
    }

    /// A way to the store that starts at another service.
    pub(crate) fn transport_of(&self, peer: Peer) -> Transport {
        match self.via {
            Via::Local => self.reached.transport.clone(),
            Via::Unix | Via::Tcp => {
                remote(&self.reached.address, Peer::MetricStore, Some(&self.ground.material(peer))).unwrap()
            }
        }
    }

    /// A client of another service.
    pub(crate) fn client_of(&self, peer: Peer) -> MetricStoreClient<Transport> {
        let stack = ClientStack::new(self.identity(peer), Clock::system());
        MetricStoreClient::new(stack.wrap(self.transport_of(peer)))
    }

    /// Another client of the gateway.
    pub(crate) fn wrap(&self, transport: Transport) -> Transport {
        ClientStack::new(self.identity(Peer::Gateway), Clock::system()).wrap(transport)
    }
}

/// A unary request with this behaviour.
pub(crate) fn ask(behaviour: &str) -> CheckHealthRequest {
    CheckHealthRequest { cluster: behaviour.to_owned(), hostnames: vec!["n1".to_owned(), "n2".to_owned()] }
}

/// Whether a path exists.
pub(crate) fn there(path: impl AsRef<Path>) -> bool {
    path.as_ref().try_exists().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "tests stand where the composition root would")]
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(future)
}
