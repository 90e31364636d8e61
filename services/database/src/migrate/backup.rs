//! A copy of the file before it is changed, as good as the original.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cc_runtime::files;
use sqlx::{Connection as _, SqliteConnection};

use super::{Backup, Progress};
use crate::error::{Error, Result};
use crate::open;
use crate::options::Options;
use crate::space::{self, Space};

/// How often another program may write between the log's end and our lock before we give up.
const TRIES: u32 = 10;

/// Whether there is room for the copy (if one is wanted) and for the new indexes of `jobs` twice: in the log and in the
/// file.
pub(super) fn room(path: &Path, backup: Backup, jobs: u64) -> Result<()> {
    let copy = match backup {
        Backup::Verified => space::bytes_on_disk(path),
        Backup::None => 0,
    };
    let (task, way_out) = match backup {
        Backup::Verified => {
            ("back it up and migrate it", ". Free some, or make a backup elsewhere and use -no-backup")
        }
        Backup::None => ("migrate it", ""),
    };
    let growth = jobs.saturating_mul(super::INDEX_BYTES_PER_JOB);
    let beside = copy.saturating_add(growth.saturating_mul(2));
    space::check(path, Space { beside, temporary: space::sorting(jobs) }, task, way_out)
}

/// Begins a transaction in which the file alone is the whole database: the log is empty, and nobody else writes.
///
/// # Errors
/// [`Error::Backup`] when other programs use the database, [`Error::Query`].
pub(super) async fn hold(connection: &mut SqliteConnection, path: &Path) -> Result<()> {
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    let log = PathBuf::from(log);
    for _ in 0..TRIES {
        let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await
            .map_err(Error::in_query("copy the log back into the database"))?;
        if busy != 0 {
            break;
        }
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await
            .map_err(Error::in_query("get the write lock"))?;
        // somebody may have written between the two
        match fs::metadata(&log) {
            Ok(metadata) if metadata.len() > 0 => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::Backup { path: log, problem: error.to_string() }),
        }
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut *connection)
            .await
            .map_err(Error::in_query("release the write lock"))?;
    }
    let problem = "another program is using the database".to_owned();
    Err(Error::Backup { path: path.to_owned(), problem })
}

/// A copy that has not got its name yet; dropped before, nothing of it stays.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // the original is untouched, and a half copy helps nobody
        let _ = fs::remove_file(&self.0);
    }
}

/// Copies the database to `<db>.backup-v<version>` (with a number where that exists) and verifies the copy, inside the
/// transaction of [`hold`]. `original` is the open database; the caller closes it after the connection: whoever closes
/// a file gives up all locks that its process has on it, those of SQLite included.
///
/// # Errors
/// [`Error::Backup`]; what was copied so far is removed.
pub(super) async fn take(
    connection: &mut SqliteConnection,
    original: &Arc<File>,
    path: &Path,
    version: i64,
    progress: Progress<'_>,
) -> Result<PathBuf> {
    let target = free_name(path, version)?;
    let failed = |problem: String| Error::Backup { path: target.clone(), problem };
    progress(&format!("Backing up the database to '{}'...", target.display()));
    let expected = fingerprint(connection).await?;
    let mut unfinished = target.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = Unfinished(PathBuf::from(unfinished));
    let (from, to) = (Arc::clone(original), unfinished.0.clone());
    let copied = tokio::task::spawn_blocking(move || copy(&from, &to)).await;
    copied.map_err(io::Error::other).flatten().map_err(|error| failed(error.to_string()))?;
    verify(&unfinished.0, &expected, progress).await.map_err(failed)?;
    fs::rename(&unfinished.0, &target).map_err(|error| failed(error.to_string()))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    files::sync_directory(folder.unwrap_or(Path::new("."))).map_err(|error| failed(error.to_string()))?;
    Ok(target)
}

/// Copies, makes it durable, and reads both again.
fn copy(mut from: &File, to: &Path) -> io::Result<()> {
    let metadata = from.metadata()?;
    let mode = metadata.permissions().mode();
    let mut copy =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(mode).open(to)?;
    copy.set_permissions(metadata.permissions())?;
    from.rewind()?;
    io::copy(&mut from, &mut copy)?;
    copy.sync_all()?;
    from.rewind()?;
    copy.rewind()?;
    if !same(from, &copy)? {
        return Err(io::Error::other("the copy has other bytes than the original"));
    }
    Ok(())
}

/// Whether two files go on with the same bytes.
fn same(first: &File, second: &File) -> io::Result<bool> {
    const PIECE: u64 = 1 << 20;
    let (mut one, mut other) = (Vec::new(), Vec::new());
    loop {
        one.clear();
        other.clear();
        first.take(PIECE).read_to_end(&mut one)?;
        second.take(PIECE).read_to_end(&mut other)?;
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
    }
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use sqlx::ConnectOptions as _;

    use super::*;

    async fn connect(path: &Path) -> SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        options.busy_timeout(Duration::from_millis(50)).connect().await.unwrap()
    }

    async fn execute(connection: &mut SqliteConnection, sql: &'static str) {
        sqlx::raw_sql(sql).execute(connection).await.unwrap();
    }

    async fn site() -> (tempfile::TempDir, PathBuf, SqliteConnection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.db");
        crate::create(&path).await.unwrap();
        let mut connection = connect(&path).await;
        execute(&mut connection, "PRAGMA journal_mode = WAL").await;
        (folder, path, connection)
    }

    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let names = fs::read_dir(folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("backup")).collect()
    }

    #[tokio::test]
    async fn a_reader_or_writer_that_stays_makes_it_give_up() {
        let (_folder, path, mut connection) = site().await;
        let mut other = connect(&path).await;
        execute(&mut other, "INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'b')").await;
        execute(&mut other, "BEGIN; SELECT * FROM tag").await;
        execute(&mut connection, "INSERT INTO tag (tag_type, tag_name) VALUES ('a', 'c')").await;
        let error = hold(&mut connection, &path).await.unwrap_err();
        assert!(
            matches!(&error, Error::Backup { problem, .. } if problem.contains("another program")),
            "{error}"
        );
        execute(&mut other, "ROLLBACK; BEGIN IMMEDIATE").await;
        hold(&mut connection, &path).await.unwrap_err();
        execute(&mut other, "ROLLBACK").await;
        hold(&mut connection, &path).await.unwrap();
        assert_eq!(fs::metadata(path.with_file_name("job.db-wal")).unwrap().len(), 0);
    }

    #[tokio::test]
    async fn the_locks_of_the_database_outlive_the_copy() {
        let (folder, path, mut connection) = site().await;
        let original = Arc::new(File::open(&path).unwrap());
        hold(&mut connection, &path).await.unwrap();
        // the lock that every user of the file holds while it is open; another process looks
        let locked = || {
            let locks = fs::read_to_string("/proc/locks").unwrap();
            let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).unwrap());
            locks.lines().any(|line| line.contains("POSIX") && line.contains(&format!(":{inode} ")))
        };
        assert!(locked());
        let copy = take(&mut connection, &original, &path, 10, &mut |_| {}).await.unwrap();
        assert!(locked(), "a copy must not give them up");
        assert_eq!(fs::read(copy).unwrap(), fs::read(&path).unwrap());
        assert_eq!(names(&folder), ["job.db.backup-v10"]);
    }

    #[tokio::test]
    async fn a_copy_that_fails_leaves_nothing() {
        let (folder, path, mut connection) = site().await;
        hold(&mut connection, &path).await.unwrap();
        // not the database: what was copied is no backup of it
        let other = folder.path().join("other");
        fs::write(&other, "x".repeat(5_000)).unwrap();
        let original = Arc::new(File::open(&other).unwrap());
        let error = take(&mut connection, &original, &path, 10, &mut |_| {}).await.unwrap_err();
        assert!(matches!(error, Error::Backup { .. }), "{error}");
        assert_eq!(names(&folder), Vec::<String>::new());
    }

    #[test]
    fn a_single_other_byte_is_noticed() {
        let file = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            file
        };
        let mut bytes = vec![7; 3 << 20];
        assert!(same(&file(&bytes), &file(&bytes)).unwrap());
        assert!(!same(&file(&bytes), &file(&bytes[1..])).unwrap());
        let first = file(&bytes);
        bytes[2 << 20] = 8;
        assert!(!same(&first, &file(&bytes)).unwrap());
    }
}
