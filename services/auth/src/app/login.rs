//! Login by name and password, and logout (spec auth.md 4, 5).

use cc_runtime::{cpu, error::chain};

use super::App;
use crate::error::Error;
use crate::metrics;
use crate::password;
use crate::session::Secret;
use crate::store::{Account, Action, Event, NewSession, Outcome};
use crate::user::{Source, User};

/// Longest name and password that are looked at, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 1024;

/// An open session.
#[derive(Debug)]
pub struct LoggedIn {
    /// For the cookie.
    pub secret: Secret,
    /// Unix seconds.
    pub expires_at: i64,
    /// Whose it is.
    pub user: User,
}

impl App {
    /// Checks name and password and opens a session. What was wrong is told to nobody, and takes as long in every case.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`], [`Error::TooManyAttempts`], [`Error::LoginsBusy`], [`Error::Database`].
    pub async fn login(&self, username: &str, password: &str, address: &str) -> Result<LoggedIn, Error> {
        let answer = self.try_login(username, password, address).await;
        let outcome = match &answer {
            Ok(_) => metrics::LoginOutcome::Done,
            Err(Error::WrongCredentials) => metrics::LoginOutcome::WrongCredentials,
            Err(Error::TooManyAttempts(_)) => metrics::LoginOutcome::TooManyAttempts,
            Err(_) => metrics::LoginOutcome::Failed,
        };
        metrics::login(outcome);
        answer
    }

    async fn try_login(&self, username: &str, password: &str, address: &str) -> Result<LoggedIn, Error> {
        let attempt = self.attempts.begin(address, username).inspect_err(|_| {
            tracing::warn!(client.address = address, "too many login attempts, not looked at");
        })?;
        let _turn = self.logins.try_acquire().map_err(|_| Error::LoginsBusy)?;
        let fits = username.len() <= CREDENTIAL_BYTES_MAX && password.len() <= CREDENTIAL_BYTES_MAX;
        let account = if fits { self.store.account(username).await? } else { None };
        let account = account.filter(|account| account.user.source == Some(Source::Local));
        let hash = account.as_ref().and_then(|account| account.password.clone());
        let password = if fits { password.to_owned() } else { String::new() };
        let right =
            cpu::run(move || password::verify(&password, hash.as_deref())).await.map_err(Error::Cpu)?;
        if let Some(account) = account.filter(|_| right) {
            attempt.succeeded();
            return self.open_session(account, address).await;
        }
        self.record_refused(username, address).await;
        Err(Error::WrongCredentials)
    }

    async fn open_session(&self, account: Account, address: &str) -> Result<LoggedIn, Error> {
        let secret = Secret::random();
        let expires_at = self.store.clock().unix().saturating_add(self.session_max_age_s);
        let new = NewSession { hash: &secret.hash(), account: &account, address, expires_at };
        let username = &account.user.username;
        let event = Event {
            actor: username,
            address,
            action: Action::Login,
            target: username,
            outcome: Outcome::Done,
            detail: "password",
        };
        self.store.open_session(new, event).await?;
        tracing::info!(
            "login successfull: user: {username} (roles: {:?}, projects: {:?})",
            account.user.roles,
            account.user.projects
        );
        Ok(LoggedIn { secret, expires_at, user: account.user })
    }

    /// The answer is "no" whether or not the log can be written.
    async fn record_refused(&self, username: &str, address: &str) {
        tracing::warn!(client.address = address, "user login failed");
        let event = Event {
            actor: username,
            address,
            action: Action::Login,
            target: username,
            outcome: Outcome::Refused,
            detail: "password",
        };
        if let Err(error) = self.store.record(event).await {
            tracing::error!(error = %chain(&error), "a refused login could not be written to the audit log");
        }
    }

    /// Ends a session. An unknown or ended one is no error.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn logout(&self, cookie: &str) -> Result<(), Error> {
        let Some(secret) = Secret::from_cookie(cookie) else { return Ok(()) };
        let event = Event {
            actor: "",
            address: "",
            action: Action::Logout,
            target: "",
            outcome: Outcome::Done,
            detail: "",
        };
        if let Some(owner) = self.store.close_session(&secret.hash(), event).await? {
            tracing::debug!(user.name = owner, "logout");
        }
        Ok(())
    }
}
