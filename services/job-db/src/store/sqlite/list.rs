//! Lists, counts and single jobs (spec/job-db.md 8).
//!
//! A page is two statements in one snapshot: ids in order (narrow: an index may cover it, and what has to be sorted
//! is small), then the rows of these ids. Tags of the whole page come in one more statement.

use std::collections::HashMap;

use cc_database::sql::Sql;
use cc_database::{Database, Error, Quirks};
use cc_model::{Job, Tag};
use sqlx::{Connection, Row, SqliteConnection};

use super::filter::{JOB_NAME, push_order, push_scopes, push_where};
use super::row::{self, columns};
use crate::store::query::{Filter, Page, Query};
use crate::store::visible::{TagScopes, Visible};
use crate::store::{DbId, Listing, Load, Metadata, Result};

/// Ids per statement that fetches rows or tags.
const IDS_PER_STATEMENT: usize = 1_000;

pub(crate) async fn list(
    database: &Database,
    visible: &Visible,
    scopes: &TagScopes,
    query: &Query,
    load: Load,
    now: i64,
) -> Result<Listing> {
    let quirks = database.quirks();
    let mut reader = database.read().await?;
    // one snapshot: page, count and position belong together
    let mut snapshot = reader.begin().await.map_err(Error::in_query("begin to read"))?;
    let position: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(position), 0) FROM ccx_change")
        .fetch_one(&mut *snapshot)
        .await
        .map_err(Error::in_query("read the last change"))?;
    let mut listing = Listing { position: position.unsigned_abs(), ..Listing::default() };
    match query.page {
        Page::All => listing.jobs = all(&mut snapshot, visible, query, load, quirks).await?,
        Page::Rows { offset, limit } => {
            let mut ids = ids(&mut snapshot, visible, query, quirks, offset, limit).await?;
            let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
            listing.has_next_page = ids.len() > wanted;
            ids.truncate(wanted);
            listing.jobs = rows(&mut snapshot, &ids, load).await?;
        }
    }
    if query.count {
        listing.count = Some(count(&mut snapshot, visible, &query.filters, quirks).await?);
    }
    if load.tags {
        attach_tags(&mut snapshot, scopes, &mut listing.jobs).await?;
    }
    for job in &mut listing.jobs {
        date(job, now);
    }
    Ok(listing)
}

/// Running jobs last until now, whatever was stored (graphql-api.md 7.1).
fn date(job: &mut Job, now: i64) {
    if job.state.is_running() {
        job.duration = duration(job.start_time, now);
    }
}

/// Seconds from start to `end` as the column can hold them, never negative.
pub(crate) fn duration(start_time: i64, end: i64) -> i32 {
    i32::try_from(end.saturating_sub(start_time).max(0)).unwrap_or(i32::MAX)
}

/// Ids of a page and one more, which tells whether there is a next page.
async fn ids(
    connection: &mut SqliteConnection,
    visible: &Visible,
    query: &Query,
    quirks: Quirks,
    offset: u64,
    limit: u32,
) -> Result<Vec<DbId>> {
    let mut sql = Sql::new("SELECT job.id FROM job");
    push_where(&mut sql, visible, &query.filters, quirks);
    push_order(&mut sql, query.order.as_ref());
    sql.push(" LIMIT ").bind(i64::from(limit) + 1);
    sql.push(" OFFSET ").bind(i64::try_from(offset).unwrap_or(i64::MAX));
    sql.build_scalar().fetch_all(connection).await.map_err(Error::in_query("list jobs"))
}

/// Rows of ids, in the order of the ids.
async fn rows(connection: &mut SqliteConnection, ids: &[DbId], load: Load) -> Result<Vec<Job>> {
    let mut found = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(IDS_PER_STATEMENT) {
        let mut sql = select(load);
        sql.push(" WHERE job.id IN ").bind_list(chunk.iter().copied());
        fetch(connection, &mut sql, load, |job| {
            found.insert(job.id, job);
        })
        .await?;
    }
    Ok(ids.iter().filter_map(|id| found.remove(&Some(*id))).collect())
}

fn select(load: Load) -> Sql {
    let mut sql = Sql::new(concat!("SELECT ", columns!()));
    match load.metadata {
        Metadata::None => {}
        Metadata::JobName => {
            sql.push(", ").push(JOB_NAME);
        }
        Metadata::All => {
            sql.push(", job.meta_data");
        }
    }
    sql.push(" FROM job");
    sql
}

/// Everything that matches, in one statement.
async fn all(
    connection: &mut SqliteConnection,
    visible: &Visible,
    query: &Query,
    load: Load,
    quirks: Quirks,
) -> Result<Vec<Job>> {
    let mut sql = select(load);
    push_where(&mut sql, visible, &query.filters, quirks);
    push_order(&mut sql, query.order.as_ref());
    let mut jobs = Vec::new();
    fetch(connection, &mut sql, load, |job| jobs.push(job)).await?;
    Ok(jobs)
}

async fn fetch(
    connection: &mut SqliteConnection,
    sql: &mut Sql,
    load: Load,
    mut take: impl FnMut(Job),
) -> Result<()> {
    let rows = sql.build().fetch_all(connection).await.map_err(Error::in_query("read jobs"))?;
    for row in &rows {
        take(row::job(row, load.metadata).map_err(Error::in_query("decode a job"))?);
    }
    Ok(())
}

pub(crate) async fn count(
    connection: &mut SqliteConnection,
    visible: &Visible,
    filters: &[Filter],
    quirks: Quirks,
) -> Result<u64> {
    let mut sql = Sql::new("SELECT COUNT(*) FROM job");
    push_where(&mut sql, visible, filters, quirks);
    let count: i64 = sql.build_scalar().fetch_one(connection).await.map_err(Error::in_query("count jobs"))?;
    Ok(count.unsigned_abs())
}

pub(crate) async fn get(database: &Database, scopes: &TagScopes, id: DbId, now: i64) -> Result<Option<Job>> {
    let mut reader = database.read().await?;
    let mut snapshot = reader.begin().await.map_err(Error::in_query("begin to read"))?;
    let mut jobs = rows(&mut snapshot, &[id], Load { metadata: Metadata::All, tags: true }).await?;
    attach_tags(&mut snapshot, scopes, &mut jobs).await?;
    let mut job = jobs.pop();
    if let Some(job) = &mut job {
        date(job, now);
    }
    Ok(job)
}

/// Visible tags of many jobs at once.
pub(crate) async fn attach_tags(
    connection: &mut SqliteConnection,
    scopes: &TagScopes,
    jobs: &mut [Job],
) -> Result<()> {
    for chunk in jobs.chunks_mut(IDS_PER_STATEMENT) {
        let mut sql = Sql::new(
            "SELECT tag.id, tag.tag_type, tag.tag_name, tag.tag_scope, jobtag.job_id
             FROM jobtag JOIN tag ON tag.id = jobtag.tag_id WHERE jobtag.job_id IN ",
        );
        sql.bind_list(chunk.iter().filter_map(|job| job.id)).push(" AND ");
        push_scopes(&mut sql, scopes);
        sql.push(" ORDER BY jobtag.job_id, tag.id");
        let rows = sql.build().fetch_all(&mut *connection).await.map_err(Error::in_query("read tags"))?;
        let mut of_job: HashMap<i64, Vec<Tag>> = HashMap::new();
        for row in &rows {
            let (job, tag) = tag_row(row).map_err(Error::in_query("decode a tag"))?;
            of_job.entry(job).or_default().push(tag);
        }
        for job in chunk {
            job.tags = job.id.and_then(|id| of_job.remove(&id)).unwrap_or_default();
        }
    }
    Ok(())
}

fn tag_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<(i64, Tag)> {
    let tag =
        Tag { id: row.try_get(0)?, kind: row.try_get(1)?, name: row.try_get(2)?, scope: row.try_get(3)? };
    Ok((row.try_get(4)?, tag))
}

pub(crate) async fn tags(database: &Database, scopes: &TagScopes) -> Result<Vec<Tag>> {
    let mut sql = Sql::new("SELECT tag.id, tag.tag_type, tag.tag_name, tag.tag_scope, 0 FROM tag WHERE ");
    push_scopes(&mut sql, scopes);
    sql.push(" ORDER BY tag.id");
    let mut reader = database.read().await?;
    let rows = sql.build().fetch_all(&mut *reader).await.map_err(Error::in_query("list tags"))?;
    rows.iter().map(|row| Ok(tag_row(row).map_err(Error::in_query("decode a tag"))?.1)).collect()
}

pub(crate) async fn partitions(database: &Database, cluster: &str) -> Result<Vec<String>> {
    // one index seek per partition instead of a scan of the cluster's jobs
    const SKIP_SCAN: &str = "
        WITH RECURSIVE part(name) AS (
          SELECT (SELECT MIN(cluster_partition) FROM job WHERE cluster = ?1)
          UNION ALL
          SELECT (SELECT MIN(cluster_partition) FROM job WHERE cluster = ?1 AND cluster_partition > part.name)
          FROM part WHERE part.name IS NOT NULL
        )
        SELECT name FROM part WHERE name IS NOT NULL AND name <> ''";
    let mut reader = database.read().await?;
    sqlx::query_scalar(SKIP_SCAN)
        .bind(cluster)
        .fetch_all(&mut *reader)
        .await
        .map_err(Error::in_query("list partitions"))
}
