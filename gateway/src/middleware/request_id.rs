//! A name for each request: in the answer's header, in error bodies, in the log.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{Extensions, HeaderName, HeaderValue};

/// The header, in both directions.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name that a client or proxy may give.
const BYTES_MAX: usize = 64;

/// The name of a request. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The name as text: letters, digits, `-`, `_`, `.` only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a request that passed [`assign`]; `-` for any other.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(|| Self("-".into()))
    }

    fn fresh() -> Self {
        let mut text = String::with_capacity(16);
        for byte in rand::random::<[u8; 8]>() {
            // writing to a String cannot fail
            let _ok = write!(text, "{byte:02x}").is_ok();
        }
        Self(text.into())
    }

    fn given(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok().filter(|text| (1..=BYTES_MAX).contains(&text.len()))?;
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        text.bytes().all(harmless).then(|| Self(text.into()))
    }
}

/// Middleware: takes the client's name for the request if it is harmless, else makes one.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let id = request.headers().get(X_REQUEST_ID).and_then(RequestId::given).unwrap_or_else(RequestId::fresh);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_names_are_kept_and_others_replaced() {
        let given = |text: &str| RequestId::given(&HeaderValue::from_str(text).unwrap());
        assert_eq!(given("abc-1_2.3").unwrap().as_str(), "abc-1_2.3");
        for text in ["", "a b", "a\"b", "<x>", &"x".repeat(65)] {
            assert_eq!(given(text), None, "{text}");
        }
        assert_ne!(RequestId::fresh(), RequestId::fresh());
        assert_eq!(RequestId::fresh().as_str().len(), 16);
    }
}
