//! Our sections `site`, `proxy`, `limits` and `compat`.

use std::net::IpAddr;
use std::time::Duration;

use super::section::{Decode, Section};

/// Section `site`: what pages call the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// `name`: of the centre or the installation, in titles and on the login page. Default `ClusterCockpit`.
    pub name: String,
    /// `contact`: whom to ask for help, a mail address or a URL. Default empty.
    pub contact: String,
}

impl Default for Site {
    fn default() -> Self {
        Self { name: "ClusterCockpit".to_owned(), contact: String::new() }
    }
}

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

/// Reads section `site`.
pub(super) fn read_site(section: Section<'_>) -> Site {
    let mut site = Site::default();
    section.set("name", &mut site.name);
    if site.name.trim().is_empty() {
        section.at.key("name").error("expected the name that pages show");
    }
    section.set("contact", &mut site.contact);
    section.finish();
    site
}

/// Reads section `proxy`.
pub(super) fn read_proxy(section: Section<'_>) -> Proxy {
    let mut proxy = Proxy::default();
    for (value, at) in section.list("trusted-proxies") {
        match String::decode(value, &at).map(|text| text.parse::<Network>()) {
            Some(Ok(network)) => proxy.trusted_proxies.push(network),
            Some(Err(error)) => at.error(error.to_string()),
            None => {}
        }
    }
    if let Some(name) = section.get::<String>("client-ip-header") {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            section.at.key("client-ip-header").error(format!("{name:?} is no name of a header"));
        }
        proxy.client_ip_header = name;
    }
    section.finish();
    proxy
}

/// Reads section `limits`.
pub(super) fn read_limits(section: Section<'_>) -> Limits {
    let mut limits = Limits::default();
    section.set_positive("max-body-mb", &mut limits.max_body_mb);
    section.set_positive("max-connections", &mut limits.max_connections);
    section.set_positive("max-requests", &mut limits.max_requests);
    section.set_positive("login-attempts", &mut limits.login_attempts);
    for (key, target) in [
        ("login-window", &mut limits.login_window),
        ("http-header-timeout", &mut limits.http_header_timeout),
        ("http-write-timeout", &mut limits.http_write_timeout),
        ("shutdown-timeout", &mut limits.shutdown_timeout),
    ] {
        section.set(key, target);
        if target.is_zero() {
            section.at.key(key).error("expected a duration of more than 0");
        }
    }
    section.finish();
    limits
}

/// Reads section `compat`.
pub(super) fn read_compat(section: Section<'_>) -> Compat {
    let mut compat = Compat::default();
    section.set("strict-reference", &mut compat.strict_reference);
    section.set("rest-with-nats", &mut compat.rest_with_nats);
    section.set("allow-default-keys", &mut compat.allow_default_keys);
    section.finish();
    compat
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.0/8", "10.255.0.1", true)]
    #[case("10.0.0.0/8", "11.0.0.1", false)]
    #[case("0.0.0.0/0", "11.0.0.1", true)]
    #[case("192.168.1.7", "192.168.1.7", true)]
    #[case("192.168.1.7", "192.168.1.6", false)]
    #[case("10.0.0.0/8", "::ffff:10.0.0.1", true)]
    #[case("fd00::/8", "fd12::1", true)]
    #[case("fd00::/8", "fe80::1", false)]
    #[case("::/0", "::1", true)]
    #[case("::/0", "10.0.0.1", false)]
    fn networks_contain_their_addresses(#[case] network: &str, #[case] address: &str, #[case] inside: bool) {
        assert_eq!(network.parse::<Network>().unwrap().contains(address.parse().unwrap()), inside);
    }

    #[rstest]
    fn other_texts_are_no_networks(
        #[values("", "10.0.0.0/33", "::/129", "10.0.0.300", "host", "10.0.0.0/", "10.0.0.0/-1")] text: &str,
    ) {
        assert_eq!(text.parse::<Network>(), Err(NoNetwork(text.to_owned())));
    }
}
