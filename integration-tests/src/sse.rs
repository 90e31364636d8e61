//! An open page's event stream: every event with the moment it arrived.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};

use crate::client::Client;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// `hello`, `job`, `resync` or `ping`.
    pub name: String,
    /// Its data.
    pub data: Value,
    /// When it was here.
    pub at: Instant,
}

impl Event {
    /// Whether it tells this of that job.
    pub fn tells(&self, kind: &str, cluster: &str, job_id: i64, start: i64) -> bool {
        self.name == "job"
            && self.data["kind"] == kind
            && self.data["cluster"] == cluster
            && self.data["jobId"] == job_id
            && self.data["startTime"] == start
    }
}

#[derive(Debug, Default)]
struct Seen {
    events: Mutex<Vec<Event>>,
    ended: Mutex<Option<String>>,
    changed: Notify,
}

/// An open stream; closed when dropped.
#[derive(Debug)]
pub struct Events {
    seen: Arc<Seen>,
    reader: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Events {
    /// Opens the stream and waits for its `hello`: what happens from now on is told.
    pub async fn open(client: &Client) -> Self {
        let events = Self::follow(client, "/events");
        events.expect("hello", Instant::now(), Duration::from_secs(20), |event| event.name == "hello").await;
        events
    }

    /// Opens the stream as a page that comes back and knows everything up to a position.
    pub fn open_after(client: &Client, position: u64) -> Self {
        Self::follow(client, &format!("/events?after={position}"))
    }

    fn follow(client: &Client, path: &str) -> Self {
        let seen = Arc::new(Seen::default());
        let request = client.request(Method::GET, path).timeout(Duration::from_secs(3600));
        let reader = tokio::spawn(read(request, Arc::clone(&seen)));
        Self { seen, reader }
    }

    /// All events so far.
    pub fn all(&self) -> Vec<Event> {
        self.seen.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for an event that must be here at most `limit` after `since`; panics otherwise.
    pub async fn expect(
        &self,
        what: &str,
        since: Instant,
        limit: Duration,
        matches: impl Fn(&Event) -> bool,
    ) -> Event {
        loop {
            let changed = self.seen.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(event) = self.all().into_iter().find(&matches) {
                let took = event.at.saturating_duration_since(since);
                assert!(took <= limit, "{what}: pushed only after {took:?}, limit {limit:?}");
                return event;
            }
            let ended = self.seen.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
            assert!(ended.is_none(), "{what}: the stream ended: {ended:?}");
            let left = limit.saturating_sub(since.elapsed());
            let woken = tokio::time::timeout(left, changed).await;
            // One more look after the limit: it may have arrived in time while this task waited for the processor.
            let late = woken.is_err() && !self.all().iter().any(&matches);
            assert!(!late, "{what}: not pushed within {limit:?}; so far {:?}", self.told());
        }
    }

    /// What was told of jobs, for failure messages and for looking at who was told what.
    pub fn told(&self) -> Vec<String> {
        self.all().iter().filter(|event| event.name == "job").map(|event| event.data.to_string()).collect()
    }
}

async fn read(request: reqwest::RequestBuilder, seen: Arc<Seen>) {
    let why = match follow(request, &seen).await {
        Ok(()) => "closed by the server".to_owned(),
        Err(error) => error,
    };
    *seen.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    seen.changed.notify_waiters();
}

async fn follow(request: reqwest::RequestBuilder, seen: &Seen) -> Result<(), String> {
    let mut response = request.send().await.map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status()));
    }
    let mut buffer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = buffer.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&block);
            let field =
                |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
            let (Some(name), Some(data)) = (field("event:"), field("data:")) else { continue };
            let event = Event {
                name: name.to_owned(),
                data: serde_json::from_str(data).map_err(|error| format!("{data}: {error}"))?,
                at: Instant::now(),
            };
            seen.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            seen.changed.notify_waiters();
        }
    }
    Ok(())
}
