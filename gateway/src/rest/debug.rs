//! `GET /api/debug` (metric-store.md 3.4): what the store holds.

use axum::extract::{Query, State as Extract};
use axum::response::Response;
use cc_proto::metric_store::v1::DebugRequest;
use cc_runtime::caller;
use http::StatusCode;

use super::query;
use crate::auth::gate::Store;
use crate::problem::Problem;
use crate::state::State;

/// Everything below `selector`: names joined by `:`, or the parameter given once per name, which reaches names that
/// contain a colon.
pub async fn dump(
    Store(caller): Store,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let given: Vec<String> =
        query.into_iter().filter(|(key, _)| key == "selector").map(|(_, value)| value).collect();
    let selector = match given.as_slice() {
        [one] => one.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        _ => given,
    };
    let request = caller::request(DebugRequest { selector }, &caller);
    match state.metric_store().debug(request).await {
        Ok(pieces) => query::pass_on(pieces.into_inner()).await.map_err(refusal),
        Err(status) => Err(refusal(status.into())),
    }
}

/// The reference answers 400 for a selector that leads nowhere.
fn refusal(mut problem: Problem) -> Problem {
    if problem.status == StatusCode::NOT_FOUND {
        problem.status = StatusCode::BAD_REQUEST;
    }
    problem
}
