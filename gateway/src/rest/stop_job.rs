//! `POST|PUT /api/jobs/stop_job/` (rest-api.md 6.6): a scheduler says that a job ended.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::Response;
use cc_proto::job_db::v1::StopJobRequest;
use cc_runtime::{caller, error};
use http::{HeaderMap, StatusCode};
use tonic::Status;

use super::strict::Members;
use super::{NO_ROWS, wire};
use crate::auth::gate::Api;
use crate::problem::Problem;
use crate::state::State;
use crate::{body, json};

/// Answers 200 with the job when the stop is stored durably and queued for archiving. 422 says that it was stopped
/// before, which adapters take for success.
pub async fn stop(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let request = caller::request(read(&body)?, &caller);
    let mut job_db = state.job_db();
    let stopped =
        state.detached("stop job", async move { job_db.stop_job(request).await }).await.map_err(refusal)?;
    let job = stopped.into_inner().job.ok_or_else(|| Status::internal("a stopped job without the job"))?;
    let mut job = wire::from_proto(job)?;
    // the reference shows neither of them here
    job.tags.clear();
    job.meta_data = None;
    job.statistics = None;
    Ok(json::answer(StatusCode::OK, &job))
}

pub(crate) fn read(body: &[u8]) -> Result<StopJobRequest, Problem> {
    let mut members = Members::of_body(body)?;
    let job_id = members.integer("jobId");
    let request = StopJobRequest {
        job_id: job_id.unwrap_or_default(),
        cluster: members.text("cluster").filter(|cluster| !cluster.is_empty()),
        start_time: members.integer("startTime"),
        stop_time: members.integer("stopTime").unwrap_or_default(),
        state: members.text("jobState").unwrap_or_default(),
    };
    members.end()?;
    if job_id.is_none() {
        return Err(Problem::bad("the field 'jobId' is required"));
    }
    Ok(request)
}

/// The historic codes and the text that scripts look for.
fn refusal(status: Status) -> Problem {
    let reason = error::reason(&status);
    let mut problem = Problem::from(status);
    match reason.as_deref() {
        Some("JOB_NOT_FOUND") => problem.error = format!("finding job failed: {NO_ROWS}").into(),
        Some("JOB_ALREADY_STOPPED") => problem.status = StatusCode::UNPROCESSABLE_ENTITY,
        _ => {}
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_job_id_is_needed() {
        let request = read(br#"{"jobId": 5, "cluster": "", "jobState": "failed"}"#).unwrap();
        assert_eq!(
            request,
            StopJobRequest { job_id: 5, state: "failed".to_owned(), ..StopJobRequest::default() }
        );
        assert_eq!(read(br#"{"cluster": "fritz"}"#).unwrap_err().error, "the field 'jobId' is required");
        assert!(read(br#"{"jobId": 5, "stoptime2": 1}"#).unwrap_err().error.contains("stoptime2"));
    }
}
