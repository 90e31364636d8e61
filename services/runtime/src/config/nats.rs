//! Section `nats` (config-and-cli.md 3.3).

use std::fmt;
use std::path::PathBuf;

use super::section::Section;

/// The message broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Nats {
    /// `address`: URLs, comma separated; empty: no connection.
    pub address: String,
    /// `username`, used together with `password` only.
    pub username: String,
    /// `password`.
    pub password: String,
    /// `creds-file-path`: a `.creds` file.
    pub creds_file_path: Option<PathBuf>,
}

impl fmt::Debug for Nats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Nats")
            .field("username", &self.username)
            .field("creds_file_path", &self.creds_file_path)
            .finish_non_exhaustive()
    }
}

/// Reads the section.
pub(super) fn read(section: Section<'_>) -> Nats {
    let text = |key| section.get::<String>(key).unwrap_or_default();
    let mut nats = Nats {
        address: text("address"),
        username: text("username"),
        password: text("password"),
        creds_file_path: None,
    };
    section.set_text("creds-file-path", &mut nats.creds_file_path);
    if nats.address.is_empty() {
        section.at.key("address").warn("missing: there will be no connection");
    }
    if nats.username.is_empty() != nats.password.is_empty() {
        section.at.warn("one of username and password is missing: neither is used");
    }
    section.finish();
    nats
}
