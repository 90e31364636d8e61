//! A response body with something that lives as long as it: a permit, a counter, a log line.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};

/// Sees the bytes of a body pass; dropped when the body is.
pub(crate) trait Watch: Send + Unpin + 'static {
    /// A piece was handed to the connection.
    fn passed(&mut self, bytes: usize);
}

/// Puts `watch` at the end of `body`.
pub(crate) fn follow(body: Body, watch: impl Watch) -> Body {
    Body::new(Tail { body, watch })
}

struct Tail<T> {
    body: Body,
    watch: T,
}

impl<T: Watch> HttpBody for Tail<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.watch.passed(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
