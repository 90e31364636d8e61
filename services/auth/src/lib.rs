//! Users, passwords, tokens, sessions and the five roles (spec auth.md). Only writer of `hpc_user`, `ccx_session` and
//! `ccx_audit` in `job.db`.
//!
//! * [`start()`]: the service `clustercockpit.auth.v1.Auth`; [`cli`]: `-add-user`, `-del-user`, `-jwt` without a service.
//! * [`app`]: login, logout, and who is behind a session or token; [`users`]: who may see whom.
//! * [`token`]: API tokens; [`session`]: cookies; [`password`], [`role`], [`keys`], [`attempts`]: what they rest on.
//! * [`store`]: the tables and the audit log. `grpc`: the wire form. `janitor`: periodic work.
//!
//! Logins by HMAC token, directory and `OpenID` are not built yet: there is no key, no code and no route for them.

pub mod app;
pub mod attempts;
mod bounded;
pub mod cli;
mod error;
mod fresh;
mod grpc;
mod janitor;
pub mod keys;
pub mod metrics;
pub mod password;
pub mod role;
pub mod session;
pub mod settings;
mod start;
pub mod store;
#[cfg(test)]
mod testing;
pub mod token;
pub mod user;
pub mod users;

pub use self::error::Error;
pub use self::fresh::fresh_keys;
pub use self::settings::Settings;
pub use self::start::{Deps, start};
