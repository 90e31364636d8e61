//! What the command line does besides serving (config-and-cli.md 6.3, 6.5, 6.6, 8): on the files, in this process, also
//! while services run.

mod database;
mod import;
mod init;
mod init_db;

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use cc_database::Database;
use cc_model::Clusters;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::config::archive::Place;
use cc_runtime::files::lock::DatabaseLock;
use cc_runtime::flags::Flags;

pub use database::on_the_file;
pub use init::{init, init_tls};

use crate::compose::Parts;

/// An action failed; the text is for the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard output is gone.
    #[error("failed to write to standard output")]
    Output(#[from] io::Error),
    /// The database.
    #[error("{0}")]
    Database(#[source] cc_database::Error),
    /// A migration was not finished by whoever began it.
    #[error("migrating database to version 11: {0}")]
    Unfinished(#[source] cc_database::Error),
    /// A user or a token.
    #[error(transparent)]
    Auth(#[from] cc_auth::cli::Error),
    /// Keys or settings of auth.
    #[error(transparent)]
    AuthSettings(#[from] cc_auth::settings::SettingsError),
    /// The archive.
    #[error("{0}")]
    Archive(#[from] cc_archive::Error),
    /// A job cannot be imported.
    #[error("importing job: {0}")]
    Import(#[from] import::Error),
    /// The tables cannot be rebuilt from the archive; they are as they were.
    #[error("Init DB: {0}")]
    Rebuild(#[from] cc_job_db::RebuildError),
    /// The taggers did not come to an end.
    #[error(transparent)]
    Taggers(cc_job_db::Error),
    /// It needs authentication.
    #[error("--add-user and --del-user can only be used if authentication is enabled")]
    NoAuthentication,
    /// Checkpoint files.
    #[error("{0}")]
    Checkpoints(#[from] cc_metric_store::Error),
    /// There is no directory server to ask.
    #[error("LDAP authentication is not configured")]
    NoLdap,
}

/// `-cleanup-checkpoints` and `-export-checkpoints`; false: neither is asked for.
///
/// # Errors
/// [`Error::Checkpoints`].
pub async fn checkpoints(
    config: &Config,
    flags: &Flags,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<bool, Error> {
    if flags.on("cleanup-checkpoints") {
        // Without a line end, as the reference.
        write!(out, "{}", cc_metric_store::cleanup_checkpoints(config, clock).await?)?;
        return Ok(true);
    }
    if flags.on("export-checkpoints") {
        writeln!(out, "{}", cc_metric_store::export_checkpoints(config, clock).await?)?;
        return Ok(true);
    }
    Ok(false)
}

/// Whether any flag asks for an action on the open database.
pub fn wanted(flags: &Flags) -> bool {
    ["add-user", "del-user", "jwt", "import-job"].iter().any(|name| flags.given(name).is_some())
        || flags.on("sync-ldap")
        || flags.on("init-db")
        || flags.on("apply-tags")
}

/// The actions in the order of the reference: users and tokens, then the archive, then imports. The archive is opened
/// even when nothing is asked of it, so that a broken one is noticed.
///
/// # Errors
/// The first action that fails.
pub async fn run(
    parts: &Parts,
    flags: &Flags,
    input: &mut (dyn Read + Send),
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let (database, lock) = Database::of_action(&parts.config).await.map_err(Error::Database)?;
    let outcome = users(parts, &database, flags, input, out).await;
    let archive = outcome.and_then(|()| open_archive(&parts.config));
    let archive = closed(&database, lock, archive).await?;
    if flags.on("init-db") {
        init_db::rebuild(&parts.config, &archive, out).await?;
    }
    if let Some(pairs) = flags.given("import-job") {
        let (database, lock) = Database::of_action(&parts.config).await.map_err(Error::Database)?;
        let outcome = import::import(&archive, &database, &parts.clock, pairs).await;
        closed(&database, lock, outcome.map_err(Error::from)).await?;
    }
    if flags.on("apply-tags") {
        let (database, lock) = Database::of_action(&parts.config).await.map_err(Error::Database)?;
        let outcome = apply_tags(parts, &archive, &database).await;
        let applied = closed(&database, lock, outcome).await?;
        for problem in &applied.problems {
            tracing::warn!("tagger rules: {problem}");
        }
        tracing::info!("looked at {} jobs, {} got new tags or messages", applied.jobs, applied.tagged);
    }
    Ok(())
}

/// `-apply-tags`.
async fn apply_tags(
    parts: &Parts,
    archive: &Archive,
    database: &Database,
) -> Result<cc_job_db::AppliedTags, Error> {
    let layout = archive.layout.clone();
    let lookup: cc_job_db::Lookup =
        Arc::new(move |key| layout.meta(key).ok().and_then(|entry| entry.statistics));
    let files = archive.clusters.snapshot().files.clone();
    let rules = Path::new("./var/tagger");
    cc_job_db::apply_tags(database, &parts.clock, files, rules, lookup).await.map_err(Error::Taggers)
}

/// Closes the database, also after a failure: what succeeded before it must be in the file.
async fn closed<T>(database: &Database, lock: DatabaseLock, outcome: Result<T, Error>) -> Result<T, Error> {
    let closed = database.close().await.map_err(Error::Database);
    drop(lock);
    let value = outcome?;
    closed.map(|()| value)
}

/// The last word of a call without `-server`.
///
/// # Errors
/// [`Error::Output`].
pub fn say_nothing_served(out: &mut (dyn Write + Send)) -> Result<(), Error> {
    writeln!(out, "No errors, server flag not set. Exiting cc-backend.")?;
    Ok(())
}

/// Runs an action before there is a runtime; the result is the exit code, an error is told on standard output as the
/// reference does it for `-init`.
pub fn early<E: std::error::Error + 'static>(action: impl Future<Output = Result<(), E>>) -> u8 {
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(action).map_err(|error| cc_runtime::error::chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => 0,
        Err(text) => {
            // Without standard output there is nobody to tell.
            let _ = writeln!(io::stdout(), "{text}");
            1
        }
    }
}

/// The archive's directory with its cluster files.
#[derive(Debug)]
pub struct Archive {
    layout: cc_archive::layout::Layout,
    clusters: cc_archive::clusters::ClusterFiles,
}

impl Archive {
    fn clusters(&self) -> Clusters {
        self.clusters.snapshot().clusters.clone()
    }
}

fn open_archive(config: &Config) -> Result<Archive, Error> {
    let path = match &config.archive.place {
        Place::File { path } => path,
        Place::S3(_) => return Err(cc_archive::Error::Kind { kind: "s3" }.into()),
        Place::Sqlite { .. } => return Err(cc_archive::Error::Kind { kind: "sqlite" }.into()),
    };
    let layout = cc_archive::layout::Layout::open(path)?;
    let clusters = cc_archive::clusters::ClusterFiles::load(layout.clone(), 0)?;
    Ok(Archive { layout, clusters })
}

async fn users(
    parts: &Parts,
    database: &Database,
    flags: &Flags,
    input: &mut (dyn Read + Send),
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let (add, delete) = (flags.given("add-user"), flags.given("del-user"));
    if parts.config.main.disable_authentication {
        return if add.is_some() || delete.is_some() { Err(Error::NoAuthentication) } else { Ok(()) };
    }
    let settings = cc_auth::Settings::load(&parts.config, &*parts.env)?;
    if let Some(spec) = add {
        cc_auth::cli::add_user(database, &parts.clock, spec, input).await?;
    }
    if let Some(name) = delete {
        cc_auth::cli::del_user(database, &parts.clock, name).await?;
    }
    if flags.on("sync-ldap") {
        return Err(Error::NoLdap);
    }
    if let Some(name) = flags.given("jwt") {
        let line = cc_auth::cli::mint_jwt(database, &parts.clock, &settings, name).await?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}
