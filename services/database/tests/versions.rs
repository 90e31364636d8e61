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

/// A file without what SQLite writes into its head when it goes over to the write-ahead log.
fn content(bytes: &[u8]) -> Vec<u8> {
    let mut content = bytes.to_vec();
    for notes in [18..20, 24..28, 92..100] {
        content.get_mut(notes).unwrap().fill(0);
    }
    content
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
    assert!(content(&std::fs::read(&copy).unwrap()) == content(&before), "the backup is the file as it was");
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
async fn the_migration_waits_for_a_writer_and_has_its_rows() {
    let Some((_folder, path)) = old() else { return };
    execute(&path, "PRAGMA journal_mode = WAL").await;
    let mut writer = foreign(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE; INSERT INTO tag (tag_type, tag_name) VALUES ('at the', 'last moment')")
        .execute(&mut writer)
        .await
        .unwrap();
    let migration = up(&path);
    tokio::pin!(migration);
    let early = tokio::time::timeout(std::time::Duration::from_secs(1), &mut migration).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(state(&path).await.0, 10);
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    let Migrated::Upgraded { backup: Some(copy) } = migration.await.unwrap() else { panic!() };
    for (file, version) in [(&path, 11), (&copy, 10)] {
        assert_eq!(state(file).await.0, version);
        let tags: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tag WHERE tag_name = 'last moment'")
            .fetch_one(&mut foreign(file).await)
            .await
            .unwrap();
        assert_eq!(tags, 1, "{}", file.display());
    }
}

#[tokio::test]
async fn a_damaged_original_is_noticed_before_it_is_changed() {
    let Some((folder, path)) = old() else { return };
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
    assert!(content(&std::fs::read(&path).unwrap()) == content(&bytes), "the original is as it was");
    let names = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.contains("backup")), "{names:?}");
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
