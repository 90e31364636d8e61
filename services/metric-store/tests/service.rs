//! The service behind its layers, as the other rooms see it: contract, rights, start and restart.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: a surprise is a failure"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cc_metric_store::{Deps, start};
use cc_proto::access::Peer;
use cc_proto::common::v1::{self as common, series_chunk::Part};
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_proto::metric_store::v1::{
    CheckHealthRequest, ClusterFile, ConfigureRequest, DebugRequest, Pin, PinRunningRequest, QueryJobRequest,
    RawQueryRequest, WriteRequest, WriteResponse,
};
use cc_runtime::caller::{Caller, How, Role, request, set};
use cc_runtime::clock::Clock;
use cc_runtime::config::{Config, Program};
use cc_runtime::env::MapEnv;
use cc_runtime::error::reason;
use cc_runtime::health::{Health, Readiness};
use cc_runtime::rpc::{ClientStack, House, ServerStack};
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::{Transport, local};
use futures::StreamExt as _;
use tonic::{Code, Request, Status};

const NOW: i64 = 1_700_000_000 / 3600 * 3600;

/// One start of the service in a directory.
struct Service {
    house: House,
    routes: tonic::service::Routes,
    clock: Clock,
    tasks: Tasks,
    readiness: Readiness,
}

impl Service {
    async fn new(directory: &Path) -> Self {
        let checkpoints = directory.join("checkpoints");
        let text = serde_json::json!({
            "main": {},
            "metric-store": {
                "retention-in-memory": "48h",
                "memory-cap": 1,
                "checkpoints": { "directory": checkpoints },
            },
        });
        let config = Config::parse(&text.to_string(), Program::Backend, &MapEnv::default()).unwrap().config;
        let clock = Clock::fixed(jiff::Timestamp::from_second(NOW).unwrap());
        let (tasks, readiness, house) = (Tasks::new(), Readiness::new(), House::in_memory());
        let health = Health::new();
        let deps = Deps {
            config: Arc::new(config),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            health,
        };
        let routes = start(deps).await.unwrap();
        let routes = ServerStack::new(house.of(Peer::MetricStore), clock.clone()).wrap(routes);
        Self { house, routes, clock, tasks, readiness }
    }

    fn client(&self, peer: Peer) -> MetricStoreClient<Transport> {
        let stack = ClientStack::new(self.house.of(peer), self.clock.clone());
        MetricStoreClient::new(stack.wrap(local(self.routes.clone())))
    }

    async fn configure(&self, clusters: &[(&str, &str)]) -> Vec<String> {
        let file = |(name, json): &(&str, &str)| ClusterFile {
            name: (*name).to_owned(),
            json: (*json).to_owned().into(),
        };
        let clusters = clusters.iter().map(file).collect();
        let answer = self.client(Peer::JobDb).configure(ConfigureRequest { clusters }).await.unwrap();
        answer.into_inner().problems
    }

    async fn write(&self, pieces: &[&str]) -> Result<WriteResponse, Status> {
        let first = WriteRequest { default_cluster: "fritz".to_owned(), lines: Vec::new().into() };
        let pieces = pieces.iter().map(|piece| (*piece).to_owned());
        let rest = pieces.map(|lines| WriteRequest { default_cluster: String::new(), lines: lines.into() });
        let messages: Vec<WriteRequest> = std::iter::once(first).chain(rest).collect();
        let mut request = Request::new(futures::stream::iter(messages));
        set(&mut request, &caller(Role::Api));
        Ok(self.client(Peer::Gateway).write(request).await?.into_inner())
    }

    /// The answer as text, one part a line.
    async fn series(&self, query: QueryJobRequest) -> Result<Vec<String>, Status> {
        let request = request(query, &caller(Role::Admin));
        let mut chunks = self.client(Peer::Gateway).query_job(request).await?.into_inner();
        let mut lines = Vec::new();
        let mut values: Vec<Vec<f64>> = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            match chunk.part.unwrap() {
                Part::Header(header) => {
                    assert_eq!(header.series as usize, values.len(), "headers are numbered in order");
                    values.push(Vec::new());
                    let statistics = header.statistics.unwrap();
                    lines.push(format!(
                        "{} {:?} {} {} from {} step {}/{} {}{} avg {}",
                        header.metric,
                        header.scope(),
                        header.hostname,
                        header.id.as_deref().unwrap_or("-"),
                        header.first_time - NOW,
                        header.timestep_s,
                        header.native_timestep_s,
                        header.unit_prefix,
                        header.unit_base,
                        statistics.avg,
                    ));
                }
                Part::Data(data) => {
                    let values = &mut values[data.series as usize];
                    assert_eq!(data.first_point as usize, values.len());
                    let (chunks, _) = data.values_f64le.as_chunks::<8>();
                    values.extend(chunks.iter().map(|bytes| f64::from_le_bytes(*bytes)));
                }
                Part::Missing(missing) => {
                    lines.push(format!("{} {}: {}", missing.metric, missing.hostname, missing.reason));
                }
                Part::Statistics(over) => {
                    lines.push(format!("{} over series, which are the archive's", over.metric));
                }
            }
        }
        lines.extend(values.iter().map(|values| format!("{values:?}")));
        Ok(lines)
    }

    async fn raw(&self, json: String) -> Result<String, Status> {
        let request = request(RawQueryRequest { json: json.into() }, &caller(Role::Api));
        let pieces = self.client(Peer::Gateway).raw_query(request).await?.into_inner();
        let pieces: Vec<_> = pieces.map(|piece| piece.unwrap().json).collect().await;
        assert!(pieces.iter().all(|piece| piece.len() <= 256 << 10));
        Ok(String::from_utf8(pieces.concat()).unwrap())
    }

    async fn ready(&self) {
        tokio::time::timeout(Duration::from_secs(20), self.readiness.wait_ready()).await.unwrap();
    }

    async fn stop(self) {
        assert_eq!(self.tasks.shutdown(Duration::from_secs(20)).await, []);
    }
}

fn caller(role: Role) -> Caller {
    Caller { name: "somebody".to_owned(), roles: vec![role], projects: Vec::new(), how: How::Jwt }
}

fn cluster() -> String {
    let metric = |name: &str, scope: &str, aggregation: &str| {
        serde_json::json!({
            "name": name, "unit": { "base": "F/s", "prefix": "G" }, "scope": scope, "aggregation": aggregation,
            "timestep": 60, "peak": 4, "normal": 3, "caution": 2, "alert": 1,
        })
    };
    let number = serde_json::json!({ "unit": { "base": "F/s" }, "value": 1 });
    serde_json::json!({
        "name": "fritz",
        "metricConfig": [metric("load", "node", "avg"), metric("flops", "hwthread", "sum")],
        "subClusters": [{
            "name": "main", "nodes": "f[0101-0102]", "processorType": "x", "socketsPerNode": 1, "coresPerSocket": 2,
            "threadsPerCore": 1, "flopRateScalar": number, "flopRateSimd": number, "memoryBandwidth": number,
            "topology": { "node": [0, 1], "socket": [[0, 1]], "memoryDomain": [[0, 1]], "core": [[0], [1]] },
        }],
    })
    .to_string()
}

fn query(scopes: &[common::MetricScope]) -> QueryJobRequest {
    QueryJobRequest {
        cluster: "fritz".to_owned(),
        sub_cluster: "main".to_owned(),
        resources: vec![common::Resource { hostname: "f0101".to_owned(), ..Default::default() }],
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        from: NOW - 120,
        to: NOW + 3600,
        with_data: true,
        ..Default::default()
    }
}

fn lines() -> String {
    let lines = (0..2).flat_map(|minute| {
        let time = NOW - 120 + minute * 60;
        [
            format!("load,hostname=f0101 value={minute} {time}\n"),
            format!("flops,hostname=f0101,type=hwthread,type-id=0 value={minute}.5 {time}\n"),
            format!("flops,hostname=f0101,type=hwthread,type-id=1 value=10 {time}\n"),
        ]
    });
    lines.collect()
}

/// Time stands still except while everybody waits.
#[tokio::test(start_paused = true)]
async fn without_metrics_senders_wait_and_are_then_told_to_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(directory.path()).await;
    let status = service.write(&[&lines()]).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::Unavailable, Some("NOT_CONFIGURED")));
    let (written, problems) = tokio::join!(service.write(&["load,hostname=f0101 value=1\n"]), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let cluster = cluster();
        service.configure(&[("fritz", &cluster)]).await
    });
    assert_eq!((written.unwrap().samples, problems.len()), (1, 0));
    service.stop().await;
}

#[tokio::test]
async fn samples_come_back_as_series_of_a_job() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(directory.path()).await;
    assert!(!service.readiness.is_ready(), "not ready without metrics");
    assert_eq!(service.configure(&[("fritz", &cluster()), ("broken", "{")]).await.len(), 1);
    service.ready().await;

    let text = lines();
    let (first, second) = text.split_at(100);
    let written = service.write(&[first, second, "nope,hostname=f0101 value=1\nload broken"]).await.unwrap();
    assert_eq!((written.samples, written.refused.len()), (6, 2));
    assert_eq!(written.refused[0].reason, "SYNTAX");
    assert_eq!(
        (written.refused[1].reason.as_str(), written.refused[1].example.as_str()),
        ("UNKNOWN_METRIC", "nope")
    );
    assert!(written.first_error.starts_with("at line 8:12: "), "{}", written.first_error);

    let wanted = [
        "load Node f0101 - from -120 step 60/60 GF/s avg 0.5",
        "flops Hwthread f0101 0 from -120 step 60/60 GF/s avg 1",
        "flops Hwthread f0101 1 from -120 step 60/60 GF/s avg 10",
        "[0.0, 1.0]",
        "[0.5, 1.5]",
        "[10.0, 10.0]",
    ];
    assert_eq!(service.series(query(&[])).await.unwrap(), wanted);
    let mut node = query(&[common::MetricScope::Node]);
    node.metrics = vec!["flops".to_owned(), "other".to_owned()];
    node.with_data = false;
    let wanted = ["flops Node f0101 0 from -120 step 60/60 GF/s avg 11", "other : UNKNOWN_METRIC", "[]"];
    assert_eq!(service.series(node).await.unwrap(), wanted);
    service.stop().await;
}

#[tokio::test]
async fn a_restart_changes_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(directory.path()).await;
    service.configure(&[("fritz", &cluster())]).await;
    service.write(&[&lines()]).await.unwrap();
    let ask = || {
        let queries = r#"[{"metric":"flops","host":"f0101","aggreg":true},{"metric":"load","host":"f0101"}]"#;
        format!(r#"{{"cluster":"fritz","from":{},"to":{NOW},"queries":{queries}}}"#, NOW - 600)
    };
    let (series, raw) = (service.series(query(&[])).await.unwrap(), service.raw(ask()).await.unwrap());
    assert!(raw.contains("\"data\":[null,null,null,null,null,null,null,null,10.500,11.500]"), "{raw}");
    let instance = service.client(Peer::JobDb).pin_running(PinRunningRequest::default()).await.unwrap();
    service.stop().await;

    let service = Service::new(directory.path()).await;
    service.ready().await;
    assert_eq!(service.series(query(&[])).await.unwrap(), series);
    assert_eq!(service.raw(ask()).await.unwrap(), raw);
    let pins = vec![Pin { cluster: "fritz".to_owned(), hostname: "f0101".to_owned(), from: NOW }];
    let answer =
        service.client(Peer::JobDb).pin_running(PinRunningRequest { pins }).await.unwrap().into_inner();
    assert!(answer.configured, "the registry was kept");
    assert_eq!(
        answer.instance,
        instance.into_inner().instance,
        "both starts are at the same moment of the fixed clock"
    );
    service.stop().await;
}

#[tokio::test]
async fn health_and_content_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(directory.path()).await;
    service.configure(&[("fritz", &cluster())]).await;
    service.write(&["load,hostname=f0101 value=1\n"]).await.unwrap();
    let check = CheckHealthRequest {
        cluster: "fritz".to_owned(),
        hostnames: vec!["f0101".to_owned(), "f0102".to_owned()],
    };
    let nodes = service.client(Peer::JobDb).check_health(check).await.unwrap().into_inner().nodes;
    assert_eq!((nodes[0].state.as_str(), nodes[1].state.as_str()), ("partial", "failed"));
    assert_eq!(nodes[0].missing, ["flops"]);
    let debug = |selector: &[&str]| {
        let selector = selector.iter().map(|&name| name.to_owned()).collect();
        request(DebugRequest { selector }, &caller(Role::Api))
    };
    let mut pieces =
        service.client(Peer::Gateway).debug(debug(&["fritz", "f0101"])).await.unwrap().into_inner();
    let text = pieces.message().await.unwrap().unwrap().json;
    assert!(String::from_utf8_lossy(&text).starts_with("{\"data\":{\"load\":[{\"start\":"));
    let status = service.client(Peer::Gateway).debug(debug(&["nope"])).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::NotFound, Some("SELECTOR_NOT_FOUND")));
    let status = service.raw("{\"from\":\"x\"}".to_owned()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::InvalidArgument, Some("INVALID_REQUEST")));
    service.stop().await;
}

#[tokio::test]
async fn who_may_not_is_refused_before_anything_happens() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::new(directory.path()).await;
    let status = service.client(Peer::Gateway).configure(ConfigureRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "only job-db configures");
    let mut write = Request::new(futures::stream::iter([WriteRequest::default()]));
    set(&mut write, &caller(Role::User));
    let status = service.client(Peer::Gateway).write(write).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "people do not send samples");
    let status = service
        .client(Peer::Gateway)
        .raw_query(request(RawQueryRequest { json: "{}".into() }, &caller(Role::User)))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    service.stop().await;
}
