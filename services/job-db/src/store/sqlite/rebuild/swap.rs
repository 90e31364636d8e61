//! The collected rows take the place of the old ones.

use cc_database::{Alone, Error, Progress};
use sqlx::SqliteConnection;

use super::{settle, state};
use crate::rebuild::RebuildError;

/// What the new tables hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Swapped {
    /// Rows from the archive.
    pub(crate) jobs: i64,
    /// Rows that stayed.
    pub(crate) kept: i64,
    /// Tags of the archive that have no place, each in one line.
    pub(crate) reports: Vec<String>,
}

const OPERATION: &str = "put the new jobs in place";

/// Set aside, because the archive has not got it: jobs that wait for it, jobs with a change that waits for it, those
/// that never came to it (they run, nobody watched them, or archiving gave up), and those whose entry is broken, as the
/// row is all that can be read of them (the text is that of [`position`](crate::Rebuild::position)). What is marked as
/// archived and is not there was taken out of it: that goes, as with the reference.
const KEEP: &str = "
DROP TABLE IF EXISTS beside.kept;
DROP TABLE IF EXISTS beside.kept_tag;
DROP TABLE IF EXISTS beside.old_tag;
DROP TABLE IF EXISTS beside.used_tag;
DROP TABLE IF EXISTS beside.highest;
CREATE TABLE beside.kept AS SELECT * FROM main.job
  WHERE id IN (SELECT job_db_id FROM main.ccx_archive_queue)
     OR id IN (SELECT job_db_id FROM main.ccx_archive_copy)
     OR ((job_state = 'running' OR monitoring_status <> 3)
         AND id NOT IN (SELECT known_id FROM beside.job WHERE known_id IS NOT NULL))
     OR cluster || '/' || (job_id / 1000) || '/' || format('%03d', job_id % 1000) || '/' || start_time
        IN (SELECT position FROM beside.left_out);
CREATE UNIQUE INDEX beside.kept_id ON kept (id);
CREATE TABLE beside.kept_tag AS SELECT * FROM main.jobtag WHERE job_id IN (SELECT id FROM beside.kept);
CREATE TABLE beside.old_tag AS SELECT * FROM main.tag;
CREATE UNIQUE INDEX beside.old_tag_name ON old_tag (tag_type, tag_name);
CREATE TABLE beside.used_tag AS SELECT * FROM beside.tag WHERE id IN (
  SELECT new.tag_id FROM beside.jobtag AS new JOIN beside.job AS row ON row.seq = new.seq
  WHERE row.known_id IS NULL OR row.known_id NOT IN (SELECT id FROM beside.kept));
CREATE UNIQUE INDEX beside.used_tag_name ON used_tag (tag_type, tag_name);
CREATE TABLE beside.highest AS SELECT
  MAX(COALESCE((SELECT MAX(id) FROM main.job), 0),
      COALESCE((SELECT MAX(job_db_id) FROM main.ccx_archive_queue), 0),
      COALESCE((SELECT MAX(job_db_id) FROM main.ccx_archive_copy), 0),
      COALESCE((SELECT MAX(job_db_id) FROM main.ccx_superseded), 0),
      COALESCE((SELECT MAX(job_db_id) FROM main.ccx_ingest_event), 0),
      COALESCE((SELECT MAX(job_db_id) FROM main.ccx_change), 0)) AS job,
  COALESCE((SELECT MAX(id) FROM main.tag), 0) AS tag;
";

/// Clusters with archived jobs of which the archive shows not a single one.
const LACKING: &str = "
SELECT cluster, COUNT(*) FROM main.job
WHERE monitoring_status = 3 AND cluster NOT IN (SELECT cluster FROM beside.job)
  AND id NOT IN (SELECT id FROM beside.kept)
GROUP BY cluster ORDER BY cluster";

/// Notes on jobs that are gone, or that came from the archive. Events stay, as they tell a repeated one from a new one,
/// but without the job: should it have had the highest id, the next one to start gets that.
const FORGET: &str = "
DELETE FROM main.ccx_archive_queue WHERE job_db_id NOT IN (SELECT id FROM beside.kept);
DELETE FROM main.ccx_archive_copy WHERE job_db_id NOT IN (SELECT id FROM beside.kept);
DELETE FROM main.ccx_superseded WHERE job_db_id NOT IN (SELECT id FROM beside.kept);
UPDATE main.ccx_ingest_event SET job_db_id = 0 WHERE job_db_id NOT IN (SELECT id FROM main.job);
";

/// In, old ids first. New ids are above all that there ever was: a bookmark or a note of a job that is gone must not
/// lead to another one. A tag has the scope that the archive says, unless a job that stayed has it in its own.
const FILL: &str = "
INSERT INTO main.job SELECT * FROM beside.kept ORDER BY id;
INSERT INTO main.job (id, job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared,
    monitoring_status, energy, energy_footprint, footprint)
  SELECT known_id, job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared, 3, energy,
    energy_footprint, footprint
  FROM beside.job WHERE known_id IS NOT NULL AND known_id NOT IN (SELECT id FROM beside.kept) ORDER BY known_id;
INSERT INTO main.job (id, job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared,
    monitoring_status, energy, energy_footprint, footprint)
  SELECT (SELECT job FROM beside.highest) + ROW_NUMBER() OVER (ORDER BY seq),
    job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared, 3, energy,
    energy_footprint, footprint
  FROM beside.job WHERE known_id IS NULL ORDER BY seq;
INSERT INTO main.tag (id, tag_type, tag_name, insert_ts, tag_scope)
  SELECT old.id, old.tag_type, old.tag_name, old.insert_ts,
    CASE WHEN old.id IN (SELECT tag_id FROM beside.kept_tag) THEN old.tag_scope ELSE
      (SELECT tag_scope FROM beside.used_tag AS used
       WHERE used.tag_type = old.tag_type AND used.tag_name = old.tag_name) END
  FROM beside.old_tag AS old
  WHERE old.id IN (SELECT tag_id FROM beside.kept_tag)
     OR (old.tag_type, old.tag_name) IN (SELECT tag_type, tag_name FROM beside.used_tag) ORDER BY old.id;
INSERT INTO main.tag (id, tag_type, tag_name, tag_scope)
  SELECT (SELECT tag FROM beside.highest) + ROW_NUMBER() OVER (ORDER BY id), tag_type, tag_name, tag_scope
  FROM beside.used_tag
  WHERE (tag_type, tag_name) NOT IN (SELECT tag_type, tag_name FROM beside.old_tag) ORDER BY id;
INSERT INTO main.jobtag SELECT * FROM beside.kept_tag;
INSERT INTO main.jobtag (job_id, tag_id)
  SELECT job.id, tag.id FROM beside.jobtag AS new
    JOIN beside.job AS row ON row.seq = new.seq
    JOIN main.job AS job
      ON job.job_id = row.job_id AND job.cluster = row.cluster AND job.start_time = row.start_time
    JOIN beside.used_tag AS word ON word.id = new.tag_id
    JOIN main.tag AS tag
      ON tag.tag_type = word.tag_type AND tag.tag_name = word.tag_name AND tag.tag_scope = word.tag_scope
  WHERE job.id NOT IN (SELECT id FROM beside.kept)
  ORDER BY job.id
  ON CONFLICT (job_id, tag_id) DO NOTHING;
";

/// Tags that no job got because one that stayed has their name in another scope.
const WITHOUT_PLACE: &str = "
SELECT word.tag_type, word.tag_name, word.tag_scope, tag.tag_scope,
  (SELECT COUNT(*) FROM beside.jobtag AS new JOIN beside.job AS row ON row.seq = new.seq
   WHERE new.tag_id = word.id AND (row.known_id IS NULL OR row.known_id NOT IN (SELECT id FROM beside.kept)))
FROM beside.used_tag AS word JOIN main.tag AS tag
  ON tag.tag_type = word.tag_type AND tag.tag_name = word.tag_name AND tag.tag_scope <> word.tag_scope
ORDER BY word.id";

/// Puts the collected rows in place of the old ones, in one transaction with a rollback journal: it grows with what
/// is replaced, while a log would hold the new tables a second time.
///
/// # Errors
/// [`RebuildError`]; the tables are then as they were.
pub(crate) async fn swap(database: &mut Alone, progress: Progress<'_>) -> Result<Swapped, RebuildError> {
    let failed = |source| Error::query(OPERATION, source);
    let (pages, bytes, jobs): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT page_count FROM pragma_page_count('beside')), (SELECT page_size FROM pragma_page_size('beside')),
                (SELECT jobs FROM beside.progress)",
    )
    .fetch_one(&mut **database)
    .await
    .map_err(failed)?;
    database.room_to_refill(pages.saturating_mul(bytes).unsigned_abs(), jobs.unsigned_abs())?;
    sqlx::raw_sql("PRAGMA main.journal_mode = DELETE").execute(&mut **database).await.map_err(failed)?;
    let begun = sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut **database).await;
    let swapped = match begun {
        Ok(_) => {
            let outcome = replace(database, progress).await;
            settle(database, outcome).await
        }
        Err(source) => Err(failed(source).into()),
    };
    // The next one who opens the file does it, too; what was committed stays, and what failed says why.
    let _ = sqlx::raw_sql("PRAGMA main.journal_mode = WAL").execute(&mut **database).await;
    swapped
}

async fn replace(database: &mut Alone, progress: Progress<'_>) -> Result<Swapped, RebuildError> {
    let failed = |source| Error::query(OPERATION, source);
    unchanged(database).await?;
    sqlx::raw_sql(KEEP).execute(&mut **database).await.map_err(failed)?;
    let lacking: Vec<(String, i64)> =
        sqlx::query_as(LACKING).fetch_all(&mut **database).await.map_err(failed)?;
    if !lacking.is_empty() {
        let clusters = lacking.iter().map(|(cluster, jobs)| format!("{cluster} ({jobs} jobs)"));
        return Err(RebuildError::Lacking { clusters: clusters.collect::<Vec<_>>().join(", ") });
    }
    for table in ["job", "jobtag", "tag"] {
        database.drop_own_triggers(table).await?;
    }
    let mut aside = database.set_indexes_aside("job").await?;
    aside.extend(database.set_indexes_aside("jobtag").await?);
    // whole tables, each in one step
    for table in ["DELETE FROM main.jobtag", "DELETE FROM main.job", "DELETE FROM main.tag"] {
        sqlx::raw_sql(table).execute(&mut **database).await.map_err(failed)?;
    }
    progress("Storing the jobs...");
    sqlx::raw_sql(FILL).execute(&mut **database).await.map_err(failed)?;
    sqlx::raw_sql(FORGET).execute(&mut **database).await.map_err(failed)?;
    let without: Vec<(String, String, String, String, i64)> =
        sqlx::query_as(WITHOUT_PLACE).fetch_all(&mut **database).await.map_err(failed)?;
    let reports = without.into_iter().map(|(kind, name, scope, other, jobs)| {
        format!("tag {kind}:{name} of scope {scope} at {jobs} jobs: a job that is not archived has it in scope {other}")
    });
    let reports = reports.collect();
    database.put_back(&aside, progress).await?;
    let (jobs, kept): (i64, i64) =
        sqlx::query_as("SELECT (SELECT COUNT(*) FROM main.job), (SELECT COUNT(*) FROM beside.kept)")
            .fetch_one(&mut **database)
            .await
            .map_err(failed)?;
    Ok(Swapped { jobs: jobs - kept, kept, reports })
}

/// Nobody else should have written since the rows were collected; the reference does not know our lock.
async fn unchanged(connection: &mut SqliteConnection) -> Result<(), RebuildError> {
    let now = state(connection).await?;
    let stamp: String = sqlx::query_scalar("SELECT stamp FROM beside.progress")
        .fetch_one(connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    let same = stamp.strip_prefix(&now).is_some_and(|archive| archive.starts_with(' '));
    if same { Ok(()) } else { Err(RebuildError::Changed) }
}
