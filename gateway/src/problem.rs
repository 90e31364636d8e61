//! Why a request is not answered as asked, and the one place that gives it its outward form.
//!
//! Handlers and gates return a [`Problem`]; [`render`] turns it into the body that the path speaks: the REST object
//! `{"status", "error", "requestId"}` (rest-api.md 3), plain text, or the login page.

use std::borrow::Cow;

use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cc_runtime::error::{self, Kind};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};

use crate::json;
use crate::middleware::request_id::RequestId;
use crate::state::State;
use crate::web::pages;

/// Seconds after which a refused client may come back: long enough to let a burst pass, short for a person.
const RETRY_AFTER_S: u32 = 2;

/// How a problem is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The REST object.
    Json,
    /// One line of plain text.
    Text,
    /// The login page.
    Login(Box<Login>),
    /// No body at all.
    Empty,
}

/// What the login page needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// Where the browser goes after the login.
    pub redirect: String,
    /// The request carried a session cookie that is good for nothing any more.
    pub clear_cookie: bool,
    /// Of the document, without the site's name.
    pub title: &'static str,
    /// How grave the message is: `info` or `error`.
    pub class: &'static str,
}

/// A refusal or failure. It becomes a response whose body [`render`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Value of the member `status` where it is not the reason phrase.
    pub title: Option<&'static str>,
    /// Text for the client.
    pub error: Cow<'static, str>,
    /// Header `Retry-After`, seconds.
    pub retry_after_s: Option<u32>,
    /// How it is told.
    pub form: Form,
    /// For the log only: what really happened.
    pub detail: Option<String>,
}

impl Problem {
    /// A problem told as REST object.
    pub fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, title: None, error: error.into(), retry_after_s: None, form: Form::Json, detail: None }
    }

    /// 400.
    pub fn bad(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// 401 with a text of the gates.
    pub fn unauthorized(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    /// 404 for a path below `/api/`, `/userapi/`, `/frontend/` or `/config/` that does not exist (rest-api.md 2.7).
    pub fn no_such_endpoint() -> Self {
        let mut problem = Self::new(StatusCode::NOT_FOUND, "the requested endpoint does not exist");
        problem.title = Some("Resource not found");
        problem
    }

    /// 413, naming the limit.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is larger than {} KiB", limit_bytes / 1024),
        )
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(error: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, error);
        problem.retry_after_s = Some(RETRY_AFTER_S);
        problem
    }

    /// The same problem in another form.
    #[must_use]
    pub fn told_as(mut self, form: Form) -> Self {
        self.form = form;
        self
    }
}

impl From<Status> for Problem {
    /// The common mapping of a service's answer (rust-anchors.md rule 9); routes with historic codes adapt it.
    fn from(status: Status) -> Self {
        let kind = error::kind(&status);
        let code = match kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
            Kind::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // a service that does not know the method is one that this site does not run
            Kind::Internal if status.code() == Code::Unimplemented => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(code, error::public_text(&status).to_owned());
        if matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            problem.retry_after_s = Some(RETRY_AFTER_S);
        }
        let reason = error::reason(&status).unwrap_or_default();
        problem.detail = Some(format!("{:?} {reason}: {}", status.code(), status.message()));
        problem
    }
}

impl IntoResponse for Problem {
    /// A response without a body; [`render`] sees the problem in its extensions and writes it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The REST object, members in the order of the reference.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    status: &'a str,
    error: &'a str,
    request_id: &'a str,
}

/// Middleware: writes the bodies of problems.
pub async fn render(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let id = RequestId::of(request.extensions());
    let client = crate::client::Client::of(request.extensions());
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    log(&problem, &method, &path, id.as_str());
    let mut told = match &problem.form {
        Form::Json => as_json(&problem, id.as_str()),
        Form::Text => (problem.status, format!("{}\n", problem.error)).into_response(),
        Form::Empty => problem.status.into_response(),
        Form::Login(login) => pages::login(&state, &problem, login, client),
    };
    if let Some(seconds) = problem.retry_after_s {
        told.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // headers that the handler or the router set already (Allow, cookies)
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            told.headers_mut().append(name, value.clone());
        }
    }
    told
}

fn as_json(problem: &Problem, request_id: &str) -> Response {
    let status = problem.title.or(problem.status.canonical_reason()).unwrap_or_default();
    json::answer(problem.status, &Told { status, error: &problem.error, request_id })
}

fn log(problem: &Problem, method: &http::Method, path: &str, id: &str) {
    let status = problem.status.as_u16();
    let cause = problem.detail.as_deref().unwrap_or(&problem.error);
    if problem.status.is_server_error() {
        tracing::warn!(
            request.id = id,
            http.status = status,
            "{method} {path} failed with {status}: {cause}"
        );
    } else if problem.status == StatusCode::UNAUTHORIZED || problem.status == StatusCode::FORBIDDEN {
        tracing::info!(
            request.id = id,
            http.status = status,
            "{method} {path} refused with {status}: {cause}"
        );
    } else {
        tracing::debug!(
            request.id = id,
            http.status = status,
            "{method} {path} refused with {status}: {cause}"
        );
    }
}

#[cfg(test)]
mod tests {
    use cc_runtime::error::Failure;

    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        for (kind, code) in [
            (Kind::Invalid, 400),
            (Kind::Unauthenticated, 401),
            (Kind::Forbidden, 403),
            (Kind::NotFound, 404),
            (Kind::Conflict, 409),
            (Kind::TooLarge, 413),
            (Kind::Busy, 429),
            (Kind::Deadline, 504),
            (Kind::Unavailable, 503),
            (Kind::Internal, 500),
        ] {
            let problem = Problem::from(Status::from(Failure::new(kind, "X", "some text")));
            assert_eq!(problem.status.as_u16(), code);
            assert_eq!(problem.retry_after_s.is_some(), matches!(code, 429 | 503), "{code}");
        }
    }

    #[test]
    fn internal_texts_go_to_the_log_only() {
        let problem = Problem::from(Status::from(Failure::new(Kind::Internal, "DB", "near \"SELECT\"")));
        assert!(!problem.error.contains("SELECT"), "{}", problem.error);
        assert!(problem.detail.unwrap().contains("SELECT"));
    }

    #[test]
    fn a_service_that_is_not_there_is_unavailable() {
        assert_eq!(Problem::from(Status::unimplemented("x")).status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
