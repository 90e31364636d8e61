//! `-optimize-db`: the only place where indexes of the reference that a file lacks are made, and the only `VACUUM`
//! (spec/job-db.md 4.10, 14).

use std::fs;
use std::path::{Path, PathBuf};

use cc_runtime::files;

use crate::error::{Error, Result};
use crate::migrate::{self, Progress, indexes};
use crate::open;
use crate::options::Options;

/// Index entries of one job when all 54 indexes are there, in bytes; measured (spec/job-db.md 17).
const ALL_INDEX_BYTES_PER_JOB: u64 = 1_400;

/// Makes missing indexes, rewrites the file without gaps, renews the statistics of the query planner. The caller
/// holds the lock [`cc_runtime::files::lock::Purpose::Alone`].
///
/// # Errors
/// The version errors of opening, [`Error::NoSpace`], [`Error::Query`]; the file is then whole and usable.
pub async fn optimize(path: impl AsRef<Path>, progress: Progress<'_>) -> Result<()> {
    let path = path.as_ref();
    open::check(path, &Options::default()).await?;
    let mut connection = migrate::alone(path).await?;
    let outcome = async {
        let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job")
            .fetch_one(&mut connection)
            .await
            .map_err(Error::in_query("count the jobs"))?;
        let indexes_bytes = jobs.unsigned_abs().saturating_mul(ALL_INDEX_BYTES_PER_JOB);
        // the new file goes through the log; a temporary copy comes first
        let needed = bytes_on_disk(path).saturating_add(indexes_bytes).saturating_mul(2);
        room(path, needed, "rewrite it", "")?;
        migrate::create_missing(&mut connection, indexes(), progress).await?;
        progress("Running VACUUM to reclaim space and defragment database...");
        sqlx::raw_sql("VACUUM").execute(&mut connection).await.map_err(Error::in_query("run VACUUM"))?;
        progress("Running ANALYZE to update query planner statistics...");
        sqlx::raw_sql("ANALYZE").execute(&mut connection).await.map_err(Error::in_query("run ANALYZE"))?;
        Ok(())
    }
    .await;
    migrate::closed(connection, path, outcome).await
}

/// Bytes of the database with its log.
pub(crate) fn bytes_on_disk(path: &Path) -> u64 {
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    [path.to_owned(), PathBuf::from(log)]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// [`Error::NoSpace`] unless that many bytes are free beside the database.
pub(crate) fn room(path: &Path, needed: u64, task: &'static str, way_out: &'static str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let free = files::free_bytes(folder).map_err(|source| Error::Create { path: path.to_owned(), source })?;
    if free < needed {
        return Err(Error::NoSpace { path: path.to_owned(), task, needed, free, way_out });
    }
    Ok(())
}
