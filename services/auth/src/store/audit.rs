//! Who did what, when, from where, and what came of it (product.md A13, auth.md 16). Bounded in rows and in age.

use cc_database::{Error, Result};
use cc_runtime::error::cut;
use sqlx::SqliteConnection;

use super::Store;

/// Most rows that are kept.
const ROWS_MAX: i64 = 100_000;
/// How long a row is kept at most.
const AGE_MAX_S: i64 = 400 * 24 * 3600;
/// Longest text of a field; names of failed logins come from anybody.
const FIELD_BYTES_MAX: usize = 255;

/// What was done or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A session was to be opened.
    Login,
    /// A session was ended by its owner.
    Logout,
    /// A user was made.
    AddUser,
    /// A user was removed.
    DeleteUser,
    /// A role or project was given or taken.
    ChangeUser,
    /// An API token was made.
    MintToken,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::AddUser => "add-user",
            Self::DeleteUser => "delete-user",
            Self::ChangeUser => "change-user",
            Self::MintToken => "mint-token",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Done,
    /// It was refused.
    Refused,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// One row of the audit log. Holds no secret.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Who did it: a user name, or `cli` for the command line.
    pub actor: &'a str,
    /// From where; empty for the command line.
    pub address: &'a str,
    /// What.
    pub action: Action,
    /// To whom or what.
    pub target: &'a str,
    /// With which outcome.
    pub outcome: Outcome,
    /// Anything worth knowing besides, e.g. the roles given.
    pub detail: &'a str,
}

/// Writes the row in the transaction of the change itself.
pub(super) async fn record(connection: &mut SqliteConnection, at: i64, event: &Event<'_>) -> Result<()> {
    sqlx::query(
        "INSERT INTO ccx_audit (at, actor, address, action, target, outcome, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(at)
    .bind(cut(event.actor, FIELD_BYTES_MAX))
    .bind(cut(event.address, FIELD_BYTES_MAX))
    .bind(event.action.as_str())
    .bind(cut(event.target, FIELD_BYTES_MAX))
    .bind(event.outcome.as_str())
    .bind(cut(event.detail, FIELD_BYTES_MAX))
    .execute(connection)
    .await
    .map_err(Error::in_query("write the audit log"))?;
    Ok(())
}

impl Store {
    /// Records something that changed nothing else, e.g. a refused login.
    pub(crate) async fn record(&self, event: Event<'_>) -> Result<()> {
        let mut transaction = self.database.write("audit").await?;
        record(&mut transaction, self.clock.unix(), &event).await?;
        transaction.commit().await
    }

    /// Removes rows that are too old or too many. Returns how many.
    pub(crate) async fn prune_audit(&self) -> Result<u64> {
        let mut transaction = self.database.write("audit").await?;
        let removed = sqlx::query(
            "DELETE FROM ccx_audit WHERE at < ? OR id <= (SELECT COALESCE(MAX(id), 0) FROM ccx_audit) - ?",
        )
        .bind(self.clock.unix().saturating_sub(AGE_MAX_S))
        .bind(ROWS_MAX)
        .execute(&mut *transaction)
        .await
        .map_err(Error::in_query("prune the audit log"))?
        .rows_affected();
        transaction.commit().await?;
        Ok(removed)
    }
}
