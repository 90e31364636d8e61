//! What background work reads: changes, the archive queue, running jobs.

use cc_database::{Database, Error};
use cc_model::{JobKey, JobState};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::row;
use crate::store::change::{Change, ChangeKind};
use crate::store::{DbId, Needed, Queued, Result};

pub(crate) async fn changes(database: &Database, after: u64, limit: u32) -> Result<Vec<Change>> {
    const OPERATION: &str = "read changes";
    let mut reader = database.read().await?;
    let rows = sqlx::query(
        "SELECT position, kind, job_db_id, cluster, job_id, start_time, hpc_user, project, job_state
         FROM ccx_change WHERE position > ? ORDER BY position LIMIT ?",
    )
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query(OPERATION))?;
    let decoded: sqlx::Result<Vec<Change>> = rows.iter().map(change).collect();
    decoded.map_err(Error::in_query(OPERATION))
}

fn change(row: &SqliteRow) -> sqlx::Result<Change> {
    let state: String = row.try_get(8)?;
    Ok(Change {
        position: row.try_get::<i64, _>(0)?.unsigned_abs(),
        kind: ChangeKind::of(row.try_get(1)?).unwrap_or(ChangeKind::Updated),
        id: row.try_get(2)?,
        key: JobKey { cluster: row.try_get(3)?, job_id: row.try_get(4)?, start_time: row.try_get(5)? },
        user: row.try_get(6)?,
        project: row.try_get(7)?,
        state: row::state(&state).unwrap_or(JobState::Failed),
    })
}

pub(crate) async fn change_span(database: &Database) -> Result<(u64, u64)> {
    let mut reader = database.read().await?;
    let (first, last): (i64, i64) = sqlx::query_as(
        "SELECT COALESCE((SELECT MIN(position) FROM ccx_change), 0), COALESCE((SELECT MAX(position) FROM ccx_change), 0)",
    )
    .fetch_one(&mut *reader)
    .await
    .map_err(Error::in_query("read the span of changes"))?;
    Ok((first.unsigned_abs(), last.unsigned_abs()))
}

pub(crate) async fn ledger_sizes(database: &Database) -> Result<(u64, u64)> {
    let mut reader = database.read().await?;
    let (dead, parked): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM ccx_ingest_dead), (SELECT COUNT(*) FROM ccx_ingest_parked)",
    )
    .fetch_one(&mut *reader)
    .await
    .map_err(Error::in_query("count dead letters"))?;
    Ok((dead.unsigned_abs(), parked.unsigned_abs()))
}

pub(crate) async fn due(database: &Database, now: i64, limit: u32) -> Result<Vec<Queued>> {
    let mut reader = database.read().await?;
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT job_db_id, generation, attempts, not_before FROM ccx_archive_queue
         WHERE not_before <= ? ORDER BY not_before, job_db_id LIMIT ?",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query("read the archive queue"))?;
    Ok(rows.into_iter().map(queued).collect())
}

/// The entry of a row.
pub(crate) fn queued((id, generation, attempts, not_before): (i64, i64, i64, i64)) -> Queued {
    Queued { id, generation, attempts, not_before }
}

pub(crate) async fn next(database: &Database, now: i64) -> Result<Option<i64>> {
    let mut reader = database.read().await?;
    sqlx::query_scalar("SELECT MIN(not_before) FROM ccx_archive_queue WHERE not_before > ?")
        .bind(now)
        .fetch_one(&mut *reader)
        .await
        .map_err(Error::in_query("read the archive queue"))
}

pub(crate) async fn needed(database: &Database) -> Result<Vec<Needed>> {
    const OPERATION: &str = "read hosts of running jobs";
    let mut reader = database.read().await?;
    let rows = sqlx::query(
        "SELECT id, cluster, start_time, resources FROM job WHERE job_state = 'running'
         UNION ALL
         SELECT job.id, job.cluster, job.start_time, job.resources
         FROM ccx_archive_queue JOIN job ON job.id = ccx_archive_queue.job_db_id",
    )
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query(OPERATION))?;
    let decoded: sqlx::Result<Vec<Needed>> = rows
        .iter()
        .map(|row| {
            let hosts = row::hosts(row, 3, row.try_get(0)?)?;
            Ok(Needed { cluster: row.try_get(1)?, hosts, from: row.try_get(2)? })
        })
        .collect();
    decoded.map_err(Error::in_query(OPERATION))
}

pub(crate) async fn running_ids(database: &Database, after: DbId, limit: u32) -> Result<Vec<DbId>> {
    let mut reader = database.read().await?;
    sqlx::query_scalar("SELECT id FROM job WHERE job_state = 'running' AND id > ? ORDER BY id LIMIT ?")
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *reader)
        .await
        .map_err(Error::in_query("list running jobs"))
}

pub(crate) async fn unqueued(database: &Database, since: i64, after: DbId, limit: u32) -> Result<Vec<DbId>> {
    // a job that ended since then started after `since` minus the longest duration there is room for; the start
    // time has an index, and a week more than the retention covers what runs on a cluster
    const LONGEST: i64 = 35 * 24 * 3600;
    let mut reader = database.read().await?;
    sqlx::query_scalar(
        "SELECT id FROM job WHERE start_time >= ? AND start_time + duration >= ? AND monitoring_status = 1
         AND job_state <> 'running' AND job_state <> 'suspended' AND id > ?
         AND NOT EXISTS (SELECT 1 FROM ccx_archive_queue WHERE job_db_id = job.id) ORDER BY id LIMIT ?",
    )
    .bind(since.saturating_sub(LONGEST))
    .bind(since)
    .bind(after)
    .bind(limit)
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query("look for jobs that were never archived"))
}
