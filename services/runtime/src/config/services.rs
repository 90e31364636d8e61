//! Our sections `services` and `grpc`: where the services are (architecture.md 8), and the public gRPC listener.

use std::path::PathBuf;

/// The four services behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Users, tokens, sessions.
    Auth,
    /// Jobs, tags, nodes.
    JobDb,
    /// Finished jobs, cluster files.
    Archive,
    /// Samples of the last days.
    MetricStore,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auth, Self::JobDb, Self::Archive, Self::MetricStore];

    /// The key in section `services`, and the name of the binary less `cc-`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::JobDb => "job-db",
            Self::Archive => "archive",
            Self::MetricStore => "metric-store",
        }
    }
}

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
    /// The entry of one service.
    pub fn get(&self, service: Service) -> &Entry {
        match service {
            Service::Auth => &self.auth,
            Service::JobDb => &self.job_db,
            Service::Archive => &self.archive,
            Service::MetricStore => &self.metric_store,
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
    pub listen: Option<Listen>,
    /// `metrics-addr`: as `observability.metrics-addr`, for this service's own process; absent: off.
    pub metrics_addr: Option<String>,
}

/// How a service is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// `in-process`.
    #[default]
    InProcess,
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `https://host:port`, with the certificates in `tls-directory`.
    Https {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
}

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `host:port`, with TLS.
    Tcp(String),
}

impl Entry {
    /// Where the process of this service listens; `None` for an in-process service.
    pub fn listen(&self) -> Option<Listen> {
        self.listen.clone().or(match &self.address {
            Address::InProcess => None,
            Address::Unix(path) => Some(Listen::Unix(path.clone())),
            Address::Https { host, port } if host.contains(':') => {
                Some(Listen::Tcp(format!("[{host}]:{port}")))
            }
            Address::Https { host, port } => Some(Listen::Tcp(format!("{host}:{port}"))),
        })
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
