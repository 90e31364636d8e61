//! A running service on a database of its own, and how to ask it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cc_database::{Database, Options};
use cc_job_db::Deps;
use cc_proto::access::Peer;
use cc_proto::archive::v1::archive_server::ArchiveServer;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use cc_proto::job_db::v1::job_db_client::JobDbClient;
use cc_proto::metric_store::v1::metric_store_server::MetricStoreServer;
use cc_runtime::caller::{Caller, How, Role, request};
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::health::Readiness;
use cc_runtime::rpc::{ClientStack, House as Keys, ServerStack};
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::{Transport, local};
use tempfile::TempDir;
use tonic::Request;
use tonic::service::Routes;

use crate::peers::Peers;

/// When the played clock stands.
pub(crate) const NOW: i64 = 1_700_000_000;

/// The service, its neighbours and its file.
pub(crate) struct House {
    pub(crate) client: JobDbClient<Transport>,
    pub(crate) peers: Peers,
    pub(crate) clock: Clock,
    pub(crate) database: Database,
    tasks: Tasks,
    folder: TempDir,
}

/// The folder with specifications and fixtures, or `None` after saying so.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = option_env!("CC_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no folder {} (set CC_SHARED)", folder.display());
    None
}

/// A cluster `fritz` with the hosts `f[0001-0100]`.
pub(crate) fn fritz() -> (String, Bytes) {
    let json = serde_json::json!({
        "name": "fritz",
        "metricConfig": [
            {"name": "cpu_load", "scope": "node", "timestep": 60, "aggregation": "avg", "unit": {"base": ""},
             "peak": 72, "normal": 72, "caution": 36, "alert": 20, "footprint": "avg"},
            {"name": "mem_used", "scope": "node", "timestep": 60, "aggregation": "sum", "unit": {"base": "B"},
             "peak": 256, "normal": 128, "caution": 200, "alert": 240, "footprint": "max"},
        ],
        "subClusters": [{
            "name": "main", "nodes": "f[0001-0100]", "processorType": "x", "socketsPerNode": 1, "coresPerSocket": 2,
            "threadsPerCore": 1, "flopRateScalar": {"unit": {"base": "F/s"}, "value": 1},
            "flopRateSimd": {"unit": {"base": "F/s"}, "value": 1},
            "memoryBandwidth": {"unit": {"base": "B/s"}, "value": 1},
            "topology": {"node": [0, 1], "socket": [[0, 1]], "memoryDomain": [[0, 1]], "core": [[0], [1]]},
        }],
    });
    ("fritz".to_owned(), Bytes::from(json.to_string()))
}

/// Somebody with roles.
pub(crate) fn caller(name: &str, roles: &[Role]) -> Caller {
    Caller { name: name.to_owned(), roles: roles.to_vec(), projects: Vec::new(), how: How::Jwt }
}

/// A request of a scheduler's token.
pub(crate) fn api<T>(message: T) -> Request<T> {
    request(message, &caller("slurm", &[Role::Api]))
}

/// A request of an administrator.
pub(crate) fn admin<T>(message: T) -> Request<T> {
    request(message, &caller("root", &[Role::Admin]))
}

/// A request of a plain user.
pub(crate) fn user<T>(name: &str, message: T) -> Request<T> {
    request(message, &caller(name, &[Role::User]))
}

/// A start request of one node.
pub(crate) fn job(job_id: i64, start_time: i64) -> common::Job {
    common::Job {
        job_id,
        cluster: "fritz".to_owned(),
        project: "pa01".to_owned(),
        user: "alice".to_owned(),
        shared: "none".to_owned(),
        start_time,
        num_nodes: 1,
        monitoring_status: 1,
        resources: vec![common::Resource { hostname: "f0001".to_owned(), ..Default::default() }],
        ..Default::default()
    }
}

impl House {
    /// A fresh database and the cluster `fritz`.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        cc_database::create(folder.path().join("job.db")).await.unwrap();
        Self::on(folder, Peers::new(BTreeMap::from([fritz()]))).await
    }

    /// On a file `job.db` in a folder.
    pub(crate) async fn on(folder: TempDir, peers: Peers) -> Self {
        let database = Database::open(folder.path().join("job.db"), &Options::default()).await.unwrap();
        let clock = Clock::fixed(jiff::Timestamp::from_second(NOW).unwrap());
        let (tasks, readiness, keys) = (Tasks::new(), Readiness::new(), Keys::in_memory());
        let reach = |from: Peer, to: Peer, routes: Routes| -> Transport {
            let served = ServerStack::new(keys.of(to), clock.clone()).wrap(routes);
            ClientStack::new(keys.of(from), clock.clone()).wrap(local(served))
        };
        let deps = Deps {
            config: Arc::new(Config::default()),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            database: database.clone(),
            archive: reach(Peer::JobDb, Peer::Archive, Routes::new(ArchiveServer::new(peers.clone()))),
            metric_store: reach(
                Peer::JobDb,
                Peer::MetricStore,
                Routes::new(MetricStoreServer::new(peers.clone())),
            ),
        };
        let routes = cc_job_db::start(deps).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), readiness.wait_ready()).await.unwrap();
        let client = JobDbClient::new(reach(Peer::Gateway, Peer::JobDb, routes));
        Self { client, peers, clock, database, tasks, folder }
    }

    /// Ends the process in order and starts the next one on the same file.
    pub(crate) async fn restart(self) -> Self {
        let late = self.tasks.shutdown(Duration::from_secs(20)).await;
        assert_eq!(late, []);
        self.database.close().await.unwrap();
        let names: Vec<_> =
            std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["job.db"], "the log was copied back");
        Self::on(self.folder, self.peers).await
    }

    pub(crate) async fn start(&self, job: common::Job) -> Result<i64, tonic::Status> {
        let message = proto::StartJobRequest { job: Some(job) };
        Ok(self.client.clone().start_job(api(message)).await?.into_inner().id)
    }

    pub(crate) async fn stop(&self, job_id: i64, stop_time: i64) -> Result<common::Job, tonic::Status> {
        let message = proto::StopJobRequest { job_id, stop_time, ..Default::default() };
        Ok(self.client.clone().stop_job(api(message)).await?.into_inner().job.unwrap())
    }

    pub(crate) async fn get(&self, id: i64) -> common::Job {
        self.client
            .clone()
            .get_job(admin(proto::GetJobRequest { id }))
            .await
            .unwrap()
            .into_inner()
            .job
            .unwrap()
    }

    /// Waits, bounded, until something holds.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let polled = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(30), polled).await.is_ok(), "never: {what}");
    }

    /// Waits, bounded, until the job has a monitoring status.
    pub(crate) async fn until_status(&self, id: i64, status: i32) -> common::Job {
        self.until("monitoring status", async || self.get(id).await.monitoring_status == status).await;
        self.get(id).await
    }
}
