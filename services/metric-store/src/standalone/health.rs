//! `GET /api/healthcheck` (spec metric-store.md 12).

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use cc_runtime::cpu;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Problem, Shared, json};
use crate::grpc::LOADING_WAIT;
use crate::health::NodeHealth;
use crate::store::Needed;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckRequest {
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    nodes: Option<Vec<String>>,
    #[serde(default, rename = "metric-names")]
    metric_names: Option<Vec<String>>,
}

/// The reference's keys: Go's field names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeAnswer {
    state: &'static str,
    /// JSON as a text; empty for a node that the store does not know.
    health_metrics: String,
}

#[derive(Serialize)]
struct HealthMetrics<'a> {
    degraded: &'a [String],
    missing: &'a [String],
}

/// The state of each node by the metrics named.
pub(super) async fn check(State(shared): State<Shared>, body: Bytes) -> Result<Response, Problem> {
    let failed = |problem: String| Problem::bad(format!("parsing request body failed: {problem}"));
    let request = match serde_json::Deserializer::from_slice(&body).into_iter::<Value>().next() {
        None => return Err(failed("EOF".to_owned())),
        Some(Err(error)) => return Err(failed(error.to_string())),
        Some(Ok(value @ Value::Object(_))) => {
            CheckRequest::deserialize(value).map_err(|error| failed(error.to_string()))?
        }
        Some(Ok(_)) => return Err(failed("expected an object".to_owned())),
    };
    let cluster = request.cluster.unwrap_or_default();
    let nodes = request.nodes.unwrap_or_default();
    let metrics = request.metric_names.unwrap_or_default();
    let mut needed = Needed::default();
    for node in &nodes {
        needed.add(&cluster, node);
    }
    shared.store.wait_loaded(needed, LOADING_WAIT).await?;
    let store = std::sync::Arc::clone(&shared.store);
    let found = cpu::run(move || store.health(&cluster, &nodes, &metrics)).await?;
    let answer: BTreeMap<&str, NodeAnswer> =
        found.iter().map(|node| (node.host.as_str(), one(node))).collect();
    let mut body = cc_model::json::to_vec(&answer).map_err(|error| failed(error.to_string()))?;
    body.push(b'\n');
    Ok(json(StatusCode::OK, body))
}

fn one(node: &NodeHealth) -> NodeAnswer {
    let metrics = HealthMetrics { degraded: &node.degraded, missing: &node.missing };
    // Lists of texts cannot fail to be JSON.
    let text = cc_model::json::to_string(&metrics).unwrap_or_default();
    NodeAnswer { state: node.state.as_str(), health_metrics: if node.known { text } else { String::new() } }
}
