//! `-init` (config-and-cli.md 6.5): a configuration that starts, fresh keys, an empty database, an empty archive.

use std::io::{self, Write};
use std::path::Path;

use cc_proto::access::Peer;
use cc_runtime::clock::Clock;
use cc_runtime::{files, tls};
use serde_json::{Value, json};

/// What could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard output is gone.
    #[error("failed to write to standard output")]
    Output(#[from] io::Error),
    /// A file or directory.
    #[error("could not set up {path}. Application initialization failed, exited")]
    File {
        /// The file or directory.
        path: &'static str,
        /// Why.
        source: files::Error,
    },
    /// Whether a path is there cannot be told.
    #[error("could not look at {path}. Application initialization failed, exited")]
    Look {
        /// The path.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error("could not create ./var/job.db. Application initialization failed, exited")]
    Database(#[source] cc_database::Error),
    /// Keys and certificates.
    #[error("making keys and certificates")]
    Tls(#[source] tls::Error),
    /// The archive.
    #[error("could not set up ./var/job-archive. Application initialization failed, exited")]
    Archive(#[source] cc_archive::Error),
}

/// Sets the working directory up. With an existing `./var` nothing is written.
///
/// # Errors
/// [`Error`] names what could not be made; what was made before stays.
pub async fn init(out: &mut (dyn Write + Send)) -> Result<(), Error> {
    if exists("./var")? {
        writeln!(out, "Directory ./var already exists. Cautiously exiting application initialization.")?;
        return Ok(());
    }
    // An existing configuration or secret is never replaced.
    if !exists("./config.json")? {
        let mut text = serde_json::to_string_pretty(&config()).unwrap_or_default();
        text.push('\n');
        let write = files::write_atomic("./config.json", text);
        write.map_err(|source| Error::File { path: "./config.json", source })?;
    }
    if !exists("./.env")? {
        let write = files::write_atomic_with_mode("./.env", cc_auth::fresh_keys(), files::SECRET_MODE);
        write.map_err(|source| Error::File { path: "./.env", source })?;
    }
    for path in ["./var", "./var/job-archive"] {
        files::create_directory(path).map_err(|source| Error::File { path, source })?;
    }
    cc_database::create("./var/job.db").await.map_err(Error::Database)?;
    cc_archive::layout::Layout::open(Path::new("./var/job-archive")).map_err(Error::Archive)?;
    writeln!(out, "Successfully setup environment!")?;
    writeln!(out, "Please review config.json and .env and adjust it to your needs.")?;
    writeln!(out, "Add your job-archive at ./var/job-archive.")?;
    writeln!(out, "Next: cc-backend -add-user 'NAME:admin,api:PASSWORD', then cc-backend -server")?;
    Ok(())
}

/// `-init-tls DIR`: keys and certificates for split services; valid ones are left as they are.
///
/// # Errors
/// [`Error::Tls`].
pub async fn init_tls(directory: &str, clock: &Clock, out: &mut (dyn Write + Send)) -> Result<(), Error> {
    let made = tls::init_tls(Path::new(directory), &Peer::ALL, clock).map_err(Error::Tls)?;
    for path in &made.written {
        writeln!(out, "made {}", path.display())?;
    }
    writeln!(
        out,
        "{} files made, {} were there and good, in {directory}",
        made.written.len(),
        made.kept.len()
    )?;
    Ok(())
}

fn exists(path: &'static str) -> Result<bool, Error> {
    Path::new(path).try_exists().map_err(|source| Error::Look { path, source })
}

fn config() -> Value {
    json!({
        "main": {
            "addr": "127.0.0.1:8080",
            "short-running-jobs-duration": 300,
            "resampling": {"minimum-points": 600, "trigger": 300, "resolutions": [240, 60]},
            "api-allowed-ips": ["*"],
            "emission-constant": 317
        },
        "cron": {"commit-job-worker": "1m", "duration-worker": "5m", "footprint-worker": "10m"},
        "archive": {"kind": "file", "path": "./var/job-archive"},
        "auth": {"jwts": {"max-age": "2000h"}},
        "metric-store": {
            "checkpoints": {"directory": "./var/checkpoints"},
            "checkpoint-interval": "1h",
            "retention-in-memory": "48h",
            "memory-cap": 8
        }
    })
}
