//! Wrappers around response bodies.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::error::{Failure, Kind};

/// The status of a call whose handler panicked; the panic text goes to the log only.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Status {
    let text = panic
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned());
    tracing::error!(panic = %text, "rpc handler panicked");
    Failure::new(Kind::Internal, "PANIC", "internal error").into()
}

/// The closing frame that carries a status.
pub(crate) fn trailers(status: &Status) -> Frame<Bytes> {
    let mut map = HeaderMap::with_capacity(3);
    if status.add_header(&mut map).is_err() {
        map.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    Frame::trailers(map)
}

/// Ends a response stream with `Internal` when producing it panics.
pub(crate) fn catch_panics(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::new(CatchPanics { inner: Some(body) })
}

struct CatchPanics {
    /// `None` after a panic: the producer must not be touched again.
    inner: Option<Body>,
}

impl HttpBody for CatchPanics {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(context))) {
            Ok(polled) => polled,
            Err(panic) => {
                self.inner = None;
                Poll::Ready(Some(Ok(trailers(&panicked(panic.as_ref())))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
