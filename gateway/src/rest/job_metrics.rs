//! `GET /api/jobs/metrics/{id}` (rest-api.md 6.12) and the same below `/userapi`: series of a job in the envelope of
//! GraphQL. What goes wrong stands inside with status 200, as clients expect it; the header `x-error-status` has the
//! status that it would be otherwise.

use axum::extract::{Path, Query, State as Extract};
use axum::response::Response;
use cc_model::scope::MetricScope;
use cc_model::series::JobMetric;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1::GetJobRequest;
use cc_runtime::caller::{self, Caller, Role};
use cc_runtime::{cpu, error};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tonic::Status;

use super::{NO_ROWS, path};
use crate::auth::gate::Passed;
use crate::json;
use crate::problem::Problem;
use crate::series::{self, Loaded, Wanted};
use crate::state::State;

const ERROR_STATUS: HeaderName = HeaderName::from_static("x-error-status");

#[derive(Serialize)]
struct Envelope {
    data: Option<Data>,
    error: Option<Told>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    job_metrics: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    scope: &'static str,
    metric: JobMetric,
}

#[derive(Serialize)]
struct Told {
    message: String,
}

/// The series that are asked for.
pub async fn get<G: Passed>(
    gate: G,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let caller = gate.caller();
    let wanted = read(pairs, series::default_resolution(&state))?;
    let loaded = match path::parse(&id) {
        Ok(id) => load(&state, &caller, id, wanted).await,
        Err(message) => Err((StatusCode::BAD_REQUEST, message)),
    };
    let (envelope, status) = match loaded {
        Ok(loaded) => {
            let named = |(name, scope, metric): (&str, MetricScope, &JobMetric)| Named {
                name: name.to_owned(),
                scope: scope.as_str(),
                metric: metric.clone(),
            };
            let data = Data { job_metrics: loaded.into_job_data().iter().map(named).collect() };
            (Envelope { data: Some(data), error: None }, None)
        }
        Err((status, message)) => (Envelope { data: None, error: Some(Told { message }) }, Some(status)),
    };
    let mut response =
        cpu::run(move || json::answer(StatusCode::OK, &envelope)).await.map_err(Status::from)?;
    if let Some(status) = status {
        response.headers_mut().insert(ERROR_STATUS, HeaderValue::from(status.as_u16()));
    }
    Ok(response)
}

fn read(pairs: Vec<(String, String)>, resolution: u32) -> Result<Wanted, Problem> {
    let (mut metrics, mut scopes) = (Vec::new(), Vec::new());
    for (key, value) in pairs {
        match key.as_str() {
            "metric" => metrics.push(value),
            "scope" => scopes.push(value.parse::<MetricScope>().map_err(|_| {
                Problem::bad(format!(
                    "unmarshaling scope failed: SCHEMA/METRICS > {value} is not a valid MetricScope"
                ))
            })?),
            _ => {}
        }
    }
    Ok(Wanted {
        metrics: (!metrics.is_empty()).then_some(metrics),
        scopes: (!scopes.is_empty()).then_some(scopes),
        resolution,
        with_data: true,
    })
}

async fn load(
    state: &State,
    caller: &Caller,
    id: i64,
    wanted: Wanted,
) -> Result<Loaded, (StatusCode, String)> {
    let told = |status: Status| {
        let missing = error::reason(&status).as_deref() == Some("JOB_NOT_FOUND");
        let problem = Problem::from(status);
        let message = if missing { NO_ROWS.to_owned() } else { problem.error.into_owned() };
        (problem.status, message)
    };
    let answer = state.job_db().get_job(caller::request(GetJobRequest { id }, caller)).await;
    let job = answer.map_err(told)?.into_inner().job;
    let job = job.ok_or_else(|| told(Status::internal("an answer without the job")))?;
    if !opens(caller, &job) {
        return Err((StatusCode::FORBIDDEN, "you are not allowed to see this job".to_owned()));
    }
    let names = |names| async { state.clusters().await?.metric_names(names) };
    let metrics = match wanted.metrics {
        Some(metrics) => Some(names(metrics).await.map_err(told)?),
        None => None,
    };
    series::of_job(state, caller, &job, Wanted { metrics, ..wanted }).await.map_err(told)
}

/// Owners and staff, and other than in the reference also programs of the site, which may read everything else of it.
fn opens(caller: &Caller, job: &common::Job) -> bool {
    job.user == caller.name
        || caller.roles == [Role::Api]
        || caller.has_any(&[Role::Admin, Role::Support, Role::Manager])
}
