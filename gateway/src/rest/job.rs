//! `GET|POST /api/jobs/{id}` (rest-api.md 6.14, 6.15) and the same below `/userapi`: one job with its metadata, and
//! its series where they are asked for.

use axum::body::Body;
use axum::extract::{Path, Query, State as Extract};
use axum::response::Response;
use cc_model::Job;
use cc_model::scope::MetricScope;
use cc_model::series::{JobData, JobMetric};
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1::GetJobRequest;
use cc_runtime::caller::{self, Caller};
use cc_runtime::{cpu, error};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use tonic::Status;

use super::{DECODING, NO_ROWS, path, strict, wire};
use crate::auth::gate::Passed;
use crate::problem::Problem;
use crate::series::{self, Wanted};
use crate::state::State;
use crate::{body, json};

/// Capitals as recorded: scripts read them.
#[derive(Serialize)]
struct Answer<T> {
    #[serde(rename = "Meta")]
    meta: Job,
    #[serde(rename = "Data")]
    data: T,
}

/// A metric in the list that POST answers with.
#[derive(Serialize)]
struct Listed {
    metric: JobMetric,
    name: String,
    scope: &'static str,
}

/// The job, and with `all-metrics=true` every metric as an object of scopes.
pub async fn get<G: Passed>(
    gate: G,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let caller = gate.caller();
    let job = find(&state, &caller, &id).await?;
    let all =
        pairs.into_iter().find(|(key, _)| key == "all-metrics").is_some_and(|(_, value)| value == "true");
    let data = if all { Some(load(&state, &caller, &job, None).await?) } else { None };
    encode(Answer { meta: wire::from_proto(job)?, data }).await
}

/// The job with the metrics that the body lists; `null` means all.
pub async fn post<G: Passed>(
    gate: G,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = gate.caller();
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let job = find(&state, &caller, &id).await?;
    let metrics = strict::texts(DECODING, &body)?;
    let data = load(&state, &caller, &job, metrics).await?;
    let listed = data.metrics.into_iter().flat_map(|(name, scopes)| {
        scopes.into_iter().map(move |(scope, metric)| Listed {
            metric,
            name: name.clone(),
            scope: scope.as_str(),
        })
    });
    encode(Answer { meta: wire::from_proto(job)?, data: listed.collect::<Vec<_>>() }).await
}

/// Series are megabytes of JSON: not on the threads that serve everybody.
async fn encode<T: Serialize + Send + 'static>(answer: Answer<T>) -> Result<Response, Problem> {
    Ok(cpu::run(move || json::answer(StatusCode::OK, &answer)).await.map_err(Status::from)?)
}

async fn find(state: &State, caller: &Caller, id: &str) -> Result<common::Job, Problem> {
    let id = path::integer("integer expected in path for id: ", id)?;
    let request = caller::request(GetJobRequest { id }, caller);
    let answer = state.job_db().get_job(request).await.map_err(|status| refusal(status, id))?;
    Ok(answer.into_inner().job.ok_or_else(|| Status::internal("an answer without the job"))?)
}

/// The historic code, also for jobs that the caller may not see.
fn refusal(status: Status, id: i64) -> Problem {
    let missing = error::reason(&status).as_deref() == Some("JOB_NOT_FOUND");
    let mut problem = Problem::from(status);
    if missing {
        problem.status = StatusCode::UNPROCESSABLE_ENTITY;
        problem.error = format!("finding job with db id {id} failed: {NO_ROWS}").into();
    }
    problem
}

/// Cores of a job on one node, nodes otherwise, no finer than the coarsest metric of the cluster. Nothing of a cluster
/// that is not configured any more: the job itself can be shown all the same.
async fn load(
    state: &State,
    caller: &Caller,
    job: &common::Job,
    metrics: Option<Vec<String>>,
) -> Result<JobData, Problem> {
    let known = state.clusters().await?;
    let metrics = metrics.map(|names| known.metric_names(names)).transpose()?;
    let Some(cluster) = known.clusters.get(&job.cluster) else { return Ok(JobData::default()) };
    let coarsest = cluster.metric_config.iter().map(|metric| metric.timestep).max().unwrap_or_default();
    let wanted = Wanted {
        metrics,
        scopes: Some(vec![if job.num_nodes == 1 { MetricScope::Core } else { MetricScope::Node }]),
        resolution: u32::try_from(coarsest).unwrap_or_default(),
        with_data: true,
    };
    let loaded = series::of_job(state, caller, job, wanted).await.map_err(|status| {
        let mut problem = Problem::from(status);
        if problem.status.is_client_error() && problem.retry_after_s.is_none() {
            // nothing is wrong with the request
            problem.status = StatusCode::INTERNAL_SERVER_ERROR;
        }
        problem
    })?;
    Ok(loaded.into_job_data())
}
