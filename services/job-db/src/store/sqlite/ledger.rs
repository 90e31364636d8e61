//! The ledger of scheduler events (spec/integrations.md 9.5).

use cc_database::Error;
use cc_model::JobKey;
use sqlx::{FromRow, SqliteConnection};

use crate::store::Result;
use crate::store::ledger::{Adapter, DEAD_MAX, Dead, Origin, Outcome, Parked, Recorded, Stream};

pub(crate) async fn adapter(connection: &mut SqliteConnection, adapter_id: &str) -> Result<Option<Adapter>> {
    let bound_to: Option<String> =
        sqlx::query_scalar("SELECT bound_to FROM ccx_ingest_adapter WHERE adapter_id = ?")
            .bind(adapter_id)
            .fetch_optional(connection)
            .await
            .map_err(Error::in_query("read an adapter"))?;
    Ok(bound_to.map(|bound_to| Adapter { adapter_id: adapter_id.to_owned(), bound_to }))
}

pub(crate) async fn put_adapter(
    connection: &mut SqliteConnection,
    adapter: &Adapter,
    now: i64,
) -> Result<()> {
    sqlx::query("INSERT INTO ccx_ingest_adapter (adapter_id, bound_to, first_seen) VALUES (?, ?, ?)")
        .bind(&adapter.adapter_id)
        .bind(&adapter.bound_to)
        .bind(now)
        .execute(connection)
        .await
        .map_err(Error::in_query("remember an adapter"))?;
    Ok(())
}

pub(crate) async fn stream(
    connection: &mut SqliteConnection,
    adapter_id: &str,
    cluster: &str,
) -> Result<Option<Stream>> {
    let row: Option<(i64, i64, i64)> = sqlx::query_as(
        "SELECT epoch, durable_seq, fencing FROM ccx_ingest_stream WHERE adapter_id = ? AND cluster = ?",
    )
    .bind(adapter_id)
    .bind(cluster)
    .fetch_optional(connection)
    .await
    .map_err(Error::in_query("read a stream's position"))?;
    Ok(row.map(|(epoch, durable_seq, fencing)| Stream {
        adapter_id: adapter_id.to_owned(),
        cluster: cluster.to_owned(),
        epoch,
        durable_seq,
        fencing,
    }))
}

pub(crate) async fn put_stream(connection: &mut SqliteConnection, stream: &Stream, now: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_ingest_stream (adapter_id, cluster, epoch, durable_seq, fencing, updated_at)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (adapter_id, cluster) DO UPDATE SET epoch = excluded.epoch,
           durable_seq = excluded.durable_seq, fencing = excluded.fencing, updated_at = excluded.updated_at",
    )
    .bind(&stream.adapter_id)
    .bind(&stream.cluster)
    .bind(stream.epoch)
    .bind(stream.durable_seq)
    .bind(stream.fencing)
    .bind(now)
    .execute(connection)
    .await
    .map_err(Error::in_query("store a stream's position"))?;
    Ok(())
}

pub(crate) async fn event(connection: &mut SqliteConnection, event_id: &[u8]) -> Result<Option<Recorded>> {
    let row: Option<(i64, String, i64)> =
        sqlx::query_as("SELECT outcome, code, job_db_id FROM ccx_ingest_event WHERE event_id = ?")
            .bind(event_id)
            .fetch_optional(connection)
            .await
            .map_err(Error::in_query("look an event up"))?;
    Ok(row.and_then(|(outcome, code, id)| Outcome::of(outcome).map(|outcome| Recorded { outcome, code, id })))
}

pub(crate) async fn put_event(
    connection: &mut SqliteConnection,
    event_id: &[u8],
    recorded: &Recorded,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_ingest_event (event_id, job_db_id, outcome, code, applied_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (event_id) DO UPDATE SET job_db_id = excluded.job_db_id, outcome = excluded.outcome,
           code = excluded.code, applied_at = excluded.applied_at",
    )
    .bind(event_id)
    .bind(recorded.id)
    .bind(recorded.outcome as i64)
    .bind(&recorded.code)
    .bind(now)
    .execute(connection)
    .await
    .map_err(Error::in_query("remember an event"))?;
    Ok(())
}

pub(crate) async fn put_dead(connection: &mut SqliteConnection, dead: &Dead, now: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_ingest_dead
           (adapter_id, cluster, epoch, seq, event_id, received_at, code, field, detail, payload)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&dead.origin.adapter_id)
    .bind(&dead.origin.cluster)
    .bind(dead.origin.epoch)
    .bind(dead.origin.seq)
    .bind(&dead.origin.event_id)
    .bind(now)
    .bind(&dead.code)
    .bind(&dead.field)
    .bind(&dead.detail)
    .bind(&dead.payload)
    .execute(connection)
    .await
    .map_err(Error::in_query("keep a dead letter"))?;
    Ok(())
}

pub(crate) async fn park(connection: &mut SqliteConnection, parked: &Parked) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_ingest_parked (id, adapter_id, cluster, epoch, seq, event_id, job_id, start_time,
           received_at, code, field, detail, payload)
         VALUES (NULLIF(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(parked.id)
    .bind(&parked.origin.adapter_id)
    .bind(&parked.origin.cluster)
    .bind(parked.origin.epoch)
    .bind(parked.origin.seq)
    .bind(&parked.origin.event_id)
    .bind(parked.key.job_id)
    .bind(parked.key.start_time)
    .bind(parked.received_at)
    .bind(&parked.code)
    .bind(&parked.field)
    .bind(&parked.detail)
    .bind(&parked.payload)
    .execute(connection)
    .await
    .map_err(Error::in_query("park an event"))?;
    Ok(())
}

#[derive(FromRow)]
struct ParkedRow {
    id: i64,
    adapter_id: String,
    cluster: String,
    epoch: i64,
    seq: i64,
    event_id: Vec<u8>,
    job_id: i64,
    start_time: i64,
    received_at: i64,
    code: String,
    field: String,
    detail: String,
    payload: Vec<u8>,
}

impl From<ParkedRow> for Parked {
    fn from(row: ParkedRow) -> Self {
        Self {
            id: row.id,
            received_at: row.received_at,
            key: JobKey { cluster: row.cluster.clone(), job_id: row.job_id, start_time: row.start_time },
            origin: Origin {
                adapter_id: row.adapter_id,
                cluster: row.cluster,
                epoch: row.epoch,
                seq: row.seq,
                event_id: row.event_id,
            },
            code: row.code,
            field: row.field,
            detail: row.detail,
            payload: row.payload,
        }
    }
}

pub(crate) async fn parked(connection: &mut SqliteConnection, after: i64, limit: u32) -> Result<Vec<Parked>> {
    let rows: Vec<ParkedRow> = sqlx::query_as(
        "SELECT id, adapter_id, cluster, epoch, seq, event_id, job_id, start_time, received_at, code, field, detail,
           payload FROM ccx_ingest_parked WHERE id > ? ORDER BY id LIMIT ?",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(Error::in_query("read parked events"))?;
    Ok(rows.into_iter().map(Parked::from).collect())
}

pub(crate) async fn parked_count(connection: &mut SqliteConnection, limit: u32) -> Result<u32> {
    sqlx::query_scalar("SELECT COUNT(*) FROM (SELECT 1 FROM ccx_ingest_parked LIMIT ?)")
        .bind(limit)
        .fetch_one(connection)
        .await
        .map_err(Error::in_query("count parked events"))
}

pub(crate) async fn has_parked(connection: &mut SqliteConnection, key: &JobKey) -> Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM ccx_ingest_parked WHERE job_id = ? AND start_time = ? AND cluster = ?)",
    )
    .bind(key.job_id)
    .bind(key.start_time)
    .bind(&key.cluster)
    .fetch_one(connection)
    .await
    .map_err(Error::in_query("look for parked events"))
}

pub(crate) async fn unpark(connection: &mut SqliteConnection, id: i64) -> Result<()> {
    sqlx::query("DELETE FROM ccx_ingest_parked WHERE id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("forget a parked event"))?;
    Ok(())
}

pub(crate) async fn prune(connection: &mut SqliteConnection, before: i64, limit: u32) -> Result<()> {
    const OPERATION: &str = "forget old ledger entries";
    const EVENTS: &str = "DELETE FROM ccx_ingest_event WHERE event_id IN
        (SELECT event_id FROM ccx_ingest_event WHERE applied_at < ? LIMIT ?)";
    const DEAD: &str = "DELETE FROM ccx_ingest_dead WHERE id IN
        (SELECT id FROM ccx_ingest_dead WHERE received_at < ? LIMIT ?)";
    const PARKED: &str = "DELETE FROM ccx_ingest_parked WHERE id IN
        (SELECT id FROM ccx_ingest_parked WHERE received_at < ? LIMIT ?)";
    for statement in [EVENTS, DEAD, PARKED] {
        sqlx::query(statement)
            .bind(before)
            .bind(limit)
            .execute(&mut *connection)
            .await
            .map_err(Error::in_query(OPERATION))?;
    }
    sqlx::query("DELETE FROM ccx_ingest_dead WHERE id <= (SELECT MAX(id) FROM ccx_ingest_dead) - ?")
        .bind(DEAD_MAX)
        .execute(connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    Ok(())
}
