//! Starting the program under test and looking at it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A bound for every wait.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A site: a directory with configuration and secrets.
pub(crate) struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// A site that can serve: a port of the system's choice, a metric store.
    pub(crate) fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        site.write(".env", "SESSION_KEY=x\n");
        site.configure("{}");
        site
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a configuration with these further sections.
    pub(crate) fn configure(&self, more: &str) {
        let mut config: Value = serde_json::json!({"main": {"addr": "127.0.0.1:0"},
            "metric-store": {"retention-in-memory": "1h", "memory-cap": 1}});
        let more: Value = serde_json::from_str(more).unwrap();
        for (section, values) in more.as_object().unwrap() {
            for (key, value) in values.as_object().unwrap() {
                config[section][key] = value.clone();
            }
        }
        self.write("config.json", &config.to_string());
    }

    /// The program in this site, not started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child::child", "--nocapture", "-q"])
            .current_dir(self.path())
            .env_clear()
            .env("CC_TEST_WORDS", serde_json::to_string(words).unwrap())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        Ended::from(self.command(words).output().unwrap())
    }

    /// Starts it as a server and waits until its ports are known.
    pub(crate) fn serve(&self, words: &[&str], set: impl FnOnce(&mut Command)) -> Server {
        let listen = self.path().join("listen.json");
        // Of an earlier start.
        let _old = std::fs::remove_file(&listen).is_ok();
        let mut command = self.command(words);
        command.env("CC_LISTEN_FILE", &listen).stdout(Stdio::piped()).stderr(Stdio::piped());
        set(&mut command);
        let server = Server { child: command.spawn().unwrap(), listen };
        until("the file of ports", || server.listen.is_file());
        server
    }
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A running one; killed when dropped.
pub(crate) struct Server {
    child: Child,
    listen: PathBuf,
}

impl Server {
    /// Address of a port by purpose.
    pub(crate) fn address(&self, purpose: &str) -> String {
        let map: Value = serde_json::from_slice(&std::fs::read(&self.listen).unwrap()).unwrap();
        map[purpose].as_str().unwrap_or_else(|| panic!("no {purpose} in {map}")).to_owned()
    }

    /// `GET` on a port.
    pub(crate) fn get(&self, purpose: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address(purpose)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits for a line on standard output that contains `text`.
    pub(crate) fn wait_for_line(&mut self, text: &str) {
        let output = self.child.stdout.as_mut().unwrap();
        let mut lines = BufReader::with_capacity(1, output).lines();
        assert!(lines.any(|line| line.unwrap().contains(text)), "{text} was never printed");
    }

    /// Ends it by SIGTERM.
    pub(crate) fn terminate(self) -> Ended {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        let mut code = None;
        until("the end of the process", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        let mut text = [String::new(), String::new()];
        self.child.stdout.take().unwrap().read_to_string(&mut text[0]).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut text[1]).unwrap();
        let [stdout, stderr] = text.clone();
        Ended { code: code.and_then(|status| status.code()).unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already when the test went well.
        let _killed = self.child.kill().is_ok() && self.child.wait().is_ok();
    }
}

/// Polls, bounded.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "waited too long for {what}");
        std::thread::yield_now();
    }
}
