//! Writes to the archive queue, the marks of replaced runs and the log of changes.

use cc_database::Error;
use sqlx::SqliteConnection;

use super::queue::queued as entry;
use super::row;
use crate::store::change::Change;
use crate::store::ledger::Superseded;
use crate::store::{DbId, Queued, Result};

pub(crate) async fn enqueue(connection: &mut SqliteConnection, id: DbId, now: i64) -> Result<()> {
    sqlx::query(
        // A random generation: a number that is counted would come again when the entry was worked off meanwhile, or
        // when a new job got the id of a deleted one, and a late result would be taken for that of this entry.
        "INSERT INTO ccx_archive_queue (job_db_id, generation, queued_at, not_before) VALUES (?1, random(), ?2, ?2)
         ON CONFLICT (job_db_id) DO UPDATE
         SET generation = excluded.generation, attempts = 0, not_before = excluded.not_before",
    )
    .bind(id)
    .bind(now)
    .execute(connection)
    .await
    .map_err(Error::in_query("queue a job for archiving"))?;
    Ok(())
}

pub(crate) async fn queued(connection: &mut SqliteConnection, id: DbId) -> Result<Option<Queued>> {
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT job_db_id, generation, attempts, not_before FROM ccx_archive_queue WHERE job_db_id = ?",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(Error::in_query("read the archive queue"))?;
    Ok(row.map(entry))
}

pub(crate) async fn dequeue(connection: &mut SqliteConnection, id: DbId) -> Result<()> {
    sqlx::query("DELETE FROM ccx_archive_queue WHERE job_db_id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("take a job out of the archive queue"))?;
    Ok(())
}

pub(crate) async fn defer(
    connection: &mut SqliteConnection,
    id: DbId,
    not_before: i64,
    error: &str,
) -> Result<()> {
    sqlx::query(
        "UPDATE ccx_archive_queue SET attempts = attempts + 1, not_before = ?, last_error = ? WHERE job_db_id = ?",
    )
    .bind(not_before)
    .bind(error)
    .bind(id)
    .execute(connection)
    .await
    .map_err(Error::in_query("put off archiving a job"))?;
    Ok(())
}

pub(crate) async fn supersede(connection: &mut SqliteConnection, superseded: &Superseded) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_superseded (job_db_id, close_at, stop_time, job_state) VALUES (?, ?, ?, ?)
         ON CONFLICT (job_db_id) DO NOTHING",
    )
    .bind(superseded.id)
    .bind(superseded.close_at)
    .bind(superseded.stop_time)
    .bind(superseded.state.as_str())
    .execute(connection)
    .await
    .map_err(Error::in_query("mark a replaced run"))?;
    Ok(())
}

pub(crate) async fn unsupersede(connection: &mut SqliteConnection, id: DbId) -> Result<()> {
    sqlx::query("DELETE FROM ccx_superseded WHERE job_db_id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("unmark a replaced run"))?;
    Ok(())
}

pub(crate) async fn superseded_due(
    connection: &mut SqliteConnection,
    now: i64,
    limit: u32,
) -> Result<Vec<Superseded>> {
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "SELECT job_db_id, close_at, stop_time, job_state FROM ccx_superseded
         WHERE close_at <= ? ORDER BY close_at, job_db_id LIMIT ?",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(Error::in_query("read replaced runs"))?;
    let superseded = |(id, close_at, stop_time, word): (i64, i64, i64, String)| {
        row::state(&word).map(|state| Superseded { id, close_at, stop_time, state })
    };
    Ok(rows.into_iter().filter_map(superseded).collect())
}

pub(crate) async fn last_position(connection: &mut SqliteConnection) -> Result<u64> {
    let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(position), 0) FROM ccx_change")
        .fetch_one(connection)
        .await
        .map_err(Error::in_query("read the last change"))?;
    Ok(last.unsigned_abs())
}

pub(crate) async fn put_change(connection: &mut SqliteConnection, change: &Change) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_change
           (position, kind, job_db_id, cluster, job_id, start_time, hpc_user, project, job_state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(i64::try_from(change.position).unwrap_or(i64::MAX))
    .bind(change.kind as i64)
    .bind(change.id)
    .bind(&change.key.cluster)
    .bind(change.key.job_id)
    .bind(change.key.start_time)
    .bind(&change.user)
    .bind(&change.project)
    .bind(change.state.as_str())
    .execute(connection)
    .await
    .map_err(Error::in_query("log a change"))?;
    Ok(())
}

pub(crate) async fn prune_changes(connection: &mut SqliteConnection, up_to: u64) -> Result<()> {
    sqlx::query("DELETE FROM ccx_change WHERE position <= ?")
        .bind(i64::try_from(up_to).unwrap_or(i64::MAX))
        .execute(connection)
        .await
        .map_err(Error::in_query("forget old changes"))?;
    Ok(())
}
