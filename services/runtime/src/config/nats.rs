//! Section `nats` (config-and-cli.md 3.3), and our own section `nats-client` beside it: what the reference's client
//! cannot do and so has no key for.

use std::fmt;
use std::path::PathBuf;

use super::section::Section;

/// The message broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Nats {
    /// `address`: URLs, comma separated; empty: no connection.
    pub address: String,
    /// `username`, used together with `password` only.
    pub username: String,
    /// `password`.
    pub password: String,
    /// `creds-file-path`: a `.creds` file.
    pub creds_file_path: Option<PathBuf>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Nats")
            .field("username", &self.username)
            .field("creds_file_path", &self.creds_file_path)
            .finish_non_exhaustive()
    }
}

/// Section `nats-client`: how we connect and listen, beyond what section `nats` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsClient {
    /// `nkey-seed-file`: a file with an `NKey` seed (`SU…`), to sign in with.
    pub nkey_seed_file: Option<PathBuf>,
    /// `tls`: refuse an unencrypted connection. Default false: as the scheme of the address and the server say.
    pub tls: bool,
    /// `tls-ca-file`: PEM certificates of authorities to trust besides the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// `tls-cert-file`: PEM chain of the client certificate, together with the key only.
    pub tls_cert_file: Option<PathBuf>,
    /// `tls-key-file`: its PEM key.
    pub tls_key_file: Option<PathBuf>,
    /// `queue-group`: all gateways of a site share it, so each job event and node report goes to one of them. In the broker
    /// it is two groups, `…-job` and `…-node`: both kinds may come by one subject.
    /// Default `cc-backend`; empty: every gateway takes every message.
    pub queue_group: String,
    /// `durable`: begin of the names of durable `JetStream` consumers. Where a stream holds a subject we listen to, its
    /// messages are taken by such a consumer and acknowledged when what they say is stored. Absent: core NATS, what is
    /// sent while nobody listens is gone.
    pub durable: Option<String>,
}

impl Default for NatsClient {
    fn default() -> Self {
        Self {
            nkey_seed_file: None,
            tls: false,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            queue_group: "cc-backend".to_owned(),
            durable: None,
        }
    }
}

/// Reads section `nats-client`.
pub(super) fn read_client(section: Section<'_>) -> NatsClient {
    let mut client = NatsClient::default();
    section.set_text("nkey-seed-file", &mut client.nkey_seed_file);
    section.set("tls", &mut client.tls);
    section.set_text("tls-ca-file", &mut client.tls_ca_file);
    section.set_text("tls-cert-file", &mut client.tls_cert_file);
    section.set_text("tls-key-file", &mut client.tls_key_file);
    if client.tls_cert_file.is_some() != client.tls_key_file.is_some() {
        section.at.error("one of tls-cert-file and tls-key-file is missing");
    }
    section.set("queue-group", &mut client.queue_group);
    if client.queue_group.contains(char::is_whitespace) {
        section
            .at
            .key("queue-group")
            .error("has white space in it, expected one word such as \"cc-backend\"");
    }
    section.set_text("durable", &mut client.durable);
    let is_name = |name: &str| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if client.durable.as_deref().is_some_and(|name| !is_name(name)) {
        let text = "is no name of a consumer, expected at most 64 letters, digits, \"-\" and \"_\"";
        section.at.key("durable").error(text);
    }
    section.finish();
    client
}

/// Whether the text is one or more addresses, comma separated.
fn address_problem(address: &str) -> Option<String> {
    let bad = address.split(',').map(str::trim).find(|one| one.parse::<async_nats::ServerAddr>().is_err())?;
    Some(format!(
        "{bad:?} is no address of a NATS server, expected nats://HOST:PORT, tls://HOST:PORT or HOST:PORT"
    ))
}

/// Reads the section.
pub(super) fn read(section: Section<'_>) -> Nats {
    let text = |key| section.get::<String>(key).unwrap_or_default();
    let mut nats = Nats {
        address: text("address"),
        username: text("username"),
        password: text("password"),
        creds_file_path: None,
    };
    section.set_text("creds-file-path", &mut nats.creds_file_path);
    if nats.address.is_empty() {
        section.at.key("address").warn("missing: there will be no connection");
    } else if let Some(problem) = address_problem(&nats.address) {
        section.at.key("address").warn(problem);
    }
    if nats.username.is_empty() != nats.password.is_empty() {
        section.at.warn("one of username and password is missing: neither is used");
    }
    section.finish();
    nats
}
