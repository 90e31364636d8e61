//! Rules on both stores: what holds for the naive one must hold for the database.

mod archiver;
mod edits;
mod events;
mod groups;
mod ledger;
mod random;
mod rest;
mod retention;
mod tagging;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use cc_database::{Database, Options};
use cc_model::{Clusters, Job, JobKey, JobState, Resource, Sharing};
use cc_runtime::caller::{Caller, How, Role};
use cc_runtime::clock::Clock;
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use jiff::Timestamp;
use tempfile::TempDir;

use super::clusters::ClusterState;
use super::mapping::{Allocation, Processors};
use super::spec::Spec;
use super::watch::Hub;
use super::writer::{self, Mutation, Writer};
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, Unit};

/// Now, in all tests.
pub(crate) const NOW: i64 = 1_700_000_000;

/// A database of its own, removed with the guard.
pub(crate) async fn sqlite() -> (TempDir, Database, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.db");
    cc_database::create(&path).await.unwrap();
    let database = Database::open(&path, &Options::default()).await.unwrap();
    let store = SqliteStore::open(database.clone()).await.unwrap();
    (folder, database, store)
}

/// Runs a check on both stores.
macro_rules! on_both_stores {
    ($check:ident) => {
        mod $check {
            #[tokio::test]
            async fn in_memory() {
                super::$check(crate::store::memory::MemoryStore::default()).await;
            }

            #[tokio::test]
            async fn on_sqlite() {
                let (_folder, _database, store) = crate::app::tests::sqlite().await;
                super::$check(store).await;
            }
        }
    };
}
pub(crate) use on_both_stores;

/// The file of a cluster: sub-cluster `main` with `n[1-8]` (16 threads, 2 accelerators), `gpu` with `g1`.
pub(crate) fn cluster_file(name: &str) -> (String, bytes::Bytes) {
    let threads: Vec<u32> = (0..16).collect();
    let socket = |first: u32| -> Vec<u32> { (first..first + 4).chain(first + 8..first + 12).collect() };
    let topology = serde_json::json!({
        "node": threads,
        "socket": [socket(0), socket(4)],
        "memoryDomain": [socket(0), socket(4)],
        "core": (0..8).map(|core| vec![core, core + 8]).collect::<Vec<_>>(),
        "accelerators": [{"id": "0:a", "type": "", "model": ""}, {"id": "0:b", "type": "", "model": ""}],
    });
    let sub_cluster = |name: &str, nodes: &str| {
        serde_json::json!({
            "name": name, "nodes": nodes, "processorType": "x", "socketsPerNode": 2, "coresPerSocket": 4,
            "threadsPerCore": 2, "flopRateScalar": {"unit": {"base": "F/s"}, "value": 1},
            "flopRateSimd": {"unit": {"base": "F/s"}, "value": 1},
            "memoryBandwidth": {"unit": {"base": "B/s"}, "value": 1}, "topology": topology,
        })
    };
    let metric = |name: &str, footprint: &str, energy: &str| {
        let mut metric = serde_json::json!({"name": name, "scope": "node", "timestep": 60, "aggregation": "avg",
            "unit": {"base": ""}, "peak": 1, "normal": 1, "caution": 1, "alert": 1, "energy": energy});
        if !footprint.is_empty() {
            metric["footprint"] = footprint.into();
        }
        metric
    };
    let json = serde_json::json!({
        "name": name,
        "metricConfig": [metric("cpu_load", "avg", ""), metric("mem_used", "max", ""), metric("power", "", "power")],
        "subClusters": [sub_cluster("main", "n[1-8]"), sub_cluster("gpu", "g1")],
    });
    (name.to_owned(), bytes::Bytes::from(json.to_string()))
}

/// Clusters `c` and `d`.
pub(crate) fn cluster_state() -> ClusterState {
    let state = ClusterState::default();
    assert!(state.report([cluster_file("c"), cluster_file("d")]));
    state
}

pub(crate) fn clusters() -> Arc<Clusters> {
    cluster_state().clusters()
}

pub(crate) fn api() -> Caller {
    caller("adapter", &[Role::Api])
}

pub(crate) fn caller(name: &str, roles: &[Role]) -> Caller {
    Caller { name: name.to_owned(), roles: roles.to_vec(), projects: Vec::new(), how: How::Jwt }
}

/// A valid start request.
pub(crate) fn job(job_id: i64, start_time: i64) -> Job {
    Job {
        cluster: "c".to_owned(),
        project: "p".to_owned(),
        user: "alice".to_owned(),
        resources: vec![Resource::node("n1")],
        num_nodes: 1,
        job_id,
        start_time,
        monitoring_status: cc_model::MonitoringStatus::RunningOrArchiving,
        ..Job::default()
    }
}

pub(crate) fn key(job_id: i64, start_time: i64) -> JobKey {
    JobKey { cluster: "c".to_owned(), job_id, start_time }
}

/// A valid description of a job by a scheduler.
pub(crate) fn spec(job_id: i64, start_time: i64) -> Spec {
    Spec {
        key: key(job_id, start_time),
        user: "alice".to_owned(),
        project: "p".to_owned(),
        partition: String::new(),
        sharing: Sharing::None,
        walltime: 0,
        num_nodes: 1,
        num_hwthreads: 0,
        num_acc: 0,
        smt: 0,
        allocations: vec![host("n1")],
        incomplete: false,
        array_job_id: 0,
        restart_count: 0,
        metadata: BTreeMap::new(),
        tags: Vec::new(),
    }
}

pub(crate) fn host(hostname: &str) -> Allocation {
    Allocation {
        hostname: hostname.to_owned(),
        processors: Processors::Unknown,
        accelerators: Vec::new(),
        gpus: Vec::new(),
    }
}

/// Applies a mutation in a transaction of its own, without a writer.
pub(crate) async fn apply<S: Store, M: Mutation>(store: &S, now: i64, mutation: M) -> M::Answer {
    writer::apply_alone(store, now, clusters(), &mutation).await.unwrap()
}

/// The stored job of a key, with metadata.
pub(crate) async fn stored<S: Store>(store: &S, key: &JobKey) -> Option<Job> {
    store.begin("test").await.unwrap().job_by_key(key).await.unwrap()
}

/// State and duration of a stored job.
pub(crate) async fn end_of<S: Store>(store: &S, key: &JobKey) -> (JobState, i32) {
    let job = stored(store, key).await.unwrap();
    (job.state, job.duration)
}

/// A running writer on a store.
pub(crate) struct Running<S: Store> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) hub: Hub,
    pub(crate) clusters: ClusterState,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

/// Starts a writer; it ends with the last handle.
pub(crate) async fn running<S: Store>(store: S) -> Running<S> {
    let clock = Clock::fixed(Timestamp::from_second(NOW).unwrap());
    let (clusters, hub, tasks) = (cluster_state(), Hub::default(), Tasks::new());
    let (writer, task) = writer::new(store.clone(), clock.clone(), clusters.clone(), hub.clone(), 500);
    tasks.spawn("writer", OnError::Log, OnShutdown::Drain, task.run(std::future::pending()));
    Running { store, writer, hub, clusters, clock, tasks }
}

#[tokio::test]
async fn the_two_stores_start_empty_and_equal() {
    let (_folder, _database, store) = sqlite().await;
    assert_eq!(store.change_span().await.unwrap(), (0, 0));
    assert_eq!(MemoryStore::default().change_span().await.unwrap(), (0, 0));
}
