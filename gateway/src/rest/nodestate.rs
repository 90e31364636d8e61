//! `POST|PUT /api/nodestate/` and its alias `POST /api/healthcheck` (rest-api.md 6.4): what the scheduler says about the
//! nodes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::{IntoResponse as _, Response};
use cc_proto::job_db::v1::{NodeReport, ReportNodesRequest};
use cc_runtime::caller::{self, Caller};
use cc_runtime::cpu;
use http::{HeaderMap, StatusCode};
use tonic::Status;

use super::strict::Members;
use crate::auth::gate::{Api, Store};
use crate::body;
use crate::problem::Problem;
use crate::state::State;

/// For schedulers. 200 with an empty body once the states are stored.
pub async fn report(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    take(caller, state, headers, body).await
}

/// The same among the routes of the metric store.
pub async fn healthcheck(
    Store(caller): Store,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    take(caller, state, headers, body).await
}

async fn take(
    caller: Arc<Caller>,
    state: State,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    // a report of ten thousand nodes is larger than the usual limit of JSON, and worth a thread of its own
    let body = body::whole(body, &headers, limits.start_job, limits).await?;
    let request = cpu::run(move || read(&body)).await.map_err(Status::from)??;
    let request = caller::request(request, &caller);
    let mut job_db = state.job_db();
    let reported = state.detached("report nodes", async move { job_db.report_nodes(request).await }).await?;
    let skipped = reported.into_inner().skipped;
    if let Some(first) = skipped.first() {
        tracing::warn!(
            node.count = skipped.len(),
            "{} nodes are in no subcluster and were skipped, the first is {first}",
            skipped.len()
        );
    }
    Ok(StatusCode::OK.into_response())
}

pub(crate) fn read(body: &[u8]) -> Result<ReportNodesRequest, Problem> {
    let mut members = Members::of_body(body)?;
    let cluster = members.text("cluster").unwrap_or_default();
    let nodes = members.objects("nodes", |node| NodeReport {
        hostname: node.text("hostname").unwrap_or_default(),
        states: node.texts("states"),
        cpus_allocated: node.integer("cpusAllocated").unwrap_or_default(),
        memory_allocated_mb: node.integer("memoryAllocated").unwrap_or_default(),
        gpus_allocated: node.integer("gpusAllocated").unwrap_or_default(),
        jobs_running: node.integer("jobsRunning").unwrap_or_default(),
    });
    members.end()?;
    Ok(ReportNodesRequest { cluster, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_whole() {
        let request = read(
            br#"{"cluster":"fritz","nodes":[{"hostname":"f0101","states":["IDLE","DOWN"],"cpusAllocated":1,
                 "memoryAllocated":2,"gpusAllocated":3,"jobsRunning":4}]}"#,
        )
        .unwrap();
        let node = NodeReport {
            hostname: "f0101".to_owned(),
            states: vec!["IDLE".to_owned(), "DOWN".to_owned()],
            cpus_allocated: 1,
            memory_allocated_mb: 2,
            gpus_allocated: 3,
            jobs_running: 4,
        };
        assert_eq!(request, ReportNodesRequest { cluster: "fritz".to_owned(), nodes: vec![node] });
        assert!(read(br#"{"cluster":"fritz","nodes":[{"cpusAllocated":"5"}]}"#).is_err());
        assert!(read(br#"{"cluster":"fritz","nodes":[],"x":1}"#).is_err());
    }
}
