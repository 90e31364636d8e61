//! What the tests of this crate share.

use std::path::PathBuf;

use cc_database::{Database, Options};
use cc_runtime::clock::Clock;
use cc_runtime::env::MapEnv;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::settings::Settings;

/// A Monday in November 2026.
pub(crate) const NOW: i64 = 1_795_000_000;

/// The recordings of the reference, or `None` after saying so.
pub(crate) fn shared() -> Option<PathBuf> {
    use cc_runtime::env::Env as _;
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let path =
        cc_runtime::env::ProcessEnv.get("CC_SHARED").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if path.join("fixtures").is_dir() {
        return Some(path);
    }
    println!("skipped: no recordings in {} (set CC_SHARED)", path.display());
    None
}

/// A fresh database of version 11 that lives as long as its directory.
pub(crate) struct Site {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    _directory: TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.db");
        cc_database::create(&path).await.unwrap();
        Self::open(directory).await
    }

    /// Opens the `job.db` in the directory.
    pub(crate) async fn open(directory: TempDir) -> Self {
        let database = Database::open(directory.path().join("job.db"), &Options::default()).await.unwrap();
        Self { database, clock: Clock::fixed(Timestamp::from_second(NOW).unwrap()), _directory: directory }
    }

    /// Changes the table behind the service's back, as the reference or an administrator would.
    pub(crate) async fn execute(&self, sql: &'static str) {
        let mut transaction = self.database.write("test").await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// One number out of the database.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let mut reader = self.database.read().await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut *reader).await.unwrap()
    }

    /// Rows of one text column.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        let mut reader = self.database.read().await.unwrap();
        sqlx::query_scalar(sql).fetch_all(&mut *reader).await.unwrap()
    }
}

/// Variables with the published keys.
pub(crate) fn env() -> MapEnv {
    MapEnv::new()
        .with("SESSION_KEY", "67d829bf61dc5f87a73fd814e2c9f629")
        .with("JWT_PUBLIC_KEY", "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=")
        .with(
            "JWT_PRIVATE_KEY",
            "dtPC/6dWJFKZK7KZ78CvWuynylOmjBFyMsUWArwmodOTN9itjL5POlqdZkcnmpJ0yPm4pRaCrvgFaFAbpyik/Q==",
        )
}

/// The defaults with the published keys.
pub(crate) fn settings() -> Settings {
    Settings::load(&cc_runtime::config::Config::default(), &env()).unwrap()
}
