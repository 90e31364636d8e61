//! What is ended or forgotten by age.

use cc_database::{Database, Error};
use sqlx::SqliteConnection;

use crate::store::{DbId, Result};

pub(crate) async fn overdue_ids(
    database: &Database,
    ended_by: i64,
    after: DbId,
    limit: u32,
) -> Result<Vec<DbId>> {
    let mut reader = database.read().await?;
    sqlx::query_scalar(
        "SELECT id FROM job WHERE job_state = 'running' AND walltime > 0 AND start_time + walltime < ? AND id > ?
         ORDER BY id LIMIT ?",
    )
    .bind(ended_by)
    .bind(after)
    .bind(limit)
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query("look for jobs beyond their walltime"))
}

pub(crate) async fn prune_node_states(
    connection: &mut SqliteConnection,
    before: i64,
    limit: u32,
) -> Result<u64> {
    // the newest of a node, found as the lists of nodes find it, stays however old it is
    let removed = sqlx::query(
        "DELETE FROM node_state WHERE id IN (
           SELECT old.id FROM node_state AS old WHERE old.time_stamp < ?1 AND old.id <> (
             SELECT newest.id FROM node_state AS newest WHERE newest.node_id = old.node_id
             ORDER BY newest.time_stamp DESC, newest.id DESC LIMIT 1) LIMIT ?2)",
    )
    .bind(before)
    .bind(limit)
    .execute(connection)
    .await
    .map_err(Error::in_query("remove old states of nodes"))?;
    Ok(removed.rows_affected())
}
