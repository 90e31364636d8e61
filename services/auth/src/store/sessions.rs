//! Table `ccx_session`: only the SHA-256 of a session's secret is stored, so a copy of the file opens no session.

use cc_database::sql::Sql;
use cc_database::{Error, Result};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, Row, SqliteConnection};

use super::users::{Account, COLUMNS};
use super::{Event, Store, audit};
use crate::user::User;

/// Most sessions of one user at a time; the oldest ends when one more is opened.
const SESSIONS_OF_A_USER_MAX: i64 = 100;

/// A session to be opened.
#[derive(Clone, Copy)]
pub(crate) struct NewSession<'a> {
    pub(crate) hash: &'a [u8; 32],
    pub(crate) account: &'a Account,
    pub(crate) address: &'a str,
    pub(crate) expires_at: i64,
}

/// What there is behind a hash.
pub(crate) enum Found {
    /// No such session, or its user has another password by now.
    Nothing,
    /// Its user is gone.
    UserGone,
    /// A session, perhaps past its end.
    Session {
        /// As the table has it now, not as it was at login.
        user: User,
        created_at: i64,
        expires_at: i64,
    },
}

/// What ties a session to the password it was opened with.
fn credential(account: &Account) -> Option<Vec<u8>> {
    account.password.as_ref().map(|hash| Sha256::digest(hash).to_vec())
}

impl Store {
    /// Opens a session.
    pub(crate) async fn open_session(&self, new: NewSession<'_>, event: Event<'_>) -> Result<()> {
        let now = self.clock.unix();
        let mut transaction = self.database.write("sessions").await?;
        sqlx::query(
            "INSERT INTO ccx_session (hash, username, credential, address, created_at, expires_at)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(new.hash.as_slice())
        .bind(&new.account.user.username)
        .bind(credential(new.account))
        .bind(new.address)
        .bind(now)
        .bind(new.expires_at)
        .execute(&mut *transaction)
        .await
        .map_err(Error::in_query("open a session"))?;
        drop_oldest(&mut transaction, &new.account.user.username).await?;
        audit::record(&mut transaction, now, &event).await?;
        transaction.commit().await
    }

    /// Looks a session up, together with its user.
    pub(crate) async fn session(&self, hash: &[u8; 32]) -> Result<Found> {
        let mut reader = self.database.read().await?;
        let row = Sql::new("SELECT s.credential, s.created_at, s.expires_at, ")
            .push(COLUMNS)
            .push(" FROM ccx_session s LEFT JOIN hpc_user u ON u.username = s.username WHERE s.hash = ")
            .bind(hash.as_slice())
            .build()
            .fetch_optional(&mut *reader)
            .await
            .map_err(Error::in_query("look up a session"))?;
        let Some(row) = row else { return Ok(Found::Nothing) };
        read(&row).map_err(Error::in_query("read a session"))
    }

    /// Ends a session. Tells whose it was; the event's actor and target are that user.
    pub(crate) async fn close_session(&self, hash: &[u8; 32], event: Event<'_>) -> Result<Option<String>> {
        let mut transaction = self.database.write("sessions").await?;
        let owner: Option<String> =
            sqlx::query_scalar("DELETE FROM ccx_session WHERE hash = ? RETURNING username")
                .bind(hash.as_slice())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(Error::in_query("end a session"))?;
        if let Some(owner) = &owner {
            let event = Event { actor: owner, target: owner, ..event };
            audit::record(&mut transaction, self.clock.unix(), &event).await?;
        }
        transaction.commit().await?;
        Ok(owner)
    }

    /// Removes sessions that are past their end or whose user is gone. Returns how many.
    pub(crate) async fn prune_sessions(&self) -> Result<u64> {
        let mut transaction = self.database.write("sessions").await?;
        let removed = sqlx::query(
            "DELETE FROM ccx_session
             WHERE expires_at <= ? OR NOT EXISTS (SELECT 1 FROM hpc_user u WHERE u.username = ccx_session.username)",
        )
        .bind(self.clock.unix())
        .execute(&mut *transaction)
        .await
        .map_err(Error::in_query("prune sessions"))?
        .rows_affected();
        transaction.commit().await?;
        Ok(removed)
    }
}

fn read(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Found> {
    if row.try_get::<Option<String>, _>("username")?.is_none() {
        return Ok(Found::UserGone);
    }
    let account = Account::from_row(row)?;
    if row.try_get::<Option<Vec<u8>>, _>("credential")? != credential(&account) {
        return Ok(Found::Nothing);
    }
    Ok(Found::Session {
        user: account.user,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

async fn drop_oldest(connection: &mut SqliteConnection, username: &str) -> Result<()> {
    sqlx::query(
        "DELETE FROM ccx_session WHERE username = ?1 AND hash NOT IN
         (SELECT hash FROM ccx_session WHERE username = ?1 ORDER BY created_at DESC, hash LIMIT ?2)",
    )
    .bind(username)
    .bind(SESSIONS_OF_A_USER_MAX)
    .execute(connection)
    .await
    .map_err(Error::in_query("end the oldest session"))?;
    Ok(())
}
