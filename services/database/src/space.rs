//! Room on the disks before something big is begun: beside the database, and where SQLite puts its temporary files.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cc_runtime::files;

use crate::error::{Error, Result};

/// Index entries of one job when all 54 indexes are there, in bytes; measured (spec/job-db.md 17).
pub(crate) const ALL_INDEX_BYTES_PER_JOB: u64 = 1_400;

/// The entries of one job in the widest index, sorted and merged in temporary files.
const SORTING_BYTES_PER_JOB: u64 = 400;

/// Bytes needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// In the folder of the database.
    pub(crate) beside: u64,
    /// In temporary files.
    pub(crate) temporary: u64,
}

/// What an index takes while it is made.
pub(crate) fn sorting(jobs: u64) -> u64 {
    jobs.saturating_mul(SORTING_BYTES_PER_JOB)
}

/// Bytes of the database with its log.
pub(crate) fn bytes_on_disk(path: &Path) -> u64 {
    let mut log = path.to_owned().into_os_string();
    log.push("-wal");
    [path.to_owned(), PathBuf::from(log)]
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// [`Error::NoSpace`] or [`Error::NoTemporarySpace`] unless that many bytes are free.
pub(crate) fn check(path: &Path, space: Space, task: &'static str, way_out: &'static str) -> Result<()> {
    // SQLite looks at the process's own environment, too
    check_in(path, &temporary_folder(&|name| std::env::var_os(name)), space, task, way_out)
}

fn check_in(
    path: &Path,
    temporary: &Path,
    space: Space,
    task: &'static str,
    way_out: &'static str,
) -> Result<()> {
    let failed = |source| Error::Create { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let device = |folder: &Path| -> io::Result<u64> { Ok(fs::metadata(folder)?.dev()) };
    let together = device(folder).map_err(failed)? == device(temporary).map_err(failed)?;
    let needed = if together { space.beside.saturating_add(space.temporary) } else { space.beside };
    let free = files::free_bytes(folder).map_err(failed)?;
    if free < needed {
        return Err(Error::NoSpace { path: path.to_owned(), task, needed, free, way_out });
    }
    let free = files::free_bytes(temporary).map_err(failed)?;
    if free < space.temporary {
        let folder = temporary.to_owned();
        return Err(Error::NoTemporarySpace { folder, task, needed: space.temporary, free });
    }
    Ok(())
}

/// The folder that SQLite takes: the first of these that is there and may be written.
fn temporary_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> PathBuf {
    let named = ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(variable).map(PathBuf::from);
    let usual = ["/var/tmp", "/usr/tmp", "/tmp"].into_iter().map(PathBuf::from);
    named.chain(usual).find(|folder| files::is_writable_folder(folder)).unwrap_or_else(|| PathBuf::from("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_temporary_files_is_the_one_that_sqlite_takes() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |sqlite: &Path, system: &Path| {
            temporary_folder(&|name| match name {
                "SQLITE_TMPDIR" => Some(sqlite.into()),
                "TMPDIR" => Some(system.into()),
                _ => None,
            })
        };
        assert_eq!(of(first.path(), second.path()), first.path());
        assert_eq!(of(Path::new("/nonexistent"), second.path()), second.path());
        let file = first.path().join("file");
        fs::write(&file, b"").unwrap();
        assert_eq!(of(&file, second.path()), second.path());
        assert!(["/var/tmp", "/usr/tmp", "/tmp"].map(Path::new).contains(&&*temporary_folder(&|_| None)));
    }

    #[test]
    fn both_folders_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.db");
        let look = |temporary: &Path, beside, bytes| {
            check_in(&path, temporary, Space { beside, temporary: bytes }, "rewrite it", "")
        };
        look(folder.path(), 1, 1).unwrap();
        assert!(matches!(look(folder.path(), u64::MAX, 0), Err(Error::NoSpace { .. })));
        // on one file system both are needed at once
        let free = files::free_bytes(folder.path()).unwrap();
        let most = free / 4 * 3;
        assert!(
            matches!(look(folder.path(), most, most), Err(Error::NoSpace { needed, .. }) if needed == most * 2)
        );
        // /proc is another file system, with no room at all
        let error = look(Path::new("/proc"), 1, 1).unwrap_err();
        assert!(matches!(&error, Error::NoTemporarySpace { .. }), "{error}");
        assert!(error.to_string().contains("'/proc'"), "{error}");
        look(Path::new("/proc"), 1, 0).unwrap();
    }
}
