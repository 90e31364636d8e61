//! Our section `observability`: metrics, traces, log format.

use std::time::Duration;

use super::main::is_loopback;
use super::section::Section;
use super::services::read_address;

/// What the process tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observability {
    /// `metrics-addr`: Prometheus listener of the gateway or of the single process; `:9469` means loopback; absent: off.
    /// The split services have `services.<name>.metrics-addr`.
    pub metrics_addr: Option<String>,
    /// `otlp-endpoint`: `http://` URL of an OTLP gRPC receiver for traces; absent: off.
    pub otlp_endpoint: Option<String>,
    /// `log-format`. Default `reference`.
    pub log_format: LogFormat,
    /// `slow-query-ms`: database statements that take longer are logged; 0: none. Default 1000.
    pub slow_query: Duration,
    /// `access-log`: one line per HTTP request at level info (debug otherwise). Default false.
    pub access_log: bool,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            metrics_addr: None,
            otlp_endpoint: None,
            log_format: LogFormat::Reference,
            slow_query: Duration::from_secs(1),
            access_log: false,
        }
    }
}

/// `observability.log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `<n>[LEVEL] text`, as the reference.
    Reference,
    /// One JSON object per line.
    Json,
}

/// Reads the section.
pub(super) fn read(section: Section<'_>) -> Observability {
    let mut observability = Observability::default();
    read_address(&section, "metrics-addr", &mut observability.metrics_addr);
    if let Some(addr) = observability.metrics_addr.as_deref()
        && !addr.starts_with(':')
        && !is_loopback(addr)
    {
        section.at.key("metrics-addr").warn(format!("everybody who reaches {addr} may read the metrics"));
    }
    section.set_text("otlp-endpoint", &mut observability.otlp_endpoint);
    if let Some(endpoint) = observability.otlp_endpoint.as_deref()
        && !endpoint.starts_with("http://")
    {
        section
            .at
            .key("otlp-endpoint")
            .error(format!("{endpoint:?} is no URL of a receiver (TLS is not offered), expected e.g. \"http://localhost:4317\""));
    }
    let formats = [("reference", LogFormat::Reference), ("json", LogFormat::Json)];
    observability.log_format = section.choice("log-format", &formats).unwrap_or(LogFormat::Reference);
    if let Some(milliseconds) = section.get("slow-query-ms") {
        observability.slow_query = Duration::from_millis(milliseconds);
    }
    section.set("access-log", &mut observability.access_log);
    section.finish();
    observability
}
