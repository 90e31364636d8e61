//! Getting a connection and keeping it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::Notify;

use super::{Inner, Link};
use crate::tasks::chain;

/// The first pause between two tries; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest wait for one server.
const TRY: Duration = Duration::from_secs(5);

/// Connects, and again whenever the library has given up.
pub(super) async fn keep(link: Link) {
    let state = Arc::new(State { link: link.clone(), told: Mutex::default(), closed: Notify::new() });
    let mut tries = 0;
    loop {
        match connect(&state).await {
            Ok(client) => {
                tries = 0;
                link.0.connected.send_replace(Some(client));
                state.closed.notified().await;
                link.0.connected.send_replace(None);
            }
            Err(text) => state.off(&text),
        }
        tries += 1;
        tokio::time::sleep(pause(tries + 1)).await;
    }
}

/// How long to wait before a try; the first one is at once. Jittered, so that a site does not come back in step.
fn pause(tries: usize) -> Duration {
    let Some(doublings) = tries.checked_sub(2) else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(u32::try_from(doublings).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
    PAUSE.saturating_mul(factor).min(PAUSE_MAX).mul_f64(rand::random_range(0.75..1.25))
}

struct State {
    link: Link,
    /// Why there is no connection, as it was told last; empty while there is one.
    told: Mutex<String>,
    closed: Notify,
}

impl State {
    /// There is no connection. Told once per reason.
    fn off(&self, text: &str) {
        let Inner { section, readiness, name, .. } = &*self.link.0;
        let text = format!("not connected to {}: {text}", places(&section.address));
        ::metrics::gauge!("nats_connected", "part" => name.clone()).set(0.0);
        readiness.ready_without(text.clone());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != text {
            tracing::error!("NATS: {text}; trying again. What is sent there meanwhile does not arrive");
            *told = text;
        }
    }

    fn on(&self) {
        let Inner { section, readiness, name, .. } = &*self.link.0;
        ::metrics::gauge!("nats_connected", "part" => name.clone()).set(1.0);
        readiness.ready();
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        tracing::info!("NATS: connected to {}", places(&section.address));
    }

    fn event(&self, event: &Event) {
        match event {
            Event::Connected => self.on(),
            Event::Disconnected => self.off("the connection broke"),
            // A failed try to come back.
            Event::ClientError(error) => {
                let up = self.link.0.connected.borrow().is_some();
                let on = self.told.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
                if up && on {
                    tracing::warn!("NATS: {error}");
                } else if up {
                    self.off(&error.to_string());
                }
            }
            Event::ServerError(error) => tracing::warn!("NATS: the broker says: {error}"),
            Event::SlowConsumer(_) => {
                tracing::error!("NATS: messages are dropped, too many arrive at once");
            }
            Event::Closed => self.closed.notify_one(),
            Event::LameDuckMode | Event::Draining => tracing::info!("NATS: {event}"),
        }
    }
}

/// Where the broker is, without what may stand before an `@`.
fn places(address: &str) -> String {
    let places: Vec<String> = address
        .split(',')
        .map(|one| match one.trim().parse::<ServerAddr>() {
            Ok(server) => format!("{}:{}", server.host(), server.port()),
            Err(_) => "an address that is none".to_owned(),
        })
        .collect();
    places.join(", ")
}

async fn connect(state: &Arc<State>) -> Result<Client, String> {
    let address = &state.link.0.section.address;
    let servers: Result<Vec<ServerAddr>, _> = address.split(',').map(|one| one.trim().parse()).collect();
    let servers = servers.map_err(|error| {
        format!("nats.address is no list of addresses such as nats://HOST:4222 ({})", chain(&error))
    })?;
    let options = options(state).await?;
    options.connect(servers).await.map_err(|error| chain(&error))
}

async fn options(state: &Arc<State>) -> Result<ConnectOptions, String> {
    let Inner { name, section, client, .. } = &*state.link.0;
    let events = Arc::clone(state);
    let mut options = ConnectOptions::new()
        .name(name)
        .connection_timeout(TRY)
        .max_reconnects(None)
        .reconnect_delay_callback(pause)
        .require_tls(client.tls)
        .event_callback(move |event| {
            let state = Arc::clone(&events);
            async move { state.event(&event) }
        });
    if !section.username.is_empty() && !section.password.is_empty() {
        options = options.user_and_password(section.username.clone(), section.password.clone());
    }
    if let Some(path) = &section.creds_file_path {
        let text = read("nats.creds-file-path", path).await?;
        options = options.credentials(&text).map_err(|error| {
            format!("nats.creds-file-path: {} is no .creds file: {error}", path.display())
        })?;
    }
    if let Some(path) = &client.nkey_seed_file {
        options = options.nkey(read("nats-client.nkey-seed-file", path).await?.trim().to_owned());
    }
    if let Some(path) = &client.tls_ca_file {
        // Read by the library, which tells neither the key nor the file.
        read("nats-client.tls-ca-file", path).await?;
        options = options.add_root_certificates(path.clone());
    }
    if let (Some(certificate), Some(key)) = (&client.tls_cert_file, &client.tls_key_file) {
        read("nats-client.tls-cert-file", certificate).await?;
        read("nats-client.tls-key-file", key).await?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

async fn read(key: &str, path: &std::path::Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|error| format!("{key}: {} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        assert_eq!((pause(0), pause(1)), (Duration::ZERO, Duration::ZERO));
        for (tries, about_ms) in
            [(2, 250), (3, 500), (6, 4000), (9, 30_000), (50, 30_000), (usize::MAX, 30_000)]
        {
            let pause = pause(tries).as_millis();
            assert!(pause >= about_ms * 3 / 4 && pause <= about_ms * 5 / 4, "{tries}: {pause} ms");
        }
    }

    #[test]
    fn secrets_in_an_address_are_not_told() {
        assert_eq!(places("nats://u:hidden@h, tls://[::1]:9, x"), "h:4222, ::1:9, x:4222");
        assert!(!places("nats://u:hidden@h:999999").contains("hidden"));
    }
}
