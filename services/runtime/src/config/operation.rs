//! Our sections `proxy`, `limits` and `compat`.

use std::net::IpAddr;
use std::time::Duration;

/// Section `proxy`: whom to believe about the address of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `trusted-proxies`: networks whose headers are believed. Default none.
    pub trusted_proxies: Vec<Network>,
    /// `client-ip-header`. Default `X-Forwarded-For`.
    pub client_ip_header: String,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { trusted_proxies: Vec::new(), client_ip_header: "X-Forwarded-For".to_owned() }
    }
}

impl Proxy {
    /// Whether the peer may speak for others.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer))
    }
}

/// An IP network such as `10.0.0.0/8`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no IP address or network such as 10.0.0.0/8")]
pub struct NoNetwork(pub String);

impl std::str::FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let bad = || NoNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| bad())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(bad()) } else { Ok(Self { address, bits }) }
    }
}

impl Network {
    /// Whether the address is in the network. An IPv4 address inside IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |own: u128, other: u128, width: u32| {
            let shift = width.saturating_sub(u32::from(self.bits));
            own.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

/// Section `limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max-body-mb`: largest body of `/api/write`. Default 64.
    pub max_body_mb: u32,
    /// `max-connections`: open connections per listener; more wait in the kernel's queue. Default 10000.
    pub max_connections: usize,
    /// `max-requests`: requests at work in the gateway; more get 503. Default 1024.
    pub max_requests: usize,
    /// `login-attempts`: failed logins per user and address within the window. Default 5.
    pub login_attempts: u32,
    /// `login-window`. Default 15 min.
    pub login_window: Duration,
    /// `http-header-timeout`: time to send the head of a request. Default 20 s.
    pub http_header_timeout: Duration,
    /// `http-write-timeout`: longest standstill while an answer is sent. Default 60 s.
    pub http_write_timeout: Duration,
    /// `shutdown-timeout`: time for the ordered end of the process. Default 90 s (the reference's unit grants 100 s).
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_mb: 64,
            max_connections: 10_000,
            max_requests: 1024,
            login_attempts: 5,
            login_window: Duration::from_mins(15),
            http_header_timeout: Duration::from_secs(20),
            http_write_timeout: Duration::from_mins(1),
            shutdown_timeout: Duration::from_secs(90),
        }
    }
}

/// Section `compat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compat {
    /// `strict-reference`: reproduce the reference's documented oddities. Default false.
    pub strict_reference: bool,
    /// `rest-with-nats`: keep REST start and stop beside `main.api-subjects`. Default false.
    pub rest_with_nats: bool,
    /// `allow-default-keys`: serve on a public address with the published default keys. Default false.
    pub allow_default_keys: bool,
}
