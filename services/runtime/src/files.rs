//! State files: written whole or not at all, and durable once the call returns.
//!
//! Every function blocks; call them on a blocking thread. New files are 0640 and new directories 0750
//! (deployment.md D-15).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub mod lock;

/// Mode of new files: the owner writes, the service's group reads.
pub const FILE_MODE: u32 = 0o640;
/// Mode of new directories.
pub const DIRECTORY_MODE: u32 = 0o750;
/// Mode of files that hold secrets.
pub const SECRET_MODE: u32 = 0o600;

/// End of the names of unfinished files; they start with a dot besides, so that readers of the reference skip them.
const UNFINISHED: &str = ".cc-tmp";

/// What failed, on which path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target has no file name or no directory.
    #[error("{} names no file", path.display())]
    NoName {
        /// The path asked for.
        path: PathBuf,
    },
    /// The temporary file cannot be made.
    #[error("failed to create {}", path.display())]
    Create {
        /// The temporary file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Writing or syncing failed; a full file system shows here. The target is untouched.
    #[error("failed to write {}", path.display())]
    Write {
        /// The target.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The finished file cannot take the target's place. The target is untouched.
    #[error("failed to put {} in place", path.display())]
    Rename {
        /// The target.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The directory cannot be made or synced.
    #[error("failed to create or sync directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// The system's reason, if there is one.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::NoName { .. } => None,
            Self::Create { source, .. }
            | Self::Write { source, .. }
            | Self::Rename { source, .. }
            | Self::Directory { source, .. } => Some(source),
        }
    }

    /// Whether the file system or the quota is full: the caller may keep its data in memory and try again.
    pub fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        self.io().is_some_and(|error| full.contains(&error.kind()))
    }
}

/// A file that appears under its name only by [`AtomicFile::commit`]. Dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    unfinished: PathBuf,
    target: PathBuf,
    done: bool,
}

impl AtomicFile {
    /// Starts a file that will replace `target`, mode 0640.
    pub fn create(target: impl AsRef<Path>) -> Result<Self, Error> {
        Self::create_with_mode(target, FILE_MODE)
    }

    /// Starts a file that will replace `target`, with the given mode (less the umask).
    pub fn create_with_mode(target: impl AsRef<Path>, mode: u32) -> Result<Self, Error> {
        let target = target.as_ref().to_owned();
        let Some(name) = target.file_name() else { return Err(Error::NoName { path: target }) };
        let mut unfinished = OsString::from(".");
        unfinished.push(name);
        unfinished.push(format!(".{:016x}{UNFINISHED}", rand::random::<u64>()));
        let unfinished = directory_of(&target).join(unfinished);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&unfinished)
            .map_err(|source| Error::Create { path: unfinished.clone(), source })?;
        Ok(Self { file, unfinished, target, done: false })
    }

    /// The open file, for callers that need to seek or to set its length.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes the content durable, gives it its name, and makes the name durable.
    pub fn commit(mut self) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| Error::Write { path: self.target.clone(), source })?;
        fs::rename(&self.unfinished, &self.target)
            .map_err(|source| Error::Rename { path: self.target.clone(), source })?;
        self.done = true;
        sync_directory(directory_of(&self.target))
    }

    /// As [`AtomicFile::commit`], but replaces nothing: it gets the first of these names, in the same directory, that is not taken
    /// yet. Returns that name.
    ///
    /// # Errors
    /// Also if all of them are taken.
    pub fn commit_beside(self, names: impl IntoIterator<Item = PathBuf>) -> Result<PathBuf, Error> {
        self.file.sync_all().map_err(|source| Error::Write { path: self.target.clone(), source })?;
        for target in names {
            match name_new(&self.unfinished, &target) {
                Ok(()) => {
                    sync_directory(directory_of(&target))?;
                    return Ok(target);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::Rename { path: target, source }),
            }
        }
        let source = io::ErrorKind::AlreadyExists.into();
        Err(Error::Rename { path: self.target.clone(), source })
    }
}

/// Gives a file another name, which must not exist yet; its old one may stay.
fn name_new(old: &Path, new: &Path) -> io::Result<()> {
    match fs::hard_link(old, new) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // A file system without links. There it is looked up before, which suffices for a directory with one writer.
            if fs::symlink_metadata(new).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(old, new)
        }
        result => result,
    }
}

/// Renames a file to the first of these names that is not taken yet, and returns that name.
///
/// # Errors
/// Also if all of them are taken.
pub fn rename_beside(path: &Path, names: impl IntoIterator<Item = PathBuf>) -> io::Result<PathBuf> {
    for new in names {
        match name_new(path, &new) {
            Ok(()) => {
                return match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(new),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.done {
            // Nothing better can be done here; `sweep` takes what stays behind.
            let _gone = fs::remove_file(&self.unfinished).is_ok();
        }
    }
}

/// Replaces `path` by a file with these bytes, mode 0640. On any error the old content is intact.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
    write_atomic_with_mode(path, bytes, FILE_MODE)
}

/// As [`write_atomic`], with the given mode (less the umask).
pub fn write_atomic_with_mode(
    path: impl AsRef<Path>,
    bytes: impl AsRef<[u8]>,
    mode: u32,
) -> Result<(), Error> {
    let path = path.as_ref();
    let mut file = AtomicFile::create_with_mode(path, mode)?;
    file.write_all(bytes.as_ref()).map_err(|source| Error::Write { path: path.to_owned(), source })?;
    file.commit()
}

/// Makes the directory and its missing parents, mode 0750, and makes the new names durable.
pub fn create_directory(path: impl AsRef<Path>) -> Result<(), Error> {
    create_directory_with_mode(path, DIRECTORY_MODE)
}

/// As [`create_directory`], with the given mode (less the umask).
pub fn create_directory_with_mode(path: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
    let path = path.as_ref();
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_directory_with_mode(parent, mode)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => sync_directory(directory_of(path)),
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(source) => Err(Error::Directory { path: path.to_owned(), source }),
    }
}

/// Makes names that were created, renamed or removed in a directory durable.
pub fn sync_directory(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let failed = |source| Error::Directory { path: path.to_owned(), source };
    File::open(path).map_err(failed)?.sync_all().map_err(failed)
}

/// Bytes that this user may still write on the file system of a path.
pub fn free_bytes(path: impl AsRef<Path>) -> io::Result<u64> {
    let system = nix::sys::statvfs::statvfs(path.as_ref())?;
    Ok(system.blocks_available().saturating_mul(system.fragment_size()))
}

/// Whether this process can make files in it.
pub fn is_writable_folder(path: impl AsRef<Path>) -> bool {
    use nix::unistd::{AccessFlags, access};
    let path = path.as_ref();
    path.is_dir() && access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Removes unfinished files that a crash left in a directory (not below it) and says how many there were.
/// Only for the owner of the directory, before it writes there.
pub fn sweep(directory: impl AsRef<Path>) -> Result<usize, Error> {
    let directory = directory.as_ref();
    let failed = |source| Error::Directory { path: directory.to_owned(), source };
    let mut count = 0;
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if is_unfinished(&entry.file_name()) {
            fs::remove_file(entry.path()).map_err(failed)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Whether a file name is one of our unfinished files.
pub fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(UNFINISHED))
}

/// The directory of a path; `.` for a bare name.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_name_appears_with_the_whole_content() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("state.json");
        write_atomic(&target, "old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(directory.path()).len(), 2);
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(directory.path()), ["state.json"]);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o137, 0);
    }

    #[test]
    fn beside_others_nothing_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let name = |number: u32| directory.path().join(format!("{number}.bin"));
        fs::write(name(1), "theirs").unwrap();
        std::os::unix::fs::symlink("nowhere", name(2)).unwrap();
        let mut file = AtomicFile::create(name(1)).unwrap();
        file.write_all(b"ours").unwrap();
        assert_eq!(file.commit_beside((1..).map(name)).unwrap(), name(3));
        assert_eq!(fs::read(name(1)).unwrap(), b"theirs");
        assert_eq!(fs::read(name(3)).unwrap(), b"ours");
        assert_eq!(names(directory.path()), ["1.bin", "2.bin", "3.bin"]);
        let file = AtomicFile::create(name(1)).unwrap();
        assert!(file.commit_beside((1..4).map(name)).is_err());
        assert_eq!(rename_beside(&name(1), (2..).map(name)).unwrap(), name(4));
        assert_eq!(fs::read(name(4)).unwrap(), b"theirs");
        assert_eq!(names(directory.path()), ["2.bin", "3.bin", "4.bin"]);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(directory.path().join("x")).unwrap();
        file.write_all(b"half").unwrap();
        assert!(is_unfinished(file.unfinished.file_name().unwrap()));
        drop(file);
        assert_eq!(names(directory.path()), [""; 0]);
    }

    #[test]
    fn sweep_takes_only_unfinished_files() {
        let directory = tempfile::tempdir().unwrap();
        std::mem::forget(AtomicFile::create(directory.path().join("a")).unwrap());
        for name in [".hidden", "kept.cc-tmp", "data"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        assert_eq!(sweep(directory.path()).unwrap(), 1);
        assert_eq!(names(directory.path()), [".hidden", "data", "kept.cc-tmp"]);
    }

    #[test]
    fn directories_are_made_with_their_parents() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        create_directory(&deep).unwrap();
        create_directory(&deep).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o027, 0);
        fs::write(directory.path().join("file"), "").unwrap();
        let error = create_directory(directory.path().join("file/below")).unwrap_err();
        assert!(matches!(error, Error::Directory { .. }), "{error:?}");
    }

    #[test]
    fn errors_name_the_path_and_keep_the_reason() {
        let error = write_atomic("/nonexistent/dir/file", "x").unwrap_err();
        assert!(error.to_string().starts_with("failed to create /nonexistent/dir/.file."), "{error}");
        assert_eq!(error.io().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(!error.is_full());
        assert!(matches!(write_atomic("/", "x").unwrap_err(), Error::NoName { .. }));
        let full = Error::Write { path: "x".into(), source: io::Error::from_raw_os_error(28) };
        assert!(full.is_full(), "ENOSPC");
    }

    #[test]
    fn a_target_that_is_a_directory_is_refused_without_a_trace() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("taken");
        fs::create_dir(&target).unwrap();
        assert!(matches!(write_atomic(&target, "x").unwrap_err(), Error::Rename { .. }));
        assert_eq!(names(directory.path()), ["taken"]);
    }

    /// Runs in a process whose files may not grow; does nothing otherwise.
    #[test]
    fn write_in_child() {
        use crate::env::{Env as _, ProcessEnv};
        let Some(target) = ProcessEnv.get("CC_TEST_WRITE") else { return };
        let error = write_atomic(&target, vec![1; 1024 * 1024]).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error:?}");
    }

    #[test]
    fn a_write_that_fails_half_way_leaves_the_old_content_and_no_rest() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("state");
        write_atomic(&target, "old").unwrap();
        // A file may have one block; the signal that would kill is ignored.
        let script =
            "trap '' XFSZ; ulimit -f 1; exec \"$0\" --exact files::tests::write_in_child --nocapture";
        let child = std::process::Command::new("/bin/sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .env("CC_TEST_WRITE", &target)
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "{child:?}");
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(directory.path()), ["state"]);
    }
}
