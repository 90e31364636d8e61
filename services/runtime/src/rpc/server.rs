//! The answering side of every call (the right column of the table in [`crate::rpc`]).

mod authenticate;
mod authorize;
mod cap;
mod ending;

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cc_proto::access::Rpc;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body::Body as HttpBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use self::authenticate::Verdicts;
use self::ending::Ending;
use crate::caller::{Outgoing, Verified};
use crate::clock::Clock;
use crate::error::{Failure, Kind};
use crate::health::Readiness;
use crate::rpc::methods::{self, Method};
use crate::rpc::metrics::{Calls, Side};
use crate::rpc::{Identity, body, failure, trace};

/// How much a service takes on at a time; more is refused with `ResourceExhausted` (kind `Busy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls with a deadline.
    pub requests_max: usize,
    /// Streams without one, which live as long as their reader.
    pub streams_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_max: 1024, streams_max: 1024 }
    }
}

type Ready = dyn Fn(&'static Rpc) -> Result<(), String> + Send + Sync;

/// The server layers of one service. Every service between processes is behind them; the public API for schedulers
/// and the health service are not.
pub struct ServerStack {
    identity: Identity,
    clock: Clock,
    ready: Arc<Ready>,
    limits: Limits,
    stop: CancellationToken,
}

impl fmt::Debug for ServerStack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerStack")
            .field("peer", &self.identity.peer())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl ServerStack {
    /// The layers of the service that `identity` names. Make it after the process has installed its metrics
    /// recorder.
    pub fn new(identity: Identity, clock: Clock) -> Self {
        Self {
            identity,
            clock,
            ready: Arc::new(|_| Ok(())),
            limits: Limits::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Answers `Unavailable` with the given reason while `ready` says so for a method.
    #[must_use]
    pub fn ready_when(
        mut self,
        ready: impl Fn(&'static Rpc) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.ready = Arc::new(ready);
        self
    }

    /// Answers `Unavailable` until the part is ready, except for the methods with these names (`Write`).
    #[must_use]
    pub fn ready_after(self, readiness: Readiness, except: &'static [&'static str]) -> Self {
        self.ready_when(move |rpc| {
            let exempt = methods::split(rpc.path).is_some_and(|(_, name)| except.contains(&name));
            if exempt || readiness.is_ready() { Ok(()) } else { Err(readiness.state().reason) }
        })
    }

    /// Other limits than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Ends streams without a deadline with `Unavailable` when the token is cancelled, so that the process can
    /// finish its requests and end; their readers come back to the next process.
    #[must_use]
    pub fn stop_streams(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Puts the layers around the services of `routes`.
    pub fn wrap(self, routes: Routes) -> Routes {
        let shared = Arc::new(Shared {
            verdicts: Verdicts::new(self.identity.clone()),
            identity: self.identity,
            clock: self.clock,
            ready: self.ready,
            requests: Arc::new(Semaphore::new(self.limits.requests_max)),
            streams: Arc::new(Semaphore::new(self.limits.streams_max)),
            stop: self.stop,
            calls: Arc::new(Calls::new(Side::Server)),
        });
        let layer = tower::layer::layer_fn(move |inner| Stacked { shared: Arc::clone(&shared), inner });
        Routes::from(routes.into_axum_router().layer(layer)).prepare()
    }
}

struct Shared {
    identity: Identity,
    clock: Clock,
    ready: Arc<Ready>,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
    verdicts: Verdicts,
    calls: Arc<Calls>,
}

#[derive(Clone)]
struct Stacked<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S, B> Service<http::Request<axum::body::Body>> for Stacked<S>
where
    S: Service<http::Request<axum::body::Body>, Response = http::Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<crate::transport::BoxError>,
{
    type Response = http::Response<axum::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<axum::body::Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let inner = self.inner.clone();
        Box::pin(async move {
            // 1 panic: outside of everything, the caller must get an answer
            let answer = AssertUnwindSafe(shared.answer(inner, request)).catch_unwind();
            Ok(match answer.await {
                Ok(response) => response,
                Err(panic) => only(&body::panicked(panic.as_ref())),
            })
        })
    }
}

impl Shared {
    /// The layers in their order.
    async fn answer<S, B>(
        self: Arc<Self>,
        inner: S,
        mut request: http::Request<axum::body::Body>,
    ) -> http::Response<axum::body::Body>
    where
        S: Service<http::Request<axum::body::Body>, Response = http::Response<B>, Error = Infallible>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<crate::transport::BoxError>,
    {
        let path = request.uri().path();
        // 2 span and 3 metrics: refusals below are seen
        let span = trace::server(path, request.headers());
        let method = methods::find(path);
        let mut ending = Ending::new(Arc::clone(&self.calls), method, span.clone());
        let permit = match self.admit(method, &mut request) {
            Ok(permit) => permit,
            Err(status) => return ending.refuse(&status),
        };
        ending.hold(permit);
        let handler = AssertUnwindSafe(inner.oneshot(request).instrument(span)).catch_unwind();
        match handler.await {
            Ok(Ok(response)) => {
                let endless = method.is_some_and(|method| method.rpc.deadline.is_none());
                ending.watch(response, endless.then(|| self.stop.clone()))
            }
            Ok(Err(never)) => match never {},
            Err(panic) => ending.refuse(&body::panicked(panic.as_ref())),
        }
    }

    /// Layers 4 to 6: whether the handler gets to see the request.
    fn admit(
        &self,
        method: Option<&'static Method>,
        request: &mut http::Request<axum::body::Body>,
    ) -> Result<OwnedSemaphorePermit, Status> {
        // whoever put these there, it was not the layer below
        request.extensions_mut().remove::<Outgoing>();
        request.extensions_mut().remove::<Verified>();
        let Some(method) = method else {
            return Err(Status::unimplemented("no such method"));
        };
        // 4 readiness: before limits, so that waiting peers take no places
        (self.ready)(method.rpc).map_err(|reason| {
            Failure::new(Kind::Unavailable, "NOT_READY", format!("{} is not ready: {reason}", method.service))
        })?;
        // 5 concurrency: before the expensive signature check
        let places = if method.rpc.deadline.is_none() { &self.streams } else { &self.requests };
        let permit = Arc::clone(places).try_acquire_owned().map_err(|_full| {
            Failure::new(Kind::Busy, "TOO_MANY_CALLS", format!("{} has no free place", method.service))
        })?;
        // 6 authentication, then authorization
        let verdict = self.verdicts.check(request, method, self.clock.unix())?;
        authorize::check(method.rpc, &verdict, self.identity.peer())?;
        request.extensions_mut().insert(Verified(verdict.caller));
        Ok(permit)
    }
}

/// An answer that is nothing but a status.
fn only(status: &Status) -> http::Response<axum::body::Body> {
    failure::response(status).map(axum::body::Body::new)
}
