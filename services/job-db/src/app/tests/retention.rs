//! Jobs beyond their walltime and old states of nodes.

use std::time::Duration;

use cc_model::{Job, JobState, MonitoringStatus};
use jiff::SignedDuration;

use super::{NOW, api, clusters, job, key, on_both_stores, running, sqlite, stored};
use crate::app::janitor::Janitor;
use crate::app::rest::StartJob;
use crate::store::memory::MemoryStore;
use crate::store::{Store, Unit};

async fn jobs_beyond_their_walltime_end_and_are_archived(store: impl Store) {
    let running = running(store).await;
    let starts = [(1, 3_600, NOW - 3_600 - 601), (2, 3_600, NOW - 3_600 - 599), (3, 0, NOW - 1_000_000)];
    for (job_id, walltime, start_time) in starts {
        let new = Job { walltime, ..job(job_id, start_time) };
        running.writer.run(StartJob::new(new, &api(), &clusters()).unwrap()).await.unwrap().unwrap();
    }
    let janitor = Janitor {
        store: running.store.clone(),
        writer: running.writer.clone(),
        clock: running.clock.clone(),
    };
    assert_eq!(janitor.stop_overdue(600).await.unwrap(), 1);
    assert_eq!(janitor.stop_overdue(600).await.unwrap(), 0);
    let ended = stored(&running.store, &key(1, NOW - 3_600 - 601)).await.unwrap();
    assert_eq!((ended.state, ended.duration), (JobState::Failed, 4_200));
    assert_eq!(ended.monitoring_status, MonitoringStatus::RunningOrArchiving);
    let mut unit = running.store.begin("test").await.unwrap();
    assert!(unit.queued(ended.id.unwrap()).await.unwrap().is_some());
    drop(unit);
    for (job_id, _, start_time) in &starts[1..] {
        let other = stored(&running.store, &key(*job_id, *start_time)).await.unwrap();
        assert_eq!(other.state, JobState::Running, "{job_id}");
    }
}

on_both_stores!(jobs_beyond_their_walltime_end_and_are_archived);

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_ends_no_job() {
    let running = running(MemoryStore::default()).await;
    let new = Job { walltime: 3_600, ..job(1, NOW) };
    running.writer.run(StartJob::new(new, &api(), &clusters()).unwrap()).await.unwrap().unwrap();
    let janitor = Janitor {
        store: running.store.clone(),
        writer: running.writer.clone(),
        clock: running.clock.clone(),
    };
    let state = async || stored(&running.store, &key(1, NOW)).await.unwrap().state;
    // the wall clock goes with the runtime's, but for one leap of a day and back
    let day = async {
        let minutes = async |count: u32| {
            for _ in 0..count {
                tokio::time::sleep(Duration::from_mins(1)).await;
                running.clock.advance(SignedDuration::from_mins(1));
            }
        };
        minutes(12).await;
        running.clock.advance(SignedDuration::from_hours(24));
        minutes(9).await;
        assert_eq!(state().await, JobState::Running, "the clock leapt since the last look");
        running.clock.advance(SignedDuration::from_hours(-24));
        minutes(30).await;
        assert_eq!(state().await, JobState::Running);
        minutes(40).await;
        assert_eq!(state().await, JobState::Failed, "an hour and its grace are over");
    };
    tokio::select! { () = day => {}, () = janitor.clone().overdue(600) => {} }
}

#[tokio::test]
async fn of_old_states_the_newest_of_each_node_stays() {
    let (_folder, database, store) = sqlite().await;
    let mut transaction = database.write("test").await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO node (id, hostname, cluster, subcluster) VALUES (1, 'n1', 'c', 'main'), (2, 'n2', 'c', 'main');
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO node_state (time_stamp, node_state, health_state, node_id)
           SELECT 1700000000 - 100000 + i, 'idle', 'full', 1 FROM n;
         INSERT INTO node_state (time_stamp, node_state, health_state, node_id) VALUES
           (1700000000 - 90000, 'idle', 'full', 2), (1700000000 - 95000, 'down', 'full', 2),
           (1700000000 - 10, 'idle', 'full', 1)",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
    let running = running(store).await;
    let janitor = Janitor {
        store: running.store.clone(),
        writer: running.writer.clone(),
        clock: running.clock.clone(),
    };
    assert_eq!(janitor.prune_node_states(Duration::from_hours(24)).await.unwrap(), 5_002);
    let mut reader = database.read().await.unwrap();
    let left: Vec<(i64, i64)> = sqlx::query_as("SELECT node_id, time_stamp FROM node_state ORDER BY node_id")
        .fetch_all(&mut *reader)
        .await
        .unwrap();
    assert_eq!(left, [(1, NOW - 10), (2, NOW - 90_000)]);
}
