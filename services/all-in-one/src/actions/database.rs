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
    let lock = match flag {
        // it makes the database if there is none
        "migrate-db" => DatabaseLock::take(db, Purpose::Alone).map_err(cc_database::Error::from),
        _ => cc_database::lock(db, Purpose::Alone),
    };
    let _lock = lock.map_err(Error::Database)?;
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

#[cfg(test)]
mod tests {
    use cc_runtime::config::Program;
    use cc_runtime::env::MapEnv;
    use cc_runtime::flags;

    use super::*;

    #[tokio::test]
    async fn a_database_that_is_not_there_is_said_to_be_missing_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let (db, file) = (folder.path().join("job.db"), folder.path().join("config.json"));
        std::fs::write(&file, serde_json::json!({"main": {"db": db}}).to_string()).unwrap();
        let config = Config::load(&file, Program::Backend, &MapEnv::new()).unwrap().config;
        for flag in FLAGS {
            let flags = Flags::parse(flags::BACKEND, [format!("-{flag}")]).unwrap();
            let outcome = on_the_file(&config, &flags, &mut Vec::new()).await;
            if flag == "migrate-db" {
                assert!(outcome.unwrap() && db.try_exists().unwrap());
                std::fs::remove_file(&db).unwrap();
                std::fs::remove_file(folder.path().join("job.db.lock")).unwrap();
                continue;
            }
            assert!(matches!(outcome, Err(Error::Database(cc_database::Error::Missing { .. }))), "{flag}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{flag}");
        }
    }
}
