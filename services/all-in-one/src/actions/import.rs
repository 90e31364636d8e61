//! `-import-job META:DATA[,META:DATA…]` (job-archive.md 16): the archive's entry and the table's row.

use std::fs;
use std::io;
use std::path::PathBuf;

use cc_database::Database;
use cc_runtime::clock::Clock;

use super::Archive;

/// Why a pair was not imported; earlier pairs are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not two paths with one colon between.
    #[error("REPOSITORY/INIT > invalid import flag format: want <meta.json>:<data.json>[,…], have {0}")]
    Format(String),
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The entry.
    #[error("{pair}: {source}")]
    Archive {
        /// Which pair.
        pair: String,
        /// Why.
        source: cc_archive::Error,
    },
    /// The row.
    #[error("{pair}: {source}")]
    JobDb {
        /// Which pair.
        pair: String,
        /// Why.
        source: cc_job_db::Error,
    },
}

/// Imports the pairs in order; the first that fails ends it.
pub(super) async fn import(
    archive: &Archive,
    database: &Database,
    clock: &Clock,
    pairs: &str,
) -> Result<(), Error> {
    let clusters = archive.clusters();
    for pair in pairs.split(',') {
        let (meta, data) = pair.split_once(':').ok_or_else(|| Error::Format(pair.to_owned()))?;
        if data.contains(':') {
            return Err(Error::Format(pair.to_owned()));
        }
        let (meta, data) = (read(meta)?, read(data)?);
        let archived = |source| Error::Archive { pair: pair.to_owned(), source };
        // Checked before anything is written: a job that the table has already must not replace its archived data.
        let prepared =
            cc_archive::importing::prepare(&archive.clusters.snapshot(), &meta, &data).map_err(archived)?;
        let stored = |source| Error::JobDb { pair: pair.to_owned(), source };
        let importer = cc_job_db::Importer::open(database, clock, clusters.clone()).await.map_err(stored)?;
        importer.check(&prepared.job).await.map_err(stored)?;
        prepared.store(&archive.layout).map_err(archived)?;
        let id = importer.insert(&prepared.job).await.map_err(stored)?;
        tracing::info!("imported {pair} (dbid: {id})");
    }
    Ok(())
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}
