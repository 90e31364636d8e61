//! Section `main` (config-and-cli.md 3.1).

use std::path::PathBuf;
use std::time::Duration;

/// The server itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Main {
    /// `addr`: where the web server listens, `host:port` as Go writes it (`:8080`, `[::]:443`); port 0 or an empty
    /// text lets the system choose. Default `localhost:8080`.
    pub addr: String,
    /// `api-allowed-ips`: addresses that may use the JWT-protected `/api`; empty or first `*`: all.
    pub api_allowed_ips: Vec<String>,
    /// `api-subjects`: turns the NATS job interface on (and, unless `compat.rest-with-nats`, REST start and stop off).
    pub api_subjects: Option<ApiSubjects>,
    /// `user`: the user to become after binding; empty: stay.
    pub user: String,
    /// `group`: the group to become after binding; empty: the user's primary group.
    pub group: String,
    /// `disable-authentication`: no authentication on any route. Default false.
    pub disable_authentication: bool,
    /// `embed-static-files`: serve the UI from the binary. Default true.
    pub embed_static_files: bool,
    /// `static-files`: directory of the UI when it is not embedded.
    pub static_files: PathBuf,
    /// `db`: the SQLite file. Default `./var/job.db`.
    pub db: PathBuf,
    /// `enable-job-taggers`: run taggers when jobs start and stop. Default false.
    pub enable_job_taggers: bool,
    /// `validate`: check job documents against the schema on import and load. Default false.
    pub validate: bool,
    /// `session-max-age`: life of a login. Default 168 h; 0, empty or unreadable: 30 days.
    pub session_max_age: Duration,
    /// `https-cert-file`: PEM chain; TLS is on when both files are named.
    pub https_cert_file: Option<PathBuf>,
    /// `https-key-file`: PEM key.
    pub https_key_file: Option<PathBuf>,
    /// `redirect-http-to`: a second listener on port 80 redirects there; absent: none.
    pub redirect_http_to: Option<String>,
    /// `machine-state-dir`: turns the machine-state routes on.
    pub machine_state_dir: Option<PathBuf>,
    /// `stop-jobs-exceeding-walltime`: seconds a job may run past its walltime before it is declared failed; 0: off.
    pub stop_jobs_exceeding_walltime: i64,
    /// `short-running-jobs-duration`: running jobs shorter than this many seconds are hidden in some views. Default 300.
    pub short_running_jobs_duration: i64,
    /// `emission-constant`: g CO2 per kWh; 0: no estimate.
    pub emission_constant: i64,
    /// `resampling`: finer plots on zoom; absent: off.
    pub resampling: Option<Resampling>,
    /// `systemd-unit`: the unit whose journal the log viewer shows. Default `clustercockpit.service`.
    pub systemd_unit: String,
    /// `nodestate-retention`: absent: node states are kept for ever.
    pub nodestate_retention: Option<NodestateRetention>,
    /// `db-config`: SQLite settings.
    pub db_config: DbConfig,
}

impl Default for Main {
    fn default() -> Self {
        Self {
            addr: "localhost:8080".to_owned(),
            api_allowed_ips: Vec::new(),
            api_subjects: None,
            user: String::new(),
            group: String::new(),
            disable_authentication: false,
            embed_static_files: true,
            static_files: PathBuf::new(),
            db: "./var/job.db".into(),
            enable_job_taggers: false,
            validate: false,
            session_max_age: Duration::from_hours(168),
            https_cert_file: None,
            https_key_file: None,
            redirect_http_to: None,
            machine_state_dir: None,
            stop_jobs_exceeding_walltime: 0,
            short_running_jobs_duration: 300,
            emission_constant: 0,
            resampling: None,
            systemd_unit: "clustercockpit.service".to_owned(),
            nodestate_retention: None,
            db_config: DbConfig::default(),
        }
    }
}

/// `main.api-subjects`: the NATS job interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSubjects {
    /// `subject-job-event`: subject of start and stop events.
    pub job_event: String,
    /// `subject-node-state`: subject of node states.
    pub node_state: String,
    /// `job-concurrency`: workers for job events. Default 8.
    pub job_concurrency: usize,
    /// `node-concurrency`: workers for node states. Default 2.
    pub node_concurrency: usize,
}

/// `main.resampling`: resolutions of plots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// `minimum-points`: shorter series are never resampled; absent: the resampler's own default.
    pub minimum_points: Option<u32>,
    /// `trigger`: the UI asks for the next finer level below this many visible points.
    pub trigger: u32,
    /// `resolutions`: target resolutions in seconds, not empty.
    pub resolutions: Vec<u32>,
}

/// `main.nodestate-retention`: what happens to old node states, at 02:00 or 02:30 local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodestateRetention {
    /// `policy`.
    pub policy: NodestatePolicy,
    /// `age`: hours. Default 24.
    pub age_hours: u32,
    /// Where `move` puts them.
    pub target: super::archive::Target,
    /// `max-file-size-mb`: size at which a Parquet file is split. Default 128.
    pub max_file_size_mb: u32,
}

/// `main.nodestate-retention.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodestatePolicy {
    /// Delete.
    Delete,
    /// Write to the target, then delete.
    Move,
}

/// `main.db-config`: SQLite settings; a value of 0 or less in the file means the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbConfig {
    /// `cache-size-mb`: page cache per connection. Absent: chosen from the machine's memory (deployment.md D-82).
    pub cache_size_mb: Option<u64>,
    /// `soft-heap-limit-mb`: SQLite memory of the process. Default 16384.
    pub soft_heap_limit_mb: u64,
    /// `max-open-connections`: readers. Default 4.
    pub max_open_connections: u32,
    /// `max-idle-connections`. Default 4.
    pub max_idle_connections: u32,
    /// `max-idle-time-minutes`. Default 10.
    pub max_idle_time_minutes: u32,
    /// `busy-timeout-ms`: wait for another writer. Default 60000.
    pub busy_timeout_ms: u32,
}

impl Default for DbConfig {
    fn default() -> Self {
        Self {
            cache_size_mb: None,
            soft_heap_limit_mb: 16384,
            max_open_connections: 4,
            max_idle_connections: 4,
            max_idle_time_minutes: 10,
            busy_timeout_ms: 60_000,
        }
    }
}
