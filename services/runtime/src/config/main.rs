//! Section `main` (config-and-cli.md 3.1).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cc_model::duration;

use super::archive::{self, Target};
use super::problem::At;
use super::section::Section;

/// The server itself.
#[expect(clippy::struct_excessive_bools, reason = "one switch of the file each")]
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

/// What a cookie library of the reference takes when it is told nothing usable.
const SESSION_DAYS_DEFAULT: u64 = 30;

/// Old and foreign names of keys.
pub(super) const HINTS: &[(&str, &str)] = &[
    ("apply-tags", "it is a command line flag"),
    ("clusters", "clusters are described by the cluster.json files of the archive"),
    ("disable-archive", "the archive cannot be switched off any more"),
    ("db-driver", "SQLite is the only database of this file"),
    ("jwts", "it belongs into section auth"),
    ("ldap", "it belongs into section auth"),
];

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> Main {
    let mut main = Main::default();
    read_server(section, &mut main);
    section.set("db", &mut main.db);
    section.set("enable-job-taggers", &mut main.enable_job_taggers);
    section.set("validate", &mut main.validate);
    section.set_text("machine-state-dir", &mut main.machine_state_dir);
    section.set("stop-jobs-exceeding-walltime", &mut main.stop_jobs_exceeding_walltime);
    section.set("short-running-jobs-duration", &mut main.short_running_jobs_duration);
    section.set("emission-constant", &mut main.emission_constant);
    section.set("systemd-unit", &mut main.systemd_unit);
    main.api_subjects = section.object("api-subjects").and_then(read_subjects);
    main.resampling = section.object("resampling").and_then(read_resampling);
    main.nodestate_retention = section.object("nodestate-retention").and_then(read_nodestates);
    if let Some(section) = section.object("db-config") {
        main.db_config = read_db(section);
    }
    main
}

/// Keys of the web server; those of the stand-alone store are among them.
fn read_server(section: &Section<'_>, main: &mut Main) {
    section.set("addr", &mut main.addr);
    if let Some(problem) = address_problem(&main.addr) {
        section.at.key("addr").error(problem);
    }
    for (value, at) in section.list("api-allowed-ips") {
        if let Some(text) = <String as super::section::Decode>::decode(value, &at) {
            if text != "*" && text.parse::<IpAddr>().is_err() {
                at.warn(format!(
                    "{text:?} is no address and no \"*\", it allows nobody (networks do not work here)"
                ));
            }
            main.api_allowed_ips.push(text);
        }
    }
    section.set("user", &mut main.user);
    section.set("group", &mut main.group);
    section.set("disable-authentication", &mut main.disable_authentication);
    section.set("embed-static-files", &mut main.embed_static_files);
    section.set("static-files", &mut main.static_files);
    read_session_age(section, main);
    section.set_text("https-cert-file", &mut main.https_cert_file);
    section.set_text("https-key-file", &mut main.https_key_file);
    section.set_text("redirect-http-to", &mut main.redirect_http_to);
    if main.https_cert_file.is_some() != main.https_key_file.is_some() {
        section.at.warn("one of https-cert-file and https-key-file is missing: the server speaks plain HTTP");
    }
    if main.disable_authentication && !is_loopback(&main.addr) {
        let text = "every visitor of the network may see and change everything: addr is no loopback address";
        section.at.key("disable-authentication").warn(text);
    }
    if !main.embed_static_files && main.static_files.as_os_str().is_empty() {
        let text = "missing: without it the working directory with .env and config.json would be published";
        section.at.key("static-files").error(text);
    }
}

fn read_session_age(section: &Section<'_>, main: &mut Main) {
    let Some(text) = section.get::<String>("session-max-age") else { return };
    main.session_max_age = match duration::parse(&text) {
        Ok(age) if age > Duration::ZERO => age,
        Ok(_) => Duration::from_hours(24 * SESSION_DAYS_DEFAULT),
        Err(error) => {
            if !text.is_empty() {
                section.at.key("session-max-age").warn(format!("{error}: 30 days are used"));
            }
            Duration::from_hours(24 * SESSION_DAYS_DEFAULT)
        }
    };
}

fn read_subjects(section: Section<'_>) -> Option<ApiSubjects> {
    let mut job_concurrency = 8;
    let mut node_concurrency = 2;
    section.set_positive("job-concurrency", &mut job_concurrency);
    section.set_positive("node-concurrency", &mut node_concurrency);
    let job_event = needed_subject(&section, "subject-job-event");
    let node_state = needed_subject(&section, "subject-node-state");
    section.finish();
    Some(ApiSubjects { job_event: job_event?, node_state: node_state?, job_concurrency, node_concurrency })
}

fn needed_subject(section: &Section<'_>, key: &'static str) -> Option<String> {
    let subject = section.need::<String>(key)?;
    if subject.is_empty() {
        section.at.key(key).error("is empty, expected a NATS subject");
    }
    Some(subject)
}

fn read_resampling(section: Section<'_>) -> Option<Resampling> {
    let mut minimum = 0;
    section.set_positive("minimum-points", &mut minimum);
    let trigger = section.need("trigger");
    let resolutions = section.need::<Vec<u32>>("resolutions");
    if resolutions.as_ref().is_some_and(|list| list.is_empty() || list.contains(&0)) {
        section.at.key("resolutions").error("expected at least one resolution in seconds, each more than 0");
    }
    section.finish();
    let minimum_points = (minimum > 0).then_some(minimum);
    Some(Resampling { minimum_points, trigger: trigger?, resolutions: resolutions? })
}

fn read_nodestates(section: Section<'_>) -> Option<NodestateRetention> {
    let policies = [("delete", NodestatePolicy::Delete), ("move", NodestatePolicy::Move)];
    let policy = archive::needed_choice(&section, "policy", &policies);
    let (mut age_hours, mut max_file_size_mb) = (24, 128);
    section.set_positive("age", &mut age_hours);
    section.set_positive("max-file-size-mb", &mut max_file_size_mb);
    let target = archive::read_target(&section);
    if policy == Some(NodestatePolicy::Move) {
        warn_of_missing_target(&section.at, &target);
    }
    section.finish();
    Some(NodestateRetention { policy: policy?, age_hours, target, max_file_size_mb })
}

pub(super) fn warn_of_missing_target(at: &At<'_>, target: &Target) {
    if matches!(target, Target::File { path } if path.as_os_str().is_empty()) {
        at.key("target-path").warn("missing: the task will not run");
    }
}

fn read_db(section: Section<'_>) -> DbConfig {
    let mut db = DbConfig::default();
    let mut cache = 0;
    section.set_positive("cache-size-mb", &mut cache);
    db.cache_size_mb = (cache > 0).then_some(cache);
    section.set_positive("soft-heap-limit-mb", &mut db.soft_heap_limit_mb);
    section.set_positive("max-open-connections", &mut db.max_open_connections);
    section.set_positive("max-idle-connections", &mut db.max_idle_connections);
    section.set_positive("max-idle-time-minutes", &mut db.max_idle_time_minutes);
    section.set_positive("busy-timeout-ms", &mut db.busy_timeout_ms);
    section.finish();
    db
}

/// What is wrong with a listen address in Go's syntax; the empty one means a port of the system's choice.
pub(super) fn address_problem(addr: &str) -> Option<String> {
    let port = addr.rsplit_once(':').map(|(_, port)| port);
    let good = addr.is_empty()
        || port.is_some_and(|port| matches!(port, "http" | "https") || port.parse::<u16>().is_ok());
    let brackets =
        addr.rsplit_once(':').is_some_and(|(host, _)| host.contains(':') && !host.starts_with('['));
    if !good {
        Some(format!(
            "{addr:?} is no address to listen on, expected host:port such as \"0.0.0.0:443\" or \":8080\""
        ))
    } else if brackets {
        Some(format!("{addr:?} is ambiguous, write an IPv6 address in brackets such as \"[::]:443\""))
    } else {
        None
    }
}

/// Whether only programs on this machine can reach the address.
pub(super) fn is_loopback(addr: &str) -> bool {
    match addr.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => addr.rsplit_once(':').is_some_and(|(host, _)| host == "localhost"),
    }
}
