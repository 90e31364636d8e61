//! Environment variables as a parameter, the `.env` file, and `NAME_FILE` variants of secrets.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod dotenv;

/// The variables with secrets (config-and-cli.md 5.1). Each may instead be given as `NAME_FILE`, the path of a
/// file with the value, as systemd credentials and container secrets are.
pub const SECRETS: [&str; 8] = [
    "SESSION_KEY",
    "JWT_PUBLIC_KEY",
    "JWT_PRIVATE_KEY",
    "LDAP_ADMIN_PASSWORD",
    "CROSS_LOGIN_JWT_PUBLIC_KEY",
    "CROSS_LOGIN_JWT_HS512_KEY",
    "OID_CLIENT_ID",
    "OID_CLIENT_SECRET",
];

/// A source of environment variables.
pub trait Env: fmt::Debug + Send + Sync {
    /// The value of a variable; `None` when it is not set or no valid UTF-8.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the process environment")]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Variables held in memory. Its debug form shows the names only.
#[derive(Clone, Default)]
pub struct MapEnv(HashMap<String, String>);

impl MapEnv {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for MapEnv {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Env for MapEnv {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

impl fmt::Debug for MapEnv {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.0.keys().collect();
        names.sort();
        formatter.debug_tuple("MapEnv").field(&names).finish()
    }
}

/// Why the environment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `.env` file cannot be read (a missing file is no error).
    #[error("loading .env file: failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The `.env` file cannot be understood.
    #[error("loading .env file: {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        source: dotenv::Error,
    },
    /// A file named by a `NAME_FILE` variable cannot be read.
    #[error("{variable} names {}, which cannot be read", path.display())]
    SecretFile {
        /// The variable, with its ending `_FILE`.
        variable: String,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A variable that is needed is nowhere.
    #[error("{name} is not set: put it into the file .env or the environment, or its path into {name}_FILE")]
    Missing {
        /// The variable.
        name: String,
    },
}

/// The environment of a program: the process's own variables, then the `.env` file, then `NAME_FILE` of the
/// [`SECRETS`]. The first that has a variable wins, as in the reference (config-and-cli.md 5.2, D-27).
#[derive(Clone, Debug)]
pub struct ProgramEnv {
    process: Arc<dyn Env>,
    file: MapEnv,
    secrets: MapEnv,
    /// What an operator should hear about once logging works.
    pub notes: Vec<Note>,
}

/// Something about the environment that deserves a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// There is no such `.env` file.
    NoFile(PathBuf),
    /// The `.env` file can be read by everybody on the machine.
    WorldReadable(PathBuf),
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile(path) => {
                write!(formatter, "no file {}, using the environment alone", path.display())
            }
            Self::WorldReadable(path) => write!(
                formatter,
                "{} holds secrets and every user of this machine may read it: chmod 0640 {0}",
                path.display()
            ),
        }
    }
}

impl ProgramEnv {
    /// Reads the `.env` file at `path` (may be missing) and the files that `NAME_FILE` variables name.
    pub fn load(process: Arc<dyn Env>, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut notes = Vec::new();
        let file = match std::fs::read_to_string(path) {
            Ok(text) => {
                if is_world_readable(path) {
                    notes.push(Note::WorldReadable(path.to_owned()));
                }
                let variables = dotenv::parse(&text, &*process)
                    .map_err(|source| Error::Parse { path: path.to_owned(), source })?;
                variables.into_iter().collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                notes.push(Note::NoFile(path.to_owned()));
                MapEnv::new()
            }
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        let mut env = Self { process, file, secrets: MapEnv::new(), notes };
        env.secrets = SECRETS
            .iter()
            .filter(|name| env.get(name).is_none())
            .filter_map(|name| env.read_secret(name).transpose())
            .collect::<Result<MapEnv, Error>>()?;
        Ok(env)
    }

    fn read_secret(&self, name: &str) -> Result<Option<(String, String)>, Error> {
        let variable = format!("{name}_FILE");
        let Some(path) = self.get(&variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
            return Ok(None);
        };
        let value =
            std::fs::read_to_string(&path).map_err(|source| Error::SecretFile { variable, path, source })?;
        // Editors and `echo` leave a line end that is no part of a secret.
        Ok(Some((name.to_owned(), value.trim_end_matches(['\n', '\r']).to_owned())))
    }
}

impl Env for ProgramEnv {
    fn get(&self, name: &str) -> Option<String> {
        self.process.get(name).or_else(|| self.file.get(name)).or_else(|| self.secrets.get(name))
    }
}

/// The value of a variable that must be set and not empty.
pub fn require(env: &dyn Env, name: &str) -> Result<String, Error> {
    env.get(name).filter(|value| !value.is_empty()).ok_or_else(|| Error::Missing { name: name.to_owned() })
}

fn is_world_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn process_beats_file_and_file_beats_secret_file() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "from secret\n").unwrap();
        let dotenv = directory.path().join(".env");
        std::fs::write(&dotenv, "SESSION_KEY=from file\nJWT_PUBLIC_KEY=from file\n").unwrap();
        std::fs::set_permissions(&dotenv, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut process = MapEnv::new().with("SESSION_KEY", "from process");
        for name in ["SESSION_KEY", "JWT_PUBLIC_KEY", "JWT_PRIVATE_KEY"] {
            process = process.with(format!("{name}_FILE"), secret.to_str().unwrap());
        }
        let env = ProgramEnv::load(Arc::new(process), &dotenv).unwrap();
        assert_eq!(env.get("SESSION_KEY").unwrap(), "from process");
        assert_eq!(env.get("JWT_PUBLIC_KEY").unwrap(), "from file");
        assert_eq!(env.get("JWT_PRIVATE_KEY").unwrap(), "from secret");
        assert_eq!(env.get("LDAP_ADMIN_PASSWORD"), None);
        assert_eq!(env.notes, []);
    }

    #[test]
    fn secrets_never_show_in_debug() {
        let env = MapEnv::new().with("SESSION_KEY", "hidden");
        assert_eq!(format!("{env:?}"), r#"MapEnv(["SESSION_KEY"])"#);
        let env = ProgramEnv::load(Arc::new(env), "/nonexistent/.env").unwrap();
        assert!(!format!("{env:?}").contains("hidden"));
    }

    #[test]
    fn missing_file_and_open_file_are_noted() {
        let directory = tempfile::tempdir().unwrap();
        let dotenv = directory.path().join(".env");
        let env = ProgramEnv::load(Arc::new(MapEnv::new()), &dotenv).unwrap();
        assert_eq!(env.notes, [Note::NoFile(dotenv.clone())]);
        std::fs::write(&dotenv, "").unwrap();
        std::fs::set_permissions(&dotenv, std::fs::Permissions::from_mode(0o644)).unwrap();
        let env = ProgramEnv::load(Arc::new(MapEnv::new()), &dotenv).unwrap();
        assert_eq!(env.notes, [Note::WorldReadable(dotenv)]);
    }

    #[test]
    fn unreadable_files_are_errors_that_name_them() {
        let directory = tempfile::tempdir().unwrap();
        let error = ProgramEnv::load(Arc::new(MapEnv::new()), directory.path()).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error}");
        let process = MapEnv::new().with("SESSION_KEY_FILE", "/nonexistent/key");
        let error = ProgramEnv::load(Arc::new(process), directory.path().join(".env")).unwrap_err();
        assert_eq!(error.to_string(), "SESSION_KEY_FILE names /nonexistent/key, which cannot be read");
        let dotenv = directory.path().join(".env");
        std::fs::write(&dotenv, "A=1\nwhat is this\n").unwrap();
        let error = ProgramEnv::load(Arc::new(MapEnv::new()), &dotenv).unwrap_err();
        assert!(matches!(error, Error::Parse { .. }), "{error}");
    }

    #[test]
    fn a_missing_variable_says_where_to_put_it() {
        let error = require(&MapEnv::new().with("A", ""), "A").unwrap_err();
        assert_eq!(
            error.to_string(),
            "A is not set: put it into the file .env or the environment, or its path into A_FILE"
        );
        assert_eq!(require(&MapEnv::new().with("A", "b"), "A").unwrap(), "b");
    }
}
