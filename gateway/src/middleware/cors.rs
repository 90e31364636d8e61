//! What scripts of other origins may do: the rules of the reference (rest-api.md 2.3). Any origin may read answers to
//! requests that carry a token; cookies are never sent with them.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS];
const HEADERS: [&str; 4] = ["x-requested-with", "content-type", "authorization", "origin"];
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Middleware: answers preflights itself, marks the other answers.
pub async fn share(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return preflight(request.headers());
    }
    let shared = request.headers().contains_key(ORIGIN) && METHODS.contains(request.method());
    let mut response = next.run(request).await;
    vary(response.headers_mut(), &ORIGIN);
    if shared {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    }
    response
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    for name in [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
        vary(headers, &name);
    }
    let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD);
    let allowed = method.is_some_and(|method| METHODS.iter().any(|known| known.as_str() == method));
    let list = asked.get(ACCESS_CONTROL_REQUEST_HEADERS);
    if !asked.contains_key(ORIGIN) || !allowed || !list.is_none_or(are_allowed) {
        return response;
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    if let Some(method) = method {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    }
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, list.clone());
    }
    response
}

fn are_allowed(list: &HeaderValue) -> bool {
    let Ok(list) = list.to_str() else { return false };
    let mut names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.all(|name| HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

fn vary(headers: &mut HeaderMap, name: &HeaderName) {
    if let Ok(value) = HeaderValue::from_str(name.as_str()) {
        headers.append(VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let headers =
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        preflight(&headers).headers().clone()
    }

    #[test]
    fn preflight_echoes_what_was_asked_if_all_is_allowed() {
        let answer = ask(&[
            (ORIGIN, "https://portal.example"),
            (ACCESS_CONTROL_REQUEST_METHOD, "POST"),
            (ACCESS_CONTROL_REQUEST_HEADERS, "authorization, Content-Type"),
        ]);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_METHODS], "POST");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, Content-Type");
    }

    #[test]
    fn preflight_allows_nothing_else() {
        let origin = (ORIGIN, "https://portal.example");
        for asked in [
            vec![origin.clone(), (ACCESS_CONTROL_REQUEST_METHOD, "DELETE")],
            vec![origin.clone(), (ACCESS_CONTROL_REQUEST_METHOD, "PUT")],
            vec![(ACCESS_CONTROL_REQUEST_METHOD, "GET")],
            vec![
                origin,
                (ACCESS_CONTROL_REQUEST_METHOD, "GET"),
                (ACCESS_CONTROL_REQUEST_HEADERS, "x-auth-token"),
            ],
        ] {
            let answer = ask(&asked);
            assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{asked:?}");
            assert!(!answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS), "{asked:?}");
            assert_eq!(answer.get_all(VARY).iter().count(), 3);
        }
    }
}
