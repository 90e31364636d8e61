//! One line and one measurement per request, when its answer has gone out whole or the client has left.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as Extract};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode, Uri};
use tracing::Instrument as _;

use super::request_id::RequestId;
use super::tail::{self, Watch};
use super::trace;
use crate::client::Client;
use crate::metrics;
use crate::state::State;

/// Paths whose query string may hold a password or a token.
const SECRET_QUERIES: [&str; 4] = ["/login", "/jwt-login", "/oidc-login", "/oidc-callback"];

/// Middleware: the access log (level debug, as in the reference, or info with `observability.access-log`) and the request
/// metrics.
pub async fn observe(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let mut line = Line {
        wanted: state.settings().access_log,
        begun: Instant::now(),
        id: RequestId::of(request.extensions()),
        client: Client::of(request.extensions()),
        method: request.method().clone(),
        target: target(request.uri()),
        route: request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()),
        status: StatusCode::OK,
        bytes: 0,
    };
    let route = line.route.as_deref().unwrap_or("none").to_owned();
    let span = trace::span(request.method(), &route, line.id.as_str(), request.headers());
    let response = next.run(request).instrument(span).await;
    line.status = response.status();
    response.map(|body| tail::follow(body, line))
}

/// What is logged of the address. A login's query is left out: it may hold credentials.
fn target(uri: &Uri) -> String {
    let path = uri.path();
    match uri.query() {
        Some(_) if SECRET_QUERIES.contains(&path.trim_end_matches('/')) => format!("{path}?…"),
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

struct Line {
    /// Whether the site asked for these lines.
    wanted: bool,
    begun: Instant,
    id: RequestId,
    client: Client,
    method: Method,
    target: String,
    route: Option<String>,
    status: StatusCode,
    bytes: u64,
}

impl Watch for Line {
    fn passed(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let elapsed = self.begun.elapsed();
        metrics::request(&self.method, self.route.as_deref(), self.status, elapsed);
        // The level of a line is fixed where it stands, so it stands twice.
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    request.id = self.id.as_str(),
                    client.address = self.client.text(),
                    http.status = self.status.as_u16(),
                    size_bytes = self.bytes,
                    duration_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
                    "{} {} ({}, {:.2}kb, {}ms)",
                    self.method,
                    self.target,
                    self.status.as_u16(),
                    f64::from(u32::try_from(self.bytes).unwrap_or(u32::MAX)) / 1024.0,
                    elapsed.as_millis(),
                )
            };
        }
        if self.wanted { tell!(info) } else { tell!(debug) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_logins_are_not_logged() {
        let of = |text: &str| target(&text.parse().unwrap());
        assert_eq!(of("/jwt-login?login-token=abc"), "/jwt-login?…");
        assert_eq!(of("/login?username=a&password=b"), "/login?…");
        assert_eq!(of("/login/?username=a"), "/login/?…");
        assert_eq!(of("/api/jobs/?state=running"), "/api/jobs/?state=running");
        assert_eq!(of("/login"), "/login");
    }
}
