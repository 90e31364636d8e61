//! `POST /api/free` (metric-store.md 3.3): gives back memory of samples that end before a time.

use axum::body::Body;
use axum::extract::{Query, State as Extract};
use axum::response::{IntoResponse as _, Response};
use cc_proto::metric_store::v1::{FreeRequest, FreeSelector};
use cc_runtime::caller;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::auth::gate::Store;
use crate::body;
use crate::problem::Problem;
use crate::state::State;

/// Frees what lies below the selectors in the body, each a list of names from the cluster on, and ends before `to`.
pub async fn free(
    Store(caller): Store,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let to = query.iter().find(|(key, _)| key == "to").map_or("", |(_, value)| value);
    if to.is_empty() {
        return Err(Problem::bad("'to' is a required query parameter"));
    }
    let to = to.parse().map_err(|_| Problem::bad(format!("to: {to:?} is no time in Unix seconds")))?;
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let selectors: Option<Vec<Vec<String>>> = match serde_json::from_slice(&body) {
        Ok(selectors) => selectors,
        Err(error) => return Ok(text(StatusCode::BAD_REQUEST, format!("selectors: {error}\n"))),
    };
    let selectors = selectors.unwrap_or_default().into_iter().map(|names| FreeSelector { names });
    let request = caller::request(FreeRequest { selectors: selectors.collect(), to }, &caller);
    let freed = state.metric_store().free(request).await?.into_inner().buffers;
    Ok(text(StatusCode::OK, format!("buffers freed: {freed}\n")))
}

/// Other than most answers of the API, the reference's are plain text here.
fn text(status: StatusCode, text: String) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}
