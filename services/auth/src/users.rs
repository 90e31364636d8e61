//! Who may see which users, as types (rust-anchors.md rule 7): [`Users`] itself shows nobody; what a caller may see
//! decides which of two values it gets, and only one of them has a method that takes a name.

use cc_runtime::caller::{Caller, Role};

use crate::error::Error;
use crate::role;
use crate::store::Store;
use crate::user::User;

/// Most names in one look-up.
pub const NAMES_MAX: usize = 1_000;

/// The users of the site.
#[derive(Debug, Clone)]
pub struct Users {
    store: Store,
}

/// The users as one caller sees them.
#[derive(Debug)]
pub enum Seen<'a> {
    /// Managers, support, administrators, and processes acting for themselves see everybody (auth.md 13.2).
    All(AllUsers<'a>),
    /// Everybody else sees one.
    Own(OwnUser<'a>),
}

/// Everybody.
#[derive(Debug)]
pub struct AllUsers<'a> {
    store: &'a Store,
}

/// The caller alone.
#[derive(Debug)]
pub struct OwnUser<'a> {
    store: &'a Store,
    username: &'a str,
}

impl Users {
    /// The users in that store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// What `caller` may see.
    pub fn as_seen_by<'a>(&'a self, caller: &'a Caller) -> Seen<'a> {
        if role::highest(&caller.roles) >= Some(role::level(Role::Manager)) {
            Seen::All(AllUsers { store: &self.store })
        } else {
            Seen::Own(OwnUser { store: &self.store, username: &caller.name })
        }
    }
}

impl AllUsers<'_> {
    /// One user.
    ///
    /// # Errors
    /// [`Error::UserNotFound`], [`Error::Database`].
    pub async fn get(&self, username: &str) -> Result<User, Error> {
        get(self.store, username).await
    }

    /// Those of the names that are users, sorted by name.
    ///
    /// # Errors
    /// [`Error::TooManyNames`], [`Error::Database`].
    pub async fn lookup(&self, usernames: &[String]) -> Result<Vec<User>, Error> {
        if usernames.len() > NAMES_MAX {
            return Err(Error::TooManyNames { found: usernames.len(), limit: NAMES_MAX });
        }
        Ok(self.store.users(usernames).await?)
    }
}

impl OwnUser<'_> {
    /// The caller's name.
    pub fn username(&self) -> &str {
        self.username
    }

    /// The caller's user. Owners of tokens need not have one.
    ///
    /// # Errors
    /// [`Error::UserNotFound`], [`Error::Database`].
    pub async fn get(&self) -> Result<User, Error> {
        get(self.store, self.username).await
    }
}

async fn get(store: &Store, username: &str) -> Result<User, Error> {
    let account = store.account(username).await?;
    account.map(|account| account.user).ok_or_else(|| Error::UserNotFound { username: username.to_owned() })
}
