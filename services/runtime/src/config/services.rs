//! Our sections `services` and `grpc`: where the services are (architecture.md 8), and the public gRPC listener.

use std::path::PathBuf;

use cc_proto::access::Peer;
use serde_json::Value;

use super::main::address_problem;
use super::problem::At;
use super::section::{Decode, Section};
pub use crate::transport::Address;

/// Section `services`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// `auth`.
    pub auth: Entry,
    /// `job-db`.
    pub job_db: Entry,
    /// `archive`.
    pub archive: Entry,
    /// `metric-store`.
    pub metric_store: Entry,
    /// `tls-directory`: keys and certificates of `-init-tls`. Default `./var/tls`.
    pub tls_directory: PathBuf,
}

impl Services {
    /// The entry of one service; `None` for the gateway, which listens at `main.addr`.
    pub fn get(&self, service: Peer) -> Option<&Entry> {
        match service {
            Peer::Auth => Some(&self.auth),
            Peer::JobDb => Some(&self.job_db),
            Peer::Archive => Some(&self.archive),
            Peer::MetricStore => Some(&self.metric_store),
            Peer::Gateway => None,
        }
    }
}

impl Default for Services {
    fn default() -> Self {
        let entry = Entry::default();
        Self {
            auth: entry.clone(),
            job_db: entry.clone(),
            archive: entry.clone(),
            metric_store: entry,
            tls_directory: "./var/tls".into(),
        }
    }
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// `address`: where callers find it. Default `in-process`.
    pub address: Address,
    /// `listen`: where the service listens, if that is not its address: `unix:PATH` or `host:port`.
    pub listen: Option<Address>,
    /// `metrics-addr`: as `observability.metrics-addr`, for this service's own process; absent: off.
    pub metrics_addr: Option<String>,
}

impl Entry {
    /// Where the process of this service listens; `None` for an in-process service.
    pub fn listen(&self) -> Option<Address> {
        let listen = self.listen.clone().unwrap_or_else(|| self.address.clone());
        (listen != Address::InProcess).then_some(listen)
    }
}

/// Section `grpc`: the public interface for scheduler adapters (integrations.md 9.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grpc {
    /// `addr`: `host:port`; absent: off.
    pub addr: Option<String>,
    /// `tls-cert-file`: PEM chain; absent: that of the web server.
    pub tls_cert_file: Option<PathBuf>,
    /// `tls-key-file`: PEM key.
    pub tls_key_file: Option<PathBuf>,
    /// `reflection`: describe the interface to tools. Default true.
    pub reflection: bool,
    /// `max-message-mb`: largest message. Default 4.
    pub max_message_mb: u32,
    /// `ingest`.
    pub ingest: Ingest,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            addr: None,
            tls_cert_file: None,
            tls_key_file: None,
            reflection: true,
            max_message_mb: 4,
            ingest: Ingest::default(),
        }
    }
}

/// `grpc.ingest`: limits of event streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// `max-inflight-events`: unacknowledged events per stream. Default 5000.
    pub max_inflight_events: u32,
    /// `ack-delay-ms`: longest wait before an acknowledgement. Default 200.
    pub ack_delay_ms: u32,
    /// `commit-batch`: events per transaction. Default 500.
    pub commit_batch: u32,
    /// `dead-letter-days`: how long refused events are kept. Default 30.
    pub dead_letter_days: u32,
    /// `park-minutes`: how long an event waits for the one it needs. Default 10.
    pub park_minutes: u32,
    /// `script-limit-kb`: longest job script. Default 1024.
    pub script_limit_kb: u32,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            max_inflight_events: 5000,
            ack_delay_ms: 200,
            commit_batch: 500,
            dead_letter_days: 30,
            park_minutes: 10,
            script_limit_kb: 1024,
        }
    }
}

/// Reads section `services`.
pub(super) fn read(section: Section<'_>) -> Services {
    let mut services = Services::default();
    section.set("tls-directory", &mut services.tls_directory);
    for (key, entry) in [
        ("auth", &mut services.auth),
        ("job-db", &mut services.job_db),
        ("archive", &mut services.archive),
        ("metric-store", &mut services.metric_store),
    ] {
        if let Some(section) = section.object(key) {
            *entry = read_entry(section);
        }
    }
    section.finish();
    services
}

fn read_entry(section: Section<'_>) -> Entry {
    let mut entry = Entry::default();
    section.set("address", &mut entry.address);
    entry.listen = read_listen(&section);
    read_address(&section, "metrics-addr", &mut entry.metrics_addr);
    section.finish();
    entry
}

/// A TCP address to listen on; empty: off.
pub(super) fn read_address(section: &Section<'_>, key: &'static str, target: &mut Option<String>) {
    section.set_text(key, target);
    if let Some(problem) = target.as_deref().and_then(address_problem) {
        section.at.key(key).error(problem);
    }
}

impl Decode for Address {
    const EXPECTED: &'static str = "in-process, unix:PATH or https://host:port";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        match String::decode(value, at)?.parse() {
            Ok(address) => Some(address),
            Err(error) => {
                at.error(error.to_string());
                None
            }
        }
    }
}

/// `unix:PATH`, `https://host:port`, or `host:port`, where no host means every IPv4 address.
fn read_listen(section: &Section<'_>) -> Option<Address> {
    let text = section.get::<String>("listen").filter(|text| !text.is_empty())?;
    let at = section.at.key("listen");
    if text.contains("://") || text.starts_with("unix:") || text == "in-process" {
        return Address::decode(&Value::String(text), &at);
    }
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts.filter(|_| address_problem(&text).is_none()) else {
        at.error(format!("{text:?} is no address to listen on, expected unix:PATH or host:port"));
        return None;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Some(Address::Https { host: host.to_owned(), port })
}

/// Reads section `grpc`.
pub(super) fn read_grpc(section: Section<'_>) -> Grpc {
    let mut grpc = Grpc::default();
    read_address(&section, "addr", &mut grpc.addr);
    section.set_text("tls-cert-file", &mut grpc.tls_cert_file);
    section.set_text("tls-key-file", &mut grpc.tls_key_file);
    if grpc.tls_cert_file.is_some() != grpc.tls_key_file.is_some() {
        section.at.error("one of tls-cert-file and tls-key-file is missing");
    }
    section.set("reflection", &mut grpc.reflection);
    section.set_positive("max-message-mb", &mut grpc.max_message_mb);
    if let Some(ingest) = section.object("ingest") {
        let limits = &mut grpc.ingest;
        ingest.set_positive("max-inflight-events", &mut limits.max_inflight_events);
        ingest.set_positive("ack-delay-ms", &mut limits.ack_delay_ms);
        ingest.set_positive("commit-batch", &mut limits.commit_batch);
        ingest.set_positive("dead-letter-days", &mut limits.dead_letter_days);
        ingest.set_positive("park-minutes", &mut limits.park_minutes);
        ingest.set_positive("script-limit-kb", &mut limits.script_limit_kb);
        ingest.finish();
    }
    section.finish();
    grpc
}
