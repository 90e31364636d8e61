//! The two HTML documents of the UI, with what the server knows written into their places.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::assets;
use crate::auth::cookie;
use crate::client::Client;
use crate::problem::{Login, Problem};
use crate::state::State;

/// What the frame of the pages is told.
#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    /// Of the answer; the script shows the matching page.
    pub(crate) status: StatusCode,
    /// Without the site's name; empty: the site's name alone.
    pub(crate) title: String,
    /// The role that is missing, with status 403.
    pub(crate) needs: &'a str,
    /// Who looks at it.
    pub(crate) user: &'a str,
    /// Of the changes: what the page asks for is at least as new, and the event stream goes on from here. Empty: not known.
    pub(crate) position: &'a str,
    /// Of the site, to everybody who is signed in; plain text.
    pub(crate) notice: &'a str,
}

/// The frame of the pages. It may be kept, and is asked for again each time: `no-cache` and an `ETag`.
pub(crate) fn frame(state: &State, asked: &HeaderMap, content: &Frame<'_>) -> Response {
    let site = &state.settings().site;
    let status = content.status.as_u16().to_string();
    let title = title(&content.title, &site.name);
    let values = [
        ("title", title.as_str()),
        ("site-name", &site.name),
        ("contact", &site.contact),
        ("status", &status),
        ("needs", content.needs),
        ("user", content.user),
        ("position", content.position),
        ("notice", content.notice),
    ];
    let html = cc_web::page(cc_web::Page::Index, &values);
    let tag = assets::tag_of(html.as_bytes());
    if content.status == StatusCode::OK && assets::is_known(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag), (header::CACHE_CONTROL, revalidate())])
            .into_response();
    }
    let mut response = document(content.status, html);
    if content.status == StatusCode::OK {
        response.headers_mut().insert(header::CACHE_CONTROL, revalidate());
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn revalidate() -> HeaderValue {
    HeaderValue::from_static("private, no-cache")
}

/// What the login page is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoginPage<'a> {
    pub(crate) title: &'a str,
    pub(crate) message: &'a str,
    /// `info` or `error`; empty without a message.
    pub(crate) class: &'a str,
    pub(crate) redirect: &'a str,
}

/// The login page.
pub(crate) fn login_page(state: &State, status: StatusCode, content: &LoginPage<'_>) -> Response {
    let site = &state.settings().site;
    let title = title(content.title, &site.name);
    let values = [
        ("title", title.as_str()),
        ("site-name", &site.name),
        ("contact", &site.contact),
        ("message", content.message),
        ("message-class", content.class),
        ("redirect", content.redirect),
    ];
    document(status, cc_web::page(cc_web::Page::Login, &values))
}

/// The login page as the answer to a request that was not let in.
pub(crate) fn login(state: &State, problem: &Problem, login: &Login, client: Client) -> Response {
    let page = LoginPage {
        title: login.title,
        message: &problem.error,
        class: login.class,
        redirect: &login.redirect,
    };
    let mut response = login_page(state, problem.status, &page);
    if login.clear_cookie
        && let Some(cookie) = cookie::clear(client.encrypted)
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn document(status: StatusCode, html: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

/// `Jobs - ClusterCockpit`.
fn title(page: &str, site: &str) -> String {
    if page.is_empty() { site.to_owned() } else { format!("{page} - {site}") }
}
