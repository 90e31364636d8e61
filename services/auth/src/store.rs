//! The tables of this service in `job.db`: `hpc_user` of the reference, and `ccx_session` and `ccx_audit` of our own.
//!
//! Every change takes the [`Event`] that the audit log keeps of it and writes both in one transaction.

use cc_database::side::{self, Step};
use cc_database::{Database, Result};
use cc_runtime::clock::Clock;

pub(crate) use self::administration::{Changed, Lists, Removed};
pub use self::audit::{Action, Event, Outcome};
pub(crate) use self::sessions::{Found, NewSession};
pub(crate) use self::settings::Put;
pub(crate) use self::users::{Account, NewUser};

mod administration;
mod audit;
mod sessions;
mod settings;
mod users;

/// Our own tables. `credential` ties a session to the password hash it was opened with (SHA-256), so that a new
/// password ends it; no foreign key, which would change what the reference's own statements do.
const STEPS: &[Step] = &[Step {
    version: 1,
    sql: "
        CREATE TABLE ccx_session (
            hash BLOB PRIMARY KEY NOT NULL,
            username TEXT NOT NULL,
            credential BLOB,
            address TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX ccx_session_username ON ccx_session (username, created_at);
        CREATE INDEX ccx_session_expires_at ON ccx_session (expires_at);
        CREATE TABLE ccx_audit (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            address TEXT NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            outcome TEXT NOT NULL,
            detail TEXT NOT NULL
        );
        CREATE INDEX ccx_audit_at ON ccx_audit (at);",
}];

/// The tables, open.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    clock: Clock,
}

impl Store {
    /// Makes our own tables where they are missing.
    ///
    /// # Errors
    /// [`cc_database::Error`], e.g. when a later release was here.
    pub async fn open(database: Database, clock: Clock) -> Result<Self> {
        side::ensure(&database, "auth", STEPS).await?;
        Ok(Self { database, clock })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }
}

#[cfg(test)]
mod tests;
