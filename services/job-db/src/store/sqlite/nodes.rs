//! Reads of nodes and their states (spec/job-db.md 8, N1 and N2).

use std::collections::BTreeMap;

use cc_database::sql::Sql;
use cc_database::{Database, Error};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::filter::{HOSTNAME, HOSTS, HOSTS_END, push_text, push_visible};
use super::row;
use crate::store::nodes::{NodeFilter, NodeView, StateCounts, StateTimes};
use crate::store::visible::Visible;
use crate::store::{DbId, Overlap, Result, RunningHosts};

/// A node joined with its latest state: of several reports within one second the first counts, as recorded from the
/// reference.
const LATEST: &str = " FROM node JOIN node_state ON node_state.id = (
    SELECT newest.id FROM node_state AS newest WHERE newest.node_id = node.id
    ORDER BY newest.time_stamp DESC, newest.id LIMIT 1) WHERE 1";

const COLUMNS: &str = "SELECT node.id, node.hostname, node.cluster, node.subcluster, node_state.node_state,
    node_state.health_state, node_state.jobs_running, node_state.cpus_allocated, node_state.memory_allocated,
    node_state.gpus_allocated, node_state.time_stamp, node.meta_data, ";

fn push_filters(sql: &mut Sql, filters: &[NodeFilter]) {
    for filter in filters {
        for (column, op) in [
            ("node.hostname", &filter.hostname),
            ("node.cluster", &filter.cluster),
            ("node.subcluster", &filter.sub_cluster),
        ] {
            if let Some(op) = op {
                sql.push(" AND ");
                push_text(sql, column, op);
            }
        }
        if let Some(state) = &filter.scheduler_state {
            sql.push(" AND node_state.node_state = ").bind(state.clone());
        }
        if let Some(state) = &filter.health_state {
            sql.push(" AND node_state.health_state = ").bind(state.clone());
        }
    }
}

/// The last column exists in files of releases only.
fn select(database: &Database) -> Sql {
    let mut sql = Sql::new(COLUMNS);
    let details = database.quirks().node_state_has_health_metrics;
    sql.push(if details { "node_state.health_metrics" } else { "NULL" }).push(LATEST);
    sql
}

pub(crate) async fn list(database: &Database, filters: &[NodeFilter]) -> Result<Vec<NodeView>> {
    let mut sql = select(database);
    push_filters(&mut sql, filters);
    sql.push(" ORDER BY node.hostname, node.cluster");
    fetch(database, sql).await
}

pub(crate) async fn get(database: &Database, id: i64) -> Result<Option<NodeView>> {
    let mut sql = select(database);
    sql.push(" AND node.id = ").bind(id);
    Ok(fetch(database, sql).await?.pop())
}

async fn fetch(database: &Database, mut sql: Sql) -> Result<Vec<NodeView>> {
    const OPERATION: &str = "read nodes";
    let mut reader = database.read().await?;
    let rows = sql.build().fetch_all(&mut *reader).await.map_err(Error::in_query(OPERATION))?;
    let decoded: sqlx::Result<Vec<NodeView>> = rows.iter().map(view).collect();
    decoded.map_err(Error::in_query(OPERATION))
}

fn view(row: &SqliteRow) -> sqlx::Result<NodeView> {
    Ok(NodeView {
        id: row.try_get(0)?,
        hostname: row.try_get(1)?,
        cluster: row.try_get(2)?,
        sub_cluster: row.try_get(3)?,
        scheduler_state: row.try_get(4)?,
        health_state: row.try_get(5)?,
        jobs_running: row.try_get(6)?,
        cpus_allocated: row.try_get(7)?,
        memory_allocated_mb: row.try_get(8)?,
        gpus_allocated: row.try_get(9)?,
        time_stamp: row.try_get(10)?,
        metadata: json(row, 11)?,
        health_data: json(row, 12)?,
    })
}

/// NULL, empty, `null` and damaged JSON are all nothing: one bad row must not hide the others.
fn json<T: DeserializeOwned + Default>(row: &SqliteRow, index: usize) -> sqlx::Result<T> {
    let bytes = row.try_get_unchecked::<Option<Vec<u8>>, _>(index)?.unwrap_or_default();
    Ok(serde_json::from_slice::<Option<T>>(&bytes).ok().flatten().unwrap_or_default())
}

pub(crate) async fn counts(database: &Database, filters: &[NodeFilter]) -> Result<StateCounts> {
    let scheduler =
        count_by(database, filters, "SELECT node_state.node_state, COUNT(*)", " GROUP BY 1 ORDER BY 1");
    let health =
        count_by(database, filters, "SELECT node_state.health_state, COUNT(*)", " GROUP BY 1 ORDER BY 1");
    Ok(StateCounts { scheduler: scheduler.await?, health: health.await? })
}

async fn count_by(
    database: &Database,
    filters: &[NodeFilter],
    columns: &'static str,
    group: &'static str,
) -> Result<Vec<(String, u64)>> {
    let mut sql = Sql::new(columns);
    sql.push(LATEST);
    push_filters(&mut sql, filters);
    sql.push(group);
    let mut reader = database.read().await?;
    let rows: Vec<(String, i64)> =
        sql.build_as().fetch_all(&mut *reader).await.map_err(Error::in_query("count nodes"))?;
    Ok(rows.into_iter().map(|(state, count)| (state, count.unsigned_abs())).collect())
}

pub(crate) async fn times(
    database: &Database,
    filters: &[NodeFilter],
    health: bool,
) -> Result<Vec<StateTimes>> {
    let mut sql = Sql::new(if health {
        "SELECT node_state.health_state, node_state.time_stamp, COUNT(*)"
    } else {
        "SELECT node_state.node_state, node_state.time_stamp, COUNT(*)"
    });
    sql.push(" FROM node_state JOIN node ON node.id = node_state.node_id WHERE 1");
    for time in filters.iter().filter_map(|filter| filter.time_start) {
        sql.push(" AND node_state.time_stamp > ").bind(time);
    }
    push_filters(&mut sql, filters);
    sql.push(" GROUP BY 1, 2 ORDER BY 1, 2");
    let mut reader = database.read().await?;
    let rows: Vec<(String, i64, i64)> =
        sql.build_as().fetch_all(&mut *reader).await.map_err(Error::in_query("count nodes over time"))?;
    let mut by_state: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    for (state, time, count) in rows {
        by_state.entry(state).or_default().push((time, count.unsigned_abs()));
    }
    Ok(by_state.into_iter().map(|(state, points)| StateTimes { state, points }).collect())
}

pub(crate) async fn running_hosts(
    database: &Database,
    cluster: Option<&str>,
    before: Option<i64>,
) -> Result<Vec<RunningHosts>> {
    const OPERATION: &str = "read hosts of running jobs";
    let mut reader = database.read().await?;
    let rows = sqlx::query(
        "SELECT id, cluster, subcluster, resources FROM job WHERE job_state = 'running'
         AND (?1 IS NULL OR cluster = ?1) AND (?2 IS NULL OR start_time < ?2)",
    )
    .bind(cluster)
    .bind(before)
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query(OPERATION))?;
    let decoded: sqlx::Result<Vec<RunningHosts>> = rows
        .iter()
        .map(|row| {
            let hosts = row::hosts(row, 3, row.try_get(0)?)?;
            Ok(RunningHosts { cluster: row.try_get(1)?, sub_cluster: row.try_get(2)?, hosts })
        })
        .collect();
    decoded.map_err(Error::in_query(OPERATION))
}

pub(crate) async fn overlapping(
    database: &Database,
    visible: &Visible,
    span: &Overlap<'_>,
) -> Result<Vec<(DbId, i64)>> {
    let mut sql = Sql::new("SELECT job.id, job.job_id FROM job WHERE ");
    push_visible(&mut sql, visible);
    sql.push(" AND job.cluster = ").bind(span.cluster.to_owned());
    sql.push(" AND job.start_time <= ").bind(span.before);
    sql.push(" AND (job.job_state = 'running' OR (job.start_time < ").bind(span.before);
    sql.push(" AND job.start_time + job.duration > ").bind(span.after);
    sql.push(")) AND ").push(HOSTS).push(HOSTNAME).push(" = ").bind(span.host.to_owned()).push(HOSTS_END);
    sql.push(" ORDER BY job.job_state = 'running', job.id");
    let mut reader = database.read().await?;
    sql.build_as().fetch_all(&mut *reader).await.map_err(Error::in_query("look for jobs on the same host"))
}
