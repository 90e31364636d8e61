//! What a handler left of a request's body. A server that answers early and closes the connection while the client
//! still sends makes the client see a broken pipe instead of the answer, and an adapter would take a refusal for a
//! network failure. So a bounded rest is read and dropped before the answer goes out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt as _;
use http::{HeaderMap, Version, header};

/// Most bytes that are dropped; who sends more has to live with the broken pipe.
const BYTES_MAX: u64 = 4 << 20;
/// Longest time that is spent on it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Middleware: reads the rest of an unread body, within bounds.
pub async fn drop_rest(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // HTTP/2 answers a stream early without harm; who asked for a 100 has not sent anything yet
    let harmless = parts.version > Version::HTTP_11 || parts.headers.contains_key(header::EXPECT);
    // no bounded rest would be the whole of it
    let hopeless = body.size_hint().lower() > BYTES_MAX || announced(&parts.headers) > BYTES_MAX;
    if harmless || hopeless || body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let rest = Rest::default();
    let lent = Body::new(Lent { body: Some(body), rest: rest.clone() });
    let response = next.run(Request::from_parts(parts, lent)).await;
    let unread = rest.take();
    if let Some(body) = unread {
        // however it ends, the answer goes out now
        let _in_time = tokio::time::timeout(PATIENCE, discard(body)).await.is_ok();
    }
    response
}

fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}

async fn discard(body: Body) {
    let mut pieces = body.into_data_stream();
    let mut left = BYTES_MAX;
    while let Some(Ok(piece)) = pieces.next().await {
        match left.checked_sub(piece.len() as u64) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Where a body comes back to.
#[derive(Clone, Default)]
struct Rest(Arc<Mutex<Option<Body>>>);

impl Rest {
    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, body: Body) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }
}

/// A body that goes back when its reader drops it before the end.
struct Lent {
    body: Option<Body>,
    rest: Rest,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            this.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            self.rest.put(body);
        }
    }
}
