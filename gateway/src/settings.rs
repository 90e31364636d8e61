//! What the gateway takes from the configuration, checked and in the form it is used in.

use std::net::IpAddr;
use std::time::Duration;

use cc_runtime::config::Config;
use http::HeaderName;

use crate::client::Proxies;
use crate::error::Error;
use crate::grpc::GrpcSettings;
use crate::middleware::security_headers::SecurityHeaders;

/// Largest JSON body and form, bytes (rest-api.md 2.10).
const JSON_BYTES_MAX: usize = 1 << 20;
/// Largest body of `start_job`: it carries the job script.
const START_BYTES_MAX: usize = 16 << 20;

/// Sizes of request bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// JSON and forms, bytes.
    pub json: usize,
    /// `start_job`, bytes.
    pub start_job: usize,
    /// Samples, bytes after decompression.
    pub write: usize,
    /// The longest standstill while a body is read.
    pub idle: Duration,
}

/// Names shown on pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Of the site, in titles and on the login page.
    pub name: String,
    /// Whom to ask; may be empty.
    pub contact: String,
}

/// Addresses that may use `/api` (auth.md 12.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedAddresses {
    /// Everybody.
    #[default]
    All,
    /// These only.
    Listed(Vec<IpAddr>),
}

impl AllowedAddresses {
    /// Of the list `main.api-allowed-ips`: empty or first `*` is everybody; entries that are no address match nobody,
    /// as in the reference.
    pub fn new(list: &[String]) -> Self {
        match list.first().map(String::as_str) {
            None | Some("*") => Self::All,
            Some(_) => Self::Listed(list.iter().filter_map(|text| address(text)).collect()),
        }
    }

    /// Whether the client may pass. A local socket has no address and passes only where everybody does.
    pub fn allows(&self, client: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Listed(list) => client.is_some_and(|client| list.contains(&client.to_canonical())),
        }
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let parsed: Option<IpAddr> = text.trim().parse().ok();
    if parsed.is_none() {
        tracing::warn!("main.api-allowed-ips: {text:?} is not an address and lets nobody in");
    }
    parsed.map(|address| address.to_canonical())
}

/// The frozen settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// False: `main.disable-authentication`.
    pub authentication: bool,
    /// Whom `/api` and the public gRPC let in.
    pub api_allowed: AllowedAddresses,
    /// Whose forwarding headers count.
    pub proxies: Proxies,
    /// Sizes of request bodies.
    pub bodies: BodyLimits,
    /// Requests in work at once, of each kind.
    pub requests_max: usize,
    /// Names shown on pages.
    pub site: Site,
    /// Headers of every answer.
    pub security_headers: SecurityHeaders,
    /// Whether each request gets a line at level info; else at debug.
    pub access_log: bool,
    /// REST start and stop are there: `main.api-subjects` takes them away unless `compat.rest-with-nats`.
    pub rest_job_events: bool,
    /// The public gRPC.
    pub grpc: GrpcSettings,
}

impl Settings {
    /// Takes what the gateway needs.
    ///
    /// # Errors
    /// [`Error::Setting`] names the key and what is wrong with it.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let header = &config.proxy.client_ip_header;
        let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| Error::Setting {
            key: "proxy.client-ip-header",
            problem: format!("{header:?} is not the name of a header"),
        })?;
        GrpcSettings::check_address(config)?;
        let main = &config.main;
        let write_bytes_max =
            usize::try_from(u64::from(config.limits.max_body_mb) << 20).unwrap_or(usize::MAX);
        Ok(Self {
            authentication: !main.disable_authentication,
            api_allowed: AllowedAddresses::new(&main.api_allowed_ips),
            proxies: Proxies::new(config.proxy.trusted_proxies.clone(), header),
            bodies: BodyLimits {
                json: JSON_BYTES_MAX,
                start_job: START_BYTES_MAX,
                write: write_bytes_max,
                idle: config.limits.http_write_timeout,
            },
            requests_max: config.limits.max_requests.max(1),
            site: Site { name: config.site.name.clone(), contact: config.site.contact.clone() },
            security_headers: SecurityHeaders::new("'none'").ok_or_else(|| Error::Setting {
                key: "ui",
                problem: "the content security policy cannot stand in a header".to_owned(),
            })?,
            access_log: config.observability.access_log,
            rest_job_events: main.api_subjects.is_none() || config.compat.rest_with_nats,
            grpc: GrpcSettings::new(config),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(list: &[&str]) -> AllowedAddresses {
        AllowedAddresses::new(&list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_list_is_read_as_the_reference_reads_it() {
        let one: IpAddr = "10.1.2.3".parse().unwrap();
        assert!(listed(&[]).allows(Some(one)));
        assert!(listed(&["*", "10.0.0.1"]).allows(Some(one)));
        assert!(listed(&["10.1.2.3"]).allows(Some(one)));
        assert!(listed(&["10.1.2.3"]).allows(Some("::ffff:10.1.2.3".parse().unwrap())));
        assert!(!listed(&["10.0.0.1", "*"]).allows(Some(one)));
        assert!(!listed(&["10.1.2.0/24"]).allows(Some(one)));
        assert!(!listed(&["10.1.2.3"]).allows(None));
    }
}
