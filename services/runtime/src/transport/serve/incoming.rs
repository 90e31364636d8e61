//! Accepted connections whose other end is known.

use std::future::{Future as _, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::listener::{Listener, Socket, may_connect};
use crate::tls::{self, Material};
use crate::transport::PeerInfo;

/// Connections at a time; services hold one each, so more than a handful is a mistake of somebody.
const CONNECTIONS_MAX: usize = 1024;
/// TLS handshakes at a time; while so many are under way nobody else is accepted.
const HANDSHAKES_MAX: usize = 64;
/// A peer that does not finish its handshake within this time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after a failed accept (out of file descriptors), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

enum Raw {
    Unix(UnixStream),
    Tcp(TcpStream, SocketAddr),
}

/// Connections of processes that may connect. `cut` breaks those that are open.
pub(super) fn connections(
    listener: Listener,
    cut: CancellationToken,
) -> impl Stream<Item = Result<Connection, io::Error>> {
    let (material, uids) = match &listener.socket {
        Socket::Unix { uids, .. } => (None, uids.clone()),
        Socket::Tls { material, .. } => (Some(material.clone()), Vec::new()),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((listener, places), async |(listener, places)| {
        let (raw, place) = accept(&listener, &places).await?;
        Some(((raw, place), (listener, places)))
    })
    .map(move |(raw, place)| {
        let (material, uids, cut) = (material.clone(), uids.clone(), cut.clone());
        async move {
            let met = tokio::time::timeout(HANDSHAKE_TIMEOUT, meet(raw, material.as_ref(), &uids));
            let (stream, peer) = met.await.ok()??;
            Some(Connection {
                stream,
                peer,
                cut: Box::pin(cut.cancelled_owned()),
                is_cut: false,
                _place: place,
            })
        }
    })
    .buffer_unordered(HANDSHAKES_MAX)
    .filter_map(|connection| ready(connection.map(Ok)))
}

/// The next connection, whoever it is; `None` never comes, only `?` wants it.
async fn accept(listener: &Listener, places: &Arc<Semaphore>) -> Option<(Raw, OwnedSemaphorePermit)> {
    // the semaphore is never closed
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        let accepted = match &listener.socket {
            Socket::Unix { listener, .. } => listener.accept().await.map(|(stream, _)| Raw::Unix(stream)),
            Socket::Tls { listener, .. } => {
                listener.accept().await.map(|(stream, address)| Raw::Tcp(stream, address))
            }
        };
        match accepted {
            Ok(raw) => return Some((raw, place)),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on {}", listener.address);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Finds out who it is; `None` for those that may not connect.
async fn meet(raw: Raw, material: Option<&Material>, uids: &[u32]) -> Option<(Io, PeerInfo)> {
    match raw {
        Raw::Unix(stream) => {
            let uid = stream.peer_cred().ok()?.uid();
            if !may_connect(uid, uids) {
                tracing::warn!(uid, "refused a connection of user {uid}");
                return None;
            }
            Some((Io::Unix(stream), PeerInfo::Unix { uid }))
        }
        Raw::Tcp(stream, address) => {
            // a latency of one delayed acknowledgement per call is worse than the odd small packet
            stream.set_nodelay(true).ok()?;
            let acceptor = TlsAcceptor::from(material?.server());
            let stream = match acceptor.accept(stream).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, peer = %address, "refused a TLS connection from {address}");
                    return None;
                }
            };
            let certificates = stream.get_ref().1.peer_certificates()?;
            let Some(peer) = certificates.first().and_then(|certificate| tls::peer_of(certificate)) else {
                tracing::warn!(peer = %address, "refused {address}: its certificate names no service");
                return None;
            };
            Some((Io::Tls(Box::new(stream)), PeerInfo::Tls { peer, address }))
        }
    }
}

enum Io {
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection.
pub(super) struct Connection {
    stream: Io,
    peer: PeerInfo,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    is_cut: bool,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // reading is what a connection always waits for, so this is where it can be broken from outside
        if self.is_cut || self.cut.as_mut().poll(context).is_ready() {
            self.is_cut = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match &mut self.stream {
            Io::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Io::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Io::Unix(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Io::Unix(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Io::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
