//! Taggers at work: each change once, from where they were; over all jobs; and what never happens.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use cc_model::job::JobStatistics;
use cc_model::{JobKey, JobState, MonitoringStatus};
use tempfile::TempDir;

use super::{Running, api, clusters, job, key, running, sqlite, stored};
use crate::app::archiver::{Archived, Failed};
use crate::app::clusters::ClusterState;
use crate::app::rest::{StartJob, StopJob};
use crate::app::tagging::{ArchivedStatistics, Runs, Tagging};
use crate::store::memory::MemoryStore;
use crate::store::{ArchiveResult, Store, Unit};
use crate::tagger::{Directory, Tagger};

/// Every job has a load of 0.1.
#[derive(Debug, Clone)]
struct Low;

impl ArchivedStatistics for Low {
    async fn statistics(
        &self,
        keys: Vec<JobKey>,
    ) -> Result<HashMap<JobKey, BTreeMap<String, JobStatistics>>, Failed> {
        let load = JobStatistics { avg: 0.1, min: 0.0, max: 0.2, ..JobStatistics::default() };
        Ok(keys
            .into_iter()
            .map(|key| (key, BTreeMap::from([("cpu_load".to_owned(), load.clone())])))
            .collect())
    }
}

fn rules() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("apps/vasp.txt", "vasp_std");
    write("apps/gromacs.txt", "gmx");
    write("jobclasses/parameters.json", "{}");
    write(
        "jobclasses/low.json",
        r#"{"tag": "low", "metrics": ["cpu_load"], "rule": "cpu_load.avg < cpu_load.limits.peak",
            "hint": "load {{.cpu_load.avg}} of {{.cpu_load.limits.peak}}"}"#,
    );
    write("jobclasses/odd.json", r#"{"tag": "odd", "rule": "nosuch.x > 1"}"#);
    dir
}

fn tagging<S: Store>(running: &Running<S>, rules: &Path) -> Tagging<S, Low> {
    Tagging {
        store: running.store.clone(),
        writer: running.writer.clone(),
        archive: Low,
        clusters: running.clusters.clone(),
        clock: running.clock.clone(),
        directory: {
            let directory = Directory::new(rules);
            directory.refresh();
            directory
        },
        runs: Runs::default(),
        copies: std::sync::Arc::default(),
    }
}

async fn start<S: Store>(running: &Running<S>, job_id: i64, script: &str) -> i64 {
    let mut job = job(job_id, 1_000);
    job.meta_data = Some([("jobScript".to_owned(), script.to_owned())].into());
    running.writer.run(StartJob::new(job, &api(), &clusters()).unwrap()).await.unwrap().unwrap()
}

async fn stop<S: Store>(running: &Running<S>, job_id: i64, id: i64) {
    let (cluster, start_time) = (None, None);
    let stop = StopJob { job_id, cluster, start_time, stop_time: 2_000, state: String::new() };
    running.writer.run(stop).await.unwrap().unwrap();
    let result = ArchiveResult { footprint: BTreeMap::new(), energy_footprint: BTreeMap::new(), energy: 0.0 };
    let queued = running.store.queue_due(i64::MAX, 999).await.unwrap();
    let generation = queued.iter().find(|entry| entry.id == id).unwrap().generation;
    running.writer.run(Archived { id, generation, result }).await.unwrap();
}

async fn tags<S: Store>(store: &S, id: i64) -> Vec<String> {
    let tags = store.begin("test").await.unwrap().tags_of(id).await.unwrap();
    tags.into_iter().map(|tag| format!("{}/{}/{}", tag.kind, tag.name, tag.scope)).collect()
}

async fn live(store: impl Store) {
    let running = running(store).await;
    let rules = rules();
    start(&running, 1, "srun vasp_std").await;
    let tagging = tagging(&running, rules.path());
    // the first time: from now on
    tagging.catch_up().await.unwrap();
    let id = start(&running, 2, "# gmx\nsrun VASP_STD\n").await;
    tagging.catch_up().await.unwrap();
    assert_eq!(tags(&running.store, 1).await, [""; 0]);
    assert_eq!(tags(&running.store, id).await, ["app/vasp/global"]);
    stop(&running, 2, id).await;
    // before the cluster files are known nobody is classified, and nobody is passed over
    Tagging { clusters: ClusterState::default(), ..tagging.clone() }.catch_up().await.unwrap();
    let (_, before) = running.store.change_span().await.unwrap();
    tagging.catch_up().await.unwrap();
    assert_eq!(tags(&running.store, id).await, ["app/vasp/global", "jobClass/low/global"]);
    let stored = stored(&running.store, &key(2, 1_000)).await.unwrap();
    assert_eq!(stored.meta_data.unwrap()["message"], "load 0.1 of 1");
    assert_eq!((stored.state, stored.monitoring_status), (JobState::Completed, MonitoringStatus::Archived));
    // open pages learn of it; a second look changes nothing
    let (_, after) = running.store.change_span().await.unwrap();
    assert_eq!(after, before + 1);
    tagging.catch_up().await.unwrap();
    assert_eq!(running.store.change_span().await.unwrap().1, after);
    let problems: Vec<String> = tagging.runs.problems().into_iter().map(|problem| problem.file).collect();
    assert_eq!(problems, ["jobclasses/odd.json"]);
}

async fn all(store: impl Store) {
    let running = running(store).await;
    let rules = rules();
    let tagging = tagging(&running, rules.path());
    for job_id in 1..=3 {
        let id = start(&running, job_id, "gmx mdrun").await;
        if job_id < 3 {
            stop(&running, job_id, id).await;
        }
    }
    // a person's own tag of the same name is not touched, and none of that name can be made
    let mut unit = running.store.begin("test").await.unwrap();
    unit.insert_tag("jobClass", "low", "alice").await.unwrap();
    unit.commit().await.unwrap();
    assert!(tagging.runs.begin(Tagger::Applications, true));
    assert!(!tagging.runs.begin(Tagger::Applications, true), "one at a time");
    tagging.clone().run_all(vec![Tagger::Applications], true).await.unwrap();
    let state = tagging.runs.state(Tagger::Applications);
    assert_eq!((state.running, state.total, state.done, state.tagged), (false, 2, 2, 2));
    assert_eq!(tags(&running.store, 1).await, [""; 0], "dry");
    for tagger in Tagger::ALL {
        assert!(tagging.runs.begin(tagger, false));
    }
    tagging.clone().run_all(Tagger::ALL.to_vec(), false).await.unwrap();
    assert_eq!(tags(&running.store, 1).await, ["app/gromacs/global"]);
    assert_eq!(tags(&running.store, 3).await, [""; 0], "it still runs");
    assert_eq!(tagging.runs.state(Tagger::Classes).tagged, 2);
}

#[tokio::test]
async fn live_in_memory() {
    live(MemoryStore::default()).await;
}

#[tokio::test]
async fn live_on_sqlite() {
    let (_folder, _database, store) = sqlite().await;
    live(store).await;
}

#[tokio::test]
async fn all_in_memory() {
    all(MemoryStore::default()).await;
}

#[tokio::test]
async fn all_on_sqlite() {
    let (_folder, _database, store) = sqlite().await;
    all(store).await;
}
