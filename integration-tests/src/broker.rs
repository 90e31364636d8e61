//! A real message broker, `nats-server` of Debian, on a port of the loopback address.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use async_nats::{Client, ConnectOptions};
use tempfile::TempDir;

use crate::{server::free_port, wait};

/// How long the broker may take to listen.
const LIMIT: Duration = Duration::from_secs(30);

/// A running broker; killed when dropped.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    port: u16,
    /// Its streams; kept over [`Broker::restart`].
    store: TempDir,
    arguments: Vec<String>,
}

/// Whether there is a broker to start; says aloud that `test` is skipped where not. `CC_NO_SKIP` makes that a failure.
pub fn broker_or_skip(test: &str) -> bool {
    let found = Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        assert!(std::env::var_os("CC_NO_SKIP").is_none(), "{test} must not be skipped here");
        println!("skipped: {test}: nats-server is not installed");
    }
    found
}

impl Broker {
    /// Starts one with these arguments besides address and port, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(free_port(), arguments)
    }

    /// The same at a port that somebody knows already.
    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let store = tempfile::Builder::new().prefix("cc-nats-").tempdir().expect("a temporary folder");
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let child = launch(port, &store, &arguments);
        Self { child, port, store, arguments }
    }

    /// Kills it and starts it anew at the same port, with the streams it had.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(self.port, &self.store, &self.arguments);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("it ended");
    }

    /// Its address for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A client of a broker that asks for nothing.
    pub async fn client(&self) -> Client {
        self.client_with(ConnectOptions::new()).await
    }

    /// A client that signs in.
    pub async fn client_with(&self, options: ConnectOptions) -> Client {
        options.connect(self.url()).await.expect("the broker takes the client")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(port: u16, store: &TempDir, arguments: &[String]) -> Child {
    let child = Command::new("nats-server")
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
        .arg(store.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts");
    wait::until_blocking("the broker listens", LIMIT, || {
        TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
    });
    child
}
