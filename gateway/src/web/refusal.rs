//! How somebody who is not let in hears of it: people get the login page, scripts get JSON.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::auth::AuthFailure;
use crate::auth::gate::Gate;
use crate::problem::{Form, Login, Problem};

/// Paths that only scripts ask for.
const OF_SCRIPTS: [&str; 2] = ["/query", "/events"];

/// A failure at [`Gate::Web`].
pub(crate) fn of_web(failure: AuthFailure, parts: &Parts) -> Problem {
    let class = if failure == AuthFailure::Nothing { "info" } else { "error" };
    let clear_cookie = matches!(failure, AuthFailure::Refused { session: true, .. });
    let problem = match failure {
        AuthFailure::Nothing => Problem::unauthorized("Please sign in to see this page."),
        AuthFailure::Refused { session: true, .. } => {
            Problem::unauthorized("Your session has ended. Please sign in again.")
        }
        other => Gate::Web.refusal(other),
    };
    if wants_json(&parts.headers, parts.uri.path()) || problem.status != StatusCode::UNAUTHORIZED {
        return problem;
    }
    let redirect = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    problem.told_as(Form::Login(Box::new(Login {
        redirect: super::redirect::safe(redirect).to_owned(),
        clear_cookie,
        title: "Authentication failed",
        class,
    })))
}

/// Whether the request was made by a script: it sends JSON, or takes JSON and no HTML.
pub(crate) fn wants_json(headers: &HeaderMap, path: &str) -> bool {
    let text = |name| {
        headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).unwrap_or_default()
    };
    let accept = text(ACCEPT);
    OF_SCRIPTS.contains(&path.strip_suffix('/').unwrap_or(path))
        || text(CONTENT_TYPE).starts_with("application/json")
        || (!accept.contains("html") && (accept.contains("json") || accept.contains("text/event-stream")))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn told(path: &str, headers: &[(&str, &str)]) -> Problem {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        of_web(AuthFailure::Nothing, &request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn people_get_the_login_page_with_the_way_back() {
        for headers in [vec![], vec![("accept", "text/html,application/json")], vec![("accept", "*/*")]] {
            let problem = told("/monitoring/jobs/?cluster=alex", &headers);
            let Form::Login(login) = problem.form else { panic!("{headers:?}") };
            assert_eq!(login.redirect, "/monitoring/jobs/?cluster=alex");
            assert!(!login.clear_cookie);
        }
    }

    #[test]
    fn scripts_get_json() {
        assert_eq!(told("/query", &[]).form, Form::Json);
        assert_eq!(told("/events", &[]).form, Form::Json);
        assert_eq!(told("/", &[("accept", "application/json")]).form, Form::Json);
        assert_eq!(told("/", &[("content-type", "application/json; charset=utf-8")]).form, Form::Json);
    }

    #[test]
    fn an_outage_is_not_a_wrong_password() {
        let parts = Request::builder().uri("/").body(()).unwrap().into_parts().0;
        let problem = of_web(AuthFailure::Unavailable("x".to_owned()), &parts);
        assert_eq!((problem.status.as_u16(), problem.form), (503, Form::Json));
    }
}
