//! Section `nats` (config-and-cli.md 3.3).

use std::fmt;
use std::path::PathBuf;

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
