//! What holds for the file as a whole: made, checked, opened, locked, filled up and closed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cc_database::{Backup, Class, Database, Error, Migrated, Options, create, side};
use sqlx::{ConnectOptions, Row, SqliteConnection};
use tempfile::TempDir;

/// The folder with specifications and fixtures, or `None` after saying so.
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

fn patience(milliseconds: u64) -> Options {
    Options { busy_timeout: Duration::from_millis(milliseconds), ..Options::default() }
}

async fn fresh() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.db");
    create(&path).await.unwrap();
    (folder, path)
}

/// A connection without any setting of ours, as another program would have it.
async fn foreign(path: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn migrate(path: &Path) -> Result<Migrated, Error> {
    cc_database::migrate(path, Backup::Verified, &mut |_| {}).await
}

async fn execute(path: &Path, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut foreign(path).await).await.unwrap();
}

/// Everything of `sqlite_master` that is not ours, as text.
async fn foreign_schema(path: &Path) -> Vec<String> {
    let rows = sqlx::query(
        "SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE 'ccx\\_%' ESCAPE '\\'
         AND tbl_name NOT LIKE 'ccx\\_%' ESCAPE '\\' ORDER BY type, name",
    )
    .fetch_all(&mut foreign(path).await)
    .await
    .unwrap();
    rows.iter()
        .map(|row| (0..4).map(|column| row.get::<String, _>(column)).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Columns of tables and indexes, without the wording of the statements that made them.
async fn shape(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut connection = foreign(path).await;
    let mut shape = BTreeMap::new();
    let objects: Vec<(String, String)> =
        sqlx::query_as("SELECT type, name FROM sqlite_master WHERE name <> 'sqlite_stat1'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    for (kind, name) in objects {
        let columns: Vec<String> = if kind == "table" {
            sqlx::query_scalar(
                "SELECT name || ' ' || type || ' ' || [notnull] || ' ' ||
                        COALESCE(replace(dflt_value, '\"', ''''), '-') || ' ' || pk
                 FROM pragma_table_xinfo(?)",
            )
        } else {
            sqlx::query_scalar(
                "SELECT name || ' ' || desc || ' ' || coll FROM pragma_index_xinfo(?) WHERE key",
            )
        }
        .bind(&name)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        shape.insert(format!("{kind} {name}"), columns);
    }
    shape
}

#[tokio::test]
async fn fresh_file_has_the_schema_of_the_reference() {
    let (_folder, path) = fresh().await;
    let ours = shape(&path).await;
    assert_eq!(ours.keys().filter(|name| name.starts_with("index jobs_")).count(), 54);
    let version: (i64, i64) = sqlx::query_as("SELECT version, dirty FROM schema_migrations")
        .fetch_one(&mut foreign(&path).await)
        .await
        .unwrap();
    assert_eq!(version, (11, 0));
    let Some(shared) = shared() else { return };
    let copy = path.with_file_name("reference.db");
    std::fs::copy(shared.join("fixtures/db/empty-v11.db"), &copy).unwrap();
    assert_eq!(ours, shape(&copy).await);
}

#[tokio::test]
async fn create_refuses_what_exists_and_accepts_what_is_empty() {
    let (folder, path) = fresh().await;
    assert!(matches!(create(&path).await, Err(Error::Exists { .. })));
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, b"").unwrap();
    create(&empty).await.unwrap();
    // the reference leaves this behind when it only looked
    let looked = folder.path().join("looked.db");
    std::fs::write(&looked, b"").unwrap();
    execute(&looked, "CREATE TABLE schema_migrations (version uint64, dirty bool)").await;
    assert_eq!(migrate(&looked).await.unwrap(), Migrated::Created);
    assert_eq!(migrate(&looked).await.unwrap(), Migrated::AlreadyCurrent);
    let other = folder.path().join("other.db");
    std::fs::write(&other, b"").unwrap();
    execute(&other, "CREATE TABLE bread (butter)").await;
    assert!(matches!(create(&other).await, Err(Error::Exists { .. })));
    let nowhere = folder.path().join("no/such/folder/job.db");
    assert!(matches!(create(&nowhere).await, Err(Error::Create { .. })));
}

#[tokio::test]
async fn other_versions_are_refused_and_left_alone() {
    let (folder, path) = fresh().await;
    let options = Options::default();
    let missing = folder.path().join("missing.db");
    assert!(matches!(Database::open(&missing, &options).await, Err(Error::Missing { .. })));
    assert!(!missing.try_exists().unwrap());

    execute(&path, "UPDATE schema_migrations SET version = 12").await;
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Database::open(&path, &options).await, Err(Error::TooNew { found: 12 })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(matches!(migrate(&path).await, Err(Error::TooNew { found: 12 })));
    execute(&path, "UPDATE schema_migrations SET version = 9").await;
    assert!(matches!(Database::open(&path, &options).await, Err(Error::TooOld { found: 9 })));
    let refused = migrate(&path).await.unwrap_err();
    assert!(refused.to_string().contains("cc-backend 1.5.4"), "{refused}");
    execute(&path, "UPDATE schema_migrations SET version = 11, dirty = 1").await;
    assert!(matches!(Database::open(&path, &options).await, Err(Error::Dirty)));
    assert!(matches!(migrate(&path).await, Err(Error::Dirty)));
    execute(&path, "UPDATE schema_migrations SET dirty = 0; DROP TABLE job_cache").await;
    assert!(matches!(
        Database::open(&path, &options).await,
        Err(Error::Incomplete { table: "job_cache", .. })
    ));
    execute(&path, "DELETE FROM schema_migrations").await;
    assert!(matches!(Database::open(&path, &options).await, Err(Error::TooOld { found: 0 })));
}

#[tokio::test]
async fn what_is_no_database_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "not a database, but longer than the header of one would have to be ........".repeat(20),
    )
    .unwrap();
    let error = Database::open(&text, &Options::default()).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::NotADatabase), "{error}");
    let error = Database::open(folder.path(), &Options::default()).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::CannotOpen), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_reported_as_damaged() {
    let (_folder, path) = fresh().await;
    // the root page of sqlite_master keeps its header, its content does not make sense
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..4096].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let error = Database::open(&path, &Options::default()).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::Corrupt), "{error}");
}

#[tokio::test]
async fn connections_have_their_settings() {
    let (_folder, path) = fresh().await;
    let database = Database::open(&path, &Options::default()).await.unwrap();
    let mut writer = database.write("test").await.unwrap();
    let settings: (String, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT * FROM pragma_journal_mode), (SELECT * FROM pragma_synchronous),
                (SELECT * FROM pragma_foreign_keys), (SELECT * FROM pragma_cache_size)",
    )
    .fetch_one(&mut *writer)
    .await
    .unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2, 1, -32768));
    writer.rollback().await.unwrap();
    let mut reader = database.read().await.unwrap();
    let error =
        sqlx::query("INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'b')").execute(&mut *reader).await;
    assert_eq!(Class::of(&error.unwrap_err()), Class::ReadOnly);
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *reader).await.unwrap();
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(numbers >= vec![3, 51], "BLOBs of JSON text need 3.45.1 or later, this is {version}");
    drop(reader);
    database.close().await.unwrap();
}

#[tokio::test]
async fn clean_close_leaves_one_file_that_holds_everything() {
    let (folder, path) = fresh().await;
    let database = Database::open(&path, &Options::default()).await.unwrap();
    let mut transaction = database.write("test").await.unwrap();
    sqlx::query("INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'b')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert!(folder.path().join("job.db-wal").try_exists().unwrap());
    database.close().await.unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["job.db"]);
    let tags: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM tag").fetch_one(&mut foreign(&path).await).await.unwrap();
    assert_eq!(tags, 1);
    assert!(database.write("test").await.is_err(), "closed");
}

#[tokio::test]
async fn unfinished_transaction_leaves_no_trace_and_no_lock() {
    let (_folder, path) = fresh().await;
    let database = Database::open(&path, &patience(2_000)).await.unwrap();
    let mut transaction = database.write("test").await.unwrap();
    sqlx::query("INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'b')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    drop(transaction);
    let other_process = Database::open(&path, &patience(2_000)).await.unwrap();
    let mut transaction = other_process.write("test").await.unwrap();
    let tags: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM tag").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(tags, 0);
    transaction.commit().await.unwrap();
    database.write("test").await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn lock_of_another_process_is_waited_for_and_then_named() {
    let (_folder, path) = fresh().await;
    let ours = Database::open(&path, &patience(30)).await.unwrap();
    let theirs = Database::open(&path, &patience(30)).await.unwrap();
    let held = theirs.write("test").await.unwrap();
    let error = ours.write("test").await.unwrap_err();
    assert_eq!(error.class(), Some(Class::Busy), "{error}");
    // reading goes on meanwhile
    let mut reader = ours.read().await.unwrap();
    let _: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job").fetch_one(&mut *reader).await.unwrap();
    held.commit().await.unwrap();
    ours.write("test").await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn full_disk_fails_the_transaction_and_nothing_else() {
    let (_folder, path) = fresh().await;
    let database = Database::open(&path, &Options::default()).await.unwrap();
    let mut transaction = database.write("test").await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *transaction).await.unwrap();
    // SQLite answers exactly as for a file system without space
    sqlx::query("PRAGMA max_page_count = 1").execute(&mut *transaction).await.unwrap();
    let big = "x".repeat(200_000);
    let error = sqlx::query("INSERT INTO tag (tag_type, tag_name) VALUES ('a', ?)")
        .bind(big)
        .execute(&mut *transaction)
        .await
        .unwrap_err();
    assert_eq!(Class::of(&error), Class::Full, "{error}");
    drop(transaction);
    let mut transaction = database.write("test").await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1000000").execute(&mut *transaction).await.unwrap();
    sqlx::query("INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'b')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let mut reader = database.read().await.unwrap();
    let tags: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tag").fetch_one(&mut *reader).await.unwrap();
    assert_eq!((tags, pages > 0), (1, true));
}

#[tokio::test]
async fn dropped_reader_stops_what_it_was_doing() {
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n";
    let (_folder, path) = fresh().await;
    let options = Options { readers_max: 1, ..Options::default() };
    let database = Database::open(&path, &options).await.unwrap();
    let mut reader = database.read().await.unwrap();
    let endless = sqlx::query_scalar::<_, i64>(ENDLESS).fetch_one(&mut *reader);
    assert!(tokio::time::timeout(Duration::from_millis(30), endless).await.is_err());
    drop(reader);
    let next = async {
        let mut reader = database.read().await.unwrap();
        sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(&mut *reader).await.unwrap()
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), next).await.unwrap(), 1);
}

#[tokio::test]
async fn side_tables_have_versions_of_their_own() {
    const ONE: side::Step =
        side::Step { version: 1, sql: "CREATE TABLE ccx_one (a); CREATE TABLE ccx_two (a)" };
    const BAD: side::Step =
        side::Step { version: 1, sql: "CREATE TABLE ccx_three (a); CREATE TABLE ccx_one (a)" };
    const TWO: side::Step = side::Step { version: 2, sql: "ALTER TABLE ccx_one ADD COLUMN b" };
    let (_folder, path) = fresh().await;
    let database = Database::open(&path, &Options::default()).await.unwrap();
    side::ensure(&database, "test", &[ONE]).await.unwrap();
    side::ensure(&database, "test", &[ONE]).await.unwrap();
    side::ensure(&database, "test", &[ONE, TWO]).await.unwrap();
    let mut reader = database.read().await.unwrap();
    sqlx::query("SELECT a, b FROM ccx_one").execute(&mut *reader).await.unwrap();
    let older = side::ensure(&database, "test", &[ONE]).await;
    assert!(matches!(older, Err(Error::SideTablesTooNew { found: 2, known: 1, .. })));
    // a step that fails leaves nothing of itself
    assert!(side::ensure(&database, "other", &[BAD]).await.is_err());
    assert!(sqlx::query("SELECT a FROM ccx_three").execute(&mut *reader).await.is_err());
}

#[tokio::test]
async fn real_files_keep_the_schema_they_came_with() {
    const STEP: side::Step = side::Step { version: 1, sql: "CREATE TABLE ccx_x (a)" };
    let Some(shared) = shared() else { return };
    for name in ["empty-v11.db", "job-v11.db"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.db");
        std::fs::copy(shared.join("fixtures/db").join(name), &path).unwrap();
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        std::fs::set_permissions(&path, permissions).unwrap();
        let before = foreign_schema(&path).await;
        let database = Database::open(&path, &Options::default()).await.unwrap();
        assert_eq!(database.quirks().node_state_has_health_metrics, name == "empty-v11.db");
        assert_eq!(database.quirks().out_of_memory_with_hyphens, name == "job-v11.db");
        side::ensure(&database, "test", &[STEP]).await.unwrap();
        database.close().await.unwrap();
        assert_eq!(foreign_schema(&path).await, before, "{name}");
        let whole: String =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut foreign(&path).await).await.unwrap();
        assert_eq!(whole, "ok", "{name}");
    }
    let old = tempfile::tempdir().unwrap();
    let path = old.path().join("job.db");
    std::fs::write(&path, std::fs::read(shared.join("data/db/job-v10.db")).unwrap()).unwrap();
    assert!(matches!(Database::open(&path, &Options::default()).await, Err(Error::TooOld { found: 10 })));
}
