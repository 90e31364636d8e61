//! Series of a store whose processors have more to do than they can. In a process of its own: it takes them all.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::available_parallelism;

use cc_metric_store::{Deps, start};
use cc_proto::access::Peer;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_proto::metric_store::v1::{ClusterFile, ConfigureRequest, QueryJobRequest};
use cc_runtime::caller::{Caller, How, Role, request};
use cc_runtime::clock::Clock;
use cc_runtime::config::{Config, Program};
use cc_runtime::cpu;
use cc_runtime::env::MapEnv;
use cc_runtime::error::{Failure, reason};
use cc_runtime::health::{Health, Readiness};
use cc_runtime::rpc::{ClientStack, House, ServerStack};
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::local;
use futures::future::{BoxFuture, join_all};
use futures::poll;
use tokio_util::sync::CancellationToken;

/// Each is a step of an answer.
const METRICS: usize = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let text = serde_json::json!({
        "main": {},
        "metric-store": {
            "retention-in-memory": "48h", "memory-cap": 1,
            "checkpoints": { "directory": directory.path().join("checkpoints") },
        },
    });
    let config = Config::parse(&text.to_string(), Program::Backend, &MapEnv::default()).unwrap().config;
    let (clock, tasks, house) = (Clock::system(), Tasks::new(), House::in_memory());
    let deps = Deps {
        config: Arc::new(config),
        clock: clock.clone(),
        tasks: tasks.clone(),
        readiness: Readiness::new(),
        health: Health::new(),
    };
    let routes =
        ServerStack::new(house.of(Peer::MetricStore), clock.clone()).wrap(start(deps).await.unwrap());
    let client = |peer| {
        MetricStoreClient::new(ClientStack::new(house.of(peer), clock.clone()).wrap(local(routes.clone())))
    };
    let clusters = vec![ClusterFile { name: "fritz".to_owned(), json: cluster_file().into() }];
    let configured = client(Peer::JobDb).configure(ConfigureRequest { clusters }).await.unwrap();
    assert_eq!(configured.into_inner().problems, [""; 0]);

    let caller =
        Caller { name: "somebody".to_owned(), roles: vec![Role::Admin], projects: Vec::new(), how: How::Jwt };
    let query = || {
        let metrics = (0..METRICS).map(|number| format!("m{number}")).collect();
        let query = QueryJobRequest { cluster: "fritz".to_owned(), metrics, to: 3600, ..Default::default() };
        request(query, &caller)
    };
    let mut answer = client(Peer::Gateway).query_job(query()).await.unwrap().into_inner();
    assert!(answer.message().await.unwrap().is_some(), "it has begun");

    // A processor that somebody else has works on no step: as soon as they all are taken, nothing but these gives a place back.
    let processors = Processors::default();
    // a failure of this test as well
    let _released = processors.release.clone().drop_guard();
    let mut taken: Vec<_> = (0..available_parallelism().unwrap().get()).map(|_| processors.take()).collect();
    while processors.taken.load(Ordering::SeqCst) < taken.len() {
        for one in &mut taken {
            assert!(poll!(one.as_mut()).is_pending());
        }
        tokio::task::yield_now().await;
    }
    loop {
        let mut waits = processors.take();
        if poll!(waits.as_mut()).is_ready() {
            break;
        }
        taken.push(waits);
    }
    // who comes now is refused in order
    let mut late = client(Peer::Gateway).query_job(query()).await.unwrap().into_inner();
    assert_eq!(reason(&late.message().await.unwrap_err()).as_deref(), Some("CPU_BUSY"));

    // what was done already comes, and nothing after it, whoever asks how often
    let mut messages = 1;
    for _ in 0..100 {
        while messages < METRICS
            && let Poll::Ready(message) = poll!(pin!(answer.message()))
        {
            assert!(message.expect("an answer that has begun is not refused").is_some(), "it is whole");
            messages += 1;
        }
        tokio::task::yield_now().await;
    }
    assert!(messages < METRICS, "no processor was free for {messages} steps");

    processors.release.cancel();
    let rest = async {
        while answer.message().await.unwrap().is_some() {
            messages += 1;
        }
        messages
    };
    let (messages, _) = tokio::join!(rest, join_all(taken));
    assert_eq!(messages, METRICS);
}

/// Takes them away.
#[derive(Default)]
struct Processors {
    taken: Arc<AtomicUsize>,
    release: CancellationToken,
}

impl Processors {
    /// One, for as long as it is not released, or the place to wait for one.
    fn take(&self) -> BoxFuture<'static, Result<(), Failure>> {
        let (taken, release) = (Arc::clone(&self.taken), self.release.clone());
        let runtime = tokio::runtime::Handle::current();
        Box::pin(cpu::run(move || {
            taken.fetch_add(1, Ordering::SeqCst);
            runtime.block_on(release.cancelled());
        }))
    }
}

/// None of the metrics is in it; that takes a step each to find out.
fn cluster_file() -> String {
    let number = serde_json::json!({ "unit": { "base": "F/s", "prefix": "G" }, "value": 1.0 });
    let metric = serde_json::json!({
        "name": "load", "unit": { "base": "" }, "scope": "node", "aggregation": "avg", "timestep": 60,
        "peak": 4.0, "normal": 3.0, "caution": 2.0, "alert": 1.0,
    });
    serde_json::json!({
        "name": "fritz",
        "metricConfig": [metric],
        "subClusters": [{
            "name": "main", "nodes": "f[0101-0102]", "processorType": "x", "socketsPerNode": 1, "coresPerSocket": 2,
            "threadsPerCore": 1, "flopRateScalar": number, "flopRateSimd": number, "memoryBandwidth": number,
            "topology": { "node": [0, 1], "socket": [[0, 1]], "memoryDomain": [[0, 1]], "core": [[0], [1]] },
        }],
    })
    .to_string()
}
