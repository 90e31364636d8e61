//! `-init-db` (job-archive.md 16): the job tables from the archive. Readers in parallel, one writer, always in the same
//! order, so that a repeated or resumed run gives the same tables.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use cc_archive::layout::{Entry, Position};
use cc_job_db::{Rebuild, row_of_entry};
use cc_model::{Clusters, Job};
use cc_runtime::config::Config;
use cc_runtime::files::lock::{DatabaseLock, Purpose};
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
    bad: Vec<String>,
    last: Option<Position>,
}

/// Rebuilds the tables.
///
/// # Errors
/// [`Error::Database`] when another process has the database, [`Error::Rebuild`], [`Error::Archive`] when the archive
/// cannot be listed. The tables are then as they were.
pub(super) async fn rebuild(
    config: &Config,
    archive: &Archive,
    out: &mut (dyn Write + Send),
) -> Result<(), Error> {
    let db = &config.main.db;
    let _lock = DatabaseLock::take(db, Purpose::Alone).map_err(|error| Error::Database(error.into()))?;
    writeln!(out, "Building job table...")?;
    let label = format!("{:?} {}", config.archive.place, archive.clusters.snapshot().fingerprint());
    let mut rebuild = Rebuild::begin(db, &label).await?;
    if rebuild.jobs() > 0 {
        tracing::info!("goes on after {} jobs of a rebuild that was not finished", rebuild.jobs());
    }
    let after = rebuild.position().and_then(Position::parse);
    let shown = io::stdout().is_terminal();
    let mut bad = 0_u64;
    let mut tell = |what: &[String]| {
        for line in what {
            bad += 1;
            if bad <= TOLD_MAX {
                tracing::warn!("left out: {line}");
            }
        }
    };
    let clusters = Arc::new(archive.clusters());
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
        let Read { jobs, bad, last } = batch.map_err(io::Error::other)?;
        tell(&bad);
        if let Some(last) = last {
            tell(&rebuild.add(&jobs, &last.to_string()).await?);
        }
        if shown {
            write!(out, "{} jobs inserted...\r", rebuild.jobs())?;
            out.flush()?;
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
    if bad > 0 {
        tracing::warn!("Error in import of {bad} jobs!");
    }
    tracing::info!("{} jobs from the archive, {} kept that are not in it yet", done.jobs, done.kept);
    writeln!(out, "Init DB: Successfully re-initialized repository DB.")?;
    Ok(())
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
    let mut read = Read { jobs: Vec::with_capacity(entries.len()), bad: Vec::new(), last: None };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                read.bad.push(cc_runtime::error::chain(&error));
                continue;
            }
        };
        match entry.meta() {
            Ok(job) => match row_of_entry(job, clusters) {
                Ok(row) => read.jobs.push(row),
                Err(error) => {
                    read.bad.push(format!("{}: {}", entry.position, cc_runtime::error::chain(&error)));
                }
            },
            Err(error) => read.bad.push(cc_runtime::error::chain(&error)),
        }
        read.last = Some(entry.position);
    }
    read
}
