//! Walking through all entries of an archive, in an order that is always the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cc_model::job::Job;

use super::{Layout, is_folder};
use crate::error::Error;

/// Where an entry is: cluster, the two halves of the job's id, start time. Ordered as [`Layout::entries`] goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    cluster: String,
    numbers: [i64; 3],
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [upper, lower, start] = self.numbers;
        write!(formatter, "{}/{upper}/{lower:03}/{start}", self.cluster)
    }
}

impl Position {
    /// The position of a text made by `Display`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(4, '/');
        let mut number = || parts.next()?.parse().ok();
        let (start, lower, upper) = (number()?, number()?, number()?);
        Some(Self { cluster: parts.next()?.to_owned(), numbers: [upper, lower, start] })
    }
}

/// One folder with a job.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is in the order.
    pub position: Position,
    folder: PathBuf,
}

impl Entry {
    /// Its `meta.json`.
    ///
    /// # Errors
    /// [`Error::ReadEntry`] (also when there is none), [`Error::BrokenMeta`]. Whether to try again says
    /// [`Error::is_out_of_reach`].
    pub fn meta(&self) -> Result<Job, Error> {
        let path = self.folder.join("meta.json");
        let bytes = fs::read(&path).map_err(|source| Error::ReadEntry {
            // without its folder it is not the entry that is missing, but the archive
            source: if self.folder.is_dir() { source } else { gone(source) },
            path: path.clone(),
        })?;
        Job::from_meta_json(&bytes).map_err(|source| Error::BrokenMeta { path, source })
    }
}

impl Layout {
    /// The entry at a position, whether there is one or not.
    pub fn entry_at(&self, position: Position) -> Entry {
        Entry { folder: self.root.join(position.to_string()), position }
    }

    /// All entries after a position, in ascending order of cluster, job id and start time. Folders are listed one by
    /// one as the iterator comes to them; one that cannot be listed is an error in its place.
    ///
    /// # Errors
    /// [`Error::ReadVersion`] when the root cannot be listed.
    pub fn entries(
        &self,
        after: Option<Position>,
    ) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
        let clusters = self.cluster_folders()?;
        let start = after.clone();
        let clusters = clusters
            .into_iter()
            .filter(move |(name, _)| start.as_ref().is_none_or(|start| *name >= start.cluster));
        Ok(clusters.flat_map(move |(cluster, folder)| {
            let after = after.clone().filter(|after| after.cluster == cluster).map(|after| after.numbers);
            of_cluster(cluster, &folder, after)
        }))
    }
}

/// Entries of one cluster whose numbers are greater than `after`.
fn of_cluster(
    cluster: String,
    folder: &Path,
    after: Option<[i64; 3]>,
) -> impl Iterator<Item = Result<Entry, Error>> + use<> {
    let first = after.map_or(i64::MIN, |after| after[0]);
    let upper = numbered(folder).filter(move |found| !matches!(found, Ok((number, _)) if *number < first));
    let lower = upper.flat_map(nested);
    let lower = lower.filter(move |found| {
        !matches!((found, after), (Ok(([upper, lower], _)), Some(after)) if [*upper, *lower] < [after[0], after[1]])
    });
    let starts = lower.flat_map(move |found| match found {
        Ok((numbers, folder)) => Box::new(
            numbered(&folder)
                .map(move |found| found.map(|(start, folder)| ([numbers[0], numbers[1], start], folder))),
        ),
        Err(error) => Box::new(std::iter::once(Err(error)))
            as Box<dyn Iterator<Item = Result<([i64; 3], PathBuf), Error>> + Send>,
    });
    starts
        .filter(move |found| !matches!((found, after), (Ok((numbers, _)), Some(after)) if *numbers <= after))
        .map(move |found| {
            found.map(|(numbers, folder)| Entry {
                position: Position { cluster: cluster.clone(), numbers },
                folder,
            })
        })
}

type Found<N> = Result<(N, PathBuf), Error>;

fn nested(found: Found<i64>) -> Box<dyn Iterator<Item = Found<[i64; 2]>> + Send> {
    match found {
        Ok((upper, folder)) => Box::new(
            numbered(&folder).map(move |found| found.map(|(lower, folder)| ([upper, lower], folder))),
        ),
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

/// A folder that was there a moment ago is not: an archive that is unmounted while it is read must not look like one that
/// ends here.
fn gone(source: io::Error) -> io::Error {
    if source.kind() == io::ErrorKind::NotFound {
        return io::Error::other("its folder vanished while the archive was read");
    }
    source
}

/// Folders in a folder whose names are numbers, ascending. Others are left out: they are not of the archive.
fn numbered(folder: &Path) -> std::vec::IntoIter<Found<i64>> {
    let failed = |path: &Path, source| Error::ReadEntry { path: path.to_owned(), source: gone(source) };
    let list = || -> Result<Vec<(i64, PathBuf)>, Error> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(|source| failed(folder, source))? {
            let entry = entry.map_err(|source| failed(folder, source))?;
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let path = entry.path();
            if is_folder(&entry).map_err(|source| failed(&path, source))? {
                found.push((number, path));
            }
        }
        found.sort_unstable();
        Ok(found)
    };
    match list() {
        Ok(found) => found.into_iter().map(Ok).collect::<Vec<_>>().into_iter(),
        Err(error) => vec![Err(error)].into_iter(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_order_and_go_on_after_any_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let all = [
            "a/9/001/5",
            "a/9/001/1700000000",
            "a/9/999/4",
            "a/10/000/7",
            "b/1034/871/1768978339",
            "b/1034/872/1",
        ];
        for entry in all {
            let folder = dir.path().join(entry);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("meta.json"), b"{}").unwrap();
        }
        fs::write(dir.path().join("a/cluster.json"), b"{}").unwrap();
        fs::create_dir_all(dir.path().join("a/notes/x")).unwrap();
        let walk = |after: Option<Position>| -> Vec<String> {
            layout.entries(after).unwrap().map(|entry| entry.unwrap().position.to_string()).collect()
        };
        assert_eq!(walk(None), all);
        for (index, entry) in all.iter().enumerate() {
            let position = Position::parse(entry).unwrap();
            assert_eq!(position.to_string(), *entry);
            assert_eq!(walk(Some(position)), all[index + 1..], "after {entry}");
        }
        let position = Position::parse("b/1034/872/1").unwrap();
        assert!(matches!(layout.entry_at(position).meta(), Err(Error::BrokenMeta { .. })));
        assert_eq!(Position::parse("nonsense"), None);
        assert_eq!(Position::parse("a/b/c/d"), None);
    }

    #[test]
    fn what_is_out_of_reach_is_told_from_what_is_missing_or_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let folder = |entry: &str| {
            let folder = dir.path().join(entry);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        folder("a/1/001/1");
        fs::write(folder("a/1/001/2").join("meta.json"), b"{").unwrap();
        std::os::unix::fs::symlink("meta.json", folder("a/1/001/3").join("meta.json")).unwrap();
        folder("a/1/001/4");
        std::os::unix::fs::symlink("/not/mounted", folder("a/2").join("002")).unwrap();
        let entries: Vec<_> = layout.entries(None).unwrap().collect();
        let [missing, wrong, endless, vanished, unmounted] = &entries[..] else { panic!("{entries:?}") };
        fs::remove_dir(dir.path().join("a/1/001/4")).unwrap();
        let of = |entry: &Result<Entry, Error>| entry.as_ref().unwrap().meta().unwrap_err().is_out_of_reach();
        assert!(!of(missing) && !of(wrong));
        assert!(of(endless) && of(vanished));
        assert!(unmounted.as_ref().unwrap_err().is_out_of_reach());
    }
}
