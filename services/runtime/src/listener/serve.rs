//! HTTP on a bound port.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Bound;
use super::stall::Stall;
use crate::tasks::{BoxError, OnError, OnShutdown, Stage, Tasks};

/// Pause after a failed `accept`, e.g. because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Requests at a time on one HTTP/2 connection.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Largest list of headers in bytes, HTTP/2.
const HEADERS_BYTES: u32 = 64 * 1024;
/// Silent HTTP/2 connections are asked for a sign of life.
const PING_PERIOD: Duration = Duration::from_secs(30);

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// Time for the TLS handshake, for the first byte, and for the head of each request.
    pub header: Duration,
    /// Longest standstill while an answer is sent.
    pub write: Duration,
}

impl From<&crate::config::operation::Limits> for Limits {
    fn from(limits: &crate::config::operation::Limits) -> Self {
        Self {
            connections: limits.max_connections,
            header: limits.http_header_timeout,
            write: limits.http_write_timeout,
        }
    }
}

/// Whether a request came over TLS; in the extensions of every request, beside `ConnectInfo<SocketAddr>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secure(pub bool);

/// Serves `router` on the port until the stage [`Stage::Requests`] of the shutdown; then the port is closed and
/// running requests are finished. Answers without end, such as event streams, must watch the token of that stage.
/// Call inside the runtime.
pub fn serve(
    bound: Bound,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: Limits,
    tasks: &Tasks,
) -> io::Result<()> {
    let Bound { name, socket, address } = bound;
    let listener = TcpListener::from_std(socket)?;
    let tasks = tasks.at(Stage::Requests);
    let stop = tasks.token();
    tracing::info!(listener.name = name, "{name} listens on {address}");
    let server = Server { name, router, tls: tls.map(TlsAcceptor::from), limits, stop };
    tasks.spawn(format!("{name} listener"), OnError::StopProcess, OnShutdown::Drain, async move {
        server.run(listener).await;
    });
    Ok(())
}

#[derive(Clone)]
struct Server {
    name: &'static str,
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    stop: CancellationToken,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)));
        // They live and end with this task, which is registered.
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                // The semaphore is never closed.
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((place, listener.accept().await))
            };
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = next => accepted,
                Some(_ended) = connections.join_next() => continue,
            };
            match accepted {
                Some((place, Ok((stream, peer)))) => {
                    let server = self.clone();
                    connections.spawn(async move {
                        let _place = place;
                        server.connection(stream, peer).await;
                    });
                }
                Some((_, Err(error))) => {
                    tracing::warn!(%error, "{} cannot accept a connection: {error}", self.name);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Without it small answers wait for the client's acknowledgement; an error means the client is gone.
        let _no_delay = stream.set_nodelay(true).is_ok();
        let stream = Stall::new(stream, self.limits.header, self.limits.write);
        let outcome = match &self.tls {
            None => self.http(stream, peer).await,
            Some(acceptor) => match tokio::time::timeout(self.limits.header, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.http(stream, peer).await,
                Ok(Err(error)) => Err(error.into()),
                Err(elapsed) => Err(elapsed.into()),
            },
        };
        if let Err(error) = outcome {
            tracing::debug!("connection of {peer} to {} ended: {}", self.name, crate::tasks::chain(&*error));
        }
    }

    async fn http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
    ) -> Result<(), BoxError> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.header);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_header_list_size(HEADERS_BYTES)
            .keep_alive_interval(PING_PERIOD)
            .keep_alive_timeout(self.limits.header);
        let router = self.router.clone();
        let secure = Secure(self.tls.is_some());
        let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(secure);
            let router = router.clone();
            async move {
                Ok::<_, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {}))
            }
        });
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.stop.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }
}
