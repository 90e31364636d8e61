//! The lock beside `job.db`: `<db>.lock`, released by the kernel when the process ends.
//!
//! Three kinds of user share it. Each byte of the file is a lock of its own:
//!
//! | Byte | Held by |
//! |---|---|
//! | 0 | shared: everybody who has the database open; exclusive: migrations and `-init-db` |
//! | 1 | exclusive: the process that serves auth |
//! | 2 | exclusive: the process that serves job-db |
//!
//! So the processes of one split deployment and short command-line actions work side by side, a second
//! server on the same database is refused, and a migration waits for nobody and disturbs nobody.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::FILE_MODE;

/// What the database is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Serving these services; one server of each per database.
    Serve {
        /// Whether this process serves auth.
        auth: bool,
        /// Whether this process serves job-db.
        job_db: bool,
    },
    /// A short command-line action beside running servers, such as `-add-user`.
    Action,
    /// Alone: a migration or `-init-db`.
    Alone,
}

/// Why the lock was not given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock file cannot be opened or locked at all.
    #[error("failed to lock database {} by {}", database.display(), lock.display())]
    Open {
        /// The database.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another server has this database.
    #[error(
        "database {} is already served by another process as {service}: two servers on one database would \
         destroy each other's work. Stop the other one first (`fuser {}` names it)",
        database.display(), lock.display()
    )]
    Served {
        /// The database.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// `auth` or `job-db`.
        service: &'static str,
    },
    /// Somebody has the database open and we need it alone.
    #[error(
        "database {} is in use by another process; this action needs it alone. Stop the services that use it \
         first (`fuser {}` names them)",
        database.display(), lock.display()
    )]
    InUse {
        /// The database.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// A migration is running.
    #[error(
        "database {} is being migrated or rebuilt by another process; try again when that is done (`fuser {}` \
         names it)",
        database.display(), lock.display()
    )]
    Alone {
        /// The database.
        database: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
}

/// The lock; held until dropped.
#[derive(Debug)]
pub struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Takes the lock of the database at `database` at once or says why not. Never waits.
    pub fn take(database: impl AsRef<Path>, purpose: Purpose) -> Result<Self, Error> {
        let database = database.as_ref().to_owned();
        let mut lock = database.clone().into_os_string();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let failed =
            |source: io::Error| Error::Open { database: database.clone(), lock: lock.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&lock)
            .map_err(failed)?;
        let wants = match purpose {
            Purpose::Alone => vec![(0, libc::F_WRLCK)],
            Purpose::Action => vec![(0, libc::F_RDLCK)],
            Purpose::Serve { auth, job_db } => {
                let mut wants = vec![(0, libc::F_RDLCK)];
                wants.extend(auth.then_some((1, libc::F_WRLCK)));
                wants.extend(job_db.then_some((2, libc::F_WRLCK)));
                wants
            }
        };
        for (byte, kind) in wants {
            if !try_lock(&file, byte, kind).map_err(failed)? {
                return Err(match (byte, purpose) {
                    (0, Purpose::Alone) => Error::InUse { database, lock },
                    (0, _) => Error::Alone { database, lock },
                    (1, _) => Error::Served { database, lock, service: "auth" },
                    _ => Error::Served { database, lock, service: "job-db" },
                });
            }
        }
        Ok(Self { _file: file })
    }
}

/// Locks one byte of the open file description (not of the process: two in one process conflict as well).
fn try_lock(file: &File, byte: i64, kind: i32) -> io::Result<bool> {
    let short = |value: i32| i16::try_from(value).map_err(io::Error::other);
    let range = libc::flock {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&range)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Purpose = Purpose::Serve { auth: true, job_db: true };
    const AUTH: Purpose = Purpose::Serve { auth: true, job_db: false };
    const JOB_DB: Purpose = Purpose::Serve { auth: false, job_db: true };

    #[test]
    fn a_second_server_is_refused_and_told_why() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("job.db");
        let first = DatabaseLock::take(&database, BOTH).unwrap();
        for purpose in [BOTH, AUTH] {
            let error = DatabaseLock::take(&database, purpose).unwrap_err();
            assert!(error.to_string().contains("already served by another process as auth"), "{error}");
        }
        let error = DatabaseLock::take(&database, JOB_DB).unwrap_err();
        assert!(matches!(error, Error::Served { service: "job-db", .. }), "{error}");
        drop(first);
        DatabaseLock::take(&database, BOTH).unwrap();
    }

    #[test]
    fn split_services_and_actions_work_side_by_side() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("job.db");
        let _auth = DatabaseLock::take(&database, AUTH).unwrap();
        let _job_db = DatabaseLock::take(&database, JOB_DB).unwrap();
        let _action = DatabaseLock::take(&database, Purpose::Action).unwrap();
        let error = DatabaseLock::take(&database, Purpose::Alone).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error}");
    }

    #[test]
    fn a_migration_is_alone() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("job.db");
        let _alone = DatabaseLock::take(&database, Purpose::Alone).unwrap();
        for purpose in [BOTH, Purpose::Action] {
            let error = DatabaseLock::take(&database, purpose).unwrap_err();
            assert!(matches!(error, Error::Alone { .. }), "{error}");
        }
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = DatabaseLock::take("/nonexistent/job.db", Purpose::Action).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/job.db.lock"), "{error}");
    }
}
