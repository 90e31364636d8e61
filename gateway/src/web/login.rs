//! Signing in and out (auth.md 5): the page, the form, the cookie.

use axum::body::Body;
use axum::extract::{Extension, Query, State as Extract};
use axum::response::{IntoResponse as _, Response};
use cc_proto::auth::v1::{LoginRequest, LoginResponse, LogoutRequest};
use cc_runtime::error::{self, Kind};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tonic::Status;

use super::form::Fields;
use super::{pages, redirect};
use crate::auth::cookie;
use crate::auth::credential::Credential;
use crate::body;
use crate::client::Client;
use crate::problem::{Form, Login, Problem};
use crate::state::State;

/// Longest user name that is looked at.
const USERNAME_BYTES_MAX: usize = 255;

/// `GET /login`: the empty form. `redirect` in the query is carried along if it is harmless.
pub async fn page(Extract(state): Extract<State>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let wanted =
        query.into_iter().find(|(key, _)| key == "redirect").map(|(_, value)| value).unwrap_or_default();
    let redirect = if wanted.is_empty() { "" } else { redirect::safe(&wanted) };
    let content = pages::LoginPage { title: "Login", message: "", class: "", redirect };
    pages::login_page(&state, StatusCode::OK, &content)
}

/// `POST /login`: opens a session and leads to where the person wanted to go.
pub async fn sign_in(
    Extract(state): Extract<State>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let body = body::whole(body, &headers, limits.json, limits).await?;
    let fields = Fields::read(&headers, body).await?;
    let redirect = redirect::safe(fields.get("redirect")).to_owned();
    let opened = match open(&state, &fields, client).await {
        Ok(opened) => opened,
        Err(problem) => {
            let login = Login { redirect, clear_cookie: false, title: "Login failed", class: "error" };
            return Err(problem.told_as(Form::Login(Box::new(login))));
        }
    };
    let max_age_s = opened.expires_at.saturating_sub(state.clock().unix());
    let cookie = cookie::set(&opened.session, max_age_s, client.encrypted)
        .ok_or_else(|| Status::internal("the session cannot stand in a cookie"))?;
    if let Some(former) = Credential::session(&headers) {
        end(&state, &former).await;
    }
    let location = HeaderValue::from_str(&redirect::location(&redirect))
        .unwrap_or_else(|_| HeaderValue::from_static("/"));
    Ok((StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, location)]).into_response())
}

async fn open(state: &State, fields: &Fields, client: Client) -> Result<LoginResponse, Problem> {
    let username = fields.get("username");
    if username.is_empty() || username.len() > USERNAME_BYTES_MAX {
        return Err(wrong());
    }
    let request = LoginRequest {
        username: username.to_owned(),
        password: fields.get("password").to_owned(),
        client_address: client.text(),
    };
    let answer = state.auth().login(request).await.map_err(|status| refusal(&status))?;
    Ok(answer.into_inner())
}

/// One text for every wrong credential: nothing tells whether the user exists.
fn wrong() -> Problem {
    Problem::unauthorized("Authentication failed")
}

fn refusal(status: &Status) -> Problem {
    let reason = error::reason(status);
    match error::kind(status) {
        Kind::Unauthenticated | Kind::Invalid | Kind::NotFound | Kind::Forbidden => wrong(),
        Kind::Busy if reason.as_deref() == Some("TOO_MANY_ATTEMPTS") => {
            let mut problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many login attempts, try again in a few minutes",
            );
            let wait = error::details(status).get("retry_after_s").and_then(|text| text.parse().ok());
            problem.retry_after_s = wait.or(Some(180));
            problem
        }
        _ => {
            let mut problem =
                Problem::unavailable("Signing in is not possible at the moment, please try again.");
            problem.detail = Some(format!("{:?}: {}", status.code(), status.message()));
            problem
        }
    }
}

/// `POST /logout`: ends the session, here and at the auth service. Works with any cookie, also a dead one.
pub async fn sign_out(
    Extract(state): Extract<State>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
) -> Response {
    if let Some(session) = Credential::session(&headers) {
        end(&state, &session).await;
    }
    let content =
        pages::LoginPage { title: "Bye", message: "Logout successful", class: "info", redirect: "" };
    let mut response = pages::login_page(&state, StatusCode::OK, &content);
    if let Some(cookie) = cookie::clear(client.encrypted) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The browser forgets the cookie in any case; a session that could not be ended ends by itself.
async fn end(state: &State, session: &Credential) {
    state.identities().forget(session);
    let Credential::Session(value) = session else { return };
    let request = LogoutRequest { session: value.clone() };
    if let Err(status) = state.auth().logout(request).await {
        tracing::warn!("a session could not be ended: {:?} {}", status.code(), status.message());
    }
}

#[cfg(test)]
mod tests {
    use cc_runtime::error::Failure;

    use super::*;

    fn told(kind: Kind, reason: &'static str) -> Problem {
        refusal(
            &Failure::new(kind, reason, "user ghost is not in the table").with("retry_after_s", 90).into(),
        )
    }

    #[test]
    fn nothing_tells_which_part_was_wrong() {
        for kind in [Kind::Unauthenticated, Kind::NotFound, Kind::Invalid, Kind::Forbidden] {
            let problem = told(kind, "WRONG_CREDENTIALS");
            assert_eq!((problem.status.as_u16(), problem.error.as_ref()), (401, "Authentication failed"));
        }
    }

    #[test]
    fn too_many_attempts_say_when_to_come_back() {
        let problem = told(Kind::Busy, "TOO_MANY_ATTEMPTS");
        assert_eq!((problem.status.as_u16(), problem.retry_after_s), (429, Some(90)));
        assert!(problem.error.contains("too many"));
    }

    #[test]
    fn an_outage_is_not_a_wrong_password() {
        for kind in [Kind::Unavailable, Kind::Internal, Kind::Deadline, Kind::Busy] {
            assert_eq!(told(kind, "X").status.as_u16(), 503);
        }
    }
}
