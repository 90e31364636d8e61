//! A service whose behaviour is chosen by the request. It answers a few methods of the real contract (so that the
//! access table applies and the generated client fits) and is written out by hand, so that other methods may come
//! and go.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use cc_proto::archive::v1::{ListClustersResponse, WatchClustersRequest};
use cc_proto::metric_store::v1::{
    CheckHealthRequest, CheckHealthResponse, NodeHealth, RawQueryRequest, RawQueryResponse, WriteRequest,
    WriteResponse,
};
use cc_runtime::caller;
use cc_runtime::transport::PeerInfo;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// Something an application might put into its request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Leak;

/// What the tests see of the handlers.
#[derive(Debug)]
pub(crate) struct Probe {
    /// One permit per handler that has begun to wait.
    pub(crate) parked: Semaphore,
    /// One permit per waiting handler that may go on.
    pub(crate) release: Semaphore,
    /// One permit per handler or stream that was dropped before its end.
    pub(crate) dropped: Semaphore,
    /// One permit per handler that went on after waiting.
    pub(crate) finished: Semaphore,
    /// Handlers begun.
    pub(crate) begun: AtomicUsize,
}

impl Probe {
    /// A new one.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            parked: Semaphore::new(0),
            release: Semaphore::new(0),
            dropped: Semaphore::new(0),
            finished: Semaphore::new(0),
            begun: AtomicUsize::new(0),
        })
    }

    /// The services.
    pub(crate) fn routes(self: &Arc<Self>) -> Routes {
        Routes::new(Store(Arc::clone(self))).add_service(Archive(Arc::clone(self)))
    }

    /// Waits until `count` handlers wait.
    pub(crate) async fn wait_parked(&self, count: u32) {
        take(&self.parked, count).await;
    }

    /// Waits until a handler was dropped before its end.
    pub(crate) async fn wait_dropped(&self) {
        take(&self.dropped, 1).await;
    }

    /// Waits for `release`, noticing when it is dropped meanwhile.
    pub(crate) async fn park(&self) {
        let mut guard = Dropped { probe: self, armed: true };
        self.parked.add_permits(1);
        take(&self.release, 1).await;
        guard.armed = false;
        self.finished.add_permits(1);
    }
}

/// Takes permits for good; a hung test ends by this bound.
pub(crate) async fn take(semaphore: &Semaphore, count: u32) {
    let limit = std::time::Duration::from_mins(1);
    tokio::time::timeout(limit, semaphore.acquire_many(count)).await.expect("in time").unwrap().forget();
}

struct Dropped<'a> {
    probe: &'a Probe,
    armed: bool,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.probe.dropped.add_permits(1);
        }
    }
}

/// The status with everything a status can carry.
pub(crate) fn rich_status() -> Status {
    let mut status = Status::with_details(
        Code::FailedPrecondition,
        "größer als erlaubt: 100 %\n",
        Bytes::from_static(&[0, 1, 255]),
    );
    status.metadata_mut().insert("x-text", MetadataValue::from_static("value"));
    status.metadata_mut().insert_bin("x-bytes-bin", MetadataValue::from_bytes(&[9, 0, 200]));
    status
}

fn node(hostname: impl Into<String>) -> NodeHealth {
    NodeHealth { hostname: hostname.into(), ..NodeHealth::default() }
}

async fn unary(
    probe: Arc<Probe>,
    request: Request<CheckHealthRequest>,
) -> Result<Response<CheckHealthResponse>, Status> {
    probe.begun.fetch_add(1, Ordering::SeqCst);
    let answer = |hostname: String| Ok(Response::new(CheckHealthResponse { nodes: vec![node(hostname)] }));
    match request.get_ref().cluster.as_str() {
        "echo" => {
            let nodes = request.get_ref().hostnames.iter().map(node).collect();
            let mut response = Response::new(CheckHealthResponse { nodes });
            if let Some(text) = request.metadata().get("x-text") {
                response.metadata_mut().insert("x-text", text.clone());
            }
            response.metadata_mut().insert_bin("x-bytes-bin", MetadataValue::from_bytes(&[9, 0, 200]));
            Ok(response)
        }
        "caller" => {
            let caller = caller::of(&request)?;
            answer(format!("{} {:?} {:?} {:?}", caller.name, caller.roles, caller.projects, caller.how))
        }
        "extension" => answer(format!("{:?}", request.extensions().get::<Leak>())),
        "peer" => {
            let peer = match request.extensions().get::<PeerInfo>() {
                Some(PeerInfo::Tls { peer, .. }) => format!("tls {}", peer.name()),
                Some(PeerInfo::Unix { .. }) => "unix".to_owned(),
                Some(PeerInfo::InProcess) => "in-process".to_owned(),
                None => "none".to_owned(),
            };
            let agent = request.metadata().contains_key("user-agent");
            answer(format!("{peer}, user-agent: {agent}"))
        }
        "error" => Err(rich_status()),
        "long-error" => Err(Status::not_found("x".repeat(100_000))),
        "big" => answer("x".repeat(5 * 1024 * 1024)),
        "panic" => panic!("secret of the handler"),
        "park" => {
            probe.park().await;
            answer("parked".to_owned())
        }
        "unavailable" => Err(Status::unavailable("not now")),
        other => Err(Status::invalid_argument(format!("no behaviour {other}"))),
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn server_stream(
    probe: &Arc<Probe>,
    request: &Request<RawQueryRequest>,
) -> Result<Response<Answers<RawQueryResponse>>, Status> {
    let probe = Arc::clone(probe);
    probe.begun.fetch_add(1, Ordering::SeqCst);
    let chunk = |json: &'static [u8]| Ok(RawQueryResponse { json: Bytes::from_static(json) });
    let three = stream::iter([chunk(b"a"), chunk(b"b"), chunk(b"c")]);
    let answers: Answers<RawQueryResponse> = match request.get_ref().json.as_ref() {
        b"three" => Box::pin(three),
        b"error-after-three" => Box::pin(three.chain(stream::once(async { Err(rich_status()) }))),
        b"long-error-after-three" => {
            Box::pin(three.chain(stream::once(async { Err(Status::not_found("x".repeat(100_000))) })))
        }
        b"panic-after-three" => Box::pin(three.chain(stream::once(async {
            // lets what is there go out first: a codec drops what it has not passed on when it unwinds
            tokio::task::yield_now().await;
            panic!("secret of the stream")
        }))),
        b"stall-after-three" => Box::pin(three.chain(stream::once(async move {
            probe.park().await;
            Ok(RawQueryResponse::default())
        }))),
        sizes => {
            // "<count> <bytes>": for benchmarks
            let text = std::str::from_utf8(sizes).unwrap();
            let (count, bytes) =
                text.split_once(' ').ok_or_else(|| Status::invalid_argument("no behaviour"))?;
            let json = Bytes::from(vec![7; bytes.parse().unwrap()]);
            let count = count.parse().unwrap();
            Box::pin(stream::repeat_with(move || Ok(RawQueryResponse { json: json.clone() })).take(count))
        }
    };
    Ok(Response::new(answers))
}

async fn client_stream(
    probe: Arc<Probe>,
    request: Request<Streaming<WriteRequest>>,
) -> Result<Response<WriteResponse>, Status> {
    probe.begun.fetch_add(1, Ordering::SeqCst);
    let mut messages = request.into_inner();
    let mut samples = 0;
    while let Some(message) = messages.message().await? {
        samples += message.lines.len() as u64;
    }
    Ok(Response::new(WriteResponse { samples, ..WriteResponse::default() }))
}

fn watch(probe: &Arc<Probe>) -> Response<Answers<ListClustersResponse>> {
    let probe = Arc::clone(probe);
    let version = |version| Ok(ListClustersResponse { version, ..ListClustersResponse::default() });
    let second = stream::once(async move {
        probe.park().await;
        version(2)
    });
    Response::new(Box::pin(stream::iter([version(1)]).chain(second)))
}

type Answer = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

/// Some methods of the metric store.
#[derive(Clone)]
struct Store(Arc<Probe>);

impl NamedService for Store {
    const NAME: &'static str = "clustercockpit.metric_store.v1.MetricStore";
}

impl Service<http::Request<Body>> for Store {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let probe = Arc::clone(&self.0);
        let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
        Box::pin(async move {
            Ok(match method.as_str() {
                "CheckHealth" => {
                    let handler = service_fn(move |request| unary(Arc::clone(&probe), request));
                    Grpc::new(ProstCodec::default()).unary(handler, request).await
                }
                "RawQuery" => {
                    let handler =
                        service_fn(move |request| std::future::ready(server_stream(&probe, &request)));
                    Grpc::new(ProstCodec::default()).server_streaming(handler, request).await
                }
                "Write" => {
                    let handler = service_fn(move |request| client_stream(Arc::clone(&probe), request));
                    Grpc::new(ProstCodec::default()).client_streaming(handler, request).await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// The archive's stream without a deadline.
#[derive(Clone)]
struct Archive(Arc<Probe>);

impl NamedService for Archive {
    const NAME: &'static str = "clustercockpit.archive.v1.Archive";
}

impl Service<http::Request<Body>> for Archive {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let probe = Arc::clone(&self.0);
        Box::pin(async move {
            let handler =
                service_fn(move |_: Request<WatchClustersRequest>| std::future::ready(Ok(watch(&probe))));
            Ok(Grpc::new(ProstCodec::default()).server_streaming(handler, request).await)
        })
    }
}
