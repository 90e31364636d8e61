//! Readiness of the parts of a process, and the two probe pages made of it.
//!
//! `/healthz` says that the process answers at all; `/readyz` that every part is ready, 503 until then.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::sync::watch;

/// What one part of a process says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartState {
    /// Whether the part answers every request it is asked.
    pub ready: bool,
    /// Why not, or what it is busy with, e.g. `loading checkpoints 312/960 hosts`. Empty when there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The readiness of one part (service, store, connection). Starts as not ready. Clones share the state.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<PartState>>);

impl Readiness {
    /// A part of its own, not listed on any page: for tests and for parts inside parts.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(PartState { ready: false, reason: "starting".to_owned() })))
    }

    /// Declares the part ready.
    pub fn ready(&self) {
        self.set(true, String::new());
    }

    /// Declares the part ready, with something that operators should know all the same: it goes on without something
    /// (shown to operators: no secrets).
    pub fn ready_without(&self, reason: impl Into<String>) {
        self.set(true, reason.into());
    }

    /// Declares the part not ready and says why (shown to operators: no secrets).
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(false, reason.into());
    }

    /// Whether the part is ready now.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().ready
    }

    /// The present state.
    pub fn state(&self) -> PartState {
        self.0.borrow().clone()
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<PartState> {
        self.0.subscribe()
    }

    /// Waits until the part is ready. Bound it with a deadline.
    pub async fn wait_ready(&self) {
        let mut state = self.watch();
        // The sender lives in `self`, so the channel cannot be closed while we wait.
        let _closed = state.wait_for(|state| state.ready).await.is_err();
    }

    fn set(&self, ready: bool, reason: String) {
        self.0.send_if_modified(|state| {
            let changed = state.ready != ready || state.reason != reason;
            *state = PartState { ready, reason };
            changed
        });
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

/// The parts of one process by name. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Readiness>>>);

/// The whole process at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every part is ready. A process without parts is ready.
    pub ready: bool,
    /// Each part by name.
    pub parts: BTreeMap<String, PartState>,
}

impl Health {
    /// No parts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The part of that name; made, not ready, at the first call.
    pub fn part(&self, name: &str) -> Readiness {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(name.to_owned()).or_default().clone()
    }

    /// The present state of all parts.
    pub fn report(&self) -> Report {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let parts: BTreeMap<_, _> = parts.iter().map(|(name, part)| (name.clone(), part.state())).collect();
        Report { ready: parts.values().all(|part| part.ready), parts }
    }

    /// One line for `systemctl status`: `running`, with the first part that has something to say; or the first part
    /// that is not ready and why.
    pub fn summary(&self) -> String {
        let report = self.report();
        if let Some((name, part)) = report.parts.iter().find(|(_, part)| !part.ready) {
            return format!("{name}: {}", part.reason);
        }
        match report.parts.iter().find(|(_, part)| !part.reason.is_empty()) {
            None => "running".to_owned(),
            Some((name, part)) => format!("running; {name}: {}", part.reason),
        }
    }

    /// Routes `GET /healthz` and `GET /readyz` (deployment.md D-100), without authentication. Only a direct
    /// peer on the machine itself sees the parts and reasons; everybody else gets the plain verdict.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(async || plain(StatusCode::OK, "ok")))
            .route("/readyz", get(readyz))
            .with_state(self.clone())
    }
}

async fn readyz(State(health): State<Health>, request: Request) -> Response {
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if is_local(&request) {
        let mut answer = (status, Json(report)).into_response();
        finish(&mut answer, status);
        answer
    } else {
        plain(status, if status == StatusCode::OK { "ready" } else { "not ready" })
    }
}

/// A forwarded request comes from elsewhere even if the proxy is local.
fn is_local(request: &Request) -> bool {
    let forwarded = ["x-forwarded-for", "x-real-ip", "forwarded"];
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|peer| peer.0.ip().is_loopback())
        && !forwarded.iter().any(|name| request.headers().contains_key(*name))
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut answer = (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
    finish(&mut answer, status);
    answer
}

/// These pages have none of the layers of an application around them, so they bring the headers of every answer along
/// (rest-api.md 2.2). The policy is stricter than that of pages: there is nothing to load.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    ),
];

fn finish(answer: &mut Response, status: StatusCode) {
    answer.headers_mut().extend(HEADERS);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(
        health: &Health,
        path: &str,
        peer: &str,
        header: Option<(&str, &str)>,
    ) -> (StatusCode, String) {
        let mut request = Request::get(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let answer = health.router().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_only_when_every_part_is() {
        let health = Health::new();
        let (auth, store) = (health.part("auth"), health.part("metric-store"));
        auth.ready();
        store.not_ready("loading checkpoints 1/2 hosts");
        let (status, body) = ask(&health, "/readyz", "127.0.0.1:9", None).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            body,
            r#"{"ready":false,"parts":{"auth":{"ready":true},"metric-store":{"ready":false,"reason":"loading checkpoints 1/2 hosts"}}}"#
        );
        assert_eq!(health.summary(), "metric-store: loading checkpoints 1/2 hosts");
        store.ready();
        assert_eq!(ask(&health, "/readyz", "[::1]:9", None).await.0, StatusCode::OK);
        assert_eq!(health.summary(), "running");
        assert_eq!(ask(&health, "/healthz", "10.0.0.1:9", None).await, (StatusCode::OK, "ok".to_owned()));
    }

    #[tokio::test]
    async fn strangers_see_the_verdict_only() {
        let health = Health::new();
        health.part("job-db").not_ready("cannot open ./var/job.db");
        let answer = (StatusCode::SERVICE_UNAVAILABLE, "not ready".to_owned());
        assert_eq!(ask(&health, "/readyz", "10.0.0.1:9", None).await, answer);
        let forwarded = Some(("x-forwarded-for", "127.0.0.1"));
        assert_eq!(ask(&health, "/readyz", "127.0.0.1:9", forwarded).await, answer);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_change() {
        let part = Readiness::new();
        assert!(!part.is_ready());
        let (waited, ()) = tokio::join!(
            async {
                part.wait_ready().await;
                true
            },
            async { part.ready() }
        );
        assert!(waited);
        part.not_ready("closing");
        assert_eq!(part.state(), PartState { ready: false, reason: "closing".to_owned() });
    }

    #[test]
    fn the_same_state_wakes_nobody() {
        let part = Readiness::new();
        part.ready();
        let mut watch = part.watch();
        watch.mark_unchanged();
        part.ready();
        assert!(!watch.has_changed().unwrap());
        part.not_ready("x");
        assert!(watch.has_changed().unwrap());
    }
}
