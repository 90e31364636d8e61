//! Who is at the other end of a connection: the address after the proxy rules, and whether the way there is encrypted.
//!
//! Forwarding headers count only when the TCP peer is a trusted proxy (`proxy.trusted-proxies`, default the loopback
//! addresses; auth.md 12.2, deployment.md D-62 to D-64). Of `X-Forwarded-For` the rightmost address counts that is no
//! trusted proxy itself: everything left of it is what a stranger may have written.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State as Extract};
use axum::middleware::Next;
use axum::response::Response;
use cc_runtime::config::operation::Network;
use cc_runtime::listener::Secure;
use http::{Extensions, HeaderMap, HeaderName};

use crate::state::State;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whose forwarding headers are believed.
#[derive(Clone, Debug)]
pub struct Proxies {
    trusted: Vec<Network>,
    header: HeaderName,
}

impl Proxies {
    /// `trusted` empty means the loopback addresses. `header` is the one that the proxies are known to set.
    pub fn new(trusted: Vec<Network>, header: HeaderName) -> Self {
        let loopback = || ["127.0.0.0/8", "::1"].into_iter().filter_map(|text| text.parse().ok()).collect();
        Self { trusted: if trusted.is_empty() { loopback() } else { trusted }, header }
    }

    /// Whether a peer is a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The client behind a connection. `peer` is `None` for a Unix socket, whose other end is trusted: only a local
    /// proxy with the right user reaches it.
    pub fn client(&self, peer: Option<IpAddr>, encrypted: bool, headers: &HeaderMap) -> Client {
        let peer = peer.map(|address| address.to_canonical());
        if !peer.is_none_or(|address| self.trusts(address)) {
            return Client { address: peer, encrypted };
        }
        let encrypted = encrypted || headers.get(FORWARDED_PROTO).is_some_and(|value| value == "https");
        Client { address: self.forwarded(headers).or(peer), encrypted }
    }

    /// The reference looks at `X-Real-Ip` too, so it counts where nobody pinned another header and the usual one is
    /// missing.
    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let found = self.rightmost(headers, &self.header);
        if self.header == FORWARDED_FOR { found.or_else(|| self.rightmost(headers, &REAL_IP)) } else { found }
    }

    /// The rightmost address that is no trusted proxy; the leftmost one when all are. A word that is no address ends
    /// the search: what is left of it cannot be believed.
    fn rightmost(&self, headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
        let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut found = None;
        for word in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = address_of(word.trim()) else { break };
            found = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        found
    }
}

/// `10.0.0.1`, `10.0.0.1:1234`, `::1` or `[::1]:1234`.
fn address_of(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    let address = bare.parse().ok().or_else(|| word.parse().ok().map(|socket: SocketAddr| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The other end of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None` for a Unix socket without forwarding headers.
    pub address: Option<IpAddr>,
    /// The way from the client to the first of our machines is TLS.
    pub encrypted: bool,
}

impl Client {
    /// The client of a request that passed [`identify`].
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// The address as text, `local` for a Unix socket.
    pub fn text(&self) -> String {
        self.address.map_or_else(|| "local".to_owned(), |address| address.to_string())
    }
}

/// Middleware: finds the client and leaves it in the request's extensions.
pub async fn identify(Extract(state): Extract<State>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let encrypted = request.extensions().get::<Secure>().is_some_and(|secure| secure.0);
    let client = state.settings().proxies.client(peer, encrypted, request.headers());
    request.extensions_mut().insert(client);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_cannot_forward() {
        let proxies = Proxies::new(Vec::new(), FORWARDED_FOR);
        let forged = headers(&[
            ("x-forwarded-for", "10.9.9.9"),
            ("x-real-ip", "10.9.9.9"),
            ("x-forwarded-proto", "https"),
        ]);
        let client = proxies.client(Some(ip("192.0.2.7")), false, &forged);
        assert_eq!(client, Client { address: Some(ip("192.0.2.7")), encrypted: false });
    }

    #[test]
    fn loopback_may_forward_unless_proxies_are_named() {
        let forwarded = headers(&[("x-real-ip", "10.1.2.3"), ("x-forwarded-proto", "https")]);
        let client = Proxies::new(Vec::new(), FORWARDED_FOR).client(Some(ip("127.0.0.1")), false, &forwarded);
        assert_eq!(client, Client { address: Some(ip("10.1.2.3")), encrypted: true });
        let named = Proxies::new(vec!["192.0.2.0/24".parse().unwrap()], FORWARDED_FOR);
        assert_eq!(named.client(Some(ip("127.0.0.1")), false, &forwarded).address, Some(ip("127.0.0.1")));
        assert_eq!(named.client(Some(ip("192.0.2.1")), false, &forwarded).address, Some(ip("10.1.2.3")));
    }

    #[test]
    fn the_rightmost_untrusted_hop_counts() {
        let proxies = Proxies::new(vec!["192.0.2.0/24".parse().unwrap()], FORWARDED_FOR);
        let from = |value: &'static str| {
            proxies.client(Some(ip("192.0.2.1")), false, &headers(&[("x-forwarded-for", value)])).address
        };
        assert_eq!(from("10.6.6.6, 203.0.113.5, 192.0.2.9"), Some(ip("203.0.113.5")));
        assert_eq!(from("203.0.113.5:4711"), Some(ip("203.0.113.5")));
        assert_eq!(from("[2001:db8::1]:99"), Some(ip("2001:db8::1")));
        assert_eq!(from("10.6.6.6, nonsense, 192.0.2.9"), Some(ip("192.0.2.9")));
        assert_eq!(from("nonsense"), Some(ip("192.0.2.1")));
        assert_eq!(from(""), Some(ip("192.0.2.1")));
    }

    #[test]
    fn a_pinned_header_is_the_only_one() {
        let proxies = Proxies::new(Vec::new(), REAL_IP);
        let both = headers(&[("x-forwarded-for", "10.6.6.6"), ("x-real-ip", "203.0.113.5")]);
        assert_eq!(proxies.client(None, false, &both).address, Some(ip("203.0.113.5")));
        assert_eq!(proxies.client(None, false, &headers(&[("x-forwarded-for", "10.6.6.6")])).address, None);
    }
}
