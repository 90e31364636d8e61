//! Table `configuration`: what users set in the UI (spec auth.md 2, graphql-api.md 9.6). Values are JSON texts.

use cc_database::{Error, Result};

use super::Store;

/// Most settings of one user.
const SETTINGS_MAX: i64 = 2_000;

/// Most bytes of all settings of one user, names and values: every page of the UI reads them whole.
const BYTES_MAX: i64 = 1 << 20;

/// What became of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is stored.
    Stored,
    /// There is no such user.
    NoAccount,
    /// The user has too many, or too large ones.
    TooMany,
}

impl Store {
    /// The settings of a user, by name.
    pub(crate) async fn settings(&self, username: &str) -> Result<Vec<(String, String)>> {
        let mut reader = self.database.read().await?;
        sqlx::query_as(
            "SELECT confkey, CAST(COALESCE(value, 'null') AS TEXT) FROM configuration
             WHERE username = ? AND confkey IS NOT NULL ORDER BY confkey",
        )
        .bind(username)
        .fetch_all(&mut *reader)
        .await
        .map_err(Error::in_query("read settings"))
    }

    /// Stores one setting of a user.
    pub(crate) async fn put_setting(&self, username: &str, name: &str, value: &str) -> Result<Put> {
        const OPERATION: &str = "store a setting";
        let mut transaction = self.database.write("settings").await?;
        let account: Option<i64> = sqlx::query_scalar("SELECT 1 FROM hpc_user WHERE username = ?")
            .bind(username)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(Error::in_query(OPERATION))?;
        if account.is_none() {
            transaction.rollback().await?;
            return Ok(Put::NoAccount);
        }
        let (others, bytes): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COALESCE(SUM(length(CAST(confkey AS BLOB)) + length(CAST(COALESCE(value, '') AS BLOB))), 0)
             FROM configuration WHERE username = ? AND confkey != ?",
        )
        .bind(username)
        .bind(name)
        .fetch_one(&mut *transaction)
        .await
        .map_err(Error::in_query(OPERATION))?;
        let more = i64::try_from(name.len().saturating_add(value.len())).unwrap_or(i64::MAX);
        if others >= SETTINGS_MAX || bytes.saturating_add(more) > BYTES_MAX {
            transaction.rollback().await?;
            return Ok(Put::TooMany);
        }
        sqlx::query(
            "INSERT INTO configuration (username, confkey, value) VALUES (?, ?, ?)
             ON CONFLICT (username, confkey) DO UPDATE SET value = excluded.value",
        )
        .bind(username)
        .bind(name)
        .bind(value)
        .execute(&mut *transaction)
        .await
        .map_err(Error::in_query(OPERATION))?;
        transaction.commit().await?;
        Ok(Put::Stored)
    }
}
