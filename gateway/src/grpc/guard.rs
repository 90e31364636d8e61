//! Around the public methods: a span that joins the adapter's trace, and a panic that costs one call.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use tonic::Code;
use tracing::Instrument as _;

use super::refusal;
use crate::middleware::trace;

/// Middleware of the public listener.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let span = trace::span(request.method(), &path, "-", request.headers());
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span);
    answer.await.unwrap_or_else(|_panic| {
        tracing::error!("the handler of {path} panicked");
        refusal::refuse(Code::Internal, "PANIC", "internal error").into_http()
    })
}
