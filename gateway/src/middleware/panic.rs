//! A handler that panics costs its own request, not the process.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::StatusCode;

use super::request_id::RequestId;
use crate::problem::Problem;

/// Middleware: a panic becomes 500 with the request's name; the text of the panic goes to the log.
pub async fn catch(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.extensions());
    let target = format!("{} {}", request.method(), request.uri().path());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(request.id = id.as_str(), "handler of {target} panicked: {text}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
        }
    }
}
