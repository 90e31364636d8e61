//! `DELETE /api/jobs/delete_job…` (rest-api.md 6.13): removes rows of jobs; the archive keeps what it has.

use axum::body::Body;
use axum::extract::{Path, Query, State as Extract};
use axum::response::Response;
use cc_proto::job_db::v1::delete_jobs_request::Jobs;
use cc_proto::job_db::v1::{DeleteJobsRequest, DeleteJobsResponse, JobsBefore, OmitTagged};
use cc_runtime::caller::{self, Caller};
use cc_runtime::error;
use http::{HeaderMap, StatusCode};
use tonic::Status;

use super::edit_meta::{required, selector};
use super::strict::Members;
use super::{Message, NO_ROWS, path};
use crate::auth::gate::Api;
use crate::problem::Problem;
use crate::state::State;
use crate::{body, json};

/// One job by its database id; a row that is not there is no error.
pub async fn by_id(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = path::integer("integer expected in path for id: ", &id)?;
    delete(&state, &caller, Jobs::Id(id)).await?;
    Ok(one(id))
}

/// The newest job that the body describes.
pub async fn by_request(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let mut members = Members::of_body(&body)?;
    let selector = selector(&mut members);
    members.end()?;
    let deleted = delete(&state, &caller, Jobs::Selector(required(selector)?)).await?;
    Ok(one(deleted.id))
}

/// All jobs that started before a time. Running ones stay unless `include-running=true`: their data would be lost.
pub async fn before(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Path(time): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let start_time = path::integer("integer expected in path for ts: ", &time)?;
    let first = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let omit = match first("omit-tagged") {
        None | Some("" | "none") => OmitTagged::Unspecified,
        Some("all") => OmitTagged::All,
        Some("user") => OmitTagged::User,
        Some(_) => return Err(Problem::bad("omit-tagged must be one of: none, all, user")),
    };
    let include_running = match first("include-running") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::bad("include-running must be one of: true, false")),
    };
    let jobs = Jobs::Before(JobsBefore { start_time, omit: omit.into(), include_running });
    let deleted = delete(&state, &caller, jobs).await?.deleted;
    let msg = format!("Successfully deleted {deleted} jobs").into();
    Ok(json::answer(StatusCode::OK, &Message { msg }))
}

fn one(id: i64) -> Response {
    json::answer(StatusCode::OK, &Message { msg: format!("Successfully deleted job {id}").into() })
}

async fn delete(state: &State, caller: &Caller, jobs: Jobs) -> Result<DeleteJobsResponse, Problem> {
    let request = caller::request(DeleteJobsRequest { jobs: Some(jobs) }, caller);
    let mut job_db = state.job_db();
    let deleted = state.detached("delete jobs", async move { job_db.delete_jobs(request).await }).await;
    Ok(deleted.map_err(refusal)?.into_inner())
}

/// The historic code of a job that is not there.
fn refusal(status: Status) -> Problem {
    let missing = error::reason(&status).as_deref() == Some("JOB_NOT_FOUND");
    let mut problem = Problem::from(status);
    if missing {
        problem.status = StatusCode::UNPROCESSABLE_ENTITY;
        problem.error = format!("finding job failed: {NO_ROWS}").into();
    }
    problem
}
