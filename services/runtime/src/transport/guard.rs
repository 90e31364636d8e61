//! What makes a call inside one process behave like one over a wire (rust-anchors.md 2.3, 2.4).

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::rpc::{body, timeout};
use crate::transport::PeerInfo;

/// Routes called in place: extensions of the caller are dropped, `grpc-timeout` is enforced, panics of the handler
/// and of its response stream end as `Internal` instead of unwinding into the caller.
#[derive(Debug, Clone)]
pub struct Guard(Routes);

impl Guard {
    /// Guards the routes.
    pub fn new(routes: Routes) -> Self {
        Self(routes.prepare())
    }
}

impl Service<http::Request<Body>> for Guard {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // nothing crosses that a wire would not carry
        request.extensions_mut().clear();
        request.extensions_mut().insert(PeerInfo::InProcess);
        let deadline = timeout::read(request.headers());
        let handler = AssertUnwindSafe(self.0.call(request)).catch_unwind();
        Box::pin(async move {
            let outcome = match deadline {
                Some(limit) => tokio::time::timeout(limit, handler).await,
                None => Ok(handler.await),
            };
            Ok(match outcome {
                Ok(Ok(Ok(response))) => response.map(body::catch_panics),
                Ok(Ok(Err(never))) => match never {},
                Ok(Err(panic)) => body::panicked(panic.as_ref()).into_http(),
                // what tonic's server says; the client layers make it `DeadlineExceeded`
                Err(_elapsed) => Status::cancelled(timeout::EXPIRED).into_http(),
            })
        })
    }
}
