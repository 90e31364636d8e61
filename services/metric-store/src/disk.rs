//! The few operations on files that the log and the checkpoints need, behind a trait so that tests can let them fail.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Mode of files: samples are nobody else's business.
const FILE_MODE: u32 = 0o640;

/// Makes files that are appended to.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Makes a new file; fails if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appended>>;
}

/// A file that is appended to.
pub(crate) trait Appended: fmt::Debug + Send + Sync {
    /// Appends all bytes; on an error any part of them may be in the file.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file.
    fn cut(&self, length: u64) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&self) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        let file = OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Box::new(file))
    }
}

impl Appended for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()?;
        forget_pages(self);
        Ok(())
    }
}

/// Pages of this many bytes are kept or given back together: what is still written to stays.
const PAGES: u64 = 1 << 20;

/// Gives the memory back that the system keeps a copy of the file in. Our files are read at the next start only, and are as large as
/// what we hold in memory. Pages that are not on the disk yet stay.
pub(crate) fn forget_pages(file: &File) {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let end = i64::try_from(length / PAGES * PAGES).unwrap_or(0);
    // A length of zero would mean all of it.
    if end > 0 {
        // Advice: without it only memory is lost.
        let _advised = posix_fadvise(file, 0, end, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

#[cfg(test)]
pub(crate) mod faulty {
    //! A disk that gets full, or whose syncs fail.

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

    use super::*;

    /// Shared by a disk and its files.
    #[derive(Debug, Default)]
    pub(crate) struct Faults {
        /// Bytes that may still be written; negative: the disk is full.
        pub(crate) room: AtomicI64,
        /// Whether syncs fail.
        pub(crate) sync_fails: AtomicBool,
    }

    /// A file system with [`Faults`].
    #[derive(Debug)]
    pub(crate) struct FaultyDisk(pub(crate) Arc<Faults>);

    impl FaultyDisk {
        /// A disk with room for so many bytes, and the handle that changes it.
        pub(crate) fn new(room: i64) -> (Self, Arc<Faults>) {
            let faults = Arc::new(Faults { room: AtomicI64::new(room), sync_fails: AtomicBool::new(false) });
            (Self(Arc::clone(&faults)), faults)
        }
    }

    #[derive(Debug)]
    struct FaultyFile(Box<dyn Appended>, Arc<Faults>);

    impl Disk for FaultyDisk {
        fn create(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
            Ok(Box::new(FaultyFile(RealDisk.create(path)?, Arc::clone(&self.0))))
        }
    }

    impl Appended for FaultyFile {
        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            let length = i64::try_from(bytes.len()).unwrap();
            let room = self.1.room.fetch_sub(length, Ordering::SeqCst);
            if room < length {
                // like a real disk: what fits is written
                self.0.append(&bytes[..usize::try_from(room).unwrap_or(0)])?;
                return Err(io::Error::from_raw_os_error(28));
            }
            self.0.append(bytes)
        }

        fn cut(&self, length: u64) -> io::Result<()> {
            self.0.cut(length)
        }

        fn sync(&self) -> io::Result<()> {
            if self.1.sync_fails.load(Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(5));
            }
            self.0.sync()
        }
    }
}
