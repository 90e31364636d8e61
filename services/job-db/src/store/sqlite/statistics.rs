//! Statistics row by row: right for every filter, and slow over millions of jobs.

use cc_database::sql::Sql;
use cc_database::{Database, Error};
use futures::TryStreamExt;
use sqlx::{Row, SqliteConnection};

use super::filter::push_where;
use super::list::duration;
use super::row;
use crate::store::Result;
use crate::store::statistics::{Found, GroupColumn, Question, Sample, Tally};
use crate::store::visible::Visible;

pub(crate) async fn statistics(
    database: &Database,
    visible: &Visible,
    question: &Question,
    now: i64,
) -> Result<Found> {
    let mut reader = database.read().await?;
    let mut tally = Tally::new(question);
    let mut sql = select(question);
    push_where(&mut sql, visible, &question.filters, database.quirks());
    scan(&mut reader, &mut sql, question, now, &mut tally).await?;
    Ok(tally.finish())
}

fn select(question: &Question) -> Sql {
    let mut sql = Sql::new(
        "SELECT job.job_state, job.start_time, job.duration, job.num_nodes, job.num_hwthreads, job.num_acc, ",
    );
    sql.push(match question.group {
        None => "''",
        Some(GroupColumn::User) => "job.hpc_user",
        Some(GroupColumn::Project) => "job.project",
        Some(GroupColumn::Cluster) => "job.cluster",
        Some(GroupColumn::SubCluster) => "job.subcluster",
    });
    sql.push(if question.users { ", job.hpc_user" } else { ", ''" });
    sql.push(if question.metrics.is_empty() { ", NULL" } else { ", job.footprint" });
    sql.push(" FROM job");
    sql
}

async fn scan(
    connection: &mut SqliteConnection,
    sql: &mut Sql,
    question: &Question,
    now: i64,
    tally: &mut Tally<'_>,
) -> Result<()> {
    const OPERATION: &str = "add jobs up";
    let mut rows = sql.build().fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(Error::in_query(OPERATION))? {
        count(&row, question, now, tally).map_err(Error::in_query(OPERATION))?;
    }
    Ok(())
}

fn count(
    row: &sqlx::sqlite::SqliteRow,
    question: &Question,
    now: i64,
    tally: &mut Tally<'_>,
) -> sqlx::Result<()> {
    let running = row.try_get::<&str, _>(0)? == "running";
    let (start_time, stored_duration): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
    let sample = Sample {
        key: row.try_get(6)?,
        user: row.try_get(7)?,
        running,
        stored_duration,
        duration: if running { duration(start_time, now).into() } else { stored_duration },
        nodes: row.try_get(3)?,
        hwthreads: row.try_get::<Option<i64>, _>(4)?.unwrap_or_default(),
        accs: row.try_get::<Option<i64>, _>(5)?.unwrap_or_default(),
    };
    let footprint = if question.metrics.is_empty() { None } else { row::numbers(row, 8)? };
    let metric = |index: usize| {
        let key = question.metrics.get(index)?.key.as_str();
        footprint.as_ref()?.get(key).copied()
    };
    tally.add(&sample, metric);
    Ok(())
}
