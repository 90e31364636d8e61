//! The server's processes, in one process or split.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    client::Client,
    shared::{binary, root},
    site::Site,
    wait,
};

/// How the product is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// `cc-backend -server`.
    OneProcess,
    /// Five processes over Unix sockets.
    Split,
    /// Five processes over TCP with mutual TLS.
    SplitTls,
}

/// How long a start or stop may take before it counts as failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A running deployment; killed when dropped.
#[derive(Debug)]
pub struct Server {
    deployment: Deployment,
    child: Child,
    base: String,
    grpc: String,
    log: PathBuf,
    pids_file: PathBuf,
}

/// A free port of the loopback address.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port()
}

impl Server {
    /// Starts a site and waits until it is ready.
    pub async fn start(site: &Site, deployment: Deployment) -> Self {
        let server = Self::launch(site, deployment);
        server.ready().await;
        server
    }

    /// Starts a site and does not wait. The first start of a site chooses its ports; later ones keep them.
    pub fn launch(site: &Site, deployment: Deployment) -> Self {
        let config = site.config();
        let kept = config["grpc"]["addr"].as_str().is_some();
        if !kept {
            let (http, grpc) = (free_port(), free_port());
            site.configure(|config| {
                config["main"]["addr"] = json!(format!("127.0.0.1:{http}"));
                config["grpc"] = json!({"addr": format!("127.0.0.1:{grpc}")});
            });
        }
        let config = site.config();
        let address = |section: &str| config[section]["addr"].as_str().expect("an address").to_owned();
        let log = site.file("server.log");
        let pids_file = site.file("pids.json");
        let _ = fs::remove_file(&pids_file);
        let out = fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let mut command = match deployment {
            Deployment::OneProcess => {
                let mut command = Command::new(binary("cc-backend"));
                command.args(["-server", "-loglevel", "info"]);
                command
            }
            Deployment::Split | Deployment::SplitTls => {
                let mut command = Command::new(root().join("deploy/split-local"));
                command.args(["-config", "config.json", "-restart", "-loglevel", "info"]);
                if deployment == Deployment::SplitTls {
                    command.arg("-tls");
                }
                command
                    .env("CC_BIN", binary("cc-gateway").parent().expect("a folder"))
                    .env("CC_PIDS_FILE", &pids_file);
                command
            }
        };
        let child = command
            .current_dir(site.path())
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a log file"))
            .stderr(out)
            .spawn()
            .expect("the server starts");
        Self {
            deployment,
            child,
            base: format!("http://{}", address("main")),
            grpc: format!("http://{}", address("grpc")),
            log,
            pids_file,
        }
    }

    /// Waits until every part says that it is ready.
    pub async fn ready(&self) {
        let client = self.client();
        wait::until("the server is ready", LIMIT, || async {
            let answer = Client::try_send(client.request(reqwest::Method::GET, "/readyz")).await;
            match answer {
                Ok(answer) if answer.status.is_success() => Ok(()),
                Ok(answer) => Err(format!("{}: {}\n{}", answer.status, answer.text, self.log_tail())),
                Err(error) => Err(format!("{error}\n{}", self.log_tail())),
            }
        })
        .await;
    }

    /// A client without a credential.
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// Address of the HTTP side.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Address of the public gRPC side.
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// How it was started.
    pub fn deployment(&self) -> Deployment {
        self.deployment
    }

    /// The end of the log, for failure messages.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Process ids by service name; one process has them all under `cc-backend`.
    pub fn pids(&self) -> BTreeMap<String, i32> {
        if self.deployment == Deployment::OneProcess {
            return BTreeMap::from([(
                "cc-backend".to_owned(),
                i32::try_from(self.child.id()).expect("a pid"),
            )]);
        }
        wait::until_blocking("the processes are known", LIMIT, || {
            let text = fs::read(&self.pids_file).map_err(|error| error.to_string())?;
            let pids: BTreeMap<String, Value> =
                serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            pids.into_iter()
                .map(|(name, pid)| {
                    Ok((
                        name,
                        i32::try_from(pid.as_i64().ok_or("no number")?).map_err(|error| error.to_string())?,
                    ))
                })
                .collect()
        })
    }

    /// The process id of a service; in one process that of all.
    pub fn pid(&self, service: &str) -> i32 {
        let pids = self.pids();
        let name = if self.deployment == Deployment::OneProcess { "cc-backend" } else { service };
        *pids.get(name).unwrap_or_else(|| panic!("no service {name} among {pids:?}"))
    }

    /// After a SIGKILL to `pid`: waits until a split deployment's supervisor has started the service again, or until the one process is
    /// gone, which then stays down until [`Server::launch`].
    pub fn killed(&mut self, service: &str, pid: i32) {
        if self.deployment == Deployment::OneProcess {
            self.child.wait().expect("it ended");
            return;
        }
        wait::until_blocking("the killed process is replaced", LIMIT, || {
            let now = self.pids().get(service).copied();
            if now == Some(pid) { Err(format!("{service} is still {pid}")) } else { Ok(()) }
        });
    }

    /// SIGKILL to a service, and what [`Server::killed`] does.
    pub fn kill(&mut self, service: &str) {
        let pid = self.pid(service);
        sigkill(pid);
        self.killed(service, pid);
    }

    /// SIGTERM; panics unless it ends by itself with status 0.
    pub fn stop(mut self) {
        send(i32::try_from(self.child.id()).expect("a pid"), Signal::SIGTERM);
        let status = wait::until_blocking("the server ends", Duration::from_secs(100), || {
            self.child.try_wait().expect("a child").ok_or_else(|| "it runs".to_owned())
        });
        assert!(status.success(), "ended with {status}\n{}", self.log_tail());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_some() {
            return;
        }
        if self.deployment == Deployment::OneProcess {
            let _ = self.child.kill();
        } else if let Ok(pid) = i32::try_from(self.child.id()) {
            // The supervisor ends its children.
            send(pid, Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

/// SIGKILL, at once.
pub fn sigkill(pid: i32) {
    send(pid, Signal::SIGKILL);
}

/// A process that is gone already needs no signal.
fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}
