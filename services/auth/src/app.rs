//! What the service does: open, check and end sessions, check tokens.

use std::sync::Arc;

use cc_database::Database;
use cc_runtime::clock::Clock;
use tokio::sync::Semaphore;

pub use self::administration::{Change, NewPerson};
pub use self::authenticate::Authenticated;
pub use self::login::LoggedIn;
use crate::attempts::Attempts;
use crate::error::Error;
use crate::settings::Settings;
use crate::store::Store;
use crate::token::Verifier;
use crate::users::Users;

mod administration;
mod authenticate;
mod login;
mod preferences;

/// Most logins that are looked at at the same time; each takes some 50 ms of CPU.
const LOGINS_MAX: usize = 32;

/// The service, without its wire form. Clones share everything.
#[derive(Debug, Clone)]
pub struct App {
    store: Store,
    users: Users,
    verifier: Arc<Verifier>,
    attempts: Arc<Attempts>,
    logins: Arc<Semaphore>,
    session_max_age_s: i64,
    validate_user: bool,
}

impl App {
    /// Opens the tables.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn open(database: Database, clock: Clock, settings: &Settings) -> Result<Self, Error> {
        let store = Store::open(database, clock.clone()).await?;
        let attempts = Attempts::new(clock.clone(), settings.login_attempts, settings.login_window);
        Ok(Self {
            users: Users::new(store.clone()),
            store,
            verifier: Arc::new(Verifier::new(settings.keys.verifying(), clock)),
            attempts: Arc::new(attempts),
            logins: Arc::new(Semaphore::new(LOGINS_MAX)),
            session_max_age_s: settings.session_max_age_s,
            validate_user: settings.validate_user,
        })
    }

    /// The users, to be asked [`Users::as_seen_by`].
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// The tables.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

#[cfg(test)]
mod tests;
