//! Tables of our own in the reference's file: prefix `ccx_`, one version row per service, `schema_migrations`
//! untouched (architecture.md 4, 8).

use crate::database::Database;
use crate::error::{Error, Result};

/// One step of a service's own schema.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Counts from 1, without gaps.
    pub version: i64,
    /// Statements; every object they name starts with `ccx_`.
    pub sql: &'static str,
}

/// Brings the side tables of `component` to the last of `steps`: the missing steps in one transaction.
/// Several processes may do so at the same time.
///
/// # Errors
/// [`Error::SideTablesTooNew`] when a later release was here; [`Error::Query`].
pub async fn ensure(database: &Database, component: &'static str, steps: &[Step]) -> Result<()> {
    const OPERATION: &str = "prepare side tables";
    let known = steps.last().map_or(0, |step| step.version);
    let mut transaction = database.write("side tables").await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS ccx_version (component TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL)",
    )
    .execute(&mut *transaction)
    .await
    .map_err(Error::in_query(OPERATION))?;
    let found: i64 =
        sqlx::query_scalar("SELECT COALESCE((SELECT version FROM ccx_version WHERE component = ?), 0)")
            .bind(component)
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::in_query(OPERATION))?;
    if found > known {
        transaction.rollback().await?;
        return Err(Error::SideTablesTooNew { component, found, known });
    }
    for step in steps.iter().filter(|step| step.version > found) {
        sqlx::raw_sql(step.sql).execute(&mut *transaction).await.map_err(Error::in_query(OPERATION))?;
    }
    sqlx::query(
        "INSERT INTO ccx_version (component, version) VALUES (?, ?)
         ON CONFLICT (component) DO UPDATE SET version = excluded.version",
    )
    .bind(component)
    .bind(known)
    .execute(&mut *transaction)
    .await
    .map_err(Error::in_query(OPERATION))?;
    transaction.commit().await
}
