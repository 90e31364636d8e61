//! The `job.db` file at schema version 11 (spec/job-db.md): made, opened, checked and closed here; what is in
//! the rows is the business of the services that own the tables.
//!
//! * [`Database`]: one writer connection (`BEGIN IMMEDIATE`, every commit fsynced) and a pool of read-only ones.
//! * [`create()`]: what `-init` does; [`migrate()`], [`revert()`], [`force()`], [`optimize()`]: `-migrate-db` and its kin, on a file
//!   that nobody else has open.
//! * [`side::ensure`]: a service's own `ccx_` tables, beside the reference's schema and with their own versions.
//! * [`sql::Sql`]: query text that only takes constants; every value is a bound parameter.

mod alone;
mod create;
mod database;
mod error;
mod migrate;
mod open;
mod optimize;
mod options;
mod process;
mod read;
pub mod side;
mod space;
pub mod sql;
mod write;

pub use alone::{Alone, Aside};
pub use create::create;
pub use database::{Database, Quirks};
pub use error::{Class, Error, Result};
pub use migrate::{Backup, Migrated, Progress, force, migrate, revert};
pub use optimize::optimize;
pub use options::Options;
pub use process::lock;
pub use read::Reader;
pub use write::WriteTx;

/// The schema version this product and release 1.5.4 of the reference work on.
pub const SCHEMA_VERSION: i64 = 11;
