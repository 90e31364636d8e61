//! The stand-alone server: the reference's routes on one port, by its own configuration (spec metric-store.md 1 to 3,
//! config-and-cli.md 13).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cc_model::cluster::Aggregation;
use cc_runtime::config::Config;
use cc_runtime::config::standalone::{Aggregation as Configured, Standalone};
use cc_runtime::cpu;
use cc_runtime::error::{Failure, Kind};
use serde::Serialize;

use self::token::{Keys, Refusal};
use crate::error::Error;
use crate::grpc::LOADING_WAIT;
use crate::nats;
use crate::raw_query::RawQuery;
use crate::registry::Rule;
use crate::start::{Deps, open, options};
use crate::store::{self, Needed, Pinning, Store};

mod health;
mod token;
mod write;

/// Largest body of a query or a health check.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// How many lines were refused, for senders that look.
const REJECTED_LINES: &str = "x-cc-rejected-lines";

/// What handlers share.
#[derive(Clone, Debug)]
struct Shared {
    store: Arc<Store>,
    /// `None`: no authentication at all.
    keys: Option<Arc<Keys>>,
    body_bytes_max: u64,
}

/// Opens the store, starts its background work, and returns the routes of the stand-alone server.
///
/// # Errors
/// A section is missing or has a value that cannot be used, or the store's directory cannot be used.
pub async fn start_standalone(deps: Deps) -> Result<Router, Error> {
    let missing =
        |section: &str| Error::Invalid(format!("section {section} is missing in the configuration"));
    let standalone = deps.config.standalone.as_ref().ok_or_else(|| missing("metrics"))?;
    let section = deps.config.metric_store.as_ref().ok_or_else(|| missing("metric-store"))?;
    let keys = keys(&deps.config, standalone, &deps)?;
    let pinning = if standalone.backend_url.is_empty() { Pinning::None } else { Pinning::Expected };
    if pinning == Pinning::Expected {
        tracing::warn!(
            "main.backend-url: the nodes in use are not asked for yet; twice the retention is kept instead"
        );
    }
    let store = open(options(section, deps.config.store_log, pinning), deps.clock.clone()).await?;
    store.configure_metrics(metrics(standalone));
    store::start(&store, &deps.tasks, &deps.readiness);
    nats::start(&store, &deps.config, &deps.health, &deps.tasks);
    let body_bytes_max = u64::from(deps.config.limits.max_body_mb) << 20;
    Ok(router(Shared { store, keys: keys.map(Arc::new), body_bytes_max }))
}

fn keys(config: &Config, standalone: &Standalone, deps: &Deps) -> Result<Option<Keys>, Error> {
    if standalone.jwt_public_key.is_empty() {
        tracing::warn!(
            "main.jwt-public-key is empty: everybody who reaches {} may write and read",
            config.main.addr
        );
        return Ok(None);
    }
    let any_role = config.compat.strict_reference;
    if any_role {
        tracing::warn!("compat.strict-reference: every valid token may write and read, whatever its roles");
    }
    Keys::new(&standalone.jwt_public_key, any_role, deps.clock.clone()).map(Some)
}

pub(crate) fn metrics(standalone: &Standalone) -> impl Iterator<Item = (String, Rule)> {
    standalone.metrics.iter().map(|(name, metric)| {
        let aggregation = match metric.aggregation {
            None => Aggregation::None,
            Some(Configured::Sum) => Aggregation::Sum,
            Some(Configured::Avg) => Aggregation::Avg,
        };
        (name.clone(), Rule { interval: i64::from(metric.frequency).max(1), aggregation })
    })
}

fn router(shared: Shared) -> Router {
    let write = post(write::take);
    let query = get(run_query).post(run_query);
    let health = get(health::check).post(health::check);
    let debug = get(dump);
    let free = post(free_samples);
    let api = Router::new()
        .route("/api/write", write.clone())
        .route("/api/write/", write.clone())
        .route("/api/write/{*rest}", write)
        .route("/api/query", query.clone())
        .route("/api/query/", query.clone())
        .route("/api/query/{*rest}", query)
        .route("/api/healthcheck", health.clone())
        .route("/api/healthcheck/", health.clone())
        .route("/api/healthcheck/{*rest}", health)
        .route("/api/free", free.clone())
        .route("/api/free/", free.clone())
        .route("/api/free/{*rest}", free)
        .route("/api/debug", debug.clone())
        .route("/api/debug/", debug.clone())
        .route("/api/debug/{*rest}", debug)
        .method_not_allowed_fallback(async || text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(middleware::from_fn_with_state(shared.clone(), authenticate));
    api.fallback(async || text(StatusCode::NOT_FOUND, "404 page not found\n")).with_state(shared)
}

/// Lets requests with a valid token pass, all of them if there is no key.
async fn authenticate(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let Some(keys) = &shared.keys else { return next.run(request).await };
    match keys.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal @ Refusal::Role) => text(StatusCode::FORBIDDEN, format!("{refusal}\n")),
        Err(refusal) => text(StatusCode::UNAUTHORIZED, format!("{refusal}\n")),
    }
}

/// `GET|POST /api/query`.
async fn run_query(State(shared): State<Shared>, body: Bytes) -> Result<Response, Problem> {
    let query = RawQuery::parse(&body)?;
    shared.store.wait_loaded(query.needed(), LOADING_WAIT).await?;
    let answer = query.answer_on_all(Arc::clone(&shared.store)).await?;
    Ok(json(StatusCode::OK, answer))
}

/// `POST /api/free?to=…`: frees what lies below the selectors in the body and ends before that time.
async fn free_samples(
    State(shared): State<Shared>,
    Query(query): Query<Vec<(String, String)>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let to = query.iter().find(|(key, _)| key == "to").map_or("", |(_, value)| value);
    if to.is_empty() {
        return Err(Problem::bad("'to' is a required query parameter"));
    }
    let to: i64 = to.parse().map_err(|_| Problem::bad(format!("to: {to:?} is no time in Unix seconds")))?;
    let selectors: Option<Vec<Vec<String>>> =
        serde_json::from_slice(&body).map_err(|error| Problem::bad(format!("selectors: {error}")))?;
    shared.store.wait_loaded(Needed::ALL, LOADING_WAIT).await?;
    let store = Arc::clone(&shared.store);
    let freed = cpu::run(move || store.free(&selectors.unwrap_or_default(), to)).await??;
    Ok(text(StatusCode::OK, format!("buffers freed: {freed}\n")))
}

/// `GET /api/debug`: what lies below the names in `selector`, joined by colons or given one by one.
async fn dump(
    State(shared): State<Shared>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let given: Vec<String> =
        query.into_iter().filter(|(key, _)| key == "selector").map(|(_, value)| value).collect();
    let selector = match given.as_slice() {
        [one] => one.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        _ => given,
    };
    shared.store.wait_loaded(Needed::ALL, LOADING_WAIT).await?;
    let store = Arc::clone(&shared.store);
    Ok(json(StatusCode::OK, cpu::run(move || store.debug(&selector)).await??))
}

fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.into())
        .into_response()
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// A refusal in the reference's JSON: `{"status":"Bad Request","error":"…"}`.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    message: String,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    status: &'a str,
    error: &'a str,
}

impl Problem {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if matches!(error, Error::SelectorNotFound(_)) {
            // as recorded
            return Self::bad(error.to_string());
        }
        let message = error.to_string();
        let failure = Failure::from(error);
        let message = if failure.kind() == Kind::Internal { failure.message().to_owned() } else { message };
        Self { status: failure.kind().http_status(), message }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let message = failure.kind().fixed_text().unwrap_or_else(|| failure.message()).to_owned();
        Self { status: failure.kind().http_status(), message }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status.canonical_reason().unwrap_or_default();
        // Two texts cannot fail to be JSON.
        let body = cc_model::json::to_vec(&ProblemBody { status, error: &self.message }).unwrap_or_default();
        let mut response = json(self.status, [body.as_slice(), b"\n"].concat());
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A header's value, if it is text.
fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests;
