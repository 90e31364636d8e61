//! A copy of the file before it is changed, as good as the original.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cc_runtime::files;
use sqlx::{Connection, SqliteConnection};

use super::{Backup, Progress};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::{open, optimize};

/// Whether there is room for the copy (if one is wanted) and for `growth` bytes twice: in the log and in the file.
pub(super) fn room(path: &Path, backup: Backup, growth: u64) -> Result<()> {
    let copy = match backup {
        Backup::Verified => optimize::bytes_on_disk(path),
        Backup::None => 0,
    };
    let (task, way_out) = match backup {
        Backup::Verified => {
            ("back it up and migrate it", ". Free some, or make a backup elsewhere and use -no-backup")
        }
        Backup::None => ("migrate it", ""),
    };
    optimize::room(path, copy.saturating_add(growth.saturating_mul(2)), task, way_out)
}

/// Copies the database to `<db>.backup-v<version>` (with a number where that exists) and verifies the copy. No other
/// process may write meanwhile: its lock is held.
///
/// # Errors
/// [`Error::Backup`]; what was copied so far is removed.
pub(super) async fn take(
    connection: &mut SqliteConnection,
    path: &Path,
    version: i64,
    progress: Progress<'_>,
) -> Result<PathBuf> {
    let target = free_name(path, version)?;
    let failed = |problem: String| Error::Backup { path: target.clone(), problem };
    progress(&format!("Backing up the database to '{}'...", target.display()));
    // all of it into the one file that is copied
    let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::in_query("copy the log back into the database"))?;
    if busy != 0 {
        return Err(failed("another program is using the database".to_owned()));
    }
    let mut held =
        connection.begin_with("BEGIN IMMEDIATE").await.map_err(Error::in_query("get the write lock"))?;
    let original = fingerprint(&mut held).await?;
    let (from, mut to) = (path.to_owned(), target.clone().into_os_string());
    to.push(".unfinished");
    let unfinished = PathBuf::from(to);
    let copy = {
        let unfinished = unfinished.clone();
        tokio::task::spawn_blocking(move || {
            fs::copy(&from, &unfinished)?;
            File::open(&unfinished)?.sync_all()
        })
        .await
    };
    let outcome = match copy {
        Ok(Ok(())) => verify(&unfinished, &original, progress).await,
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    held.rollback().await.map_err(Error::in_query("release the write lock"))?;
    let named = outcome.and_then(|()| {
        fs::rename(&unfinished, &target).map_err(|error| error.to_string())?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        files::sync_directory(folder.unwrap_or(Path::new("."))).map_err(|error| error.to_string())
    });
    if let Err(problem) = named {
        // the original is untouched; a half copy helps nobody
        let _ = fs::remove_file(&unfinished);
        return Err(failed(problem));
    }
    Ok(target)
}

/// The first name that nothing has yet: an earlier backup is never replaced.
fn free_name(path: &Path, version: i64) -> Result<PathBuf> {
    for number in 0..1_000 {
        let mut name = path.to_owned().into_os_string();
        name.push(format!(".backup-v{version}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        let name = PathBuf::from(name);
        match name.try_exists() {
            Ok(false) => return Ok(name),
            Ok(true) => {}
            Err(error) => return Err(Error::Backup { path: name, problem: error.to_string() }),
        }
    }
    let problem = "a thousand backups are there already".to_owned();
    Err(Error::Backup { path: path.to_owned(), problem })
}

/// What the copy must have in common with the original.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    version: (i64, bool),
    pages: i64,
    schema: i64,
    rows: Vec<i64>,
}

async fn fingerprint(connection: &mut SqliteConnection) -> Result<Fingerprint> {
    const OPERATION: &str = "count what has to be in the backup";
    let version = open::version(connection).await.map_err(Error::in_query(OPERATION))?;
    let pages = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    let schema = sqlx::query_scalar("PRAGMA schema_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    let rows: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM job), (SELECT COUNT(*) FROM job_cache), (SELECT COUNT(*) FROM jobtag),
                (SELECT COUNT(*) FROM hpc_user), (SELECT COUNT(*) FROM node_state)",
    )
    .fetch_one(connection)
    .await
    .map_err(Error::in_query(OPERATION))?;
    Ok(Fingerprint { version, pages, schema, rows: vec![rows.0, rows.1, rows.2, rows.3, rows.4] })
}

async fn verify(copy: &Path, original: &Fingerprint, progress: Progress<'_>) -> Result<(), String> {
    progress("Verifying the backup...");
    let text = |error: Error| cc_runtime::error::chain(&error);
    let options = Options::default();
    // nobody else has it: no log beside it is wanted, not even for reading
    let connect = open::plain(copy, &options).pragma("query_only", "ON").immutable(true);
    let mut connection = open::connect_patiently(&connect, copy, &options).await.map_err(text)?;
    let outcome = async {
        let whole: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| error.to_string())?;
        if whole != "ok" {
            return Err(format!("the copy is damaged, and so is the original: {whole}"));
        }
        let found = fingerprint(&mut connection).await.map_err(text)?;
        if &found != original {
            return Err(format!("the copy holds {found:?}, the original {original:?}"));
        }
        Ok(())
    }
    .await;
    let closed = connection.close().await.map_err(|error| error.to_string());
    outcome.and(closed)
}
