//! The reference's checkpoint directory: what it wrote is read at the start, and windows are left there with which it can go on (spec
//! metric-store.md 13). Nothing but such files is ever put into it; what is ours lies beside it.
//!
//! | Module | What it is for |
//! |---|---|
//! | `bin`, `json`, `wal` | the three formats, from and to bytes |
//! | `import` | reading everything that is not in our own checkpoints yet, into a shard that loads |
//! | `imported` | which files are |
//! | `export` | a window of a host, from memory |
//! | `cleanup`, `archive` | what happens to files older than the retention: deleted, or moved to Parquet |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::shard::{SHARDS, shard_of};

pub(crate) mod archive;
pub(crate) mod bin;
pub(crate) mod cleanup;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod imported;
pub(crate) mod json;
pub(crate) mod wal;

#[cfg(test)]
#[path = "reference/tests.rs"]
mod whole;

/// The log of a host.
pub(crate) const LOG_NAME: &str = "current.wal";

/// Largest file that is read; a longer one is no checkpoint of one host.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Damaged files of one name that are kept, at most.
const ASIDE_MAX: u32 = 1000;

/// A series as a snapshot names it. Value `k` of it stands for the time `start + k × interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series<'a> {
    /// Component, empty for the host itself.
    pub(crate) component: &'a str,
    /// Part of the component, empty for the component itself.
    pub(crate) sub_component: &'a str,
    /// Its metric.
    pub(crate) metric: &'a str,
    /// Seconds between values; not checked.
    pub(crate) interval: i64,
    /// Unix seconds of the first value; not checked.
    pub(crate) start: i64,
}

/// Takes the series of a snapshot, one after the other; `NaN` where there is no value.
pub(crate) type Take<'a> = &'a mut dyn FnMut(Series<'_>, &[f64]);

/// The window of a snapshot, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its begin; also the name of its file.
    pub(crate) from: i64,
    /// When it was written; 0: not known.
    pub(crate) to: i64,
}

/// Why a file is none of the reference's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub(crate) struct Damage {
    pub(crate) at: usize,
    pub(crate) problem: &'static str,
}

/// What a file in a host's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Snapshot, binary.
    Bin,
    /// Snapshot, JSON.
    Json,
}

impl Kind {
    /// End of its files' names.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Bin => "bin",
            Self::Json => "json",
        }
    }
}

/// What a file's name says. `None`: the reference ignores it, so do we.
pub(crate) fn kind_of(name: &str) -> Option<(Kind, Option<i64>)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let kind = [Kind::Bin, Kind::Json].into_iter().find(|kind| kind.extension() == extension)?;
    Some((kind, stem.parse().ok()))
}

/// The directory of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostDirectory {
    pub(crate) cluster: String,
    pub(crate) host: String,
    pub(crate) path: PathBuf,
}

/// The directories of all hosts, by shard. A directory that is not there has none. What does not belong there is told: the
/// reference does not start with it. `failed` hears of what cannot be listed; the others are.
///
/// # Errors
/// The directory itself cannot be listed.
pub(crate) fn list(
    directory: &Path,
    failed: &mut dyn FnMut(&Path, io::Error),
) -> io::Result<Vec<Vec<HostDirectory>>> {
    let mut shards = vec![Vec::new(); SHARDS as usize];
    for (cluster, path) in directories(directory, failed)? {
        let hosts = match directories(&path, failed) {
            Ok(hosts) => hosts,
            Err(error) => {
                failed(&path, error);
                continue;
            }
        };
        for (host, path) in hosts {
            if let Some(hosts) = shards.get_mut(shard_of(&cluster, &host) as usize) {
                hosts.push(HostDirectory { cluster: cluster.clone(), host, path });
            }
        }
    }
    for hosts in &mut shards {
        hosts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(shards)
}

fn directories(path: &Path, failed: &mut dyn FnMut(&Path, io::Error)) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => {
                failed(&entry.path(), error);
                continue;
            }
        };
        let is_directory = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        let name = entry.file_name().into_string().ok().filter(|name| crate::ingest::is_place(name));
        match name {
            Some(name) if is_directory => found.push((name, entry.path())),
            _ => {
                let path = entry.path();
                let path = path.display();
                tracing::warn!(
                    file.path = %path,
                    "{path} does not belong into the checkpoint directory and is ignored; the reference does not start with it: remove it"
                );
            }
        }
    }
    Ok(found)
}

/// Reads a file of a host whole.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large for a checkpoint of one host",
        ));
    }
    fs::read(path)
}

/// Renames a damaged file `<name>.corrupt`, or `.corrupt1` and so on, so that the reference can start, and its owner look at it.
pub(crate) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = |number: u32| {
        let mut aside = path.to_owned().into_os_string();
        aside.push(if number == 0 { ".corrupt".to_owned() } else { format!(".corrupt{number}") });
        PathBuf::from(aside)
    };
    cc_runtime::files::rename_beside(path, (0..ASIDE_MAX).map(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        assert_eq!(kind_of("1700000000.bin"), Some((Kind::Bin, Some(1_700_000_000))));
        assert_eq!(kind_of("1700000000.json"), Some((Kind::Json, Some(1_700_000_000))));
        assert_eq!(kind_of("abc.bin"), Some((Kind::Bin, None)));
        for ignored in ["1700000000.bin.tmp", "1700000000", "current.wal", "notes.txt", "1.bin.corrupt"] {
            assert_eq!(kind_of(ignored), None, "{ignored}");
        }
    }

    #[test]
    fn hosts_are_found_and_strangers_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("fritz/f0101")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::write(root.join("README"), "").unwrap();
        fs::write(root.join("fritz/notes.txt"), "").unwrap();
        let mut none_fails = |path: &Path, error| panic!("{}: {error}", path.display());
        let found: Vec<_> = list(root, &mut none_fails).unwrap().into_iter().flatten().collect();
        let path = root.join("fritz/f0101");
        assert_eq!(found, [HostDirectory { cluster: "fritz".to_owned(), host: "f0101".to_owned(), path }]);
        assert!(list(&root.join("none"), &mut none_fails).unwrap().iter().all(Vec::is_empty));
    }

    #[test]
    fn a_cluster_that_cannot_be_listed_does_not_hide_the_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for host in ["a/h", "b/h", "c/h"] {
            fs::create_dir_all(root.join(host)).unwrap();
        }
        let set_mode = |mode| fs::set_permissions(root.join("b"), fs::Permissions::from_mode(mode)).unwrap();
        set_mode(0);
        let is_root = fs::read_dir(root.join("b")).is_ok();
        let mut problems = Vec::new();
        let found = list(root, &mut |path, _| problems.push(path.to_owned())).unwrap();
        set_mode(0o755);
        let found = found.into_iter().flatten().count();
        // who may do everything lists everything
        assert_eq!((found, problems), if is_root { (3, vec![]) } else { (2, vec![root.join("b")]) });
    }
}
