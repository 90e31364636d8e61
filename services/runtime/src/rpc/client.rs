//! The calling side of every call (the left column of the table in [`crate::rpc`]).

mod ending;
mod signatures;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cc_proto::access::Peer;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use self::ending::Ending;
use self::signatures::Signatures;
use crate::caller::{Caller, Outgoing};
use crate::clock::Clock;
use crate::error::{Failure, Kind};
use crate::rpc::methods::{self, Method};
use crate::rpc::metrics::{Calls, Side};
use crate::rpc::{Identity, failure, timeout, trace};
use crate::transport::{NoAnswer, Transport};

/// Repetitions of a call after `Unavailable`.
const RETRIES_MAX: u32 = 2;
/// Wait before the first repetition; the second waits twice as long. Both vary by half.
const RETRY_WAIT: Duration = Duration::from_millis(50);
/// For paths outside the access table (health, reflection): never unbounded.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);

/// The client layers of one service: everything it calls goes through them.
#[derive(Debug, Clone)]
pub struct ClientStack(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    identity: Identity,
    clock: Clock,
    /// Who asks when a request names no caller: the service itself.
    own: Arc<Caller>,
    signatures: Signatures,
    calls: Calls,
}

impl ClientStack {
    /// The layers of the service that `identity` signs for. Make it after the process has installed its metrics
    /// recorder.
    pub fn new(identity: Identity, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            own: Arc::new(Caller::service(identity.peer().name())),
            signatures: Signatures::new(),
            calls: Calls::new(Side::Client),
            identity,
            clock,
        }))
    }

    /// The service that calls.
    pub fn peer(&self) -> Peer {
        self.0.identity.peer()
    }

    /// Puts the layers around a transport. Every answer is a gRPC answer; the transport's own errors become one.
    pub fn wrap(&self, transport: Transport) -> Transport {
        BoxCloneSyncService::new(Stacked { shared: Arc::clone(&self.0), transport })
    }
}

#[derive(Clone)]
struct Stacked {
    shared: Arc<Shared>,
    transport: Transport,
}

impl Service<http::Request<Body>> for Stacked {
    type Response = http::Response<Body>;
    type Error = NoAnswer;
    type Future = BoxFuture<'static, Result<http::Response<Body>, NoAnswer>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        // readiness is part of the call: its errors need a status, its waiting a deadline
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let transport = self.transport.clone();
        Box::pin(async move { Ok(shared.run(transport, request).await) })
    }
}

impl Shared {
    /// The layers in their order.
    async fn run(
        self: Arc<Self>,
        transport: Transport,
        request: http::Request<Body>,
    ) -> http::Response<Body> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let method = methods::find(parts.uri.path());
        // 1 metrics and 2 span: outside of everything, so that refusals and expired deadlines are seen too
        let span = trace::client(parts.uri.path(), &mut parts.headers);
        let ending = Ending::new(Arc::clone(&self), method, span.clone(), started);
        // 3 deadline: bounds what follows, repetitions included
        let limit = timeout::read(&parts.headers)
            .or(method.map_or(Some(DEFAULT_DEADLINE), |method| method.rpc.deadline));
        let deadline = limit.map(|limit| started + limit);
        // 4 identity: once, since a repetition within the deadline may use the same token
        if let Err(status) = self.identify(&mut parts) {
            return ending.refuse(&status);
        }
        // 5 retry around 6 transport
        let attempts = self.attempts(method, transport, parts, body, deadline).instrument(span);
        let outcome = match deadline {
            Some(at) => tokio::time::timeout_at(at, attempts).await,
            None => Ok(attempts.await),
        };
        match outcome {
            Ok(Ok(response)) => ending.watch(response, deadline),
            Ok(Err(status)) => ending.refuse(&status),
            Err(_elapsed) => ending.refuse(&failure::deadline()),
        }
    }

    /// Replaces the caller in the extensions by a signed token in the metadata.
    fn identify(&self, parts: &mut http::request::Parts) -> Result<(), Status> {
        let caller = parts.extensions.remove::<Outgoing>().map(|outgoing| outgoing.0);
        // nothing else in the extensions is meant for the other side
        parts.extensions.clear();
        let caller = caller.as_ref().unwrap_or(&self.own);
        let audience = methods::split(parts.uri.path()).map_or("", |(service, _)| service);
        let token = self
            .signatures
            .token(&self.identity, caller, audience, self.clock.unix())
            .map_err(|error| Failure::new(Kind::TooLarge, "CALLER_TOO_LARGE", error.to_string()))?;
        parts.headers.insert(AUTHORIZATION, token);
        Ok(())
    }

    /// Sends the request, and sends it again after `Unavailable` when that can do no harm: the method is idempotent
    /// and its request is one message, which is kept encoded (no copy) until the answer begins.
    async fn attempts(
        &self,
        method: Option<&'static Method>,
        transport: Transport,
        mut parts: http::request::Parts,
        body: Body,
        deadline: Option<Instant>,
    ) -> Result<http::Response<Body>, Status> {
        set_timeout(&mut parts, deadline);
        let Some(method) = method.filter(|method| method.rpc.idempotent && !method.client_streaming) else {
            return send(transport, http::Request::from_parts(parts, body)).await;
        };
        let message = body.collect().await?.to_bytes();
        let mut wait = RETRY_WAIT;
        for _repetition in 0..RETRIES_MAX {
            let request = http::Request::from_parts(parts.clone(), full(message.clone()));
            let outcome = send(transport.clone(), request).await;
            if !is_unavailable(&outcome) {
                return outcome;
            }
            let pause = wait.mul_f64(rand::random_range(0.5..1.5));
            if deadline.is_some_and(|at| Instant::now() + pause >= at) {
                // the reason why it cannot be had says more than "too late"
                return outcome;
            }
            tokio::time::sleep(pause).await;
            wait *= 2;
            self.calls.retried(method);
            set_timeout(&mut parts, deadline);
        }
        send(transport, http::Request::from_parts(parts, full(message))).await
    }
}

fn full(message: Bytes) -> Body {
    Body::new(http_body_util::Full::new(message))
}

fn set_timeout(parts: &mut http::request::Parts, deadline: Option<Instant>) {
    if let Some(at) = deadline {
        let left = at.saturating_duration_since(Instant::now());
        parts.headers.insert(timeout::HEADER, timeout::write(left));
    }
}

async fn send(transport: Transport, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
    transport.oneshot(request).await.map_err(failure::of_transport)
}

fn is_unavailable(outcome: &Result<http::Response<Body>, Status>) -> bool {
    match outcome {
        Ok(response) => failure::code_in(response.headers()) == Some(Code::Unavailable),
        Err(status) => status.code() == Code::Unavailable,
    }
}
