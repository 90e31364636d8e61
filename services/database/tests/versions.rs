//! Up to version 11, down to 10, by force, and what a file has before and after.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cc_database::{Backup, Database, Error, Migrated, Options, create, force, migrate, optimize, revert};
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

fn shared() -> Option<PathBuf> {
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

/// A copy of the real database of version 10.
fn old() -> Option<(TempDir, PathBuf)> {
    let shared = shared()?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.db");
    std::fs::write(&path, std::fs::read(shared.join("data/db/job-v10.db")).unwrap()).unwrap();
    Some((folder, path))
}

async fn foreign(path: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn execute(path: &Path, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut foreign(path).await).await.unwrap();
}

async fn job_indexes(path: &Path) -> BTreeSet<String> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'job' AND sql IS NOT NULL",
    )
    .fetch_all(&mut foreign(path).await)
    .await
    .unwrap();
    names.into_iter().collect()
}

async fn state(path: &Path) -> (i64, i64, String, i64, i64) {
    sqlx::query_as(
        "SELECT version, dirty, (SELECT integrity_check FROM pragma_integrity_check LIMIT 1),
                (SELECT COUNT(*) FROM job), (SELECT COUNT(*) FROM jobtag) FROM schema_migrations",
    )
    .fetch_one(&mut foreign(path).await)
    .await
    .unwrap()
}

async fn up(path: &Path) -> Result<Migrated, Error> {
    migrate(path, Backup::Verified, &mut |_| {}).await
}

#[tokio::test]
async fn a_file_of_version_10_goes_up_and_down_as_with_the_reference() {
    let Some((folder, path)) = old() else { return };
    let before = std::fs::read(&path).unwrap();
    let mut told = Vec::new();
    let migrated = migrate(&path, Backup::Verified, &mut |line| told.push(line.to_owned())).await.unwrap();
    let Migrated::Upgraded { backup: Some(copy) } = migrated else { panic!("{migrated:?}") };
    assert_eq!(copy, folder.path().join("job.db.backup-v10"));
    let (version, _, _, jobs, _) = state(&copy).await;
    assert_eq!((version, jobs), (10, 544));
    assert!(told.iter().any(|line| line.contains("jobs_running_user_stats")), "{told:?}");
    // the size of the set is recorded: 4 of its own, 8 of version 11
    assert_eq!(job_indexes(&path).await.len(), 12);
    assert_eq!(state(&path).await, (11, 0, "ok".to_owned(), 544, 4));
    let database = Database::open(&path, &Options::default()).await.unwrap();
    assert!(database.quirks().node_state_has_health_metrics);
    database.close().await.unwrap();
    assert_eq!(up(&path).await.unwrap(), Migrated::AlreadyCurrent);

    revert(&path, &mut |_| {}).await.unwrap();
    assert_eq!(job_indexes(&path).await.len(), 36);
    assert_eq!(state(&path).await, (10, 0, "ok".to_owned(), 544, 4));
    revert(&path, &mut |_| {}).await.unwrap();

    // an earlier backup is never replaced
    let Migrated::Upgraded { backup: Some(second) } = up(&path).await.unwrap() else { panic!() };
    assert_eq!(second, folder.path().join("job.db.backup-v10-1"));
    assert_eq!(job_indexes(&path).await.len(), 12);
    assert_eq!(state(&path).await, (11, 0, "ok".to_owned(), 544, 4));
    assert_eq!(before.len() % 4096, 0);
}

#[tokio::test]
async fn what_the_log_holds_is_in_the_backup_too() {
    let Some((_folder, path)) = old() else { return };
    // the reference does not fold its log at the end: here a process ends without closing
    let mut left_open = foreign(&path).await;
    sqlx::raw_sql("PRAGMA journal_mode = WAL; INSERT INTO tag (tag_type, tag_name) VALUES ('in', 'log')")
        .execute(&mut left_open)
        .await
        .unwrap();
    let Migrated::Upgraded { backup: Some(copy) } = up(&path).await.unwrap() else { panic!() };
    let tags: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tag WHERE tag_name = 'log'")
        .fetch_one(&mut foreign(&copy).await)
        .await
        .unwrap();
    assert_eq!(tags, 1);
}

#[tokio::test]
async fn a_reader_that_stays_makes_the_migration_give_up_unharmed() {
    let Some((folder, path)) = old() else { return };
    execute(&path, "PRAGMA journal_mode = WAL").await;
    let mut writer = foreign(&path).await;
    sqlx::raw_sql("INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'b')")
        .execute(&mut writer)
        .await
        .unwrap();
    let mut lock = foreign(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    let connect = async { tokio::time::timeout(std::time::Duration::from_millis(500), up(&path)).await };
    // waits for the writer; whoever ends it then loses nothing
    assert!(connect.await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    assert_eq!(state(&path).await.0, 10);
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("backup"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_original_is_noticed_before_it_is_changed() {
    let Some((_folder, path)) = old() else { return };
    let mut bytes = std::fs::read(&path).unwrap();
    // a page in the middle, of some table or index
    let start = bytes.len() / 4096 / 2 * 4096;
    bytes[start..start + 4096].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let error = up(&path).await.unwrap_err();
    assert!(
        matches!(error, Error::Backup { .. }) || error.class() == Some(cc_database::Class::Corrupt),
        "{error}"
    );
    let copy = path.with_file_name("job.db.backup-v10");
    assert!(!copy.try_exists().unwrap());
}

#[tokio::test]
async fn force_writes_the_version_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.db");
    assert!(matches!(force(&path).await, Err(Error::Missing { .. })));
    create(&path).await.unwrap();
    for spoil in ["UPDATE schema_migrations SET dirty = 1", "UPDATE schema_migrations SET version = 12"] {
        execute(&path, spoil).await;
        assert!(Database::open(&path, &Options::default()).await.is_err());
        force(&path).await.unwrap();
        Database::open(&path, &Options::default()).await.unwrap().close().await.unwrap();
    }
    execute(&path, "DROP TABLE schema_migrations").await;
    force(&path).await.unwrap();
    assert_eq!(state(&path).await.0, 11);
}

#[tokio::test]
async fn optimize_makes_what_is_missing_and_keeps_what_is_there() {
    let Some((_folder, path)) = old() else { return };
    assert!(matches!(optimize(&path, &mut |_| {}).await, Err(Error::TooOld { found: 10 })));
    migrate(&path, Backup::None, &mut |_| {}).await.unwrap();
    let mut told = Vec::new();
    optimize(&path, &mut |line| told.push(line.to_owned())).await.unwrap();
    // 54 of version 11 and the four of the file's own
    assert_eq!(job_indexes(&path).await.len(), 58);
    assert_eq!(state(&path).await, (11, 0, "ok".to_owned(), 544, 4));
    assert!(told.iter().any(|line| line.starts_with("Running VACUUM")), "{told:?}");
    let analysed: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_stat1 WHERE idx = 'jobs_starttime'")
        .fetch_one(&mut foreign(&path).await)
        .await
        .unwrap();
    assert_eq!(analysed, 1);
}
