//! The public gRPC for scheduler adapters (integrations.md 9): `Hello` without leases, `Publish`, `PublishBatch`, health.
//!
//! - [`admission`]: who may call, from the token in the metadata
//! - [`service`]: the three methods
//! - `session`: one `Publish` stream
//! - [`refusal`]: errors as the contract names them (9.11)

mod adapters;
pub mod admission;
mod guard;
pub mod health;
pub mod refusal;
pub mod service;
mod session;

use cc_proto::scheduler::v1::Limits;
use cc_proto::scheduler::v1::scheduler_ingest_server::SchedulerIngestServer;
use cc_runtime::config::Config;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use crate::error::Error;
use crate::state::State;

/// Events per batch at most (9.8).
pub const BATCH_EVENTS_MAX: u32 = 1000;

/// Limits and intervals of the public gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Largest message, bytes.
    pub message_bytes_max: u32,
    /// Unacknowledged events per stream.
    pub inflight_events_max: u32,
    /// Unacknowledged bytes per stream.
    pub inflight_bytes_max: u32,
    /// Longest job script, bytes.
    pub script_bytes_max: u32,
    /// Longest wait for an acknowledgement, milliseconds.
    pub ack_delay_ms: u32,
}

impl GrpcSettings {
    /// Of section `grpc`.
    pub fn new(config: &Config) -> Self {
        let grpc = &config.grpc;
        let message_bytes_max = grpc.max_message_mb.saturating_mul(1 << 20).max(1 << 20);
        Self {
            message_bytes_max,
            inflight_events_max: grpc.ingest.max_inflight_events.max(1),
            // what the window of events would be with the largest messages is far too much
            inflight_bytes_max: message_bytes_max.saturating_mul(4),
            script_bytes_max: grpc.ingest.script_limit_kb.saturating_mul(1024),
            ack_delay_ms: grpc.ingest.ack_delay_ms,
        }
    }

    /// Refuses to speak without TLS to other machines: tokens would travel in the open.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check_address(config: &Config) -> Result<(), Error> {
        let Some(address) = &config.grpc.addr else { return Ok(()) };
        let main = &config.main;
        let own = config.grpc.tls_cert_file.is_some() && config.grpc.tls_key_file.is_some();
        let web = main.https_cert_file.is_some() && main.https_key_file.is_some();
        if own || web || is_loopback(address) {
            return Ok(());
        }
        let problem = format!(
            "{address:?} is reached from other machines, and tokens must not travel in the open: set grpc.tls-cert-file and \
             grpc.tls-key-file, or listen on a loopback address"
        );
        Err(Error::Setting { key: "grpc.addr", problem })
    }

    /// As adapters are told.
    pub fn limits(self) -> Limits {
        Limits {
            max_batch_events: BATCH_EVENTS_MAX,
            max_message_bytes: self.message_bytes_max,
            max_script_bytes: self.script_bytes_max,
            ack_delay_ms: self.ack_delay_ms,
        }
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The services of the public listener.
pub fn routes(state: &State) -> Routes {
    let settings = state.settings().grpc;
    let bytes_max = usize::try_from(settings.message_bytes_max).unwrap_or(usize::MAX);
    let ingest = SchedulerIngestServer::new(service::Ingest::new(state.clone()))
        .max_decoding_message_size(bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let routes = Routes::new(ingest).add_service(health::server(state));
    Routes::from(routes.into_axum_router().layer(axum::middleware::from_fn(guard::guard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_travel_in_the_open_on_this_machine_only() {
        let check = |address: &str, certificate: bool| {
            let mut config = Config::default();
            config.grpc.addr = Some(address.to_owned());
            if certificate {
                config.main.https_cert_file = Some("c.pem".into());
                config.main.https_key_file = Some("k.pem".into());
            }
            GrpcSettings::check_address(&config).is_ok()
        };
        for address in ["127.0.0.1:9443", "localhost:0", "[::1]:9443", "127.0.0.9:1"] {
            assert!(check(address, false), "{address}");
        }
        for address in [":9443", "0.0.0.0:9443", "[::]:9443", "node7:9443", "192.0.2.1:9443"] {
            assert!(!check(address, false), "{address}");
            assert!(check(address, true), "{address}");
        }
    }
}
