//! The life of a process, the same for every program: command line, log, secrets, configuration, ports, privileges,
//! runtime, services, signals, ordered end (config-and-cli.md 8, 10; rust-anchors.md rule 17).
//!
//! A thin `main` says which [`Program`] it is and hands over one async function that starts its services:
//!
//! ```no_run
//! use cc_runtime::process::{Next, Process, Program};
//!
//! fn main() -> std::process::ExitCode {
//!     Program::backend().run(|process: Process| async move {
//!         if process.serves() {
//!             process.serve_web(axum::Router::new())?;
//!             return Ok(Next::Serve);
//!         }
//!         Ok(Next::Exit(0))
//!     })
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use cc_proto::access::Peer;

use crate::clock::Clock;
use crate::config::{self, Config, Problem};
use crate::env::{Env, ProgramEnv};
use crate::flags::{self, Flag, Flags};
use crate::health::{Health, Readiness};
use crate::listener::tls::Certificate;
use crate::listener::{self, Bound};
use crate::logging;
use crate::tasks::{BoxError, OnError, OnShutdown, Stage, Tasks};

mod check;
mod life;
mod ports;
mod start;
mod version;

pub use version::{REFERENCE_VERSION, version_text};

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `cc-backend`: everything in one process, and the command-line actions.
    Backend,
    /// One service, or the gateway, of a split deployment.
    Service(Peer),
    /// `cc-metric-store`: stand-alone or split, by its configuration.
    Store,
}

/// A hook that runs before any file is read, for actions such as `-init`. `Some` ends the process with that code.
pub type Early = fn(&Flags, &Clock) -> Option<u8>;
/// A hook of `-check-config` for what only the program knows (database, archive).
pub type Check = fn(&Config, &dyn Env) -> Vec<Problem>;

/// A program, before it runs.
#[derive(Clone, Debug)]
pub struct Program {
    name: &'static str,
    role: Role,
    flags: &'static [Flag],
    early: Early,
    check: Check,
}

impl Program {
    /// `cc-backend`.
    pub fn backend() -> Self {
        Self::new("cc-backend", Role::Backend, flags::BACKEND)
    }

    /// `cc-gateway`, `cc-auth`, `cc-job-db` or `cc-archive`; `cc-metric-store` is [`Program::store`].
    pub fn service(peer: Peer) -> Self {
        let name = match peer {
            Peer::Gateway => "cc-gateway",
            Peer::JobDb => "cc-job-db",
            Peer::Archive => "cc-archive",
            Peer::MetricStore => return Self::store(),
            Peer::Auth => "cc-auth",
        };
        Self::new(name, Role::Service(peer), flags::SERVICE)
    }

    /// `cc-metric-store`.
    pub fn store() -> Self {
        Self::new("cc-metric-store", Role::Store, flags::STORE)
    }

    fn new(name: &'static str, role: Role, flags: &'static [Flag]) -> Self {
        Self { name, role, flags, early: |_, _| None, check: |_, _| Vec::new() }
    }

    /// Runs `hook` after the flags are parsed and before any file is read.
    #[must_use]
    pub fn early(mut self, hook: Early) -> Self {
        self.early = hook;
        self
    }

    /// Adds the findings of `hook` to the report of `-check-config`.
    #[must_use]
    pub fn check(mut self, hook: Check) -> Self {
        self.check = hook;
        self
    }

    /// Runs the program to its end. `main` starts what the flags and the configuration ask for; it is dropped
    /// where it stands when a signal comes meanwhile.
    pub fn run<M, F>(self, main: M) -> ExitCode
    where
        M: FnOnce(Process) -> F,
        F: Future<Output = Result<Next, BoxError>>,
    {
        self.run_with(std::env::args().skip(1), main)
    }

    /// As [`Program::run`], with these words in place of the command line.
    pub fn run_with<M, F>(self, words: impl IntoIterator<Item = String>, main: M) -> ExitCode
    where
        M: FnOnce(Process) -> F,
        F: Future<Output = Result<Next, BoxError>>,
    {
        ExitCode::from(start::run(&self, words, main))
    }
}

/// What follows when `main` is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Serve until a signal or the failure of a task.
    Serve,
    /// End with this code, after an ordered end of what runs.
    Exit(u8),
}

type Hook = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> + Send + Sync>;

#[derive(Default)]
struct Hooks {
    reload: Mutex<Vec<(&'static str, Arc<Hook>)>>,
    checkpoint: Mutex<Vec<(&'static str, Arc<Hook>)>>,
}

/// Ports that are bound and not served yet.
#[derive(Debug, Default)]
struct Ports {
    web: Option<Bound>,
    redirect: Option<Bound>,
    grpc: Option<Bound>,
    private: Option<Bound>,
}

struct Shared {
    serves: bool,
    web_certificate: Option<Certificate>,
    grpc_certificate: Option<Certificate>,
    ports: Mutex<Ports>,
    hooks: Hooks,
    listen_file: Option<PathBuf>,
    announced: Mutex<BTreeMap<String, String>>,
}

/// A running process, as its `main` sees it. Clones are the same process.
#[derive(Clone)]
pub struct Process {
    /// The command line.
    pub flags: Flags,
    /// The configuration.
    pub config: Arc<Config>,
    /// Environment and secrets.
    pub env: Arc<dyn Env>,
    /// The time.
    pub clock: Clock,
    /// Background tasks and the steps of the shutdown.
    pub tasks: Tasks,
    /// Readiness of the parts.
    pub health: Health,
    /// The level of the log.
    pub log: logging::Control,
    /// Name of the program.
    pub name: &'static str,
    shared: Arc<Shared>,
}

impl fmt::Debug for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Process").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The process has no such port, or it is served already.
    #[error("there is no port {0:?} to serve")]
    NoPort(&'static str),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] listener::tls::Error),
    /// The runtime does not take the socket.
    #[error("failed to serve {name}")]
    Socket {
        /// The port.
        name: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl Process {
    /// Whether the process was started to serve (`-server`, or a program that does nothing else).
    pub fn serves(&self) -> bool {
        self.shared.serves
    }

    /// Whether the web server speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.shared.web_certificate.is_some()
    }

    /// Serves the web port (`main.addr`), and the redirect to it if configured. `/healthz` and `/readyz` are added.
    pub fn serve_web(&self, router: Router) -> Result<(), ServeError> {
        let (web, redirect) = {
            let mut ports = self.ports();
            (ports.web.take(), ports.redirect.take())
        };
        let bound = web.ok_or(ServeError::NoPort("http"))?;
        self.serve(bound, router.merge(self.health.router()), self.shared.web_certificate.as_ref())?;
        match (redirect, &self.config.main.redirect_http_to) {
            (Some(bound), Some(target)) => self.serve(bound, listener::redirect_router(target), None),
            _ => Ok(()),
        }
    }

    /// Waits until these parts are ready, but not long. The ports are bound already, so whoever connects meanwhile waits instead of
    /// being refused; what is still not ready afterwards is answered with 503.
    pub async fn settle(&self, parts: &[Readiness]) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let ready = async {
            for part in parts {
                part.wait_ready().await;
            }
        };
        if tokio::time::timeout(PATIENCE, ready).await.is_err() {
            tracing::warn!("serving although not everything is ready: {}", self.health.summary());
        }
    }

    /// Whether there is a public gRPC port (`grpc.addr`).
    pub fn has_grpc(&self) -> bool {
        self.ports().grpc.is_some()
    }

    /// Serves the public gRPC port.
    pub fn serve_grpc(&self, router: Router) -> Result<(), ServeError> {
        let bound = self.ports().grpc.take().ok_or(ServeError::NoPort("grpc"))?;
        self.serve(bound, router, self.shared.grpc_certificate.as_ref())
    }

    /// Adds a step of SIGHUP: read files again.
    pub fn on_reload<F>(&self, name: &'static str, hook: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        add_hook(&self.shared.hooks.reload, name, hook);
    }

    /// Adds a step of SIGUSR1: write what is in memory.
    pub fn on_checkpoint<F>(&self, name: &'static str, hook: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        add_hook(&self.shared.hooks.checkpoint, name, hook);
    }

    /// Notes where a port of the process is, in the file of `-listen-file` (or `CC_LISTEN_FILE`), a JSON object from
    /// purpose to address. The ports of this module are noted already; blocks for a moment.
    pub fn announce(&self, purpose: &str, address: &str) -> Result<(), crate::files::Error> {
        ports::announce(&self.shared, purpose, address)
    }

    fn serve(&self, bound: Bound, router: Router, tls: Option<&Certificate>) -> Result<(), ServeError> {
        let name = bound.name();
        let config = tls.map(Certificate::server_config).transpose()?;
        listener::serve(bound, router, config, (&self.config.limits).into(), &self.tasks)
            .map_err(|source| ServeError::Socket { name, source })
    }

    fn ports(&self) -> std::sync::MutexGuard<'_, Ports> {
        self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every process serves and does besides: metrics for operators, renewed certificates, upkeep.
    fn background(&self) -> Result<(), ServeError> {
        let tasks = self.tasks.at(Stage::Telemetry);
        tasks.spawn("metrics upkeep", OnError::Log, OnShutdown::Abort, crate::metrics::upkeep());
        let private = self.ports().private.take();
        if let Some(bound) = private {
            self.serve(bound, crate::metrics::router().merge(self.health.router()), None)?;
        }
        let certificates = [&self.shared.web_certificate, &self.shared.grpc_certificate];
        for certificate in certificates.into_iter().flatten() {
            self.tasks.spawn("certificate", OnError::Log, OnShutdown::Abort, certificate.clone().follow());
            let certificate = certificate.clone();
            self.on_reload("certificate", move || {
                let certificate = certificate.clone();
                async move {
                    let read = tokio::task::spawn_blocking(move || certificate.reload_if_changed()).await?;
                    read.map(|_changed| ()).map_err(BoxError::from)
                }
            });
        }
        Ok(())
    }
}

fn add_hook<F>(
    hooks: &Mutex<Vec<(&'static str, Arc<Hook>)>>,
    name: &'static str,
    hook: impl Fn() -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let hook: Hook = Box::new(move || Box::pin(hook()));
    hooks.lock().unwrap_or_else(PoisonError::into_inner).push((name, Arc::new(hook)));
}

/// What `start` hands to `life`.
struct Prepared {
    config: Arc<Config>,
    env: Arc<ProgramEnv>,
    flags: Flags,
    clock: Clock,
    level: logging::Level,
    shared: Shared,
}

impl Program {
    fn dialect(&self) -> config::Program {
        match self.role {
            Role::Store => config::Program::Store,
            Role::Backend | Role::Service(_) => config::Program::Backend,
        }
    }
}
