//! The directory (job-archive.md 2): `version.txt`, one folder per cluster, one folder per job with `meta.json` and
//! `data.json` or `data.json.gz`.
//!
//! Whoever sees `meta.json` finds the data beside it: data is written first, every file under a temporary name, then
//! synced and renamed, then the directory is synced.

mod entries;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cc_model::job::Job;
use cc_model::names::ClusterName;
use cc_model::series::JobData;
use cc_model::{JobKey, json};
use cc_runtime::files;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::error::Error;

pub use entries::{Entry, Position};

/// The format.
const VERSION: &str = "3";
/// Data up to this size stays uncompressed, as the reference does it.
const PLAIN_BYTES_MAX: usize = 2000;
/// Decompressed data of one job: a guard against a file that unpacks without end.
const DATA_BYTES_MAX: u64 = 4 << 30;

/// Locks for the changes of entries; two jobs that share one wait for each other, nothing worse.
const LOCKS: usize = 64;

/// The root of an archive of version 3.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    /// Who changes a `meta.json` holds the lock of its job: a change that was read before must not undo a newer entry.
    locks: Arc<[Mutex<()>; LOCKS]>,
}

impl Layout {
    /// Opens a directory; an empty one becomes an archive.
    ///
    /// # Errors
    /// [`Error::ReadVersion`], [`Error::NoVersion`], [`Error::Version`], [`Error::Write`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let layout = Self { root: root.to_owned(), locks: Arc::new([const { Mutex::new(()) }; LOCKS]) };
        let path = root.join("version.txt");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let version = text.strip_suffix('\n').unwrap_or(&text);
                if version != VERSION {
                    return Err(Error::Version { version: version.to_owned() });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => layout.bootstrap(&path)?,
            Err(source) => return Err(Error::ReadVersion { path, source }),
        }
        Ok(layout)
    }

    fn bootstrap(&self, version: &Path) -> Result<(), Error> {
        let read = |source| Error::ReadVersion { path: self.root.clone(), source };
        for entry in fs::read_dir(&self.root).map_err(read)? {
            if !hidden(&entry.map_err(read)?.file_name()) {
                return Err(Error::NoVersion { path: self.root.clone() });
            }
        }
        files::write_atomic(version, format!("{VERSION}\n")).map_err(Error::Write)
    }

    /// Folders that should be clusters, by name. What begins with a dot, and `lost+found`, is none.
    pub(crate) fn cluster_folders(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        let read = |source| Error::ReadVersion { path: self.root.clone(), source };
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name();
            if hidden(&name) || name == "lost+found" {
                continue;
            }
            let path = entry.path();
            let folder =
                is_folder(&entry).map_err(|source| Error::ReadVersion { path: path.clone(), source })?;
            if folder {
                folders.push((name.to_string_lossy().into_owned(), path));
            }
        }
        folders.sort_unstable();
        Ok(folders)
    }

    /// The folder of a job.
    fn entry(&self, key: &JobKey) -> Result<PathBuf, Error> {
        // The only part that a client chooses freely; ids and times are numbers.
        ClusterName::check(&key.cluster).map_err(|_| Error::Name(key.cluster.clone()))?;
        Ok(self.root.join(key.archive_path()))
    }

    /// Stores an entry, replacing one of the same key. Returns the bytes of its data file.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Encode`], [`Error::Write`]; what was there before is then still whole.
    pub fn store(&self, job: &Job, data: &JobData) -> Result<u64, Error> {
        let folder = self.entry(&job.key())?;
        let mut meta = json::to_vec(job).map_err(|source| Error::Encode { job: job.key(), source })?;
        meta.push(b'\n');
        let _one_at_a_time = self.lock(&job.key());
        files::create_directory(&folder).map_err(Error::Write)?;
        // What a killed process left unfinished here.
        files::sweep(&folder).map_err(Error::Write)?;
        let mut bytes = data.to_json();
        bytes.push(b'\n');
        let (plain, packed) = (folder.join("data.json"), folder.join("data.json.gz"));
        let compress = bytes.len() > PLAIN_BYTES_MAX;
        let bytes = if compress { pack(&bytes) } else { bytes };
        let (target, other) = if compress { (&packed, &plain) } else { (&plain, &packed) };
        files::write_atomic(target, &bytes).map_err(Error::Write)?;
        // A former entry may have the other form, which readers would prefer.
        match fs::remove_file(other) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Write(files::Error::Write { path: other.clone(), source })),
        }
        files::write_atomic(folder.join("meta.json"), meta).map_err(Error::Write)?;
        Ok(bytes.len() as u64)
    }

    /// Replaces `meta.json` of an entry and leaves its series.
    ///
    /// # Errors
    /// As [`Layout::store`].
    pub(crate) fn store_meta(&self, job: &Job) -> Result<(), Error> {
        let path = self.entry(&job.key())?.join("meta.json");
        let mut meta = json::to_vec(job).map_err(|source| Error::Encode { job: job.key(), source })?;
        meta.push(b'\n');
        let _one_at_a_time = self.lock(&job.key());
        files::write_atomic(path, meta).map_err(Error::Write)
    }

    /// `meta.json` of a job.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::ReadEntry`], [`Error::BrokenMeta`].
    pub fn meta(&self, key: &JobKey) -> Result<Job, Error> {
        let path = self.entry(key)?.join("meta.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoEntry(key.clone())),
            Err(source) => return Err(Error::ReadEntry { path, source }),
        };
        Job::from_meta_json(&bytes).map_err(|source| Error::BrokenMeta { path, source })
    }

    /// Changes `meta.json` of a job and leaves everything else of its entry.
    ///
    /// # Errors
    /// As [`Layout::meta`] and [`Layout::store`]; what was there before is then still whole.
    pub(crate) fn change_meta(&self, key: &JobKey, change: impl FnOnce(&mut Job)) -> Result<(), Error> {
        let path = self.entry(key)?.join("meta.json");
        let _one_at_a_time = self.lock(key);
        let mut job = self.meta(key)?;
        change(&mut job);
        let mut meta = json::to_vec(&job).map_err(|source| Error::Encode { job: job.key(), source })?;
        meta.push(b'\n');
        files::write_atomic(path, meta).map_err(Error::Write)
    }

    fn lock(&self, key: &JobKey) -> MutexGuard<'_, ()> {
        let [first, others @ ..] = &*self.locks;
        let spread = usize::try_from(key.job_id.unsigned_abs()).unwrap_or_default() % LOCKS;
        let lock = spread.checked_sub(1).and_then(|index| others.get(index)).unwrap_or(first);
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series of a job.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::ReadEntry`], [`Error::BrokenData`].
    pub fn data(&self, key: &JobKey) -> Result<JobData, Error> {
        let folder = self.entry(key)?;
        for (name, packed) in [("data.json.gz", true), ("data.json", false)] {
            let path = folder.join(name);
            let file = match fs::File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::ReadEntry { path, source }),
            };
            let mut bytes = Vec::new();
            let read = if packed {
                GzDecoder::new(file).take(DATA_BYTES_MAX).read_to_end(&mut bytes)
            } else {
                file.take(DATA_BYTES_MAX).read_to_end(&mut bytes)
            };
            if let Err(source) = read {
                return Err(Error::ReadEntry { path, source });
            }
            return JobData::from_json(&bytes).map_err(|source| Error::BrokenData { path, source });
        }
        Err(Error::NoEntry(key.clone()))
    }
}

/// A link to a folder is one, too: sites put big archives elsewhere. One that leads nowhere is an error: what it leads
/// to may not be mounted, and without it the archive would look smaller than it is.
fn is_folder(entry: &fs::DirEntry) -> io::Result<bool> {
    let kind = entry.file_type()?;
    if !kind.is_symlink() {
        return Ok(kind.is_dir());
    }
    match fs::metadata(entry.path()) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(io::Error::other("it is a link to something that is not there"))
        }
        Err(error) => Err(error),
    }
}

fn hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().first() == Some(&b'.')
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::default());
    // Neither writing to a Vec nor ending it can fail.
    let _ = packer.write_all(bytes);
    packer.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cc_model::MetricScope;
    use cc_model::series::{JobMetric, Series};

    use super::*;

    fn archive() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        (dir, layout)
    }

    fn job() -> Job {
        Job { cluster: "c1".to_owned(), job_id: 1_034_871, start_time: 1_768_978_339, ..Job::default() }
    }

    fn data(points: usize) -> JobData {
        let series = Series { hostname: "n1".to_owned(), data: vec![1.25; points], ..Series::default() };
        let mut data = JobData::default();
        data.insert(
            "cpu_load",
            MetricScope::Node,
            JobMetric { series: vec![series], timestep: 60, ..Default::default() },
        );
        data
    }

    #[test]
    fn an_empty_folder_becomes_an_archive_and_a_full_one_does_not() {
        let (dir, _) = archive();
        assert_eq!(fs::read_to_string(dir.path().join("version.txt")).unwrap(), "3\n");
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("holiday.jpg"), b"").unwrap();
        assert!(matches!(Layout::open(other.path()), Err(Error::NoVersion { .. })));
        fs::write(other.path().join("version.txt"), b"4\n").unwrap();
        assert!(matches!(Layout::open(other.path()), Err(Error::Version { version }) if version == "4"));
        assert!(matches!(Layout::open(&other.path().join("nosuch")), Err(Error::ReadVersion { .. })));
    }

    #[test]
    fn a_folder_of_a_cluster_that_cannot_be_looked_at_is_no_missing_one() {
        let (dir, layout) = archive();
        fs::create_dir(dir.path().join("c1")).unwrap();
        fs::write(dir.path().join("notes.txt"), b"").unwrap();
        std::os::unix::fs::symlink(dir.path().join("c1"), dir.path().join("c2")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("not mounted"), dir.path().join(".old")).unwrap();
        let names: Vec<_> = layout.cluster_folders().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["c1", "c2"]);
        for target in [dir.path().join("not mounted"), dir.path().join("c3")] {
            std::os::unix::fs::symlink(target, dir.path().join("c3")).unwrap();
            let error = layout.cluster_folders().unwrap_err();
            assert!(error.is_out_of_reach() && error.to_string().contains("c3"), "{error}");
            fs::remove_file(dir.path().join("c3")).unwrap();
        }
    }

    #[test]
    fn an_entry_reads_back_and_small_and_large_data_replace_each_other() {
        let (dir, layout) = archive();
        let folder = dir.path().join("c1/1034/871/1768978339");
        for (points, name) in [(1000, "data.json.gz"), (3, "data.json"), (1000, "data.json.gz")] {
            layout.store(&job(), &data(points)).unwrap();
            assert_eq!(layout.data(&job().key()).unwrap(), data(points));
            let mut names: Vec<_> = fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, [name, "meta.json"]);
        }
        assert_eq!(layout.meta(&job().key()).unwrap().job_id, 1_034_871);
    }

    #[test]
    fn a_change_of_the_meta_data_leaves_the_rest() {
        let (_dir, layout) = archive();
        let missing = layout.change_meta(&job().key(), |_| {});
        assert!(matches!(missing, Err(Error::NoEntry(_))));
        let statistics = [("cpu_load".to_owned(), cc_model::job::JobStatistics::default())].into();
        layout.store(&Job { statistics: Some(statistics), ..job() }, &data(10)).unwrap();
        let tag = cc_model::Tag { kind: "app".to_owned(), name: "vasp".to_owned(), ..Default::default() };
        layout
            .change_meta(&job().key(), |job| {
                job.meta_data = Some([("note".to_owned(), "<b>".to_owned())].into());
                job.tags = vec![tag.clone()];
            })
            .unwrap();
        let read = layout.meta(&job().key()).unwrap();
        assert_eq!((read.tags, read.meta_data.unwrap()["note"].as_str()), (vec![tag], "<b>"));
        assert!(read.statistics.unwrap().contains_key("cpu_load"));
        assert_eq!(layout.data(&job().key()).unwrap(), data(10));
    }

    #[test]
    fn a_damaged_or_missing_entry_is_named() {
        let (dir, layout) = archive();
        assert!(matches!(layout.meta(&job().key()), Err(Error::NoEntry(_))));
        assert!(matches!(layout.data(&job().key()), Err(Error::NoEntry(_))));
        layout.store(&job(), &data(1000)).unwrap();
        let folder = dir.path().join("c1/1034/871/1768978339");
        let packed = fs::read(folder.join("data.json.gz")).unwrap();
        fs::write(folder.join("data.json.gz"), &packed[..packed.len() / 2]).unwrap();
        assert!(matches!(layout.data(&job().key()), Err(Error::ReadEntry { .. })));
        fs::write(folder.join("meta.json"), b"{").unwrap();
        assert!(matches!(layout.meta(&job().key()), Err(Error::BrokenMeta { .. })));
    }

    #[test]
    fn no_cluster_name_leads_out_of_the_root() {
        let (_dir, layout) = archive();
        for cluster in ["../x", "", "a/b", ".."] {
            let key = JobKey { cluster: cluster.to_owned(), job_id: 1, start_time: 1 };
            assert!(matches!(layout.meta(&key), Err(Error::Name(_))), "{cluster:?}");
        }
    }
}
