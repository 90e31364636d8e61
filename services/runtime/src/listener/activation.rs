//! Sockets that systemd opened for us (`LISTEN_FDS`): no rights needed for ports 80 and 443, and no refused
//! connection during a restart (deployment.md D-26).

use std::fmt;
use std::net::TcpListener;

use listenfd::ListenFd;

use super::{Bound, Error, port_number};
use crate::env::Env;

/// The inherited TCP sockets that nobody took yet.
#[derive(Default)]
pub struct Inherited(Vec<(String, TcpListener)>);

impl fmt::Debug for Inherited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Inherited {
    /// Takes what the environment describes; nothing when it is meant for another process.
    pub fn take(env: &dyn Env) -> Result<Self, Error> {
        let names = env.get("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut fds = ListenFd::from_env();
        let mut found = Vec::new();
        for index in 0..fds.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = fds.take_tcp_listener(index).map_err(|source| Error::Inherited { index, source })?;
            found.extend(socket.map(|socket| (name, socket)));
        }
        Ok(Self(found))
    }

    /// For tests: sockets with their names.
    #[cfg(test)]
    pub(super) fn of(sockets: Vec<(String, TcpListener)>) -> Self {
        Self(sockets)
    }

    /// The socket for a purpose: the one with that name (`FileDescriptorName=`), else the one on the port of
    /// `address`.
    pub fn claim(&mut self, name: &'static str, address: &str) -> Option<Bound> {
        let port = address.rsplit_once(':').and_then(|(_, port)| port_number(port));
        let by_name = self.0.iter().position(|(known, _)| known == name);
        let on_port = |socket: &TcpListener| {
            socket.local_addr().is_ok_and(|local| port == Some(local.port()) && local.port() != 0)
        };
        let index = by_name.or_else(|| self.0.iter().position(|(_, socket)| on_port(socket)))?;
        let (_, socket) = self.0.remove(index);
        Bound::new(name, socket).ok()
    }

    /// Takes the only socket that is left: a socket unit without names and with a port of its own serves the web.
    pub fn claim_only(&mut self, name: &'static str) -> Option<Bound> {
        let (_, socket) = if self.0.len() == 1 { self.0.pop()? } else { return None };
        Bound::new(name, socket).ok()
    }

    /// Names of the sockets nobody wanted.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}
