//! A gateway over the played services, and how to ask it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use cc_gateway::{Deps, Gateway};
use cc_proto::access::Peer;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::env::MapEnv;
use cc_runtime::health::Readiness;
use cc_runtime::rpc::{ClientStack, House as Keys, ServerStack};
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::{Transport, local};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tonic::service::Routes;
use tower::ServiceExt as _;

use crate::fakes::Fakes;

/// When the played clock stands.
pub(crate) const NOW: i64 = 1_700_000_000;

/// A gateway to be asked.
pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) fakes: Fakes,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) readiness: Readiness,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and the member `error`.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"].as_str().unwrap().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|_config| {})
    }

    /// With another configuration than the default one.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.grpc.addr = Some("127.0.0.1:0".to_owned());
        change(&mut config);
        let clock = Clock::fixed(jiff::Timestamp::from_second(NOW).unwrap());
        let fakes = Fakes::default();
        let keys = Keys::in_memory();
        let reach = |peer: Peer, routes: Routes| -> Transport {
            let served = ServerStack::new(keys.of(peer), clock.clone()).wrap(routes);
            ClientStack::new(keys.of(Peer::Gateway), clock.clone()).wrap(local(served))
        };
        let (tasks, readiness) = (Tasks::new(), Readiness::new());
        let deps = Deps {
            config: Arc::new(config),
            env: Arc::new(MapEnv::new()),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            health: cc_runtime::health::Health::new(),
            auth: reach(Peer::Auth, fakes.auth_routes(&clock)),
            job_db: reach(Peer::JobDb, fakes.job_db_routes()),
            archive: reach(Peer::Archive, Fakes::archive_routes()),
            metric_store: reach(Peer::MetricStore, fakes.store_routes()),
        };
        let gateway = cc_gateway::start(deps).unwrap();
        Self { gateway, fakes, clock, tasks, readiness }
    }

    /// Sends a request from the loopback address and reads the answer whole.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is whole").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request and leaves the answer's body to the test.
    pub(crate) async fn open(&self, mut request: Request<Body>) -> axum::response::Response {
        let peer: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        self.gateway.http.clone().oneshot(request).await.unwrap()
    }

    /// As a program with these roles, e.g. `api` or `admin+api`; none for `""`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        target: &str,
        roles: &str,
        body: impl Into<Body>,
    ) -> Answer {
        self.send(request(method, target, roles).body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, target: &str, roles: &str) -> Answer {
        self.ask(Method::GET, target, roles, Body::empty()).await
    }

    pub(crate) async fn post(&self, target: &str, roles: &str, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, target, roles, body).await
    }

    /// As a browser with a session.
    pub(crate) async fn browse(&self, target: &str, session: &str) -> Answer {
        let request = Request::get(target).header(header::COOKIE, format!("a=b; cc_session={session}"));
        self.send(request.header(header::ACCEPT, "text/html").body(Body::empty()).unwrap()).await
    }
}

/// A request with the token of these roles.
pub(crate) fn request(method: Method, target: &str, roles: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(target);
    if roles.is_empty() { request } else { request.header("x-auth-token", format!("roles:{roles}")) }
}
