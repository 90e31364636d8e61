//! What is known about the process at the other end before anything it says is read.

use std::net::SocketAddr;

use cc_proto::access::Peer;

/// The other end of a connection, set by the transport into the extensions of each request.
///
/// A request without one did not come through a transport of ours and is refused by the server layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerInfo {
    /// A call inside this process; the token names the calling service.
    InProcess,
    /// A Unix socket whose other end runs as an allowed user.
    Unix {
        /// User id of the other process, from the kernel.
        uid: u32,
    },
    /// TLS with a certificate of our own authority.
    Tls {
        /// The service named by the certificate.
        peer: Peer,
        /// Where it connects from.
        address: SocketAddr,
    },
}

/// Whether a process of that user is one of ours without further configuration: the same user, or root.
pub(crate) fn is_own(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}
