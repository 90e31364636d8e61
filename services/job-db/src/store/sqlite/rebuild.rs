//! The statements of a rebuild from the archive (spec/job-db.md 13.1): rows gather in an attached working file, then
//! take the place of the old ones in one transaction.

mod swap;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use cc_database::{Alone, Error, Quirks};
use cc_model::Job;
use futures::TryStreamExt as _;
use sqlx::SqliteConnection;

use super::filter::state_word;
use super::row::{footprint_json, metadata_json, resources_json};
use crate::store::Result;

pub(crate) use swap::{Swapped, swap};

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
CREATE TABLE beside.left_out (position TEXT PRIMARY KEY) WITHOUT ROWID;
";

/// Which archive, and the state of the tables: a rebuild goes on only if both are as they were. Jobs that were
/// archived meanwhile would be missed otherwise, and entries read before a tag or a text changed would undo that.
pub(crate) async fn stamp(connection: &mut SqliteConnection, archive: &str) -> Result<String> {
    Ok(format!("{} {archive}", state(connection).await?))
}

/// A number over all that services and the reference write: the latter keeps no log of changes, so the rows themselves
/// are looked at. What a running job's row says of the present time is left out: such a row stays as it is then.
async fn state(connection: &mut SqliteConnection) -> Result<String> {
    /// Each row as one text, whatever types the site's programs have put into its columns.
    const CONTENT: [&str; 5] = [
        "SELECT id || quote(job_id) || quote(cluster) || quote(start_time) || quote(job_state)
           || quote(monitoring_status) || quote(meta_data)
           || CASE job_state WHEN 'running' THEN '' ELSE quote(duration) END
         FROM main.job ORDER BY id",
        "SELECT quote(job_id) || ',' || quote(tag_id) FROM main.jobtag ORDER BY job_id, tag_id",
        "SELECT id || quote(tag_type) || quote(tag_name) || quote(tag_scope) FROM main.tag ORDER BY id",
        "SELECT job_db_id || ',' || generation FROM main.ccx_archive_queue ORDER BY job_db_id",
        "SELECT job_db_id || ',' || generation FROM main.ccx_archive_copy ORDER BY job_db_id",
    ];
    const OPERATION: &str = "look at the jobs";
    let mut hasher = DefaultHasher::new();
    for content in CONTENT {
        let mut rows = sqlx::query_scalar::<_, String>(content).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(Error::in_query(OPERATION))? {
            row.hash(&mut hasher);
        }
        // a row that goes from the end of one table to the begin of the next is another state
        content.hash(&mut hasher);
    }
    let changes: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(position), 0) FROM main.ccx_change")
        .fetch_one(connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    // the first number is the version of the working file
    Ok(format!("2 {:016x} {changes}", hasher.finish()))
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
    prepare(database, stamp).await?;
    Ok((None, 0))
}

async fn prepare(database: &mut Alone, stamp: &str) -> Result<()> {
    sqlx::raw_sql(WORKING_SCHEMA)
        .execute(&mut **database)
        .await
        .map_err(Error::in_query("make the working file"))?;
    sqlx::query("INSERT INTO beside.progress (stamp, jobs) VALUES (?, 0)")
        .bind(stamp)
        .execute(&mut **database)
        .await
        .map_err(Error::in_query("make the working file"))?;
    Ok(())
}

/// The entries before the position that gave no job.
pub(crate) async fn left_out(connection: &mut SqliteConnection) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT position FROM beside.left_out ORDER BY position")
        .fetch_all(connection)
        .await
        .map_err(Error::in_query("read what was left out"))
}

/// Remembers an entry that gave no job.
pub(crate) async fn leave_out(connection: &mut SqliteConnection, position: &str) -> Result<()> {
    sqlx::query("INSERT INTO beside.left_out (position) VALUES (?) ON CONFLICT DO NOTHING")
        .bind(position)
        .execute(connection)
        .await
        .map(drop)
        .map_err(Error::in_query("remember what was left out"))
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

async fn settle<T: Send, E: From<Error> + Send>(
    connection: &mut SqliteConnection,
    outcome: std::result::Result<T, E>,
) -> std::result::Result<T, E> {
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
