//! The archive queue: every stopped job is archived once in effect, whatever fails in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cc_model::job::JobStatistics;
use cc_model::{Job, JobState, MonitoringStatus};
use cc_runtime::tasks::{OnError, OnShutdown};
use jiff::SignedDuration;

use super::{NOW, Running, api, apply, clusters, job, key, on_both_stores, running, stored};
use crate::app::archiver::{
    ATTEMPTS_MAX, Archive, Archived, Archiver, Failed, QueueAgain, Refusals, pause_seconds,
};
use crate::app::copies::Copied;
use crate::app::janitor::Janitor;
use crate::app::rest::{StartJob, StopJob};
use crate::app::watch::wake_on;
use crate::store::change::ChangeKind;
use crate::store::memory::MemoryStore;
use crate::store::{ArchiveResult, Store, Unit};

/// What the archive is to answer, and what it was asked.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    failures: Vec<Failed>,
    asked: Vec<(i64, JobState, i32)>,
}

impl Archive for Fake {
    async fn archive(&self, job: &Job) -> Result<BTreeMap<String, JobStatistics>, Failed> {
        let mut script = self.0.lock().unwrap();
        script.asked.push((job.job_id, job.state, job.duration));
        if !script.failures.is_empty() {
            return Err(script.failures.remove(0));
        }
        let statistics = |avg, max| JobStatistics { avg, min: 0.0, max, ..JobStatistics::default() };
        Ok([
            ("cpu_load".to_owned(), statistics(2.5, 4.0)),
            ("mem_used".to_owned(), statistics(10.0, 80.0)),
            ("power".to_owned(), statistics(1_000.0, 1_000.0)),
        ]
        .into())
    }

    async fn update_meta(&self, _: &Job) -> Result<Copied, Failed> {
        Ok(Copied::NoEntry)
    }
}

fn failed(retry: bool) -> Failed {
    Failed { retry, text: "LOADING: not yet".to_owned() }
}

async fn start_and_stop<S: Store>(running: &Running<S>, job_id: i64) {
    let start = StartJob::new(job(job_id, NOW - 3_600), &api(), &clusters()).unwrap();
    running.writer.run(start).await.unwrap().unwrap();
    let stop = StopJob { job_id, cluster: None, start_time: None, stop_time: NOW, state: String::new() };
    running.writer.run(stop).await.unwrap().unwrap();
}

fn spawn<S: Store>(running: &Running<S>, archive: &Fake) {
    let (wake, task) = wake_on(&running.hub, |change| change.kind == ChangeKind::Stopped);
    running.tasks.spawn("wake", OnError::Log, OnShutdown::Abort, task);
    let archiver = Archiver {
        store: running.store.clone(),
        writer: running.writer.clone(),
        archive: archive.clone(),
        clusters: running.clusters.clone(),
        clock: running.clock.clone(),
        refusals: Refusals::default(),
    };
    let run = archiver.run(wake, std::future::pending());
    running.tasks.spawn("archiver", OnError::Log, OnShutdown::Abort, run);
}

/// Waits, bounded, for a monitoring status.
async fn wait_for<S: Store>(running: &Running<S>, job_id: i64, status: MonitoringStatus) -> Job {
    let mut changes = running.hub.subscribe();
    let reached = async {
        loop {
            let row = stored(&running.store, &key(job_id, NOW - 3_600)).await.unwrap();
            if row.monitoring_status == status {
                return row;
            }
            let _news = tokio::time::timeout(Duration::from_millis(20), changes.recv()).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(30), reached).await.unwrap()
}

/// Moves the wall clock with the runtime's, which is paused and jumps to whatever is waited for next.
async fn tick<S: Store>(running: &Running<S>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.clock.advance(SignedDuration::from_secs(1));
    }
}

async fn a_stopped_job_gets_its_footprint_and_energy<S: Store>(store: S) {
    let running = running(store).await;
    let archive = Fake::default();
    spawn(&running, &archive);
    start_and_stop(&running, 1).await;
    let row = wait_for(&running, 1, MonitoringStatus::Archived).await;
    assert_eq!(
        row.footprint.unwrap(),
        [("cpu_load_avg".to_owned(), 2.5), ("mem_used_max".to_owned(), 80.0)].into()
    );
    assert_eq!(row.energy_footprint.unwrap(), [("power".to_owned(), 1.0)].into());
    assert!((row.energy - 1.0).abs() < 1e-9, "1 kW for an hour");
    assert_eq!(running.store.queue_due(NOW + 999, 9).await.unwrap(), []);
    assert_eq!(archive.0.lock().unwrap().asked, [(1, JobState::Completed, 3_600)]);
    let kinds: Vec<_> =
        running.store.changes(0, 9).await.unwrap().into_iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Started, ChangeKind::Stopped, ChangeKind::Archived]);
}
on_both_stores!(a_stopped_job_gets_its_footprint_and_energy);

#[tokio::test(start_paused = true)]
async fn failures_of_the_moment_are_tried_again_without_end() {
    let running = running(MemoryStore::default()).await;
    let archive = Fake::default();
    archive.0.lock().unwrap().failures = vec![failed(true); 8];
    start_and_stop(&running, 1).await;
    spawn(&running, &archive);
    tokio::select! {
        row = wait_for(&running, 1, MonitoringStatus::Archived) => assert!(row.footprint.is_some()),
        () = tick(&running) => {}
    }
    assert_eq!(archive.0.lock().unwrap().asked.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_job_end_in_its_status() {
    let running = running(MemoryStore::default()).await;
    let archive = Fake::default();
    archive.0.lock().unwrap().failures = vec![failed(false); 99];
    start_and_stop(&running, 1).await;
    spawn(&running, &archive);
    tokio::select! {
        row = wait_for(&running, 1, MonitoringStatus::ArchivingFailed) => assert!(row.footprint.is_none()),
        () = tick(&running) => {}
    }
    assert_eq!(archive.0.lock().unwrap().asked.len(), usize::try_from(ATTEMPTS_MAX).unwrap());
    assert_eq!(running.store.queue_due(i64::MAX, 9).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn before_the_cluster_files_are_known_nothing_is_given_up() {
    let mut running = running(MemoryStore::default()).await;
    start_and_stop(&running, 1).await;
    let files = std::mem::take(&mut running.clusters).current().unwrap().files;
    let archive = Fake::default();
    spawn(&running, &archive);
    let deferred = async {
        while running.store.queue_due(i64::MAX, 9).await.unwrap()[0].attempts < 2 * ATTEMPTS_MAX {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! { () = deferred => {}, () = tick(&running) => {} }
    let row = stored(&running.store, &key(1, NOW - 3_600)).await.unwrap();
    assert_eq!(row.monitoring_status, MonitoringStatus::RunningOrArchiving);
    // one refusal after so many attempts is not the last
    archive.0.lock().unwrap().failures = vec![failed(false)];
    running.clusters.report(files.iter().map(|(name, json)| (name.clone(), json.clone())));
    tokio::select! {
        row = wait_for(&running, 1, MonitoringStatus::Archived) => assert!(row.footprint.is_some()),
        () = tick(&running) => {}
    }
}

async fn a_result_for_an_end_that_was_corrected_does_not_count<S: Store>(store: S) {
    let running = running(store).await;
    start_and_stop(&running, 1).await;
    let entry = running.store.queue_due(NOW, 9).await.unwrap().remove(0);
    let mut unit = running.store.begin("test").await.unwrap();
    unit.enqueue(entry.id, NOW).await.unwrap();
    unit.commit().await.unwrap();
    let result = ArchiveResult { footprint: BTreeMap::new(), energy_footprint: BTreeMap::new(), energy: 9.0 };
    let late = Archived { id: entry.id, generation: entry.generation, result: result.clone() };
    apply(&running.store, NOW, late).await;
    let row = stored(&running.store, &key(1, NOW - 3_600)).await.unwrap();
    assert_eq!(row.monitoring_status, MonitoringStatus::RunningOrArchiving);
    let again = running.store.queue_due(NOW, 9).await.unwrap().remove(0);
    let current = Archived { id: entry.id, generation: again.generation, result };
    apply(&running.store, NOW, current.clone()).await;
    apply(&running.store, NOW, current).await;
    let row = stored(&running.store, &key(1, NOW - 3_600)).await.unwrap();
    assert_eq!((row.monitoring_status, row.energy), (MonitoringStatus::Archived, 9.0), "twice is once");
}
on_both_stores!(a_result_for_an_end_that_was_corrected_does_not_count);

async fn jobs_that_nobody_archived_are_found_at_start<S: Store>(store: S) {
    let running = running(store).await;
    start_and_stop(&running, 1).await;
    start_and_stop(&running, 2).await;
    let lost = running.store.queue_due(NOW, 9).await.unwrap();
    let mut unit = running.store.begin("test").await.unwrap();
    for entry in &lost {
        unit.dequeue(entry.id).await.unwrap();
    }
    unit.monitoring(lost[1].id, MonitoringStatus::Archived).await.unwrap();
    unit.commit().await.unwrap();
    let janitor = Janitor {
        store: running.store.clone(),
        writer: running.writer.clone(),
        clock: running.clock.clone(),
    };
    running.clock.advance(SignedDuration::from_secs(7_200));
    janitor.clone().queue_unarchived(Duration::from_hours(1)).await.unwrap();
    assert_eq!(running.store.queue_due(i64::MAX, 9).await.unwrap(), [], "its samples are gone");
    janitor.queue_unarchived(Duration::from_mins(150)).await.unwrap();
    let found: Vec<i64> =
        running.store.queue_due(i64::MAX, 9).await.unwrap().into_iter().map(|entry| entry.id).collect();
    assert_eq!(found, [lost[0].id]);
    let queued = running.store.queue_due(i64::MAX, 9).await.unwrap();
    apply(&running.store, NOW, QueueAgain { ids: found }).await;
    assert_eq!(running.store.queue_due(i64::MAX, 9).await.unwrap(), queued, "queued once");
}
on_both_stores!(jobs_that_nobody_archived_are_found_at_start);

async fn stored_durations_of_running_jobs_follow_the_clock<S: Store>(store: S) {
    let running = running(store).await;
    start_and_stop(&running, 1).await;
    let start = StartJob::new(job(2, NOW - 100), &api(), &clusters()).unwrap();
    running.writer.run(start).await.unwrap().unwrap();
    let janitor = Janitor {
        store: running.store.clone(),
        writer: running.writer.clone(),
        clock: running.clock.clone(),
    };
    running.clock.advance(SignedDuration::from_secs(50));
    assert_eq!(janitor.refresh_durations().await.unwrap(), 1);
    assert_eq!(stored(&running.store, &key(2, NOW - 100)).await.unwrap().duration, 150);
    assert_eq!(stored(&running.store, &key(1, NOW - 3_600)).await.unwrap().duration, 3_600);
}
on_both_stores!(stored_durations_of_running_jobs_follow_the_clock);

#[test]
fn pauses_double_up_to_five_minutes() {
    let pauses: Vec<i64> = (0..12).map(pause_seconds).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(pause_seconds(i64::MAX), 300);
}
