//! What is answered where no route is (rest-api.md 2.7): JSON below the prefixes of programs, a file of the UI, or the
//! page that says so.

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{Method, StatusCode};

use super::assets;
use super::pages::{self, Frame};
use crate::auth::gate::{Front, UserApi};
use crate::problem::Problem;
use crate::state::State;

/// The last resort of the router.
pub async fn answer(Extract(state): Extract<State>, request: Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if below(&path, "/userapi") || below(&path, "/frontend") {
        return behind_gate(&mut parts, &state, &path).await.into_response();
    }
    // `/api` and `/config` themselves are no prefixes of programs
    if path.starts_with("/api/") || path.starts_with("/config/") {
        return Problem::no_such_endpoint().into_response();
    }
    let reading = parts.method == Method::GET || parts.method == Method::HEAD;
    if let Some(file) = reading.then(|| assets::file(&path, &parts.headers)).flatten() {
        return file;
    }
    let frame = Frame {
        status: StatusCode::NOT_FOUND,
        title: "Page Not Found".to_owned(),
        needs: "",
        user: "",
        position: "",
        notice: "",
    };
    pages::frame(&state, &parts.headers, &frame)
}

/// Below these prefixes the gate comes first: strangers do not even learn which paths exist.
async fn behind_gate(parts: &mut Parts, state: &State, path: &str) -> Problem {
    use axum::extract::FromRequestParts as _;

    let refused = if below(path, "/userapi") {
        UserApi::from_request_parts(parts, state).await.err()
    } else {
        Front::from_request_parts(parts, state).await.err()
    };
    refused.unwrap_or_else(Problem::no_such_endpoint)
}

fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A wrong method at a path below `/userapi`: the gate comes first there too.
pub async fn user_api_method(result: Result<UserApi, Problem>) -> Response {
    match result {
        Ok(_passed) => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        Err(problem) => problem.into_response(),
    }
}
