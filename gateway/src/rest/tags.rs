//! Tags over REST (rest-api.md 6.9, 6.10, 6.16): on one job, and everywhere.

use axum::body::Body;
use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse as _, Response};
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1::{ChangeTagsRequest, ChangeTagsResponse, DeleteTagsRequest};
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

/// Attaches tags to a job, creating those that are new. All or nothing; what is attached already is no error.
pub async fn attach(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, tags) = read(&state, &id, headers, body).await?;
    let request = ChangeTagsRequest { id, attach: tags.clone(), detach: Vec::new() };
    let changed = change(&state, &caller, request).await.map_err(|status| refusal("adding", status))?;
    let job = changed.job.ok_or_else(|| Status::internal("an answer without the job"))?;
    let mut job = wire::from_proto(job)?;
    // what was attached is shown, also in a scope that the caller writes but does not read
    for tag in changed.attached.into_iter().map(cc_proto::convert::tag_from_proto) {
        if !job.tags.iter().any(|known| known.id == tag.id) {
            job.tags.push(tag);
        }
    }
    // the scope as the request wrote it, as recorded
    for unscoped in tags.iter().filter(|tag| tag.scope.is_empty()) {
        let shown =
            job.tags.iter_mut().filter(|tag| tag.kind == unscoped.r#type && tag.name == unscoped.name);
        shown.for_each(|tag| tag.scope.clear());
    }
    Ok(json::answer(StatusCode::OK, &job))
}

/// Detaches tags from a job; those of private scopes are passed over.
pub async fn detach(
    Api(caller): Api,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (id, tags) = read(&state, &id, headers, body).await?;
    let request = ChangeTagsRequest { id, attach: Vec::new(), detach: shared(tags) };
    let changed = change(&state, &caller, request).await.map_err(|status| refusal("removing", status))?;
    let job = changed.job.ok_or_else(|| Status::internal("an answer without the job"))?;
    Ok(json::answer(StatusCode::OK, &wire::from_proto(job)?))
}

/// Deletes tags with all their links; those of private scopes are passed over.
pub async fn delete(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let tags = Members::list(DECODING, &body, tag)?;
    let requested = tags.len();
    let request = caller::request(DeleteTagsRequest { tags: shared(tags) }, &caller);
    let mut job_db = state.job_db();
    let deleted = state.detached("delete tags", async move { job_db.delete_tags(request).await }).await;
    let deleted = deleted.map_err(|status| refusal("removing", status))?.into_inner().ids.len();
    // the spelling is part of the interface
    let text = format!("Deleted Tags from DB: {deleted} successfull of {requested} requested\n");
    Ok((StatusCode::OK, text).into_response())
}

async fn read(
    state: &State,
    id: &str,
    headers: HeaderMap,
    body: Body,
) -> Result<(i64, Vec<common::Tag>), Problem> {
    let id = path::integer("parsing job ID failed: ", id)?;
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    Ok((id, Members::list(DECODING, &body, tag)?))
}

fn tag(members: &mut Members) -> common::Tag {
    common::Tag {
        id: 0,
        r#type: members.text("type").unwrap_or_default(),
        name: members.text("name").unwrap_or_default(),
        scope: members.text("scope").unwrap_or_default(),
    }
}

/// Tags that do not belong to a person; no scope means global.
fn shared(tags: Vec<common::Tag>) -> Vec<common::Tag> {
    tags.into_iter().filter(|tag| ["", "global", "admin"].contains(&tag.scope.as_str())).collect()
}

async fn change(
    state: &State,
    caller: &Caller,
    request: ChangeTagsRequest,
) -> Result<ChangeTagsResponse, Status> {
    let request = caller::request(request, caller);
    let mut job_db = state.job_db();
    let changed = state.detached("change tags", async move { job_db.change_tags(request).await }).await?;
    Ok(changed.into_inner())
}

fn refusal(doing: &str, status: Status) -> Problem {
    let missing = error::reason(&status).as_deref() == Some("JOB_NOT_FOUND");
    let mut problem = Problem::from(status);
    problem.error = if missing {
        format!("finding job failed: {NO_ROWS}").into()
    } else {
        format!("{doing} tag failed: {}", problem.error).into()
    };
    problem
}
