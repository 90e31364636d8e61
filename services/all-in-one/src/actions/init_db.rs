//! `-init-db` (job-archive.md 16): the job tables from the archive. Readers in parallel, one writer, always in the same
//! order, so that a repeated or resumed run gives the same tables.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;

use cc_archive::layout::{Entry, Position};
use cc_job_db::{Rebuild, Rebuilt, row_of_entry};
use cc_model::{Clusters, Job};
use cc_runtime::config::Config;
use cc_runtime::files::lock::Purpose;
use futures::StreamExt as _;

use super::{Archive, Error};

/// Entries read at a time by one reader, and stored in one transaction.
const BATCH: usize = 500;

/// Readers; more do not help one writer.
const READERS_MAX: usize = 8;

/// Bad entries told one by one; the others are counted.
const TOLD_MAX: u64 = 1_000;

/// What a reader made of a batch.
struct Read {
    jobs: Vec<Job>,
    /// Entries that give no job.
    left_out: Vec<String>,
    bad: Vec<String>,
    last: Option<Position>,
    /// Something could not be read; what comes before it is in the other members.
    failed: Option<cc_archive::Error>,
}

/// Rebuilds the tables.
///
/// # Errors
/// [`Error::Database`] when another process has the database, [`Error::Rebuild`], [`Error::Archive`] when something of
/// the archive cannot be read. The tables are then as they were.
pub(super) async fn rebuild(
    config: &Config,
    archive: &Archive,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let db = &config.main.db;
    let _lock = cc_database::lock(db, Purpose::Alone).map_err(Error::Database)?;
    writeln!(out, "Building job table...")?;
    let label = format!("{:?} {}", config.archive.place, archive.clusters.snapshot().fingerprint());
    let done = of_archive(db, &label, archive, out).await?;
    tracing::info!("{} jobs from the archive, {} kept that it has not got as they are", done.jobs, done.kept);
    writeln!(out, "Init DB: Successfully re-initialized repository DB.")?;
    Ok(())
}

async fn of_archive(
    db: &Path,
    label: &str,
    archive: &Archive,
    out: &mut (dyn Write + Send),
) -> Result<Rebuilt, Error> {
    let clusters = Arc::new(archive.clusters());
    let mut rebuild = Rebuild::begin(db, label).await?;
    let mut bad = 0_u64;
    if rebuild.position().is_some() {
        bad = go_on(&mut rebuild, archive, &clusters).await?;
    }
    let after = rebuild.position().and_then(Position::parse);
    let shown = io::stdout().is_terminal();
    let mut tell = |what: &[String]| {
        for line in what {
            bad += 1;
            if bad <= TOLD_MAX {
                tracing::warn!("left out: {line}");
            }
        }
    };
    let readers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, READERS_MAX);
    let batches = Batches { entries: archive.layout.entries(after)? };
    let mut read = std::pin::pin!(
        futures::stream::iter(batches)
            .map(|entries| {
                let clusters = Arc::clone(&clusters);
                tokio::task::spawn_blocking(move || read_batch(entries, &clusters))
            })
            .buffered(readers)
    );
    while let Some(batch) = read.next().await {
        let Read { jobs, left_out, bad, last, failed } = batch.map_err(io::Error::other)?;
        tell(&bad);
        if let Some(last) = last {
            tell(&rebuild.add(&jobs, &left_out, &last.to_string()).await?);
        }
        if shown {
            write!(out, "{} jobs inserted...\r", rebuild.jobs())?;
            out.flush()?;
        }
        if let Some(error) = failed {
            // Tables without what cannot be read just now would look like tables of a smaller archive. The next run goes
            // on here.
            rebuild.leave().await?;
            return Err(error.into());
        }
    }
    let mut told = |line: &str| {
        tracing::info!("{line}");
        if shown {
            // without standard output there is nobody to tell
            let _ = writeln!(io::stdout(), "{line}");
        }
    };
    let done = rebuild.finish(&mut told).await?;
    for line in &done.reports {
        tracing::warn!("left out: {line}");
    }
    if bad > 0 {
        tracing::warn!("Error in import of {bad} jobs!");
    }
    Ok(done)
}

/// Looks again at the entries that a former run left out, and begins anew if one of them is good now. Returns how many
/// are as they were.
async fn go_on(rebuild: &mut Rebuild, archive: &Archive, clusters: &Arc<Clusters>) -> Result<u64, Error> {
    let left_out = rebuild.left_out().await?;
    let entries: Vec<_> = left_out
        .iter()
        .filter_map(|position| Position::parse(position))
        .map(|position| Ok(archive.layout.entry_at(position)))
        .collect();
    let clusters = Arc::clone(clusters);
    let read = tokio::task::spawn_blocking(move || read_batch(entries, &clusters));
    let read = read.await.map_err(io::Error::other)?;
    if let Some(error) = read.failed {
        return Err(error.into());
    }
    if read.jobs.is_empty() {
        tracing::info!("goes on after {} jobs of a rebuild that was not finished", rebuild.jobs());
        return Ok(left_out.len() as u64);
    }
    tracing::info!("begins anew: an entry is good that was left out by a rebuild that was not finished");
    rebuild.anew().await?;
    Ok(0)
}

/// Groups of entries in their order.
struct Batches<I> {
    entries: I,
}

impl<I: Iterator<Item = Result<Entry, cc_archive::Error>>> Iterator for Batches<I> {
    type Item = Vec<Result<Entry, cc_archive::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch: Vec<_> = self.entries.by_ref().take(BATCH).collect();
        (!batch.is_empty()).then_some(batch)
    }
}

fn read_batch(entries: Vec<Result<Entry, cc_archive::Error>>, clusters: &Clusters) -> Read {
    let jobs = Vec::with_capacity(entries.len());
    let mut read = Read { jobs, left_out: Vec::new(), bad: Vec::new(), last: None, failed: None };
    for entry in entries {
        // an entry that is listed has a folder; what cannot be listed is out of reach
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                read.failed = Some(error);
                break;
            }
        };
        let problem = match entry.meta() {
            Ok(job) => match row_of_entry(job, clusters) {
                Ok(row) => {
                    read.jobs.push(row);
                    None
                }
                Err(error) => Some(format!("{}: {}", entry.position, cc_runtime::error::chain(&error))),
            },
            Err(error) if error.is_out_of_reach() => {
                read.failed = Some(error);
                break;
            }
            Err(error) => Some(cc_runtime::error::chain(&error)),
        };
        if let Some(problem) = problem {
            read.bad.push(problem);
            read.left_out.push(entry.position.to_string());
        }
        read.last = Some(entry.position);
    }
    read
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use cc_archive::clusters::ClusterFiles;
    use cc_archive::layout::Layout;
    use sqlx::ConnectOptions as _;
    use tempfile::TempDir;

    use super::*;

    const CLUSTER: &str = r#"{"name": "c", "metricConfig": [
        {"name": "load", "unit": {"base": ""}, "scope": "node", "aggregation": "avg", "timestep": 10, "peak": 4,
         "normal": 3, "caution": 2, "alert": 1}], "subClusters": [
        {"name": "main", "nodes": "n[1-9]", "processorType": "p", "socketsPerNode": 1, "coresPerSocket": 1,
         "threadsPerCore": 1, "flopRateScalar": {"value": 1, "unit": {"base": "F/s"}},
         "flopRateSimd": {"value": 1, "unit": {"base": "F/s"}}, "memoryBandwidth": {"value": 1, "unit": {"base": "B/s"}},
         "topology": {"node": [0], "socket": [[0]], "core": [[0]], "memoryDomain": [[0]]}}]}"#;

    struct Site {
        folder: TempDir,
    }

    impl Site {
        async fn new() -> Self {
            let site = Self { folder: tempfile::tempdir().unwrap() };
            cc_database::create(site.db()).await.unwrap();
            fs::create_dir_all(site.archive().join("c")).unwrap();
            fs::write(site.archive().join("version.txt"), "3\n").unwrap();
            fs::write(site.archive().join("c/cluster.json"), CLUSTER).unwrap();
            for id in 1..=4 {
                site.store(id);
            }
            site
        }

        fn db(&self) -> PathBuf {
            self.folder.path().join("job.db")
        }

        fn archive(&self) -> PathBuf {
            self.folder.path().join("archive")
        }

        fn meta(&self, id: i64) -> PathBuf {
            let folder = self.archive().join(format!("c/0/{id:03}/1700000000"));
            fs::create_dir_all(&folder).unwrap();
            folder.join("meta.json")
        }

        fn store(&self, id: i64) {
            let meta = format!(
                r#"{{"jobId": {id}, "cluster": "c", "subCluster": "main", "user": "u", "project": "p", "shared": "none",
                    "startTime": 1700000000, "duration": 60, "walltime": 60, "numNodes": 1, "jobState": "completed",
                    "monitoringStatus": 1, "resources": [{{"hostname": "n1"}}], "statistics": {{}}}}"#
            );
            fs::write(self.meta(id), meta).unwrap();
        }

        async fn rebuild(&self) -> Result<Rebuilt, Error> {
            let layout = Layout::open(&self.archive())?;
            let clusters = ClusterFiles::load(layout.clone(), 0)?;
            let label = clusters.snapshot().fingerprint().to_string();
            of_archive(&self.db(), &label, &Archive { layout, clusters }, &mut Vec::new()).await
        }

        async fn jobs(&self) -> Vec<(i64, i64)> {
            let mut connection =
                sqlx::sqlite::SqliteConnectOptions::new().filename(self.db()).connect().await.unwrap();
            sqlx::query_as("SELECT id, job_id FROM job ORDER BY id").fetch_all(&mut connection).await.unwrap()
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_ends_the_run_and_the_next_one_goes_on() {
        let site = Site::new().await;
        site.rebuild().await.unwrap();
        let before = site.jobs().await;
        assert_eq!(before, [(1, 1), (2, 2), (3, 3), (4, 4)]);
        // also for root, a link to itself cannot be read
        fs::remove_file(site.meta(3)).unwrap();
        std::os::unix::fs::symlink("meta.json", site.meta(3)).unwrap();
        site.store(5);
        let error = site.rebuild().await.unwrap_err();
        assert!(error.to_string().contains("c/0/003/1700000000/meta.json"), "{error}");
        assert_eq!(site.jobs().await, before);
        assert!(site.folder.path().join("job.db.rebuild").try_exists().unwrap());
        fs::remove_file(site.meta(3)).unwrap();
        site.store(3);
        assert_eq!(site.rebuild().await.unwrap().jobs, 5);
        assert_eq!(site.jobs().await, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    }

    #[tokio::test]
    async fn a_broken_entry_is_left_out_and_comes_when_it_is_mended() {
        let site = Site::new().await;
        fs::write(site.meta(2), "{").unwrap();
        assert_eq!(site.rebuild().await.unwrap().jobs, 3);
        // a run that comes past the broken one before it ends
        fs::create_dir(site.archive().join("c/9")).unwrap();
        let link = site.archive().join("c/9/001");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(matches!(site.rebuild().await, Err(Error::Archive(_))));
        let label = ClusterFiles::load(Layout::open(&site.archive()).unwrap(), 0).unwrap();
        let label = label.snapshot().fingerprint().to_string();
        let mut ended = Rebuild::begin(&site.db(), &label).await.unwrap();
        assert_eq!(
            (ended.jobs(), ended.left_out().await.unwrap()),
            (3, vec!["c/0/002/1700000000".to_owned()])
        );
        ended.leave().await.unwrap();
        fs::remove_file(link).unwrap();
        site.store(2);
        assert_eq!(site.rebuild().await.unwrap().jobs, 4);
        assert_eq!(site.jobs().await, [(1, 1), (2, 3), (3, 4), (4, 2)]);
    }

    #[tokio::test]
    async fn an_archive_that_is_not_mounted_leaves_the_tables() {
        let site = Site::new().await;
        site.rebuild().await.unwrap();
        let before = site.jobs().await;
        let aside = site.folder.path().join("aside");
        fs::rename(site.archive(), &aside).unwrap();
        fs::create_dir(site.archive()).unwrap();
        let error = site.rebuild().await.unwrap_err();
        assert!(error.to_string().contains("c (4 jobs)"), "{error}");
        assert_eq!(site.jobs().await, before);
        fs::remove_dir_all(site.archive()).unwrap();
        fs::rename(aside, site.archive()).unwrap();
        assert_eq!(site.rebuild().await.unwrap().jobs, 4);
        assert_eq!(site.jobs().await, before);
    }
}
