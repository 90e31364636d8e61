//! What the service manager hears (`sd_notify`), without a helper process: works with `NotifyAccess=main` and `all`
//! (config-and-cli.md 10.2).

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::env::Env;

/// The way to the service manager; silent when there is none. Clones share the socket.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Opens the socket that `NOTIFY_SOCKET` names and reads the watchdog's period. A socket that cannot be
    /// reached is reported and then ignored.
    pub fn from_env(env: &dyn Env) -> Self {
        let Some(name) = env.get("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let socket = match connect(&name) {
            Ok(socket) => Some(Arc::new(socket)),
            Err(error) => {
                tracing::warn!(%error, "cannot reach the service manager at {name}: {error}");
                None
            }
        };
        Self { watchdog: socket.as_ref().and_then(|_| watchdog(env)), socket }
    }

    /// Whether anybody listens.
    pub fn is_active(&self) -> bool {
        self.socket.is_some()
    }

    /// How often the service manager wants a sign of life at least.
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The process serves.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}\n", line(status)));
    }

    /// The process is ending.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Shutting down ...\n");
    }

    /// What the process is doing, for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}\n", line(status)));
    }

    /// The process reads its files again; [`Notifier::ready`] ends that.
    pub fn reloading(&self) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
            let seconds = u128::try_from(now.tv_sec()).unwrap_or_default();
            seconds * 1_000_000 + u128::try_from(now.tv_nsec()).unwrap_or_default() / 1000
        });
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}\n"));
    }

    /// Starting or ending takes at least this much longer.
    pub fn extend(&self, by: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}\n", by.as_micros()));
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!(%error, "the service manager did not hear {text:?}: {error}");
        }
    }
}

fn connect(name: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.strip_prefix('@') {
        Some(abstract_name) => socket.connect_addr(&SocketAddr::from_abstract_name(abstract_name)?)?,
        None => socket.connect(name)?,
    }
    // The process must not hang when the manager does.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn watchdog(env: &dyn Env) -> Option<Duration> {
    let for_us = env.get("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
    let period = env.get("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0);
    period.filter(|_| for_us).map(Duration::from_micros)
}

/// A status is one line.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::MapEnv;

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 500];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_reach_the_manager() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let env =
            MapEnv::new().with("NOTIFY_SOCKET", path.to_str().unwrap()).with("WATCHDOG_USEC", "60000000");
        let notifier = Notifier::from_env(&env);
        assert!(notifier.is_active());
        assert_eq!(notifier.watchdog_period(), Some(Duration::from_mins(1)));
        notifier.ready("running\nREADY=0");
        assert_eq!(receive(&manager), "READY=1\nSTATUS=running READY=0\n");
        notifier.extend(Duration::from_secs(30));
        assert_eq!(receive(&manager), "EXTEND_TIMEOUT_USEC=30000000\n");
        notifier.status("loading checkpoints 1/2 hosts");
        assert_eq!(receive(&manager), "STATUS=loading checkpoints 1/2 hosts\n");
        notifier.alive();
        assert_eq!(receive(&manager), "WATCHDOG=1\n");
        notifier.reloading();
        assert!(receive(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
        notifier.stopping();
        assert_eq!(receive(&manager), "STOPPING=1\nSTATUS=Shutting down ...\n");
    }

    #[test]
    fn abstract_names_work() {
        let name = format!("cc-runtime-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::from_env(&MapEnv::new().with("NOTIFY_SOCKET", format!("@{name}"))).alive();
        assert_eq!(receive(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        for env in [MapEnv::new(), MapEnv::new().with("NOTIFY_SOCKET", "/nonexistent/notify")] {
            let notifier = Notifier::from_env(&env.with("WATCHDOG_USEC", "1"));
            assert!(!notifier.is_active());
            assert_eq!(notifier.watchdog_period(), None);
            notifier.ready("running");
        }
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let env = MapEnv::new().with("WATCHDOG_USEC", "1000").with("WATCHDOG_PID", "1");
        assert_eq!(watchdog(&env), None);
    }
}
