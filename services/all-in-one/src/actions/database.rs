//! `-migrate-db`, `-revert-db`, `-force-db`, `-optimize-db` (config-and-cli.md 6.6): on a file that nobody else has open.

use std::io::{self, IsTerminal as _, Write};

use cc_database::{Backup, Migrated};
use cc_runtime::config::Config;
use cc_runtime::files::lock::{DatabaseLock, Purpose};
use cc_runtime::flags::Flags;

use super::Error;

/// The flags this module answers, in the order the reference looks at them.
const FLAGS: [&str; 4] = ["migrate-db", "revert-db", "force-db", "optimize-db"];

/// Does what the first of the flags asks for; `false` when none is given.
///
/// # Errors
/// [`Error::Database`], [`Error::Unfinished`]; the file is then as it was.
pub async fn on_the_file(
    config: &Config,
    flags: &Flags,
    out: &mut (dyn Write + Send),
) -> Result<bool, Error> {
    let Some(flag) = FLAGS.into_iter().find(|flag| flags.on(flag)) else { return Ok(false) };
    let db = &config.main.db;
    // `-force-db` and `-revert-db` must not leave a lock file beside a database that is not there
    let _lock = DatabaseLock::take(db, Purpose::Alone).map_err(|error| Error::Database(error.into()))?;
    let (path, shown) = (db.display(), io::stdout().is_terminal());
    let mut told = |line: &str| {
        tracing::info!("{flag}: {line}");
        if shown {
            // without standard output there is nobody to tell
            let _ = writeln!(io::stdout(), "{line}");
        }
    };
    match flag {
        "migrate-db" => {
            let backup = if flags.on("no-backup") { Backup::None } else { Backup::Verified };
            let migrated =
                cc_database::migrate(db, backup, &mut told).await.map_err(|error| match error {
                    cc_database::Error::Dirty => Error::Unfinished(error),
                    error => Error::Database(error),
                })?;
            if let Migrated::Upgraded { backup: Some(copy) } = migrated {
                writeln!(out, "The database as it was is in '{}'.", copy.display())?;
            }
            writeln!(out, "MigrateDB Success: Migrated SQLite database at '{path}' to version 11.")?;
        }
        "revert-db" => {
            cc_database::revert(db, &mut told).await.map_err(Error::Database)?;
            writeln!(out, "RevertDB Success: Reverted SQLite database at '{path}' to version 10.")?;
        }
        "force-db" => {
            cc_database::force(db).await.map_err(Error::Database)?;
            writeln!(out, "ForceDB Success: Forced SQLite database at '{path}' to version 11.")?;
        }
        _ => {
            // these lines are the reference's: told wherever they go
            let mut told = |line: &str| {
                let _ = writeln!(out, "{line}");
            };
            cc_database::optimize(db, &mut told).await.map_err(Error::Database)?;
            writeln!(out, "OptimizeDB Success: Database '{path}' optimized (VACUUM + ANALYZE).")?;
        }
    }
    Ok(true)
}
