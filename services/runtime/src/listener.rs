//! Ports of the web server: bound early, taken over from systemd if it has them, served as HTTP/1.1 and HTTP/2 with
//! or without TLS, ended in order (config-and-cli.md 9, rest-api.md 2.10, 2.11).
//!
//! [`bind`] needs no runtime, so that privileges can be dropped between it and [`serve()`].

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};

mod activation;
mod redirect;
mod serve;
mod stall;
pub mod tls;

pub use activation::Inherited;
pub use redirect::router as redirect_router;
pub use serve::{Limits, Secure, serve};

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host of the address is unknown.
    #[error("{key}: host of {address:?} is not known to this machine; correct {key} in the configuration")]
    Resolve {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody else has the port.
    #[error(
        "{key}: another program listens on {address} already; stop it (`ss -ltnp 'sport = :{port}'` names it) or \
         choose another port for {key} in the configuration"
    )]
    Taken {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// The port.
        port: u16,
    },
    /// Ports below 1024 need rights.
    #[error(
        "{key}: this process may not listen on {address}; start it as root with main.user set, give its unit \
         AmbientCapabilities=CAP_NET_BIND_SERVICE or a socket unit, or choose a port above 1023 for {key}"
    )]
    Forbidden {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
    },
    /// Anything else.
    #[error("{key}: failed to listen on {address}")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A socket from systemd cannot be used.
    #[error("failed to take over socket {index} of the service manager")]
    Inherited {
        /// Its number, from 0.
        index: usize,
        /// The system's reason.
        source: io::Error,
    },
}

/// A bound port that is not served yet. Clients may connect already; they wait.
#[derive(Debug)]
pub struct Bound {
    name: &'static str,
    socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// What it is for, e.g. `http`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens; the port is the real one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn new(name: &'static str, socket: TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { name, socket, address })
    }
}

/// Binds an address in Go's syntax: `host:port`, `:port` for every address of the machine, an empty text for a port
/// of the system's choice on all of them. `name` is what the port is for, `key` the configuration key that errors
/// name.
pub fn bind(name: &'static str, key: &'static str, address: &str) -> Result<Bound, Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => {
            let port = address.rsplit_once(':').map_or(0, |(_, port)| port_number(port).unwrap_or(0));
            Error::Taken { key, address: address.to_owned(), port }
        }
        io::ErrorKind::PermissionDenied => Error::Forbidden { key, address: address.to_owned() },
        _ => Error::Bind { key, address: address.to_owned(), source },
    };
    let candidates =
        resolve(address).map_err(|source| Error::Resolve { key, address: address.to_owned(), source })?;
    let socket = TcpListener::bind(candidates.as_slice()).map_err(failed)?;
    Bound::new(name, socket).map_err(failed)
}

/// The addresses to try, in order. Without a host both families are served by one IPv6 socket where there is IPv6.
fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = address.rsplit_once(':').unwrap_or(("", "0"));
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "no port number");
    let port = if port.is_empty() { 0 } else { port_number(port).ok_or_else(invalid)? };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Ok(vec![
            (std::net::Ipv6Addr::UNSPECIFIED, port).into(),
            (std::net::Ipv4Addr::UNSPECIFIED, port).into(),
        ]);
    }
    let mut found: Vec<_> = (host, port).to_socket_addrs()?.collect();
    // As Go: IPv4 first, so that `localhost` is 127.0.0.1.
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

fn port_number(text: &str) -> Option<u16> {
    match text {
        "http" => Some(80),
        "https" => Some(443),
        _ => text.parse().ok(),
    }
}

/// The address of a listener for operators: without a host it is the loopback address.
pub fn bind_private(name: &'static str, key: &'static str, address: &str) -> Result<Bound, Error> {
    match address.strip_prefix(':') {
        Some(port) => bind(name, key, &format!("127.0.0.1:{port}")),
        None => bind(name, key, address),
    }
}

#[cfg(test)]
mod tests;
