//! `GET /api/jobs/used_nodes` (rest-api.md 6.8): the hosts of running jobs, for metric stores that keep their samples.

use std::collections::BTreeMap;

use axum::extract::{Query, State as Extract};
use axum::response::Response;
use cc_proto::job_db::v1::UsedNodesRequest;
use cc_runtime::caller;
use http::StatusCode;
use serde::Serialize;

use crate::auth::gate::Api;
use crate::json;
use crate::problem::Problem;
use crate::state::State;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    used_nodes: BTreeMap<String, Vec<String>>,
}

/// Hosts by cluster of jobs that run and began before `ts`.
pub async fn list(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let ts = query.into_iter().find(|(key, _)| key == "ts").map(|(_, value)| value).unwrap_or_default();
    if ts.is_empty() {
        return Err(Problem::bad("missing required query parameter: ts"));
    }
    let before = ts.parse().map_err(|_| {
        Problem::bad(format!("invalid timestamp format: strconv.ParseInt: parsing {ts:?}: invalid syntax"))
    })?;
    let used =
        state.job_db().used_nodes(caller::request(UsedNodesRequest { before }, &caller)).await?.into_inner();
    let used_nodes = used.clusters.into_iter().map(|list| (list.name, list.values)).collect();
    Ok(json::answer(StatusCode::OK, &Answer { used_nodes }))
}
