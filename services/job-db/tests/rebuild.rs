//! The tables from the archive (`-init-db`): what stays, what comes, and that an ended run changes nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use cc_database::{Options, create};
use cc_job_db::Rebuild;
use cc_model::{Job, JobState, MonitoringStatus, Resource, Tag};
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

fn job(job_id: i64, tags: &[(&str, &str)]) -> Job {
    let tag = |(name, scope): &(&str, &str)| Tag {
        id: 0,
        kind: "t".to_owned(),
        name: (*name).to_owned(),
        scope: (*scope).to_owned(),
    };
    Job {
        cluster: "c".to_owned(),
        sub_cluster: "s".to_owned(),
        job_id,
        start_time: 1_700_000_000 + job_id,
        user: "alice".to_owned(),
        duration: 60,
        num_nodes: 1,
        state: JobState::Completed,
        monitoring_status: MonitoringStatus::Archived,
        resources: vec![Resource::node("n1")],
        tags: tags.iter().map(tag).collect(),
        ..Job::default()
    }
}

async fn site() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.db");
    create(&path).await.unwrap();
    (folder, path)
}

async fn foreign(path: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn execute(path: &Path, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut foreign(path).await).await.unwrap();
}

async fn rows(path: &Path) -> Vec<(i64, i64, String)> {
    sqlx::query_as(
        "SELECT job.id, job.job_id, COALESCE(group_concat(tag_name || '/' || tag_scope, ' ' ORDER BY tag_name), '')
         FROM job LEFT JOIN jobtag ON jobtag.job_id = job.id LEFT JOIN tag ON tag.id = tag_id GROUP BY job.id
         ORDER BY job.id",
    )
    .fetch_all(&mut foreign(path).await)
    .await
    .unwrap()
}

async fn schema(path: &Path) -> Vec<(String, Option<String>)> {
    sqlx::query_as(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'ccx\\_%' ESCAPE '\\' ORDER BY name",
    )
    .fetch_all(&mut foreign(path).await)
    .await
    .unwrap()
}

/// A running job, a stopped one that waits for the archive, one that the archive has, one that it has lost.
const FORMER: &str = "
INSERT INTO job (id, job_id, cluster, subcluster, start_time, hpc_user, project, duration, walltime, job_state,
  resources, num_nodes, shared, monitoring_status) VALUES
  (10, 1, 'c', 's', 1700000001, 'u', 'p', 0, 0, 'running', '[]', 1, 'none', 1),
  (11, 2, 'c', 's', 1700000002, 'u', 'p', 5, 0, 'completed', '[]', 1, 'none', 1),
  (12, 3, 'c', 's', 1700000003, 'u', 'p', 5, 0, 'completed', '[]', 1, 'none', 3),
  (13, 4, 'c', 's', 1700000004, 'u', 'p', 5, 0, 'completed', '[]', 1, 'none', 3);
INSERT INTO tag (id, tag_type, tag_name, tag_scope) VALUES
  (5, 't', 'mine', 'alice'), (6, 't', 'gone', 'global'), (7, 't', 'run', 'admin');
INSERT INTO jobtag (job_id, tag_id) VALUES (10, 7), (12, 5), (13, 6);
INSERT INTO ccx_archive_queue (job_db_id, queued_at, not_before) VALUES (11, 0, 0);
CREATE INDEX of_the_site   ON job(project,  walltime);
";

async fn full(path: &Path) -> u64 {
    let mut rebuild = Rebuild::begin(path, "archive").await.unwrap();
    let after = rebuild.position().map(str::to_owned);
    let batches = [
        (vec![job(3, &[("mine", "alice")]), job(5, &[("new", "global")])], "b1"),
        (vec![job(3, &[]), job(6, &[("mine", "global")])], "b2"),
    ];
    let start =
        batches.iter().position(|(_, position)| Some(*position) == after.as_deref()).map_or(0, |at| at + 1);
    for (jobs, position) in batches.iter().skip(start) {
        rebuild.add(jobs, position).await.unwrap();
    }
    rebuild.finish(&mut |_| {}).await.unwrap().jobs
}

#[tokio::test]
async fn what_the_archive_has_comes_and_what_it_has_not_got_yet_stays() {
    let (folder, path) = site().await;
    // the side tables
    Rebuild::begin(&path, "").await.unwrap().leave().await.unwrap();
    execute(&path, FORMER).await;
    let before = schema(&path).await;
    assert_eq!(full(&path).await, 3);
    let row = |id: i64, job_id: i64, tags: &str| (id, job_id, tags.to_owned());
    let expected = vec![
        row(10, 1, "run/admin"),
        row(11, 2, ""),
        row(12, 3, "mine/alice"),
        row(13, 5, "new/global"),
        row(14, 6, ""),
    ];
    assert_eq!(rows(&path).await, expected);
    assert_eq!(schema(&path).await, before, "also the index with the words of the site");
    let tags: Vec<(i64, String)> = sqlx::query_as("SELECT id, tag_name FROM tag ORDER BY id")
        .fetch_all(&mut foreign(&path).await)
        .await
        .unwrap();
    assert_eq!(tags, [(5, "mine".to_owned()), (7, "run".to_owned()), (8, "new".to_owned())]);
    // again: the same
    full(&path).await;
    assert_eq!(rows(&path).await, expected);
    let names = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names.filter(|name| name.contains("rebuild")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn an_ended_run_changes_nothing_and_is_gone_on_with() {
    let (_folder, path) = site().await;
    Rebuild::begin(&path, "").await.unwrap().leave().await.unwrap();
    execute(&path, FORMER).await;
    let before = rows(&path).await;
    let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
    rebuild.add(&[job(3, &[("mine", "alice")]), job(5, &[("new", "global")])], "b1").await.unwrap();
    rebuild.leave().await.unwrap();
    assert_eq!(rows(&path).await, before);
    let again = Rebuild::begin(&path, "archive").await.unwrap();
    assert_eq!((again.position(), again.jobs()), (Some("b1"), 2));
    again.leave().await.unwrap();
    full(&path).await;
    let resumed = rows(&path).await;
    let (_other_folder, other) = site().await;
    Rebuild::begin(&other, "").await.unwrap().leave().await.unwrap();
    execute(&other, FORMER).await;
    full(&other).await;
    assert_eq!(resumed, rows(&other).await);
}

#[tokio::test]
async fn a_changed_database_or_another_archive_begins_anew() {
    let (_folder, path) = site().await;
    let begun = async |archive: &str| {
        let mut rebuild = Rebuild::begin(&path, archive).await.unwrap();
        let position = rebuild.position().map(str::to_owned);
        rebuild.add(&[job(3, &[])], "b1").await.unwrap();
        rebuild.leave().await.unwrap();
        position
    };
    assert_eq!(begun("one").await, None);
    assert_eq!(begun("one").await.as_deref(), Some("b1"));
    assert_eq!(begun("two").await, None);
    execute(&path, FORMER).await;
    assert_eq!(begun("two").await, None);
    // a damaged working file only holds what can be read again
    std::fs::write(path.with_file_name("job.db.rebuild"), "nonsense".repeat(1_000)).unwrap();
    assert_eq!(begun("two").await, None);
    let options = Options::default();
    cc_database::Database::open(&path, &options).await.unwrap().close().await.unwrap();
}
