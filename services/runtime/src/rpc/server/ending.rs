//! How a call ends on the answering side: counted once, its place given back, its stream guarded to the last byte.

use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status};
use tracing::Span;

use super::{cap, only};
use crate::error::{Failure, Kind};
use crate::rpc::methods::Method;
use crate::rpc::metrics::Calls;
use crate::rpc::{body, failure, trace};
use crate::transport::BoxError;

/// Counts the call when it ends or is dropped.
pub(super) struct Ending {
    calls: Arc<Calls>,
    method: Option<&'static Method>,
    span: Span,
    started: Instant,
    permit: Option<OwnedSemaphorePermit>,
    /// `None` until the end; a call dropped before counts as cancelled.
    code: Option<Code>,
}

impl Ending {
    pub(super) fn new(calls: Arc<Calls>, method: Option<&'static Method>, span: Span) -> Self {
        if let Some(method) = method {
            calls.in_flight(method, true);
        }
        Self { calls, method, span, started: Instant::now(), permit: None, code: None }
    }

    /// Keeps the call's place until its end.
    pub(super) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// The call ends with a status of these layers.
    pub(super) fn refuse(mut self, status: &Status) -> http::Response<axum::body::Body> {
        self.code = Some(status.code());
        only(status)
    }

    /// The handler has begun to answer; follows the answer to its end. `stop` ends it early.
    pub(super) fn watch<B>(
        mut self,
        mut response: http::Response<B>,
        stop: Option<CancellationToken>,
    ) -> http::Response<axum::body::Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        cap::cap(response.headers_mut());
        if let Some(code) = failure::code_in(response.headers()) {
            self.code = Some(code);
            return response.map(axum::body::Body::new);
        }
        response.map(|inner| {
            axum::body::Body::new(ServerBody {
                inner: Some(Box::pin(inner)),
                stop: stop.map(|stop| Box::pin(stop.cancelled_owned())),
                ending: self,
            })
        })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        trace::ended(&self.span, code);
        if let Some(method) = self.method {
            self.calls.in_flight(method, false);
        }
        self.calls.ended(self.method, code, self.started.elapsed());
    }
}

struct ServerBody<B> {
    /// `None` after the end.
    inner: Option<Pin<Box<B>>>,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ending: Ending,
}

impl<B> ServerBody<B> {
    fn close(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = None;
        self.ending.code = Some(status.code());
        Poll::Ready(Some(Ok(body::trailers(status))))
    }
}

impl<B> HttpBody for ServerBody<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = this.inner.as_mut() else { return Poll::Ready(None) };
        let polled = {
            let _inside = this.ending.span.enter();
            catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll_frame(context)))
        };
        match polled {
            Ok(Poll::Ready(Some(Ok(mut frame)))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    cap::cap(trailers);
                    this.ending.code = failure::code_in(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(Poll::Ready(Some(Err(error)))) => this.close(&Status::from_error(error.into())),
            Ok(Poll::Ready(None)) => {
                this.inner = None;
                Poll::Ready(None)
            }
            Ok(Poll::Pending) => {
                let stopped = this.stop.as_mut().is_some_and(|stop| stop.as_mut().poll(context).is_ready());
                if !stopped {
                    return Poll::Pending;
                }
                let status = Failure::new(Kind::Unavailable, "SHUTTING_DOWN", "the service is shutting down");
                this.close(&status.into())
            }
            Err(panic) => this.close(&body::panicked(panic.as_ref())),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
