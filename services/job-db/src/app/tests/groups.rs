//! Group commit: everything that is answered is on the disk, and one bad request harms nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cc_database::Class;
use futures::future::join_all;

use super::{NOW, api, clusters, job, key, running, sqlite, stored};
use crate::app::rest::{StartJob, StopJob};
use crate::app::writer::{Context, Mutation};
use crate::error::Error;
use crate::store::{self, Unit};

fn start(job_id: i64) -> StartJob {
    StartJob::new(job(job_id, NOW), &api(), &clusters()).unwrap()
}

/// Counts how often it is applied, and fails as the database would when told so.
struct Probe {
    applied: Arc<AtomicUsize>,
    fails: bool,
}

impl Mutation for Probe {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        self.applied.fetch_add(1, Ordering::Relaxed);
        if self.fails {
            // the second insert breaks a UNIQUE constraint
            unit.insert(&job(500, NOW)).await?;
            unit.insert(&job(500, NOW)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn answered_starts_are_in_the_file_for_every_other_connection() {
    let (_folder, database, store) = sqlite().await;
    let running = running(store).await;
    let answers = join_all((1..=200).map(|id| running.writer.run(start(id)))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Ok(_)))));
    let other = cc_database::Database::open(database.path(), &cc_database::Options::default()).await.unwrap();
    let mut reader = other.read().await.unwrap();
    let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job").fetch_one(&mut *reader).await.unwrap();
    let changes: i64 =
        sqlx::query_scalar("SELECT MAX(position) FROM ccx_change").fetch_one(&mut *reader).await.unwrap();
    assert_eq!((jobs, changes), (200, 200));
    assert_eq!(running.writer.waiting(), 0);
}

#[tokio::test]
async fn one_bad_member_of_a_group_fails_alone() {
    let (_folder, _database, store) = sqlite().await;
    let running = running(store).await;
    let applied = Arc::new(AtomicUsize::new(0));
    let probe = |fails| running.writer.run(Probe { applied: Arc::clone(&applied), fails });
    let (first, good, bad, last) =
        tokio::join!(running.writer.run(start(1)), probe(false), probe(true), running.writer.run(start(2)),);
    assert!(first.unwrap().is_ok() && last.unwrap().is_ok());
    good.unwrap();
    let Err(Error::Database(error)) = bad else { panic!("{bad:?}") };
    assert_eq!(error.class(), Some(Class::Unique));
    assert_eq!(stored(&running.store, &key(500, NOW)).await, None, "nothing of it is left");
    assert!(stored(&running.store, &key(2, NOW)).await.is_some());
}

#[tokio::test]
async fn full_disk_is_an_error_for_all_and_costs_nothing_acknowledged() {
    let (_folder, database, store) = sqlite().await;
    let running = running(store).await;
    running.writer.run(start(1)).await.unwrap().unwrap();
    let limit = |pages: &'static str| {
        let database = database.clone();
        async move {
            let mut writer = database.write("test").await.unwrap();
            sqlx::raw_sql(pages).execute(&mut *writer).await.unwrap();
            writer.commit().await.unwrap();
        }
    };
    limit("PRAGMA max_page_count = 1").await;
    let big = |id| {
        let script = "x".repeat(100_000);
        let mut job = job(id, NOW);
        job.meta_data = Some([("jobScript".to_owned(), script)].into());
        StartJob::new(job, &api(), &clusters()).unwrap()
    };
    for answer in join_all((10..20).map(|id| running.writer.run(big(id)))).await {
        let Err(Error::Database(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error.class(), Some(Class::Full));
        let failure = cc_runtime::error::Failure::from(error.as_ref());
        assert_eq!(failure.reason(), "DATABASE_FULL");
    }
    limit("PRAGMA max_page_count = 1000000").await;
    for answer in join_all((10..20).map(|id| running.writer.run(big(id)))).await {
        answer.unwrap().unwrap();
    }
    let stop = StopJob { job_id: 1, cluster: None, start_time: None, stop_time: NOW, state: String::new() };
    running.writer.run(stop).await.unwrap().unwrap();
    let mut reader = database.read().await.unwrap();
    let whole: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *reader).await.unwrap();
    let span: (i64, i64) = sqlx::query_as("SELECT MAX(position), COUNT(*) FROM ccx_change")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!((whole.as_str(), span), ("ok", (12, 12)), "no position is lost or used twice");
}

#[tokio::test]
async fn what_was_accepted_before_the_end_is_committed() {
    let (_folder, _database, store) = sqlite().await;
    let running = running(store.clone()).await;
    let (clock, clusters_state, hub) = (running.clock.clone(), running.clusters.clone(), running.hub.clone());
    let (writer, task) = crate::app::writer::new(store, clock, clusters_state, hub, 500);
    let waiting = join_all((1..=50).map(|id| writer.run(start(id))));
    // the requests are queued, then the end is announced, then the task begins
    let stop = std::future::ready(());
    let (answers, ()) = tokio::join!(waiting, task.run(stop));
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Ok(_)))), "{answers:?}");
    assert!(matches!(writer.run(start(51)).await, Err(Error::ShuttingDown)));
}
