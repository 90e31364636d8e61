//! Table `hpc_user` (spec auth.md 2.1). The reference writes roles and projects as text or as blob; both are read, text is
//! written.

use cc_database::sql::Sql;
use cc_database::{Error, Result};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection};

use super::{Event, Store, audit};
use crate::user::{Source, User, stored_list};

/// A user with what is needed to check a password.
pub(crate) struct Account {
    pub(crate) user: User,
    /// The bcrypt hash; `None` for users without password.
    pub(crate) password: Option<String>,
}

/// A user to be made: local.
#[derive(Clone, Copy, Default)]
pub(crate) struct NewUser<'a> {
    pub(crate) username: &'a str,
    pub(crate) roles: &'a [String],
    /// The bcrypt hash.
    pub(crate) password: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
    pub(crate) projects: &'a [String],
}

/// Columns of a user, as bytes whatever their storage class.
pub(super) const COLUMNS: &str = "u.username, CAST(u.password AS BLOB) AS password, u.ldap, CAST(u.name AS BLOB) AS name, \
     CAST(u.email AS BLOB) AS email, CAST(u.roles AS BLOB) AS roles, CAST(u.projects AS BLOB) AS projects";

impl FromRow<'_, SqliteRow> for Account {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let text = |column: &str| -> sqlx::Result<Option<String>> {
            let bytes: Option<Vec<u8>> = row.try_get(column)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let list = |column: &'static str, username: &str| -> sqlx::Result<Vec<String>> {
            let bytes: Option<Vec<u8>> = row.try_get(column)?;
            Ok(stored_list(&bytes.unwrap_or_else(|| b"[]".to_vec()), column, username))
        };
        let username: String = row.try_get("username")?;
        let user = User {
            name: text("name")?.unwrap_or_default(),
            email: text("email")?.unwrap_or_default(),
            roles: list("roles", &username)?,
            projects: list("projects", &username)?,
            source: Source::of_number(row.try_get("ldap")?),
            username,
        };
        Ok(Self { user, password: text("password")?.filter(|hash| !hash.is_empty()) })
    }
}

impl Store {
    /// A user by exact name.
    pub(crate) async fn account(&self, username: &str) -> Result<Option<Account>> {
        let mut reader = self.database.read().await?;
        Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM hpc_user u WHERE u.username = ")
            .bind(username)
            .build_as()
            .fetch_optional(&mut *reader)
            .await
            .map_err(Error::in_query("read a user"))
    }

    /// Those of the names that are users, sorted.
    pub(crate) async fn users(&self, usernames: &[String]) -> Result<Vec<User>> {
        let mut reader = self.database.read().await?;
        let accounts: Vec<Account> = Sql::new("SELECT ")
            .push(COLUMNS)
            .push(" FROM hpc_user u WHERE u.username IN ")
            .bind_list(usernames)
            .push(" ORDER BY u.username")
            .build_as()
            .fetch_all(&mut *reader)
            .await
            .map_err(Error::in_query("read users"))?;
        Ok(accounts.into_iter().map(|account| account.user).collect())
    }

    /// Makes a user.
    ///
    /// # Errors
    /// Class `Unique` when the name is taken.
    pub(crate) async fn add_user(&self, new: NewUser<'_>, event: Event<'_>) -> Result<()> {
        let mut transaction = self.database.write("users").await?;
        insert(&mut transaction, new).await?;
        audit::record(&mut transaction, self.clock.unix(), &event).await?;
        transaction.commit().await
    }

    /// Removes a user of any source with its sessions and settings; tags and jobs stay. Tells whether there was one.
    pub(crate) async fn remove_user(&self, username: &str, event: Event<'_>) -> Result<bool> {
        let mut transaction = self.database.write("users").await?;
        let removed = remove(&mut transaction, username).await?;
        if removed {
            audit::record(&mut transaction, self.clock.unix(), &event).await?;
        }
        transaction.commit().await?;
        Ok(removed)
    }
}

/// Removes a user with its sessions; the caller writes the audit log.
pub(super) async fn remove(connection: &mut SqliteConnection, username: &str) -> Result<bool> {
    let removed = sqlx::query("DELETE FROM hpc_user WHERE username = ?")
        .bind(username)
        .execute(&mut *connection)
        .await
        .map_err(Error::in_query("remove a user"))?
        .rows_affected();
    sqlx::query("DELETE FROM ccx_session WHERE username = ?")
        .bind(username)
        .execute(connection)
        .await
        .map_err(Error::in_query("end the sessions of a user"))?;
    Ok(removed > 0)
}

async fn insert(connection: &mut SqliteConnection, new: NewUser<'_>) -> Result<()> {
    let roles = serde_json::Value::from(new.roles).to_string();
    let projects = serde_json::Value::from(new.projects).to_string();
    sqlx::query(
        "INSERT INTO hpc_user (username, password, ldap, roles, projects, name, email) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.username)
    .bind(new.password)
    .bind(Source::Local.number())
    .bind(roles)
    .bind(projects)
    .bind(new.name)
    .bind(new.email)
    .execute(connection)
    .await
    .map_err(Error::in_query("insert user"))?;
    Ok(())
}
