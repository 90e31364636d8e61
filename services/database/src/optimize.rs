//! `-optimize-db`: the only place where indexes of the reference that a file lacks are made, and the only `VACUUM`
//! (spec/job-db.md 4.10, 14).

use std::path::Path;

use crate::error::{Error, Result};
use crate::migrate::{self, Progress, indexes};
use crate::open;
use crate::options::Options;
use crate::space::{self, Space};

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
        space::check(path, rewrite(space::bytes_on_disk(path), jobs.unsigned_abs()), "rewrite it", "")?;
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

/// What a rewrite takes: a whole copy in temporary files, which then goes into the file through its log, and the new
/// indexes before that.
fn rewrite(file: u64, jobs: u64) -> Space {
    let indexes = jobs.saturating_mul(space::ALL_INDEX_BYTES_PER_JOB);
    Space { beside: file.saturating_add(indexes.saturating_mul(2)), temporary: file.saturating_add(indexes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_of_a_rewrite_is_counted_where_temporary_files_go() {
        assert_eq!(rewrite(1_000_000, 0), Space { beside: 1_000_000, temporary: 1_000_000 });
        assert_eq!(rewrite(1_000_000, 100), Space { beside: 1_280_000, temporary: 1_140_000 });
    }
}
