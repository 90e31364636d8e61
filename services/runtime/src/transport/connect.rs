//! A service in another process: connects on first use, reconnects by itself.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use cc_proto::access::Peer;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};

use crate::tls::Material;
use crate::transport::{
    Address, BoxError, NoAnswer, Transport, WINDOW_CONNECTION_BYTES, WINDOW_STREAM_BYTES, peer,
};

/// A connection that is not there within this time is reported as `Unavailable`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is pinged this often, also while idle, so that a dead peer is found before the next call needs it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A ping without an answer within this time ends the connection and its calls with `Unavailable`.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there can be no transport to an address. A peer that does not listen yet is no error here: calls get
/// `Unavailable` until it does.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// `in-process` is not elsewhere.
    #[error("{0} runs in this process, there is nothing to connect to")]
    InProcess(&'static str),
    /// TLS needs certificates of our own authority.
    #[error("{service} at {address} needs certificates; `cc-backend -init-tls` makes them")]
    NoCertificates {
        /// The service.
        service: &'static str,
        /// Its address.
        address: Address,
    },
    /// The host cannot be part of a URI.
    #[error("{address} of {service} cannot be connected to")]
    Endpoint {
        /// The service.
        service: &'static str,
        /// Its address.
        address: Address,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// The service `peer` at `address`. Must be called inside a tokio runtime, which then runs the connection.
///
/// Over TLS the other side must show the certificate of `peer`, whatever its host is called; over a Unix socket it
/// must run as this process's user or as root.
///
/// # Errors
/// When the address cannot be connected to in principle.
pub fn remote(address: &Address, peer: Peer, material: Option<&Material>) -> Result<Transport, ConnectError> {
    let service = peer.name();
    let channel = match address {
        Address::InProcess => return Err(ConnectError::InProcess(service)),
        Address::Unix(path) => {
            let path = path.clone();
            endpoint(service, address, "http")?
                .connect_with_connector_lazy(service_fn(move |_: Uri| connect_unix(path.clone())))
        }
        Address::Https { host, port } => {
            let missing = || ConnectError::NoCertificates { service, address: address.clone() };
            let material = material.ok_or_else(missing)?.clone();
            let (host, port) = (host.clone(), *port);
            endpoint(service, address, "https")?.connect_with_connector_lazy(service_fn(move |_: Uri| {
                connect_tls(host.clone(), port, peer, material.clone())
            }))
        }
    };
    Ok(BoxCloneSyncService::new(channel.map_err(|error| NoAnswer(error.into()))))
}

/// Settings of the connection. The URI is never resolved (our connectors know where to go), it becomes `:scheme`
/// and `:authority` of the requests.
fn endpoint(service: &'static str, address: &Address, scheme: &str) -> Result<Endpoint, ConnectError> {
    let failed = |source: BoxError| ConnectError::Endpoint { service, address: address.clone(), source };
    let origin: Uri = format!("{scheme}://{service}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| failed(error.into()))?;
    // tonic would insist on its own TLS for a target that says https; ours is inside the connector
    let endpoint = Endpoint::from_shared(format!("http://{service}"))
        .map_err(|error| failed(error.into()))?
        .origin(origin);
    let agent = concat!("clustercockpit/", env!("CARGO_PKG_VERSION"));
    Ok(endpoint
        .user_agent(agent)
        .map_err(|error| failed(error.into()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_STREAM_BYTES)
        .initial_connection_window_size(WINDOW_CONNECTION_BYTES))
}

async fn connect_unix(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    let stream = UnixStream::connect(&path).await?;
    let uid = stream.peer_cred()?.uid();
    if !peer::is_own(uid) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is served by user {uid}", path.display()),
        ));
    }
    Ok(TokioIo::new(stream))
}

async fn connect_tls(
    host: String,
    port: u16,
    peer: Peer,
    material: Material,
) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(peer.name()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(material.client()).connect(name, stream).await?;
    Ok(TokioIo::new(stream))
}
