//! The headers that tell browsers what our answers may do (rest-api.md 2.2; the policy is architecture.md 8).

use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client::Client;
use crate::state::State;

/// One year, subdomains too: the value of the reference.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// The policy of every answer. A route that needs another one sets the header itself.
///
/// No nonce and no inline anything: scripts, styles, fonts and data come from this server alone.
pub fn content_security_policy(frame_ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         font-src 'self'; form-action 'self'; frame-ancestors {frame_ancestors}; object-src 'none'; base-uri 'self'"
    )
}

/// The fixed part of the headers, made once.
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    policy: HeaderValue,
    deny_frames: bool,
}

impl SecurityHeaders {
    /// For the sources that may frame our pages: `'none'`, or a list of origins. `None` when the text cannot stand in
    /// a header.
    pub fn new(frame_ancestors: &str) -> Option<Self> {
        let one_directive = !frame_ancestors.contains([';', ',']);
        let policy = one_directive.then(|| content_security_policy(frame_ancestors))?;
        Some(Self { policy: HeaderValue::from_str(&policy).ok()?, deny_frames: frame_ancestors == "'none'" })
    }

    fn apply(&self, headers: &mut HeaderMap, client: Client) {
        set(headers, X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        set(headers, REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        set(headers, CONTENT_SECURITY_POLICY, self.policy.clone());
        // everything that depends on who asks; what may be kept says so itself
        set(headers, CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.deny_frames {
            set(headers, X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        if client.encrypted {
            set(headers, STRICT_TRANSPORT_SECURITY, HSTS);
        }
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// Middleware: adds what the handler did not set.
pub async fn add(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let client = Client::of(request.extensions());
    let mut response = next.run(request).await;
    state.settings().security_headers.apply(response.headers_mut(), client);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_the_one_of_the_plan() {
        assert_eq!(
            content_security_policy("'none'"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             font-src 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; base-uri 'self'"
        );
    }

    #[test]
    fn sites_that_allow_framing_get_no_deny_header() {
        let mut headers = HeaderMap::new();
        let portal = SecurityHeaders::new("https://portal.example").unwrap();
        portal.apply(&mut headers, Client::default());
        assert!(!headers.contains_key(X_FRAME_OPTIONS));
        assert!(
            headers[CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("frame-ancestors https://portal.example;")
        );
        assert!(SecurityHeaders::new("'none'; script-src *").is_none());
        assert!(SecurityHeaders::new("a\nb").is_none());
    }

    #[test]
    fn what_a_route_set_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        SecurityHeaders::new("'none'")
            .unwrap()
            .apply(&mut headers, Client { address: None, encrypted: true });
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], HSTS);
    }
}
