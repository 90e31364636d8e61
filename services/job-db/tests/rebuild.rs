//! The tables from the archive (`-init-db`): what stays, what comes, and that an ended run changes nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use cc_database::{Options, create};
use cc_job_db::{Rebuild, RebuildError};
use cc_model::{Job, JobState, MonitoringStatus, Resource, Tag};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
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
    let mut connection = foreign(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    // one that is only dropped has the file open for a while
    connection.close().await.unwrap();
}

async fn rows(path: &Path) -> Vec<(i64, i64, String)> {
    let mut connection = foreign(path).await;
    let rows = sqlx::query_as(
        "SELECT job.id, job.job_id, COALESCE(group_concat(tag_name || '/' || tag_scope, ' ' ORDER BY tag_name), '')
         FROM job LEFT JOIN jobtag ON jobtag.job_id = job.id LEFT JOIN tag ON tag.id = tag_id GROUP BY job.id
         ORDER BY job.id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    rows
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
        rebuild.add(jobs, &[], position).await.unwrap();
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
        row(14, 5, "new/global"),
        row(15, 6, ""),
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
    rebuild.add(&[job(3, &[("mine", "alice")]), job(5, &[("new", "global")])], &[], "b1").await.unwrap();
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
        rebuild.add(&[job(3, &[])], &[], "b1").await.unwrap();
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

/// Rows of a site that are in its database only, in whatever state.
const ONLY_HERE: &str = "
INSERT INTO job (id, job_id, cluster, subcluster, start_time, hpc_user, project, duration, walltime, job_state,
  resources, num_nodes, shared, monitoring_status) VALUES
  (20, 20, 'c', 's', 1700000020, 'u', 'p', 5, 0, 'completed', '[]', 1, 'none', 0),
  (21, 21, 'c', 's', 1700000021, 'u', 'p', 5, 0, 'failed', '[]', 1, 'none', 1),
  (22, 22, 'c', 's', 1700000022, 'u', 'p', 0, 0, 'failed', '[]', 1, 'none', 2),
  (23, 23, 'c', 's', 1700000023, 'u', 'p', 0, 0, 'suspended', '[]', 1, 'none', 1),
  (24, 1024, 'c', 's', 1700000024, 'u', 'p', 5, 0, 'completed', '[]', 1, 'none', 3),
  (25, 5, 'c', 's', 1700000005, 'u', 'p', 5, 0, 'completed', '[]', 1, 'none', 2);
INSERT INTO tag (id, tag_type, tag_name, tag_scope) VALUES (9, 't', 'here', 'alice');
INSERT INTO jobtag (job_id, tag_id) VALUES (20, 9), (24, 9);
";

async fn with_rows(sql: &'static str) -> (TempDir, PathBuf) {
    let (folder, path) = site().await;
    // the side tables
    Rebuild::begin(&path, "").await.unwrap().leave().await.unwrap();
    execute(&path, sql).await;
    (folder, path)
}

async fn count(path: &Path, sql: &'static str) -> i64 {
    let mut connection = foreign(path).await;
    let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    count
}

#[tokio::test]
async fn a_job_that_only_the_database_has_stays_in_whatever_state() {
    let (_folder, path) = with_rows(ONLY_HERE).await;
    let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
    // the entry of the fifth one is broken, the last one is there although the row does not say so
    rebuild.add(&[job(5, &[])], &["c/1/024/1700000024".to_owned()], "b1").await.unwrap();
    let done = rebuild.finish(&mut |_| {}).await.unwrap();
    assert_eq!((done.jobs, done.kept), (1, 5));
    let row = |id: i64, job_id: i64, tags: &str| (id, job_id, tags.to_owned());
    let expected = [
        row(20, 20, "here/alice"),
        row(21, 21, ""),
        row(22, 22, ""),
        row(23, 23, ""),
        row(24, 1024, "here/alice"),
        row(25, 5, ""),
    ];
    assert_eq!(rows(&path).await, expected);
    assert_eq!(count(&path, "SELECT monitoring_status FROM job WHERE id = 25").await, 3);
    assert_eq!(count(&path, "SELECT SUM(monitoring_status) FROM job WHERE id < 24").await, 4);
}

#[tokio::test]
async fn a_change_that_waits_to_be_copied_into_the_archive_is_not_undone() {
    let (_folder, path) = with_rows(FORMER).await;
    execute(
        &path,
        "UPDATE job SET meta_data = '{\"message\":\"new\"}' WHERE id = 12;
         INSERT INTO jobtag (job_id, tag_id) VALUES (12, 6);
         INSERT INTO ccx_archive_copy (job_db_id, generation, not_before) VALUES (12, 77, 0), (13, 78, 0), (99, 79, 0);
         DELETE FROM job WHERE id = 13",
    )
    .await;
    full(&path).await;
    let (_, _, tags) = rows(&path).await.into_iter().find(|(id, ..)| *id == 12).unwrap();
    assert_eq!(tags, "gone/global mine/alice");
    let message = "SELECT COUNT(*) FROM job WHERE id = 12 AND meta_data = '{\"message\":\"new\"}'";
    assert_eq!(count(&path, message).await, 1);
    // it still waits, and nothing waits for jobs that are not there
    assert_eq!(count(&path, "SELECT SUM(generation) FROM ccx_archive_copy").await, 77);
    assert_eq!(count(&path, "SELECT SUM(job_db_id) FROM ccx_archive_queue").await, 11);
}

#[tokio::test]
async fn an_archive_without_any_job_of_a_cluster_does_not_empty_it() {
    let (folder, path) = with_rows(FORMER).await;
    execute(&path, "UPDATE job SET cluster = 'other' WHERE id IN (10, 12)").await;
    let before = rows(&path).await;
    let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
    rebuild.add(&[job(5, &[])], &[], "b1").await.unwrap();
    let error = rebuild.finish(&mut |_| {}).await.unwrap_err();
    // the running one does not count: it is not in any archive
    assert!(matches!(&error, RebuildError::Lacking { clusters } if clusters == "other (1 jobs)"), "{error}");
    assert!(error.to_string().contains("mounted? If these jobs"), "{error}");
    assert_eq!(rows(&path).await, before);
    assert!(!folder.path().join("job.db.rebuild").try_exists().unwrap(), "it would be gone on with");
}

/// What the reference, which does not know our lock, can do meanwhile; sums and lengths stay as they are.
const EDITS: [&str; 5] = [
    "UPDATE job SET meta_data = '{\"message\":\"b\"}' WHERE id = 12",
    "UPDATE jobtag SET tag_id = 11 - tag_id WHERE job_id IN (12, 13)",
    "UPDATE tag SET tag_scope = CASE id WHEN 5 THEN 'global' ELSE 'alice' END WHERE id IN (5, 6)",
    "UPDATE job SET monitoring_status = 4 - monitoring_status WHERE id IN (11, 12)",
    "UPDATE ccx_archive_queue SET generation = 9223372036854775807",
];

#[tokio::test]
async fn an_edit_by_the_reference_between_reading_and_swapping_is_noticed() {
    for edit in EDITS {
        let (_folder, path) = with_rows(FORMER).await;
        execute(
            &path,
            "UPDATE job SET meta_data = '{\"message\":\"a\"}' WHERE id = 12;
             INSERT INTO ccx_archive_queue (job_db_id, generation, queued_at, not_before)
               VALUES (13, 9223372036854775807, 0, 0)",
        )
        .await;
        let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
        rebuild.add(&[job(3, &[])], &[], "b1").await.unwrap();
        execute(&path, edit).await;
        let before = rows(&path).await;
        let outcome = rebuild.finish(&mut |_| {}).await;
        assert!(matches!(outcome, Err(RebuildError::Changed)), "{edit}: {outcome:?}");
        assert_eq!(rows(&path).await, before, "{edit}");
        // and between two runs
        let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
        assert_eq!(rebuild.position(), None, "{edit}");
        rebuild.add(&[job(3, &[])], &[], "b1").await.unwrap();
        rebuild.leave().await.unwrap();
        let back = "UPDATE job SET meta_data = '{\"message\":\"c\"}' WHERE id = 12";
        execute(&path, back).await;
        let rebuild = Rebuild::begin(&path, "archive").await.unwrap();
        assert_eq!(rebuild.position(), None, "{edit}");
        rebuild.leave().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_running_job_has_come_to_meanwhile_is_no_change() {
    let (_folder, path) = with_rows(FORMER).await;
    let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
    rebuild.add(&[job(3, &[])], &[], "b1").await.unwrap();
    execute(&path, "UPDATE job SET duration = 300 WHERE id = 10").await;
    rebuild.finish(&mut |_| {}).await.unwrap();
    assert_eq!(count(&path, "SELECT duration FROM job WHERE id = 10").await, 300);
}

#[tokio::test]
async fn a_new_job_gets_no_id_that_was_used() {
    let (_folder, path) = with_rows(FORMER).await;
    execute(
        &path,
        "INSERT INTO ccx_ingest_event (event_id, job_db_id, outcome, code, applied_at) VALUES
           (x'01', 40, 1, '', 0), (x'02', 12, 1, '', 0);
         DELETE FROM jobtag WHERE tag_id = 7",
    )
    .await;
    full(&path).await;
    let ids: Vec<i64> = rows(&path).await.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, [10, 11, 12, 41, 42]);
    // the note on a job that is gone does not lead to another one
    assert_eq!(count(&path, "SELECT job_db_id FROM ccx_ingest_event WHERE event_id = x'01'").await, 0);
    assert_eq!(count(&path, "SELECT job_db_id FROM ccx_ingest_event WHERE event_id = x'02'").await, 12);
    // nor does a bookmark of a tag
    assert_eq!(count(&path, "SELECT id FROM tag WHERE tag_name = 'new'").await, 8);
}

#[tokio::test]
async fn what_fails_after_the_new_tables_are_there_is_no_failure() {
    let (_folder, path) = with_rows(FORMER).await;
    let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
    rebuild.add(&[job(3, &[])], &[], "b1").await.unwrap();
    // the log cannot be made again
    let log = path.with_file_name("job.db-wal");
    let mut hindered = false;
    let done = rebuild
        .finish(&mut |line| {
            if line.starts_with("Storing") {
                std::fs::create_dir(&log).unwrap();
                hindered = true;
            }
        })
        .await
        .unwrap();
    assert!(hindered);
    assert_eq!((done.jobs, done.kept), (1, 2));
    std::fs::remove_dir(&log).unwrap();
    assert_eq!(rows(&path).await.len(), 3);
}

#[tokio::test]
async fn the_scope_of_a_tag_is_the_archives_unless_a_job_that_stayed_has_it() {
    let (_folder, path) = with_rows(FORMER).await;
    let mut rebuild = Rebuild::begin(&path, "archive").await.unwrap();
    let jobs = [job(3, &[("mine", "global"), ("run", "global")]), job(5, &[("run", "global")])];
    rebuild.add(&jobs, &[], "b1").await.unwrap();
    let done = rebuild.finish(&mut |_| {}).await.unwrap();
    let row = |id: i64, job_id: i64, tags: &str| (id, job_id, tags.to_owned());
    let expected = [row(10, 1, "run/admin"), row(11, 2, ""), row(12, 3, "mine/global"), row(14, 5, "")];
    assert_eq!(rows(&path).await, expected, "nobody but admins sees what an admin wrote at the running job");
    let [report] = &done.reports[..] else { panic!("{:?}", done.reports) };
    assert!(report.contains("t:run of scope global at 2 jobs"), "{report}");
}
