//! What people and programs change of single jobs: tags, metadata, deletion; and the notes of archive entries that
//! lack such a change (spec/rest-api.md 6.9 to 6.16).

use std::collections::BTreeMap;

use cc_database::sql::Sql;
use cc_database::{Database, Error};
use cc_model::Tag;
use sqlx::SqliteConnection;

use super::row::metadata_json;
use crate::store::{DbId, Keep, Result, TAGGER_TYPES, ToCopy};

fn copy((id, generation, attempts): (i64, i64, i64)) -> ToCopy {
    ToCopy { id, generation, attempts }
}

pub(crate) async fn due(database: &Database, now: i64, limit: u32) -> Result<Vec<ToCopy>> {
    let mut reader = database.read().await?;
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT job_db_id, generation, attempts FROM ccx_archive_copy WHERE not_before <= ?
         ORDER BY not_before, job_db_id LIMIT ?",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(&mut *reader)
    .await
    .map_err(Error::in_query("read what the archive lacks"))?;
    Ok(rows.into_iter().map(copy).collect())
}

pub(crate) async fn of(database: &Database, id: DbId) -> Result<Option<ToCopy>> {
    let mut reader = database.read().await?;
    let row: Option<(i64, i64, i64)> =
        sqlx::query_as("SELECT job_db_id, generation, attempts FROM ccx_archive_copy WHERE job_db_id = ?")
            .bind(id)
            .fetch_optional(&mut *reader)
            .await
            .map_err(Error::in_query("read what the archive lacks"))?;
    Ok(row.map(copy))
}

pub(crate) async fn next(database: &Database, now: i64) -> Result<Option<i64>> {
    let mut reader = database.read().await?;
    sqlx::query_scalar("SELECT MIN(not_before) FROM ccx_archive_copy WHERE not_before > ?")
        .bind(now)
        .fetch_one(&mut *reader)
        .await
        .map_err(Error::in_query("read what the archive lacks"))
}

pub(crate) async fn started_before(
    database: &Database,
    time: i64,
    keep: Keep,
    with_running: bool,
    after: DbId,
    limit: u32,
) -> Result<Vec<DbId>> {
    let mut reader = database.read().await?;
    let mut sql = Sql::new("SELECT job.id FROM job WHERE job.start_time < ");
    sql.bind(time).push(" AND job.id > ").bind(after);
    if !with_running {
        sql.push(" AND job.job_state != 'running'");
    }
    match keep {
        Keep::Nothing => {}
        Keep::Tagged => {
            sql.push(" AND job.id NOT IN (SELECT jobtag.job_id FROM jobtag)");
        }
        Keep::TaggedByPeople => {
            let [application, class] = TAGGER_TYPES;
            sql.push(
                " AND job.id NOT IN (SELECT jobtag.job_id FROM jobtag JOIN tag ON tag.id = jobtag.tag_id
                 WHERE tag.tag_type NOT IN (",
            );
            sql.bind(application).push(", ").bind(class).push("))");
        }
    }
    sql.push(" ORDER BY job.id LIMIT ").bind(limit);
    sql.build_scalar().fetch_all(&mut *reader).await.map_err(Error::in_query("look for jobs to delete"))
}

pub(crate) async fn tag_by_id(connection: &mut SqliteConnection, id: i64) -> Result<Option<Tag>> {
    let row: Option<(String, String, String)> =
        sqlx::query_as("SELECT tag_type, tag_name, tag_scope FROM tag WHERE id = ?")
            .bind(id)
            .fetch_optional(connection)
            .await
            .map_err(Error::in_query("look a tag up"))?;
    Ok(row.map(|(kind, name, scope)| Tag { id, kind, name, scope }))
}

pub(crate) async fn detach(connection: &mut SqliteConnection, job: DbId, tag: i64) -> Result<()> {
    sqlx::query("DELETE FROM jobtag WHERE job_id = ? AND tag_id = ?")
        .bind(job)
        .bind(tag)
        .execute(connection)
        .await
        .map_err(Error::in_query("detach a tag"))?;
    Ok(())
}

pub(crate) async fn delete_tag(connection: &mut SqliteConnection, tag: i64, now: i64) -> Result<()> {
    const OPERATION: &str = "delete a tag";
    sqlx::query(
        "INSERT INTO ccx_archive_copy (job_db_id, generation, not_before)
         SELECT jobtag.job_id, random(), ?1 FROM jobtag JOIN job ON job.id = jobtag.job_id
         WHERE jobtag.tag_id = ?2 AND job.job_state != 'running'
         ON CONFLICT (job_db_id) DO UPDATE
         SET generation = excluded.generation, attempts = 0, not_before = excluded.not_before",
    )
    .bind(now)
    .bind(tag)
    .execute(&mut *connection)
    .await
    .map_err(Error::in_query(OPERATION))?;
    for statement in ["DELETE FROM jobtag WHERE tag_id = ?", "DELETE FROM tag WHERE id = ?"] {
        sqlx::query(statement)
            .bind(tag)
            .execute(&mut *connection)
            .await
            .map_err(Error::in_query(OPERATION))?;
    }
    Ok(())
}

pub(crate) async fn put_metadata(
    connection: &mut SqliteConnection,
    id: DbId,
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    sqlx::query("UPDATE job SET meta_data = ? WHERE id = ?")
        .bind(metadata_json(Some(metadata)))
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("store the metadata of a job"))?;
    Ok(())
}

pub(crate) async fn note(connection: &mut SqliteConnection, id: DbId, now: i64) -> Result<()> {
    sqlx::query(
        // A random generation, as in the archive queue: one that is counted would come again after a copy was made, and
        // a late answer would take the note of a later change away.
        "INSERT INTO ccx_archive_copy (job_db_id, generation, not_before) VALUES (?1, random(), ?2)
         ON CONFLICT (job_db_id) DO UPDATE
         SET generation = excluded.generation, attempts = 0, not_before = excluded.not_before",
    )
    .bind(id)
    .bind(now)
    .execute(connection)
    .await
    .map_err(Error::in_query("note what the archive lacks"))?;
    Ok(())
}

pub(crate) async fn done(connection: &mut SqliteConnection, copy: ToCopy) -> Result<()> {
    sqlx::query("DELETE FROM ccx_archive_copy WHERE job_db_id = ? AND generation = ?")
        .bind(copy.id)
        .bind(copy.generation)
        .execute(connection)
        .await
        .map_err(Error::in_query("note what the archive has"))?;
    Ok(())
}

pub(crate) async fn defer(connection: &mut SqliteConnection, id: DbId, not_before: i64) -> Result<()> {
    sqlx::query("UPDATE ccx_archive_copy SET attempts = attempts + 1, not_before = ? WHERE job_db_id = ?")
        .bind(not_before)
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query("put off a change of the archive"))?;
    Ok(())
}

pub(crate) async fn delete_job(connection: &mut SqliteConnection, id: DbId) -> Result<bool> {
    const OPERATION: &str = "delete a job";
    // The links first and by name: a file that was made without the cascade must not keep them.
    for statement in [
        "DELETE FROM jobtag WHERE job_id = ?",
        "DELETE FROM ccx_archive_queue WHERE job_db_id = ?",
        "DELETE FROM ccx_archive_copy WHERE job_db_id = ?",
        "DELETE FROM ccx_superseded WHERE job_db_id = ?",
    ] {
        sqlx::query(statement)
            .bind(id)
            .execute(&mut *connection)
            .await
            .map_err(Error::in_query(OPERATION))?;
    }
    let deleted = sqlx::query("DELETE FROM job WHERE id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    Ok(deleted.rows_affected() > 0)
}
