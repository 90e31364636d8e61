//! How a call ends on the calling side: its code is counted once, whether it comes in the head of the answer, at
//! the end of a stream, by a broken connection, or never because the caller lost interest.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::Span;

use super::Shared;
use crate::rpc::methods::Method;
use crate::rpc::{failure, trace};

/// Counts the call when it ends or is dropped.
pub(super) struct Ending {
    shared: Arc<Shared>,
    method: Option<&'static Method>,
    span: Span,
    started: Instant,
    /// `None` until the end; a call dropped before counts as cancelled.
    code: Option<Code>,
}

impl Ending {
    pub(super) fn new(
        shared: Arc<Shared>,
        method: Option<&'static Method>,
        span: Span,
        started: Instant,
    ) -> Self {
        Self { shared, method, span, started, code: None }
    }

    /// The call ends without an answer of the other side.
    pub(super) fn refuse(mut self, status: &Status) -> http::Response<Body> {
        self.code = Some(status.code());
        failure::response(status)
    }

    /// The answer has begun; follows it to its end.
    pub(super) fn watch(
        mut self,
        response: http::Response<Body>,
        deadline: Option<Instant>,
    ) -> http::Response<Body> {
        if let Some(code) = failure::code_in(response.headers()) {
            if failure::expired_in(response.headers()) {
                return self.refuse(&failure::deadline());
            }
            self.code = Some(code);
            return response;
        }
        response.map(|body| Body::new(ClientBody { inner: Some(body), deadline, sleep: None, ending: self }))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        trace::ended(&self.span, code);
        self.shared.calls.ended(self.method, code, self.started.elapsed());
    }
}

struct ClientBody {
    /// `None` after the end; dropping it tells the other side to stop.
    inner: Option<Body>,
    deadline: Option<Instant>,
    /// Made when the stream is first waited for.
    sleep: Option<Pin<Box<Sleep>>>,
    ending: Ending,
}

impl ClientBody {
    fn fail(&mut self, status: Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        self.ending.code = Some(status.code());
        Poll::Ready(Some(Err(status)))
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    if failure::expired_in(trailers) {
                        return this.fail(failure::deadline());
                    }
                    this.ending.code = failure::code_in(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => this.fail(failure::of_body(&status)),
            Poll::Ready(None) => {
                this.inner = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(at) = this.deadline else { return Poll::Pending };
                let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
                match sleep.as_mut().poll(context) {
                    Poll::Ready(()) => this.fail(failure::deadline()),
                    Poll::Pending => Poll::Pending,
                }
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
