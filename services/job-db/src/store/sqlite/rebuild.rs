//! The statements of a rebuild from the archive (spec/job-db.md 13.1): rows gather in an attached working file, then
//! take the place of the old ones in one transaction.

use std::path::Path;

use cc_database::{Alone, Error, Progress, Quirks};
use cc_model::Job;
use sqlx::SqliteConnection;

use super::filter::state_word;
use super::row::{footprint_json, metadata_json, resources_json};
use crate::store::Result;

/// The working file. Its rows are those of `job` with the id that the database has for the job, if it knows it.
const WORKING_SCHEMA: &str = "
CREATE TABLE beside.progress (stamp TEXT NOT NULL, position TEXT, jobs INTEGER NOT NULL);
CREATE TABLE beside.job (
  seq INTEGER PRIMARY KEY, known_id INTEGER,
  job_id BIGINT NOT NULL, cluster TEXT NOT NULL, subcluster TEXT NOT NULL, start_time BIGINT NOT NULL,
  hpc_user TEXT NOT NULL, project TEXT NOT NULL, cluster_partition TEXT NOT NULL, array_job_id BIGINT NOT NULL,
  duration INT NOT NULL, walltime INT NOT NULL, job_state TEXT NOT NULL, meta_data TEXT, resources TEXT NOT NULL,
  num_nodes INT NOT NULL, num_hwthreads INT NOT NULL, num_acc INT NOT NULL, smt INT NOT NULL, shared TEXT NOT NULL,
  energy REAL NOT NULL, energy_footprint TEXT, footprint TEXT NOT NULL,
  UNIQUE (job_id, cluster, start_time)
);
CREATE TABLE beside.tag (
  id INTEGER PRIMARY KEY, tag_type TEXT NOT NULL, tag_name TEXT NOT NULL, tag_scope TEXT NOT NULL,
  UNIQUE (tag_type, tag_name)
);
CREATE TABLE beside.jobtag (seq INTEGER NOT NULL, tag_id INTEGER NOT NULL, PRIMARY KEY (seq, tag_id)) WITHOUT ROWID;
";

/// Which archive, and the state of the tables: a rebuild goes on only if both are as they were. Jobs that were
/// archived meanwhile would be missed otherwise.
pub(crate) async fn stamp(connection: &mut SqliteConnection, archive: &str) -> Result<String> {
    let (jobs, highest, status, seconds, changes): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), COALESCE(MAX(id), 0), COALESCE(SUM(monitoring_status), 0),
                COALESCE(SUM(CASE WHEN job_state = 'running' THEN 0 ELSE duration END), 0),
                (SELECT COALESCE(MAX(position), 0) FROM main.ccx_change)
         FROM main.job",
    )
    .fetch_one(connection)
    .await
    .map_err(Error::in_query("look at the jobs"))?;
    Ok(format!("1 {jobs} {highest} {status} {seconds} {changes} {archive}"))
}

/// Attaches the working file and makes its tables where they are missing or of another stamp. Returns the last entry
/// of a former run and the jobs it had.
pub(crate) async fn attach(
    database: &mut Alone,
    path: &Path,
    stamp: &str,
    remove: impl Fn() + Send,
) -> Result<(Option<String>, u64)> {
    if database.attach(path).await.is_ok() {
        if let Some(progress) = progress(database, stamp).await {
            return Ok(progress);
        }
        database.detach().await?;
    }
    // of another archive or another state, or damaged: it only holds what can be read again
    remove();
    database.attach(path).await?;
    sqlx::raw_sql(WORKING_SCHEMA)
        .execute(&mut **database)
        .await
        .map_err(Error::in_query("make the working file"))?;
    sqlx::query("INSERT INTO beside.progress (stamp, jobs) VALUES (?, 0)")
        .bind(stamp)
        .execute(&mut **database)
        .await
        .map_err(Error::in_query("make the working file"))?;
    Ok((None, 0))
}

async fn progress(connection: &mut SqliteConnection, stamp: &str) -> Option<(Option<String>, u64)> {
    let row: sqlx::Result<Option<(Option<String>, i64)>> =
        sqlx::query_as("SELECT position, jobs FROM beside.progress WHERE stamp = ?")
            .bind(stamp)
            .fetch_optional(connection)
            .await;
    row.ok().flatten().map(|(position, jobs)| (position, jobs.unsigned_abs()))
}

/// Starts a batch.
pub(crate) async fn begin(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::raw_sql("BEGIN").execute(connection).await.map(drop).map_err(Error::in_query("begin a batch"))
}

/// Ends a batch: keeps it with its last entry, or undoes it after a failure.
pub(crate) async fn end(
    connection: &mut SqliteConnection,
    outcome: Result<()>,
    position: &str,
    jobs: u64,
) -> Result<()> {
    const OPERATION: &str = "store a batch";
    let outcome = match outcome {
        Ok(()) => sqlx::query("UPDATE beside.progress SET position = ?, jobs = ?")
            .bind(position)
            .bind(i64::try_from(jobs).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await
            .map(drop)
            .map_err(Error::in_query(OPERATION)),
        failed => failed,
    };
    settle(connection, outcome).await
}

async fn settle<T: Send>(connection: &mut SqliteConnection, outcome: Result<T>) -> Result<T> {
    match outcome {
        Ok(value) => {
            sqlx::raw_sql("COMMIT").execute(connection).await.map_err(Error::in_query("commit"))?;
            Ok(value)
        }
        Err(error) => {
            // an error here means that SQLite rolled back by itself
            let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
            Err(error)
        }
    }
}

/// What became of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    Row,
    /// The archive has the job twice.
    Twice,
    /// A tag is left out: its type and name are there with another scope, and the table holds each pair once.
    WithoutTag,
}

/// Adds one job with its tags to the working file.
pub(crate) async fn insert(connection: &mut SqliteConnection, job: &Job, quirks: Quirks) -> Result<Inserted> {
    const OPERATION: &str = "collect a job";
    let energy_footprint = job.energy_footprint.as_ref().map(|values| footprint_json(Some(values)));
    let seq: Option<i64> = sqlx::query_scalar(
        "INSERT INTO beside.job (known_id, job_id, cluster, start_time, subcluster, hpc_user, project,
           cluster_partition, array_job_id, duration, walltime, job_state, meta_data, resources, num_nodes,
           num_hwthreads, num_acc, smt, shared, energy, energy_footprint, footprint)
         VALUES ((SELECT id FROM main.job WHERE job_id = ?1 AND cluster = ?2 AND start_time = ?3),
           ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
         ON CONFLICT (job_id, cluster, start_time) DO NOTHING RETURNING seq",
    )
    .bind(job.job_id)
    .bind(&job.cluster)
    .bind(job.start_time)
    .bind(&job.sub_cluster)
    .bind(&job.user)
    .bind(&job.project)
    .bind(&job.partition)
    .bind(job.array_job_id)
    .bind(job.duration)
    .bind(job.walltime)
    .bind(state_word(job.state, quirks))
    .bind(metadata_json(job.meta_data.as_ref()))
    .bind(resources_json(&job.resources))
    .bind(job.num_nodes)
    .bind(job.num_hwthreads)
    .bind(job.num_acc)
    .bind(job.smt)
    .bind(job.shared.as_str())
    .bind(job.energy)
    .bind(energy_footprint)
    .bind(footprint_json(job.footprint.as_ref()))
    .fetch_optional(&mut *connection)
    .await
    .map_err(Error::in_query(OPERATION))?;
    let Some(seq) = seq else { return Ok(Inserted::Twice) };
    let mut outcome = Inserted::Row;
    for tag in &job.tags {
        sqlx::query(
            "INSERT INTO beside.tag (tag_type, tag_name, tag_scope) VALUES (?, ?, ?)
             ON CONFLICT (tag_type, tag_name) DO NOTHING",
        )
        .bind(&tag.kind)
        .bind(&tag.name)
        .bind(&tag.scope)
        .execute(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
        let attached = sqlx::query(
            "INSERT INTO beside.jobtag (seq, tag_id)
             SELECT ?, id FROM beside.tag WHERE tag_type = ? AND tag_name = ? AND tag_scope = ?",
        )
        .bind(seq)
        .bind(&tag.kind)
        .bind(&tag.name)
        .bind(&tag.scope)
        .execute(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
        if attached.rows_affected() == 0 {
            outcome = Inserted::WithoutTag;
        }
    }
    Ok(outcome)
}

/// What the new tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swapped {
    /// Rows from the archive.
    pub(crate) jobs: i64,
    /// Rows that stayed.
    pub(crate) kept: i64,
}

/// Set aside: jobs that run, and ended ones that the archive has not got yet.
const KEEP: &str = "
DROP TABLE IF EXISTS beside.kept;
DROP TABLE IF EXISTS beside.kept_tag;
DROP TABLE IF EXISTS beside.old_tag;
CREATE TABLE beside.kept AS SELECT * FROM main.job
  WHERE id IN (SELECT job_db_id FROM main.ccx_archive_queue)
     OR (job_state = 'running' AND id NOT IN (SELECT known_id FROM beside.job WHERE known_id IS NOT NULL));
CREATE UNIQUE INDEX beside.kept_id ON kept (id);
CREATE TABLE beside.kept_tag AS SELECT * FROM main.jobtag WHERE job_id IN (SELECT id FROM beside.kept);
CREATE TABLE beside.old_tag AS SELECT * FROM main.tag;
CREATE UNIQUE INDEX beside.old_tag_name ON old_tag (tag_type, tag_name);
";

/// In, old ids first: what gets a new id must not take one of theirs.
const FILL: &str = "
INSERT INTO main.job SELECT * FROM beside.kept ORDER BY id;
INSERT INTO main.job (id, job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared,
    monitoring_status, energy, energy_footprint, footprint)
  SELECT known_id, job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared, 3, energy,
    energy_footprint, footprint
  FROM beside.job WHERE known_id IS NOT NULL AND known_id NOT IN (SELECT id FROM beside.kept) ORDER BY known_id;
INSERT INTO main.job (job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared,
    monitoring_status, energy, energy_footprint, footprint)
  SELECT job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
    duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared, 3, energy,
    energy_footprint, footprint
  FROM beside.job WHERE known_id IS NULL ORDER BY seq;
INSERT INTO main.tag (id, tag_type, tag_name, insert_ts, tag_scope)
  SELECT id, tag_type, tag_name, insert_ts, tag_scope FROM beside.old_tag
  WHERE id IN (SELECT tag_id FROM beside.kept_tag)
     OR (tag_type, tag_name) IN (SELECT tag_type, tag_name FROM beside.tag) ORDER BY id;
INSERT INTO main.tag (tag_type, tag_name, tag_scope)
  SELECT tag_type, tag_name, tag_scope FROM beside.tag WHERE 1 ORDER BY id
  ON CONFLICT (tag_type, tag_name) DO NOTHING;
INSERT INTO main.jobtag SELECT * FROM beside.kept_tag;
INSERT INTO main.jobtag (job_id, tag_id)
  SELECT job.id, tag.id FROM beside.jobtag AS new
    JOIN beside.job AS row ON row.seq = new.seq
    JOIN main.job AS job
      ON job.job_id = row.job_id AND job.cluster = row.cluster AND job.start_time = row.start_time
    JOIN beside.tag AS word ON word.id = new.tag_id
    JOIN main.tag AS tag ON tag.tag_type = word.tag_type AND tag.tag_name = word.tag_name
  WHERE job.id NOT IN (SELECT id FROM beside.kept)
  ORDER BY job.id
  ON CONFLICT (job_id, tag_id) DO NOTHING;
";

/// Puts the collected rows in place of the old ones, in one transaction with a rollback journal: it grows with what
/// is replaced, while a log would hold the new tables a second time.
pub(crate) async fn swap(database: &mut Alone, progress: Progress<'_>) -> Result<Swapped> {
    const OPERATION: &str = "put the new jobs in place";
    let failed = |source| Error::query(OPERATION, source);
    sqlx::raw_sql("PRAGMA main.journal_mode = DELETE").execute(&mut **database).await.map_err(failed)?;
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut **database).await.map_err(failed)?;
    let outcome = replace(database, progress).await;
    let swapped = settle(database, outcome).await;
    // the next one who opens the file would do it, too
    sqlx::raw_sql("PRAGMA main.journal_mode = WAL").execute(&mut **database).await.map_err(failed)?;
    swapped
}

async fn replace(database: &mut Alone, progress: Progress<'_>) -> Result<Swapped> {
    const OPERATION: &str = "put the new jobs in place";
    let failed = |source| Error::query(OPERATION, source);
    sqlx::raw_sql(KEEP).execute(&mut **database).await.map_err(failed)?;
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
    database.put_back(&aside, progress).await?;
    let (jobs, kept): (i64, i64) =
        sqlx::query_as("SELECT (SELECT COUNT(*) FROM main.job), (SELECT COUNT(*) FROM beside.kept)")
            .fetch_one(&mut **database)
            .await
            .map_err(failed)?;
    Ok(Swapped { jobs: jobs - kept, kept })
}
