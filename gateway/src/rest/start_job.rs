//! `POST|PUT /api/jobs/start_job/` (rest-api.md 6.5): a scheduler says that a job began.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::Response;
use cc_model::Job;
use cc_proto::job_db::v1::StartJobRequest;
use cc_runtime::error;
use cc_runtime::{caller, cpu};
use http::{HeaderMap, StatusCode};
use tonic::Status;

use super::{Message, strict};
use crate::auth::gate::Api;
use crate::problem::Problem;
use crate::state::State;
use crate::{body, json};

/// Answers 201 when the job is stored durably. 422 says that it is there already, which adapters take for success.
pub async fn start(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.start_job, limits).await?;
    // a job script may be megabytes: not on the threads that serve everybody
    let job = cpu::run(move || Job::from_start_request(&body)).await.map_err(Status::from)?;
    let job = job.map_err(strict::failed)?;
    let request =
        caller::request(StartJobRequest { job: Some(cc_proto::convert::job_to_proto(&job)) }, &caller);
    let mut job_db = state.job_db();
    state.detached("start job", async move { job_db.start_job(request).await }).await.map_err(refusal)?;
    Ok(json::answer(StatusCode::CREATED, &Message { msg: "success".into() }))
}

/// The historic codes: a job that exists is 422, not 409.
fn refusal(status: Status) -> Problem {
    let exists = error::reason(&status).as_deref() == Some("JOB_EXISTS");
    let mut problem = Problem::from(status);
    if exists {
        problem.status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    problem
}
