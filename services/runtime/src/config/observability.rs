//! Our section `observability`: metrics, traces, log format.

use std::time::Duration;

/// What the process tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observability {
    /// `metrics-addr`: Prometheus listener of the gateway or of the single process; `:9469` means loopback; absent: off.
    /// The split services have `services.<name>.metrics-addr`.
    pub metrics_addr: Option<String>,
    /// `otlp-endpoint`: URL of an OTLP gRPC receiver for traces; absent: off.
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
