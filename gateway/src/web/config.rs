//! `/config/…` (rest-api.md 9): administration by forms, for sessions with the role `admin`.

use axum::body::Body;
use axum::extract::{Path, Query, State as Extract};
use axum::response::{IntoResponse as _, Response};
use cc_proto::auth::v1::{CreateUserRequest, DeleteUserRequest};
use cc_proto::job_db::v1::{ListTaggersRequest, RunTaggerRequest, Tagger};
use cc_runtime::caller;
use cc_runtime::error;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::form::Fields;
use super::notice;
use crate::auth::gate::Config;
use crate::body;
use crate::json;
use crate::problem::Problem;
use crate::rest::users::{Operations, changed, listed, refusal};
use crate::state::State;

type Pairs = Query<Vec<(String, String)>>;

async fn fields(state: &State, headers: &HeaderMap, body: Body) -> Result<Fields, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, headers, limits.json, limits).await?;
    Fields::read(headers, body).await
}

/// The roles that can be given, weakest first.
pub async fn roles(Config(_caller): Config) -> Response {
    json::answer(StatusCode::OK, &["api", "user", "manager", "support", "admin"])
}

/// As `GET /api/users/`.
pub async fn users(
    Config(caller): Config,
    Extract(state): Extract<State>,
    Query(query): Pairs,
) -> Result<Response, Problem> {
    listed(&state, &caller, &query).await
}

/// Makes a user.
pub async fn create_user(
    Config(caller): Config,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let form = fields(&state, &headers, body).await?;
    let field = |name: &str| form.get(name).to_owned();
    let username = field("username");
    let request = CreateUserRequest {
        username: username.clone(),
        password: field("password"),
        role: field("role"),
        name: field("name"),
        email: field("email"),
        project: field("project"),
    };
    let request = caller::request(request, &caller);
    let mut auth = state.auth();
    match state.detached("create a user", async move { auth.create_user(request).await }).await {
        Ok(_) => Ok(format!("User {username} successfully created!\n").into_response()),
        Err(status) if error::reason(&status).as_deref() == Some("INVALID_USER") => {
            Err(Problem::bad(status.message().to_owned()))
        }
        Err(status) => Err(refusal(&status, "adding user failed: ")),
    }
}

/// Removes a user, named in the query or in a form.
pub async fn delete_user(
    Config(caller): Config,
    Extract(state): Extract<State>,
    Query(query): Pairs,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let in_query = query.into_iter().find(|(key, _)| key == "username").map(|(_, name)| name);
    let username = match in_query {
        Some(username) => username,
        None => fields(&state, &headers, body).await?.get("username").to_owned(),
    };
    let request = caller::request(DeleteUserRequest { username }, &caller);
    let mut auth = state.auth();
    match state.detached("delete a user", async move { auth.delete_user(request).await }).await {
        Ok(_) => Ok(StatusCode::OK.into_response()),
        Err(status) => Err(refusal(&status, "deleting user failed: ")),
    }
}

/// Gives or takes one role or project.
pub async fn change_user(
    Config(caller): Config,
    Extract(state): Extract<State>,
    Path(username): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let form = fields(&state, &headers, body).await?;
    let field = |name: &str| form.get(name).to_owned();
    let operations = Operations {
        add_role: field("add-role"),
        remove_role: field("remove-role"),
        add_project: field("add-project"),
        remove_project: field("remove-project"),
    };
    changed(&state, &caller, username, operations, "").await
}

/// A tagger. What its last run did is told once there was one.
#[derive(Serialize)]
struct TaggerState {
    name: String,
    #[serde(rename = "type")]
    trigger: String,
    running: bool,
    #[serde(flatten)]
    run: Option<LastRun>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastRun {
    dry_run: bool,
    total: u64,
    done: u64,
    tagged: u64,
    error: String,
}

/// The taggers, what their runs do, and what is wrong with their rules.
pub async fn taggers(Config(caller): Config, Extract(state): Extract<State>) -> Result<Response, Problem> {
    let answer = state.job_db().list_taggers(caller::request(ListTaggersRequest {}, &caller)).await?;
    let told = |tagger: Tagger| {
        let ran = tagger.running || tagger.total > 0 || !tagger.error.is_empty();
        let Tagger { name, trigger, running, dry: dry_run, total, done, tagged, error, problems } = tagger;
        let run = ran.then_some(LastRun { dry_run, total, done, tagged, error });
        TaggerState { name, trigger, running, run, problems }
    };
    let taggers: Vec<TaggerState> = answer.into_inner().taggers.into_iter().map(told).collect();
    Ok(json::answer(StatusCode::OK, &taggers))
}

/// Begins a run of a tagger over all ended jobs.
pub async fn run_tagger(
    Config(caller): Config,
    Extract(state): Extract<State>,
    Query(query): Pairs,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let form = fields(&state, &headers, body).await?;
    let field = |key: &str| {
        let in_query = query.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value.as_str());
        Some(form.get(key)).filter(|value| !value.is_empty()).unwrap_or(in_query).to_owned()
    };
    let name = field("name");
    if name.is_empty() {
        return Err(Problem::bad("missing required parameter: name"));
    }
    let dry = field("dry-run") == "true";
    let request = caller::request(RunTaggerRequest { name: name.clone(), dry }, &caller);
    match state.job_db().run_tagger(request).await {
        Ok(_) => Ok(format!("Tagger {name} started").into_response()),
        Err(status)
            if matches!(error::reason(&status).as_deref(), Some("UNKNOWN_TAGGER" | "TAGGER_RUNS")) =>
        {
            Err(Problem::new(StatusCode::CONFLICT, status.message().to_owned()))
        }
        Err(status) => Err(status.into()),
    }
}

/// Sets the notice of the pages; an empty one takes it away.
pub async fn notice(
    Config(caller): Config,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let form = fields(&state, &headers, body).await?;
    let content = form.get("new-content").to_owned();
    if content.len() > notice::BYTES_MAX {
        return Err(Problem::bad("notice content exceeds maximum length of 10000 characters"));
    }
    let (bytes, empty) = (content.len(), content.is_empty());
    match tokio::task::spawn_blocking(move || notice::write(&content)).await {
        Ok(Ok(())) => {
            tracing::info!(user.name = caller.name, notice.bytes = bytes, "the notice was changed");
            let done = if empty { "Empty Notice Content Success" } else { "Update Notice Content Success" };
            Ok(done.into_response())
        }
        Ok(Err(error)) => {
            let mut problem =
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the notice could not be stored");
            problem.detail = Some(error::chain(&error));
            Err(problem)
        }
        Err(_) => Err(Problem::unavailable("the server is stopping")),
    }
}
