//! How far the taggers followed the log of changes, and the ended jobs in pieces.

use cc_database::side::Step;
use cc_database::{Database, Error};
use sqlx::SqliteConnection;

use crate::store::{DbId, Result};

/// Side tables of the taggers, with a version of their own.
pub(crate) const COMPONENT: &str = "job_db_taggers";

pub(crate) const STEPS: &[Step] = &[Step {
    version: 1,
    sql: "CREATE TABLE ccx_tagger (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL)",
}];

pub(crate) async fn position(database: &Database) -> Result<Option<u64>> {
    let mut reader = database.read().await?;
    let position: Option<i64> = sqlx::query_scalar("SELECT position FROM ccx_tagger")
        .fetch_optional(&mut *reader)
        .await
        .map_err(Error::in_query("read the taggers' position"))?;
    Ok(position.map(i64::unsigned_abs))
}

pub(crate) async fn put_position(connection: &mut SqliteConnection, position: u64) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_tagger (one, position) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET position = excluded.position",
    )
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .execute(connection)
    .await
    .map(drop)
    .map_err(Error::in_query("store the taggers' position"))
}

pub(crate) async fn ended_ids(database: &Database, after: DbId, limit: u32) -> Result<Vec<DbId>> {
    let mut reader = database.read().await?;
    // `+`: along the table, not sorted out of an index of states
    sqlx::query_scalar("SELECT id FROM job WHERE +job_state <> 'running' AND id > ? ORDER BY id LIMIT ?")
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *reader)
        .await
        .map_err(Error::in_query("list ended jobs"))
}

pub(crate) async fn ended_count(database: &Database) -> Result<u64> {
    let mut reader = database.read().await?;
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job WHERE job_state <> 'running'")
        .fetch_one(&mut *reader)
        .await
        .map_err(Error::in_query("count ended jobs"))?;
    Ok(count.unsigned_abs())
}
