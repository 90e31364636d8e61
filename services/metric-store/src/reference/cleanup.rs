//! Files older than the retention (spec metric-store.md 14): deleted, or moved into one Parquet file per cluster.
//!
//! Other than the reference, only files whose window ended are taken: nothing that the retention still covers disappears.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cc_runtime::files;

use super::{HostDirectory, Kind, archive, bin, json, kind_of, list, read_file};
use crate::error::Error;
use crate::host::HostKey;

/// A file whose window ended before its host's retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expired {
    pub(crate) host: String,
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// Begin of its window.
    pub(crate) number: i64,
}

/// What happens to expired files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// They are deleted.
    #[default]
    Delete,
    /// They are moved to Parquet files below this directory.
    Archive {
        /// `metric-store.cleanup.directory`.
        directory: PathBuf,
    },
}

/// What a clean-up of files did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanedFiles {
    /// Files deleted, or archived and then deleted.
    pub files: u64,
    /// What failed, one text each; those files stay.
    pub problems: Vec<String>,
}

/// One clean-up; Parquet files are named by `time`, Unix seconds.
///
/// # Errors
/// The directory cannot be listed.
pub(crate) fn run(
    directory: &Path,
    cleanup: &Cleanup,
    time: i64,
    keep_from: &dyn Fn(&HostKey) -> i64,
) -> Result<CleanedFiles, Error> {
    let mut cleaned = CleanedFiles::default();
    let failed = |source| Error::Open { path: directory.to_owned(), source };
    let mut clusters = expired(directory, keep_from, &mut cleaned.problems).map_err(failed)?;
    // Two at once, as with `-cleanup-checkpoints` beside a running store, would archive the same files twice.
    let _alone = match cleanup {
        Cleanup::Archive { directory: target } if !clusters.is_empty() => match alone(target) {
            Ok(lock) => {
                cleaned.problems.clear();
                clusters = expired(directory, keep_from, &mut cleaned.problems).map_err(failed)?;
                Some(lock)
            }
            Err(problem) => {
                cleaned.problems.push(format!("checkpoint files stay: {problem}"));
                return Ok(cleaned);
            }
        },
        _ => None,
    };
    for (cluster, files) in clusters {
        match cleanup {
            Cleanup::Delete => delete(&files, &mut cleaned),
            Cleanup::Archive { directory } => archive(directory, &cluster, &files, time, &mut cleaned),
        }
    }
    Ok(cleaned)
}

/// The right to archive below a directory, or why there is none.
fn alone(target: &Path) -> Result<fs::File, String> {
    files::create_directory(target).map_err(|error| cc_runtime::error::chain(&error))?;
    let path = target.join(".lock");
    let lock = fs::File::options().create(true).truncate(false).write(true).open(&path);
    let locked = lock.and_then(|lock| lock.try_lock().map(|()| lock).map_err(io::Error::from));
    locked.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => format!("another clean-up archives below {} now", target.display()),
        _ => format!("{}: {error}", path.display()),
    })
}

/// The files that are older than the retention, by cluster. `keep_from` says from when on a host's samples are kept.
pub(crate) fn expired(
    directory: &Path,
    keep_from: &dyn Fn(&HostKey) -> i64,
    problems: &mut Vec<String>,
) -> io::Result<BTreeMap<String, Vec<Expired>>> {
    let mut clusters: BTreeMap<String, Vec<Expired>> = BTreeMap::new();
    let mut failed = |path: &Path, error| problems.push(format!("{}: {error}", path.display()));
    let mut hosts: Vec<HostDirectory> = list(directory, &mut failed)?.into_iter().flatten().collect();
    hosts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    for host in hosts {
        let key = HostKey { cluster: host.cluster.as_str().into(), host: host.host.as_str().into() };
        match expired_of(&host, keep_from(&key), problems) {
            Ok(found) => clusters.entry(host.cluster).or_default().extend(found),
            Err(error) => problems.push(format!("{}: {error}", host.path.display())),
        }
    }
    clusters.retain(|_, files| !files.is_empty());
    Ok(clusters)
}

/// The files of a host whose window ended before `from`, sorted.
fn expired_of(host: &HostDirectory, from: i64, problems: &mut Vec<String>) -> io::Result<Vec<Expired>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(&host.path)? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        let Some((kind, Some(number))) = name.as_deref().and_then(kind_of) else { continue };
        // A window ends behind its begin.
        if number == 0 || number >= from || entry.path().is_dir() {
            continue;
        }
        match end_of(&entry.path(), kind, number) {
            Ok(end) if end < from => {
                found.push(Expired { host: host.host.clone(), path: entry.path(), kind, number });
            }
            Ok(_) => {}
            Err(error) => problems.push(format!("{}: {error}", entry.path().display())),
        }
    }
    found.sort_unstable_by_key(|file| (file.number, file.kind));
    Ok(found)
}

/// When the window of a file ends; of a file without end, when it began.
fn end_of(path: &Path, kind: Kind, number: i64) -> io::Result<i64> {
    let mut begin = [0; json::SIGNATURE_BYTES];
    let found = crate::wire::read_up_to(&mut fs::File::open(path)?, &mut begin)?;
    let begin = begin.get(..found).unwrap_or_default();
    let window = match kind {
        Kind::Bin => bin::window(begin),
        Kind::Json => match json::signature(begin) {
            Some((_, window)) => Ok(window),
            None => json::window(&read_file(path)?),
        },
    };
    let window = window.map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
    Ok(if window.to == 0 { number } else { window.to })
}

/// Deletes files; goes on after a failure.
fn delete<'a>(files: impl IntoIterator<Item = &'a Expired>, cleaned: &mut CleanedFiles) {
    for file in files {
        match fs::remove_file(&file.path) {
            Ok(()) => cleaned.files += 1,
            // Another clean-up was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => cleaned.problems.push(format!("{}: {error}", file.path.display())),
        }
    }
}

/// Moves files of a cluster to Parquet. On a failure all of them stay.
fn archive(directory: &Path, cluster: &str, files: &[Expired], time: i64, cleaned: &mut CleanedFiles) {
    match archive::write(directory, cluster, files, time, &mut cleaned.problems) {
        Ok(done) => delete(done, cleaned),
        Err(error) => {
            let text = cc_runtime::error::chain(&error);
            cleaned.problems.push(format!("checkpoint files of {cluster} stay: {text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_whose_window_ended_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let host = directory.path().join("fritz/f0101");
        fs::create_dir_all(&host).unwrap();
        let bin = |from: i64, to: i64| {
            let mut writer = bin::Writer::new(Vec::new(), super::super::Window { from, to });
            writer.metrics(0);
            writer.children(0);
            fs::write(host.join(format!("{from}.bin")), writer.finish(1)).unwrap();
        };
        bin(100, 200);
        bin(200, 300);
        bin(300, 400);
        fs::write(host.join("150.json"), r#"{"from":150,"to":250}"#).unwrap();
        fs::write(host.join("160.json"), "broken").unwrap();
        fs::write(host.join("current.wal"), "").unwrap();
        fs::write(host.join("notes.txt"), "").unwrap();
        let keep_from = |_: &HostKey| 300;
        let cleaned = run(directory.path(), &Cleanup::Delete, 1000, &keep_from).unwrap();
        assert_eq!((cleaned.files, cleaned.problems.len()), (2, 1), "{:?}", cleaned.problems);
        let mut left: Vec<String> = fs::read_dir(&host)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["160.json", "200.bin", "300.bin", "current.wal", "notes.txt"]);
        let kept = run(directory.path(), &Cleanup::Delete, 1000, &|_| 0).unwrap();
        assert_eq!((kept.files, kept.problems), (0, vec![]));
        let target = directory.path().join("parquet");
        fs::remove_file(host.join("160.json")).unwrap();
        let archive = Cleanup::Archive { directory: target.clone() };
        let other = alone(&target).unwrap();
        let busy = run(directory.path(), &archive, 1000, &|_| 350).unwrap();
        assert_eq!((busy.files, busy.problems.len()), (0, 1));
        assert!(host.join("200.bin").is_file());
        drop(other);
        let archived = run(directory.path(), &archive, 1000, &|_| 350).unwrap();
        assert_eq!((archived.files, archived.problems), (1, vec![]));
        assert!(!target.join("fritz/1000.parquet").is_file(), "there was no sample in it");
        assert!(!host.join("200.bin").is_file());
    }

    /// A directory that cannot be read keeps its files, and only they stay.
    #[test]
    fn one_failing_directory_does_not_stop_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let host = |name: &str| directory.path().join("fritz").join(name);
        for name in ["f1", "f2", "f3"] {
            fs::create_dir_all(host(name)).unwrap();
            fs::write(host(name).join("100.json"), r#"{"from":100,"to":200}"#).unwrap();
        }
        let keep_from = |key: &HostKey| {
            if &*key.host == "f1" {
                fs::remove_dir_all(host("f1")).unwrap();
            }
            300
        };
        let cleaned = run(directory.path(), &Cleanup::Delete, 1000, &keep_from).unwrap();
        assert_eq!((cleaned.files, cleaned.problems.len()), (2, 1), "{:?}", cleaned.problems);
    }
}
