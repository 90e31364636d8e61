//! One binary of the product, started as a service manager starts it, with everything it says kept apart.

use std::{
    fs::{self, File},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use cc_integration_tests::{client::Client, shared::binary, wait};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// A bound for every wait.
pub const SOON: Duration = Duration::from_secs(60);

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    child: Child,
    manager: UnixDatagram,
    folder: PathBuf,
}

/// How it ended and what it wrote.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts `name` in the site's directory.
    pub fn start(name: &'static str, words: &[&str], site: &Path) -> Self {
        let folder = site.join(format!("run-{name}"));
        fs::create_dir(&folder).expect("a folder");
        let manager = UnixDatagram::bind(folder.join("notify")).expect("a socket");
        manager.set_read_timeout(Some(SOON)).expect("a limit");
        let file = |name: &str| File::create(folder.join(name)).expect("a file");
        let child = Command::new(binary(name))
            .args(words)
            .args(["-loglevel", "debug"])
            .current_dir(site)
            .env("TZ", "UTC")
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .env("CC_LISTEN_FILE", folder.join("listen.json"))
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("it starts");
        Self { name, child, manager, folder }
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).expect("its output")
    }

    /// A client of one of its ports: `http`, `metrics`.
    pub fn client(&self, port: &str) -> Client {
        let address = wait::until_blocking("the ports are known", SOON, || {
            let text = fs::read_to_string(self.folder.join("listen.json"))
                .map_err(|error| format!("{error}\n{}", self.written("stderr")))?;
            let ports: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            ports[port].as_str().map(str::to_owned).ok_or_else(|| format!("no {port} in {ports}"))
        });
        Client::new(&format!("http://{address}"))
    }

    /// Waits until the service manager has been told this.
    pub fn tells(&self, what: &str) -> String {
        let mut heard = String::new();
        while !heard.contains(what) {
            let mut buffer = [0; 1_024];
            let length = self.manager.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("{}: {error}: no {what}, only {heard}\n{}", self.name, self.written("stderr"))
            });
            heard.push_str(std::str::from_utf8(&buffer[..length]).expect("UTF-8"));
        }
        heard
    }

    /// Waits until its own port says that all of its parts are ready; answers the report.
    pub async fn ready(&self, port: &str) -> Value {
        let client = self.client(port);
        wait::until("the program is ready", SOON, || async {
            let answer = Client::try_send(client.request(reqwest::Method::GET, "/readyz")).await?;
            if answer.status.is_success() {
                Ok(answer.json())
            } else {
                Err(format!("{}: {}", self.name, answer.text))
            }
        })
        .await
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), Signal::SIGTERM)
            .expect("it runs");
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let status = wait::until_blocking("the program ends", SOON, || {
            let ended = self.child.try_wait().expect("a child");
            ended.ok_or_else(|| format!("{} runs\n{}", self.name, self.written("stderr")))
        });
        Ended { status, stdout: self.written("stdout"), stderr: self.written("stderr") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gone already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
