//! Refuses requests that change something and that a browser sends on behalf of another site (rest-api.md 2.5).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, Method, StatusCode};

use crate::problem::{Form, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const HARMLESS: [Method; 4] = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE];

/// Middleware: 403 for an unsafe method with `Sec-Fetch-Site: cross-site`, before anybody looks at credentials.
pub async fn guard(request: Request, next: Next) -> Response {
    let foreign = request.headers().get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site");
    if foreign && !HARMLESS.contains(request.method()) {
        return Problem::new(StatusCode::FORBIDDEN, "cross-site request blocked")
            .told_as(Form::Text)
            .into_response();
    }
    next.run(request).await
}
