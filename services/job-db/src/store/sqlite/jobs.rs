//! Writes to the reference's tables: jobs, tags, nodes.

use std::collections::BTreeMap;

use cc_database::{Error, Quirks};
use cc_model::{Job, JobKey, JobState, MonitoringStatus, Tag};
use sqlx::{Row, SqliteConnection};

use super::filter::state_word;
use super::row::{self, columns, footprint_json, metadata_json, resources_json};
use crate::store::nodes::NodeRow;
use crate::store::{ArchiveResult, DbId, JobHead, Metadata, Result};

pub(crate) async fn heads(
    connection: &mut SqliteConnection,
    cluster: &str,
    job_id: i64,
) -> Result<Vec<JobHead>> {
    let rows: Vec<(i64, i64, String, i64)> = sqlx::query_as(
        "SELECT id, start_time, job_state, walltime FROM job WHERE job_id = ? AND cluster = ? ORDER BY start_time",
    )
    .bind(job_id)
    .bind(cluster)
    .fetch_all(connection)
    .await
    .map_err(Error::in_query("look for earlier runs"))?;
    let head = |(id, start_time, word, walltime): (i64, i64, String, i64)| {
        let state = row::state(&word).unwrap_or(JobState::Failed);
        JobHead { id, start_time, state, walltime }
    };
    Ok(rows.into_iter().map(head).collect())
}

pub(crate) async fn by_id(connection: &mut SqliteConnection, id: DbId) -> Result<Option<Job>> {
    const STATEMENT: &str = concat!("SELECT ", columns!(), ", job.meta_data FROM job WHERE job.id = ?");
    let found = sqlx::query(STATEMENT).bind(id).fetch_optional(connection).await;
    decode(found)
}

pub(crate) async fn by_key(connection: &mut SqliteConnection, key: &JobKey) -> Result<Option<Job>> {
    const STATEMENT: &str = concat!(
        "SELECT ",
        columns!(),
        ", job.meta_data FROM job WHERE job.job_id = ? AND job.cluster = ? AND job.start_time = ?"
    );
    let found = sqlx::query(STATEMENT)
        .bind(key.job_id)
        .bind(&key.cluster)
        .bind(key.start_time)
        .fetch_optional(connection)
        .await;
    decode(found)
}

pub(crate) async fn newest(
    connection: &mut SqliteConnection,
    job_id: i64,
    cluster: Option<&str>,
    start_time: Option<i64>,
) -> Result<Option<Job>> {
    const STATEMENT: &str = concat!(
        "SELECT ",
        columns!(),
        ", job.meta_data FROM job WHERE job.job_id = ?1 AND (?2 IS NULL OR job.cluster = ?2)
         AND (?3 IS NULL OR job.start_time = ?3) ORDER BY job.id DESC LIMIT 1"
    );
    let found =
        sqlx::query(STATEMENT).bind(job_id).bind(cluster).bind(start_time).fetch_optional(connection).await;
    decode(found)
}

fn decode(found: sqlx::Result<Option<sqlx::sqlite::SqliteRow>>) -> Result<Option<Job>> {
    const OPERATION: &str = "read a job";
    let Some(row) = found.map_err(Error::in_query(OPERATION))? else { return Ok(None) };
    row::job(&row, Metadata::All).map(Some).map_err(Error::in_query(OPERATION))
}

pub(crate) async fn insert(connection: &mut SqliteConnection, job: &Job, quirks: Quirks) -> Result<DbId> {
    let energy_footprint = job.energy_footprint.as_ref().map(|values| footprint_json(Some(values)));
    sqlx::query_scalar(
        "INSERT INTO job (job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition,
           array_job_id, duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc,
           smt, shared, monitoring_status, energy, energy_footprint, footprint)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(job.job_id)
    .bind(&job.cluster)
    .bind(&job.sub_cluster)
    .bind(job.start_time)
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
    .bind(job.monitoring_status.code())
    .bind(job.energy)
    .bind(energy_footprint)
    .bind(footprint_json(job.footprint.as_ref()))
    .fetch_one(connection)
    .await
    .map_err(Error::in_query("insert a job"))
}

pub(crate) async fn fill(connection: &mut SqliteConnection, id: DbId, job: &Job) -> Result<()> {
    sqlx::query(
        "UPDATE job SET cluster_partition = ?, project = ?, walltime = ?, array_job_id = ?, num_nodes = ?,
           num_hwthreads = ?, num_acc = ?, resources = ?, meta_data = ? WHERE id = ?",
    )
    .bind(&job.partition)
    .bind(&job.project)
    .bind(job.walltime)
    .bind(job.array_job_id)
    .bind(job.num_nodes)
    .bind(job.num_hwthreads)
    .bind(job.num_acc)
    .bind(resources_json(&job.resources))
    .bind(metadata_json(job.meta_data.as_ref()))
    .bind(id)
    .execute(connection)
    .await
    .map_err(Error::in_query("complete a job"))?;
    Ok(())
}

pub(crate) async fn end(
    connection: &mut SqliteConnection,
    id: DbId,
    state: JobState,
    duration: i32,
    monitoring: MonitoringStatus,
    quirks: Quirks,
) -> Result<()> {
    sqlx::query("UPDATE job SET job_state = ?, duration = ?, monitoring_status = ? WHERE id = ?")
        .bind(state_word(state, quirks))
        .bind(duration)
        .bind(monitoring.code())
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("end a job"))?;
    Ok(())
}

pub(crate) async fn archived(
    connection: &mut SqliteConnection,
    id: DbId,
    result: &ArchiveResult,
) -> Result<()> {
    sqlx::query(
        "UPDATE job SET footprint = ?, energy_footprint = ?, energy = ?, monitoring_status = 3 WHERE id = ?",
    )
    .bind(footprint_json(Some(&result.footprint)))
    .bind(footprint_json(Some(&result.energy_footprint)))
    .bind(result.energy)
    .bind(id)
    .execute(connection)
    .await
    .map_err(Error::in_query("store the footprint of a job"))?;
    Ok(())
}

pub(crate) async fn put_footprint(
    connection: &mut SqliteConnection,
    id: DbId,
    footprint: &BTreeMap<String, f64>,
) -> Result<()> {
    sqlx::query("UPDATE job SET footprint = ? WHERE id = ? AND job_state = 'running'")
        .bind(footprint_json(Some(footprint)))
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("store the footprint of a running job"))?;
    Ok(())
}

pub(crate) async fn monitoring(
    connection: &mut SqliteConnection,
    id: DbId,
    status: MonitoringStatus,
) -> Result<()> {
    sqlx::query("UPDATE job SET monitoring_status = ? WHERE id = ?")
        .bind(status.code())
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("set the monitoring status of a job"))?;
    Ok(())
}

pub(crate) async fn refresh_durations(
    connection: &mut SqliteConnection,
    ids: &[DbId],
    now: i64,
) -> Result<()> {
    for id in ids {
        sqlx::query(
            "UPDATE job SET duration = MAX(0, MIN(?1 - start_time, 2147483647))
             WHERE id = ?2 AND job_state = 'running'",
        )
        .bind(now)
        .bind(id)
        .execute(&mut *connection)
        .await
        .map_err(Error::in_query("refresh the duration of a job"))?;
    }
    Ok(())
}

/// Starts that the reference had buffered when it ended (spec/job-db.md 6.2). What the table knows already stays as
/// it is there; nothing is dropped silently.
pub(crate) async fn drain_buffer(connection: &mut SqliteConnection) -> Result<(Vec<Job>, u64)> {
    const OPERATION: &str = "move buffered jobs";
    let buffered: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job_cache")
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    if buffered == 0 {
        return Ok((Vec::new(), 0));
    }
    let ids: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO job (job_id, cluster, subcluster, submit_time, start_time, hpc_user, project,
           cluster_partition, array_job_id, duration, walltime, job_state, meta_data, resources, num_nodes,
           num_hwthreads, num_acc, smt, shared, monitoring_status, energy, energy_footprint, footprint)
         SELECT job_id, cluster, subcluster, submit_time, start_time, hpc_user, project,
           COALESCE(cluster_partition, ''), COALESCE(array_job_id, 0), duration, walltime, job_state, meta_data,
           resources, num_nodes, COALESCE(num_hwthreads, 0), COALESCE(num_acc, 0), smt, shared,
           monitoring_status, energy, energy_footprint, COALESCE(footprint, 'null')
         FROM job_cache WHERE 1 ORDER BY id
         ON CONFLICT (job_id, cluster, start_time) DO NOTHING RETURNING id",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Error::in_query(OPERATION))?;
    sqlx::query("DELETE FROM job_cache")
        .execute(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    let mut moved = Vec::with_capacity(ids.len());
    for id in ids {
        moved.extend(by_id(connection, id).await?);
    }
    let known = buffered.unsigned_abs().saturating_sub(u64::try_from(moved.len()).unwrap_or(u64::MAX));
    Ok((moved, known))
}

pub(crate) async fn tag(connection: &mut SqliteConnection, kind: &str, name: &str) -> Result<Option<Tag>> {
    let row: Option<(i64, String)> =
        sqlx::query_as("SELECT id, tag_scope FROM tag WHERE tag_type = ? AND tag_name = ?")
            .bind(kind)
            .bind(name)
            .fetch_optional(connection)
            .await
            .map_err(Error::in_query("look a tag up"))?;
    Ok(row.map(|(id, scope)| Tag { id, kind: kind.to_owned(), name: name.to_owned(), scope }))
}

pub(crate) async fn insert_tag(
    connection: &mut SqliteConnection,
    kind: &str,
    name: &str,
    scope: &str,
) -> Result<i64> {
    sqlx::query_scalar("INSERT INTO tag (tag_type, tag_name, tag_scope) VALUES (?, ?, ?) RETURNING id")
        .bind(kind)
        .bind(name)
        .bind(scope)
        .fetch_one(connection)
        .await
        .map_err(Error::in_query("create a tag"))
}

pub(crate) async fn attach(connection: &mut SqliteConnection, job: DbId, tag: i64) -> Result<()> {
    sqlx::query("INSERT INTO jobtag (job_id, tag_id) VALUES (?, ?) ON CONFLICT (job_id, tag_id) DO NOTHING")
        .bind(job)
        .bind(tag)
        .execute(connection)
        .await
        .map_err(Error::in_query("attach a tag"))?;
    Ok(())
}

pub(crate) async fn tags_of(connection: &mut SqliteConnection, job: DbId) -> Result<Vec<Tag>> {
    const OPERATION: &str = "read the tags of a job";
    let rows = sqlx::query(
        "SELECT tag.id, tag.tag_type, tag.tag_name, tag.tag_scope FROM jobtag
         JOIN tag ON tag.id = jobtag.tag_id WHERE jobtag.job_id = ? ORDER BY tag.id",
    )
    .bind(job)
    .fetch_all(connection)
    .await
    .map_err(Error::in_query(OPERATION))?;
    let decoded: sqlx::Result<Vec<Tag>> = rows
        .iter()
        .map(|row| {
            Ok(Tag {
                id: row.try_get(0)?,
                kind: row.try_get(1)?,
                name: row.try_get(2)?,
                scope: row.try_get(3)?,
            })
        })
        .collect();
    decoded.map_err(Error::in_query(OPERATION))
}

pub(crate) async fn put_node(
    connection: &mut SqliteConnection,
    node: &NodeRow,
    now: i64,
    quirks: Quirks,
) -> Result<()> {
    const OPERATION: &str = "store a node's state";
    // files of pre-release builds have no column for the details
    const FULL: &str = "INSERT INTO node_state (time_stamp, jobs_running, cpus_allocated, memory_allocated,
        gpus_allocated, node_state, health_state, node_id, health_metrics) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    const PLAIN: &str = "INSERT INTO node_state (time_stamp, jobs_running, cpus_allocated, memory_allocated,
        gpus_allocated, node_state, health_state, node_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM node WHERE hostname = ? AND cluster = ?")
        .bind(&node.hostname)
        .bind(&node.cluster)
        .fetch_optional(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    let id: i64 = match known {
        Some(id) => id,
        None => sqlx::query_scalar(
            "INSERT INTO node (hostname, cluster, subcluster) VALUES (?, ?, ?) RETURNING id",
        )
        .bind(&node.hostname)
        .bind(&node.cluster)
        .bind(&node.sub_cluster)
        .fetch_one(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?,
    };
    let with_details = quirks.node_state_has_health_metrics;
    let mut statement = sqlx::query(if with_details { FULL } else { PLAIN })
        .bind(now)
        .bind(node.jobs_running)
        .bind(node.cpus_allocated)
        .bind(node.memory_allocated_mb)
        .bind(node.gpus_allocated)
        .bind(node.state.as_str())
        .bind(node.health.as_str())
        .bind(id);
    if with_details {
        statement = statement.bind(&node.health_metrics);
    }
    statement.execute(connection).await.map_err(Error::in_query(OPERATION))?;
    Ok(())
}
