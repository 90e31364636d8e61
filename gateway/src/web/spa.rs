//! The pages of the UI: one frame, told by its address what to show. The server decides the status: a job that does not
//! exist is 404, one that the viewer may not see 403 with the role that is missing.

use std::time::Duration;

use axum::extract::{Path, State as Extract};
use axum::response::{IntoResponse as _, Response};
use cc_proto::job_db::v1::{GetJobRequest, WatchRequest};
use cc_runtime::caller;
use cc_runtime::error::{self, Kind};
use http::{HeaderMap, StatusCode, Uri, header};

use super::notice;
use super::pages::{self, Frame};
use super::redirect;
use crate::auth::Identity;
use crate::auth::gate::Web;
use crate::state::State;

/// How long a page waits for the database before it appears without knowing its status: the script asks again anyway.
const PATIENCE: Duration = Duration::from_secs(2);

/// `/`
pub async fn home(Web(viewer): Web, Extract(state): Extract<State>, headers: HeaderMap) -> Response {
    frame(&state, &headers, &viewer, String::new(), &position(&state, &viewer).await).await
}

/// `/monitoring/jobs/`
pub async fn jobs(Web(viewer): Web, Extract(state): Extract<State>, headers: HeaderMap) -> Response {
    frame(&state, &headers, &viewer, "Jobs".to_owned(), &position(&state, &viewer).await).await
}

/// `/monitoring/user/{name}`
pub async fn user(
    Web(viewer): Web,
    Extract(state): Extract<State>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    frame(&state, &headers, &viewer, format!("User {name}"), &position(&state, &viewer).await).await
}

/// `/monitoring/job/{id}`, by database id.
pub async fn job(
    Web(viewer): Web,
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    // only digits are an id; what is too large for one cannot exist
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let number = id.parse::<i64>().ok().filter(|_| digits);
    let (found, position) = match number {
        Some(number) => tokio::join!(look_up(&state, &viewer, number), position(&state, &viewer)),
        None => (Found::Nothing, String::new()),
    };
    let title = format!("Job {id}");
    match found {
        Found::Job => frame(&state, &headers, &viewer, title, &position).await,
        Found::Nothing => pages::frame(
            &state,
            &headers,
            &Frame {
                status: StatusCode::NOT_FOUND,
                title: "Page Not Found".to_owned(),
                needs: "",
                user: name(&viewer),
                position: "",
                notice: "",
            },
        ),
        Found::Forbidden(needs) => pages::frame(
            &state,
            &headers,
            &Frame {
                status: StatusCode::FORBIDDEN,
                title: "Not allowed".to_owned(),
                needs: &needs,
                user: name(&viewer),
                position: "",
                notice: "",
            },
        ),
    }
}

enum Found {
    Job,
    Nothing,
    /// With the role that would be needed.
    Forbidden(String),
}

async fn look_up(state: &State, viewer: &Identity, id: i64) -> Found {
    let mut job_db = state.job_db();
    let asked = job_db.get_job(caller::request(GetJobRequest { id }, &viewer.caller));
    let Ok(Err(status)) = tokio::time::timeout(PATIENCE, asked).await else { return Found::Job };
    let details = error::details(&status);
    let forbidden = details.get("forbidden").is_some_and(|word| word == "true");
    match error::kind(&status) {
        Kind::NotFound if forbidden => Found::Forbidden(details.get("needs").cloned().unwrap_or_default()),
        Kind::Forbidden => {
            Found::Forbidden(details.get("needs").cloned().unwrap_or_else(|| "user".to_owned()))
        }
        Kind::NotFound => Found::Nothing,
        _ => Found::Job,
    }
}

/// Where the changes stand before the page is answered, thus before its script asks for anything: no change falls between
/// what it then gets and its event stream. Empty where the database does not say; the script then asks twice.
async fn position(state: &State, viewer: &Identity) -> String {
    let mut job_db = state.job_db();
    let asked = async {
        let request = caller::request(WatchRequest { after: None }, &viewer.caller);
        job_db.watch(request).await?.into_inner().message().await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Some(first))) => first.position.to_string(),
        _ => String::new(),
    }
}

async fn frame(
    state: &State,
    headers: &HeaderMap,
    viewer: &Identity,
    title: String,
    position: &str,
) -> Response {
    let (status, notice) = (StatusCode::OK, notice::read().await);
    let frame = Frame { status, title, needs: "", user: name(viewer), position, notice: &notice };
    pages::frame(state, headers, &frame)
}

fn name(viewer: &Identity) -> &str {
    &viewer.caller.name
}

/// The other form of an address, with or without the slash at its end: leads to the form that has a page, query kept.
pub async fn other_slash(uri: Uri) -> Response {
    let path = uri.path();
    let path = match path.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{path}/"),
    };
    let address = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let address = redirect::location(redirect::safe(&address));
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, address)]).into_response()
}
