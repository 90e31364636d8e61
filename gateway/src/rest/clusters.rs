//! `GET /api/clusters/` (rest-api.md 6.3).

use axum::extract::{Query, State as Extract};
use axum::response::Response;
use cc_model::Cluster;
use cc_runtime::cpu;
use http::StatusCode;
use serde::Serialize;
use tonic::Status;

use crate::auth::gate::Api;
use crate::json;
use crate::problem::Problem;
use crate::state::State;

#[derive(Serialize)]
struct Answer<'a> {
    clusters: Vec<&'a Cluster>,
}

/// All clusters, or the one named by `cluster`.
pub async fn list(
    Api(_caller): Api,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let known = state.clusters().await?;
    let wanted = query.into_iter().find(|(key, _)| key == "cluster").map(|(_, name)| name);
    if let Some(name) = &wanted
        && known.clusters.get(name).is_none()
    {
        return Err(Problem::bad(format!("unknown cluster: {name}")));
    }
    // topologies of large sites are megabytes of JSON
    let encoded = cpu::run(move || {
        let named = |cluster: &&Cluster| wanted.as_ref().is_none_or(|name| *name == cluster.name);
        let clusters = known.clusters.iter().map(AsRef::as_ref).filter(named).collect();
        json::answer(StatusCode::OK, &Answer { clusters })
    });
    Ok(encoded.await.map_err(Status::from)?)
}
