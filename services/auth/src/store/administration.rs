//! The user table as administrators see and change it (spec auth.md 14). Lists are changed as they are stored: words that
//! this release does not know stay.

use cc_database::sql::Sql;
use cc_database::{Error, Result};
use sqlx::SqliteConnection;

use super::{Account, Event, Store, audit, users};
use crate::user::{Source, User};

/// Lists of one user as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) roles: Vec<String>,
    pub(crate) projects: Vec<String>,
}

/// What [`Store::change_lists`] found.
#[derive(Debug)]
pub(crate) enum Changed<E> {
    Done,
    NoUser,
    Refused(E),
    /// Nobody with the role `admin` would be left.
    LastAdmin,
}

/// What became of a user that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is not there any more, or never was.
    Done,
    /// Nobody with the role `admin` would be left.
    LastAdmin,
}

type Row = (String, Option<Vec<u8>>, Option<Vec<u8>>);

fn list(json: Option<&[u8]>) -> Vec<String> {
    json.and_then(|json| serde_json::from_slice::<Option<Vec<String>>>(json).ok())
        .flatten()
        .unwrap_or_default()
}

impl Store {
    /// All users, or those whose roles are neither exactly `["user"]` nor `[]`, by name; lists as stored.
    pub(crate) async fn all_users(&self, special_only: bool) -> Result<Vec<User>> {
        const OPERATION: &str = "list the users";
        let mut reader = self.database.read().await?;
        let mut sql = Sql::new("SELECT ");
        sql.push(super::users::COLUMNS).push(" FROM hpc_user u");
        if special_only {
            sql.push(" WHERE CAST(u.roles AS TEXT) <> '[\"user\"]' AND CAST(u.roles AS TEXT) <> '[]'");
        }
        sql.push(" ORDER BY u.username");
        let accounts: Vec<Account> =
            sql.build_as().fetch_all(&mut *reader).await.map_err(Error::in_query(OPERATION))?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT username, CAST(roles AS BLOB), CAST(projects AS BLOB) FROM hpc_user ORDER BY username",
        )
        .fetch_all(&mut *reader)
        .await
        .map_err(Error::in_query(OPERATION))?;
        let mut stored = rows.into_iter();
        let users = accounts.into_iter().map(|account| {
            let mut user = account.user;
            if let Some((_, roles, projects)) = stored.by_ref().find(|(name, ..)| *name == user.username) {
                (user.roles, user.projects) = (list(roles.as_deref()), list(projects.as_deref()));
            }
            user
        });
        Ok(users.collect())
    }

    /// Reads the lists of a user, has them changed, and writes them back, in one transaction.
    pub(crate) async fn change_lists<E: Send>(
        &self,
        username: &str,
        change: impl FnOnce(&mut Lists) -> std::result::Result<(), E> + Send,
        event: Event<'_>,
    ) -> Result<Changed<E>> {
        const OPERATION: &str = "change a user";
        let mut transaction = self.database.write("users").await?;
        let row: Option<Row> = sqlx::query_as(
            "SELECT username, CAST(roles AS BLOB), CAST(projects AS BLOB) FROM hpc_user WHERE username = ?",
        )
        .bind(username)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(Error::in_query(OPERATION))?;
        let Some((_, roles, projects)) = row else { return Ok(Changed::NoUser) };
        let mut lists = Lists { roles: list(roles.as_deref()), projects: list(projects.as_deref()) };
        let was_admin = lists.roles.iter().any(|role| role == "admin");
        if let Err(refused) = change(&mut lists) {
            return Ok(Changed::Refused(refused));
        }
        let is_admin = lists.roles.iter().any(|role| role == "admin");
        if was_admin && !is_admin && is_last_admin(&mut transaction, username).await? {
            return Ok(Changed::LastAdmin);
        }
        sqlx::query("UPDATE hpc_user SET roles = ?, projects = ? WHERE username = ?")
            .bind(serde_json::Value::from(lists.roles).to_string())
            .bind(serde_json::Value::from(lists.projects).to_string())
            .bind(username)
            .execute(&mut *transaction)
            .await
            .map_err(Error::in_query(OPERATION))?;
        audit::record(&mut transaction, self.clock.unix(), &event).await?;
        transaction.commit().await?;
        Ok(Changed::Done)
    }

    /// Removes a user as [`Store::remove_user`] does, unless no administrator would be left: asked in the same transaction,
    /// or two that remove each other would both find the other one.
    pub(crate) async fn remove_user_but_last_admin(
        &self,
        username: &str,
        event: Event<'_>,
    ) -> Result<Removed> {
        let mut transaction = self.database.write("users").await?;
        if is_last_admin(&mut transaction, username).await? {
            return Ok(Removed::LastAdmin);
        }
        if users::remove(&mut transaction, username).await? {
            audit::record(&mut transaction, self.clock.unix(), &event).await?;
        }
        transaction.commit().await?;
        Ok(Removed::Done)
    }
}

/// Whether nobody could administrate the site without a user: the last administrator, or the last of those who can sign
/// in, which takes a password that is kept here. Tokens of the others end some day, and only somebody who is signed in
/// reaches the forms.
async fn is_last_admin(connection: &mut SqliteConnection, username: &str) -> Result<bool> {
    type Row = (String, Option<Vec<u8>>, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT username, CAST(roles AS BLOB), ldap = ? AND COALESCE(length(password), 0) > 0 FROM hpc_user",
    )
    .bind(Source::Local.number())
    .fetch_all(connection)
    .await
    .map_err(Error::in_query("count the administrators"))?;
    let is_admin = |(_, roles, _): &Row| list(roles.as_deref()).iter().any(|role| role == "admin");
    let (own, others): (Vec<Row>, Vec<Row>) =
        rows.into_iter().filter(is_admin).partition(|(name, ..)| name == username);
    Ok(match own.first() {
        None => false,
        Some((.., false)) => others.is_empty(),
        Some((.., true)) => !others.iter().any(|(.., signs_in)| *signs_in),
    })
}
