//! `PATCH /api/jobs/edit_meta/{id}` and `/api/jobs/edit_meta/` (rest-api.md 6.11): sets or removes one key of a
//! job's metadata.

use axum::body::Body;
use axum::extract::{Path, State as Extract};
use axum::response::Response;
use cc_proto::job_db::v1::edit_meta_request::Job as Which;
use cc_proto::job_db::v1::{EditMetaRequest, JobSelector};
use cc_runtime::caller::{self, Caller};
use cc_runtime::error;
use http::{HeaderMap, StatusCode};
use tonic::Status;

use super::strict::Members;
use super::{DECODING, NO_ROWS, path, wire};
use crate::auth::gate::Api;
use crate::problem::Problem;
use crate::state::State;
use crate::{body, json};

/// Of a job by its database id.
pub async fn by_id(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = path::integer("parsing job ID failed: ", &id)?;
    let limits = state.settings().bodies;
    // a job script may be megabytes
    let body = body::whole(body, &headers, limits.start_job, limits).await?;
    let mut members = Members::of(DECODING, &body)?;
    let (key, value) = pair(&mut members);
    members.end()?;
    let request = EditMetaRequest { job: Some(Which::Id(id)), key, value };
    edit(&state, &caller, request, StatusCode::NOT_FOUND).await
}

/// Of the newest job that the body describes.
pub async fn by_request(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.start_job, limits).await?;
    let mut members = Members::of_body(&body)?;
    let selector = selector(&mut members);
    let (key, value) = members.object("payload", pair);
    members.end()?;
    let request = EditMetaRequest { job: Some(Which::Selector(required(selector)?)), key, value };
    edit(&state, &caller, request, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// The members that describe a job; nothing without its id.
pub(super) fn selector(members: &mut Members) -> Option<JobSelector> {
    let job_id = members.integer("jobId");
    let cluster = members.text("cluster").filter(|cluster| !cluster.is_empty());
    let start_time = members.integer("startTime");
    job_id.map(|job_id| JobSelector { job_id, cluster, start_time })
}

/// 400 without it.
pub(super) fn required(selector: Option<JobSelector>) -> Result<JobSelector, Problem> {
    selector.ok_or_else(|| Problem::bad("the field 'jobId' is required"))
}

/// Key and value; a value of `null` removes the key.
fn pair(members: &mut Members) -> (String, Option<String>) {
    (members.text("key").unwrap_or_default(), members.text_unless_null("value"))
}

async fn edit(
    state: &State,
    caller: &Caller,
    request: EditMetaRequest,
    missing: StatusCode,
) -> Result<Response, Problem> {
    let request = caller::request(request, caller);
    let mut job_db = state.job_db();
    let edited = state.detached("edit metadata", async move { job_db.edit_meta(request).await }).await;
    let edited = edited.map_err(|status| refusal(status, missing))?;
    let job = edited.into_inner().job.ok_or_else(|| Status::internal("an answer without the job"))?;
    Ok(json::answer(StatusCode::OK, &wire::from_proto(job)?))
}

/// The historic codes: a job that is not there is 404 by id and 422 by description.
fn refusal(status: Status, missing: StatusCode) -> Problem {
    let not_found = error::reason(&status).as_deref() == Some("JOB_NOT_FOUND");
    let mut problem = Problem::from(status);
    if not_found {
        problem.status = missing;
        problem.error = format!("finding job failed: {NO_ROWS}").into();
    } else {
        problem.error = format!("updating metadata failed: {}", problem.error).into();
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_removes_and_nothing_is_the_empty_text() {
        let read = |body: &str| {
            let mut members = Members::of(DECODING, body.as_bytes()).unwrap();
            let pair = pair(&mut members);
            members.end().map(|()| pair).map_err(|problem| problem.error.into_owned())
        };
        let key = || "k".to_owned();
        assert_eq!(read(r#"{"key": "k", "value": "v"}"#), Ok((key(), Some("v".to_owned()))));
        assert_eq!(read(r#"{"key": "k", "value": null}"#), Ok((key(), None)));
        assert_eq!(read(r#"{"key": "k"}"#), Ok((key(), Some(String::new()))));
        assert!(read(r#"{"note": "x"}"#).unwrap_err().starts_with("decoding request failed: "));
        assert!(read(r#"{"key": "a", "value": 5}"#).is_err());
    }
}
