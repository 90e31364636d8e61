//! What changes between the versions: the names are the reference's (spec/job-db.md 4.10), so that both programs can
//! take the file up and down.

use sqlx::{Connection, SqliteConnection};

use super::{PREVIOUS, Progress};
use crate::SCHEMA_VERSION;
use crate::create::SCHEMA;
use crate::error::{Error, Result};
use crate::sql::Sql;

/// Indexes that version 11 brings to a file of version 10, whatever else it has.
const NEW: [&str; 8] = [
    "jobs_cluster_jobstate_user_stats",
    "jobs_cluster_jobstate_project_stats",
    "jobs_cluster_jobstate_subcluster_stats",
    "jobs_cluster_user_starttime_stats",
    "jobs_cluster_project_starttime_stats",
    "jobs_running_user_stats",
    "jobs_running_project_stats",
    "jobs_running_subcluster_stats",
];

/// Version 10 has an index for each of these prefixes with each of [`SUFFIXES`].
const PREFIXES: [(&str, &str); 7] = [
    ("cluster_partition", "cluster, cluster_partition"),
    ("cluster_jobstate", "cluster, job_state"),
    ("cluster_shared", "cluster, shared"),
    ("user", "hpc_user"),
    ("project", "project"),
    ("jobstate", "job_state"),
    ("shared", "shared"),
];
const SUFFIXES: [(&str, &str); 4] = [
    ("numnodes", "num_nodes"),
    ("numhwthreads", "num_hwthreads"),
    ("numacc", "num_acc"),
    ("energy", "energy"),
];

/// The other indexes that version 10 has and version 11 has not: name after `jobs_`, columns.
const OTHERS: [(&str, &str); 4] = [
    ("cluster_jobstate_user", "cluster, job_state, hpc_user"),
    ("cluster_jobstate_project", "cluster, job_state, project"),
    ("cluster_arrayjobid_starttime", "cluster, array_job_id, start_time"),
    ("duration", "duration"),
];

/// The name of an index and its columns, in pieces.
type Index = ([&'static str; 3], [&'static str; 3]);

/// Indexes that only version 10 has.
fn old() -> impl Iterator<Item = Index> {
    let crossed = PREFIXES.iter().flat_map(|(prefix, first)| {
        SUFFIXES.iter().map(|(suffix, last)| ([*prefix, "_", *suffix], [*first, ", ", *last]))
    });
    crossed.chain(OTHERS.iter().map(|(name, columns)| ([*name, "", ""], [*columns, "", ""])))
}

/// Statements of the schema that make an index, with its name.
pub(crate) fn indexes() -> impl Iterator<Item = (&'static str, &'static str)> {
    SCHEMA.split(';').map(str::trim).filter_map(|statement| {
        let name = statement.strip_prefix("CREATE INDEX ")?.split_whitespace().next()?;
        Some((name, statement))
    })
}

/// Rows of `job`.
pub(super) async fn count_jobs(connection: &mut SqliteConnection) -> Result<u64> {
    let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM job")
        .fetch_one(connection)
        .await
        .map_err(Error::in_query("count the jobs"))?;
    Ok(jobs.unsigned_abs())
}

/// 10 → 11, in a transaction of the caller.
pub(super) async fn up(connection: &mut SqliteConnection, progress: Progress<'_>) -> Result<()> {
    const OPERATION: &str = "migrate to version 11";
    for (name, _) in old() {
        let mut sql = Sql::new("DROP INDEX IF EXISTS jobs_");
        for piece in name {
            sql.push(piece);
        }
        sql.build().execute(&mut *connection).await.map_err(Error::in_query(OPERATION))?;
    }
    let missing = indexes().filter(|(name, _)| NEW.contains(name));
    create_missing(connection, missing, progress).await?;
    // left out by the development builds of version 10; the reference selects it by name
    let health: bool = sqlx::query_scalar(
        "SELECT COUNT(*) > 0 FROM pragma_table_info('node_state') WHERE name = 'health_metrics'",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Error::in_query(OPERATION))?;
    if !health {
        sqlx::raw_sql("ALTER TABLE node_state ADD COLUMN health_metrics TEXT")
            .execute(&mut *connection)
            .await
            .map_err(Error::in_query(OPERATION))?;
    }
    set_version(connection, SCHEMA_VERSION).await
}

/// 11 → 10.
pub(super) async fn down(connection: &mut SqliteConnection, progress: Progress<'_>) -> Result<()> {
    const OPERATION: &str = "go back to version 10";
    let mut transaction =
        connection.begin_with("BEGIN IMMEDIATE").await.map_err(Error::in_query(OPERATION))?;
    for name in NEW {
        let mut sql = Sql::new("DROP INDEX IF EXISTS ");
        sql.push(name).build().execute(&mut *transaction).await.map_err(Error::in_query(OPERATION))?;
    }
    let count = old().count();
    for (number, (name, columns)) in old().enumerate() {
        progress(&format!("Creating index jobs_{} ({} of {count})...", name.concat(), number + 1));
        let mut sql = Sql::new("CREATE INDEX IF NOT EXISTS jobs_");
        for piece in name {
            sql.push(piece);
        }
        sql.push(" ON job (");
        for piece in columns {
            sql.push(piece);
        }
        sql.push(")").build().execute(&mut *transaction).await.map_err(Error::in_query(OPERATION))?;
    }
    set_version(&mut transaction, PREVIOUS).await?;
    transaction.commit().await.map_err(Error::in_query(OPERATION))
}

/// Makes those of the indexes that are not there. Returns how many.
pub(crate) async fn create_missing(
    connection: &mut SqliteConnection,
    wanted: impl Iterator<Item = (&'static str, &'static str)> + Send,
    progress: Progress<'_>,
) -> Result<usize> {
    const OPERATION: &str = "create an index";
    let mut made = 0;
    for (name, statement) in wanted {
        let there: bool =
            sqlx::query_scalar("SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'index' AND name = ?")
                .bind(name)
                .fetch_one(&mut *connection)
                .await
                .map_err(Error::in_query(OPERATION))?;
        if !there {
            progress(&format!("Creating index {name}..."));
            sqlx::raw_sql(statement).execute(&mut *connection).await.map_err(Error::in_query(OPERATION))?;
            made += 1;
        }
    }
    Ok(made)
}

/// The one row of the bookkeeping table, clean.
pub(super) async fn set_version(connection: &mut SqliteConnection, version: i64) -> Result<()> {
    const OPERATION: &str = "write the schema version";
    sqlx::query("DELETE FROM schema_migrations")
        .execute(&mut *connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    sqlx::query("INSERT INTO schema_migrations (version, dirty) VALUES (?, 0)")
        .bind(version)
        .execute(connection)
        .await
        .map_err(Error::in_query(OPERATION))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_sets_are_those_measured_with_the_reference() {
        let ours: BTreeSet<&str> = indexes().map(|(name, _)| name).collect();
        assert_eq!(ours.iter().filter(|name| name.starts_with("jobs_")).count(), 54);
        assert!(NEW.iter().all(|name| ours.contains(name)));
        let old: BTreeSet<String> = old().map(|(name, _)| format!("jobs_{}", name.concat())).collect();
        // -revert-db on a file with four indexes of its own gives 36
        assert_eq!(old.len(), 32);
        assert!(old.iter().all(|name| !ours.contains(name.as_str())));
    }
}
