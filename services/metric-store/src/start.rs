//! Starting the service from the configuration of a process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cc_proto::metric_store::v1::metric_store_server::MetricStoreServer;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::config::metric_store::{self, CheckpointFormat, MetricStore as Section};
use cc_runtime::health::Readiness;
use cc_runtime::tasks::Tasks;
use tonic::service::Routes;

use crate::error::Error;
use crate::grpc::{Grpc, MINIMUM_POINTS};
use crate::log::Durability;
use crate::store::{self, Cleanup, Format, Options, Pinning, Reference, Store};

/// What the service needs of its process.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The configuration; section `metric-store` must be present.
    pub config: Arc<Config>,
    /// What time it is.
    pub clock: Clock,
    /// Where background work is registered.
    pub tasks: Tasks,
    /// Says when all samples are loaded and the metrics are known.
    pub readiness: Readiness,
}

/// Opens the store, starts its background work, and returns the routes of its gRPC service, without layers.
///
/// # Errors
/// The section `metric-store` is missing, or the store's directory cannot be used.
pub async fn start(deps: Deps) -> Result<Routes, Error> {
    let Some(section) = &deps.config.metric_store else {
        return Err(Error::Invalid("section metric-store is missing in the configuration".to_owned()));
    };
    let store = open(options(section, Pinning::Expected), deps.clock.clone()).await?;
    store::start(&store, &deps.tasks, &deps.readiness);
    let resampling = deps.config.main.resampling.as_ref();
    let minimum = resampling.and_then(|resampling| resampling.minimum_points).filter(|points| *points > 0);
    let minimum = minimum.and_then(|points| usize::try_from(points).ok()).unwrap_or(MINIMUM_POINTS);
    Ok(Routes::new(MetricStoreServer::new(Grpc::new(store, minimum))))
}

/// Opens a store on a thread that may block.
pub(crate) async fn open(options: Options, clock: Clock) -> Result<Arc<Store>, Error> {
    let opened = tokio::task::spawn_blocking(move || Store::open(options, clock)).await;
    opened.map_err(|_| Error::Invalid("the store was interrupted while it opened".to_owned()))?
}

/// The settings that the section `metric-store` stands for.
pub(crate) fn options(section: &Section, pinning: Pinning) -> Options {
    Options {
        directory: own_directory(&section.checkpoints.directory),
        retention: section.retention_in_memory,
        memory_cap: section.memory_cap_gb.saturating_mul(1_000_000_000),
        checkpoint_interval: section.checkpoint_interval,
        workers: section.num_workers,
        durability: Durability::Background,
        pinning,
        reference: Some(Reference {
            directory: section.checkpoints.directory.clone(),
            format: match section.checkpoints.file_format {
                CheckpointFormat::Wal => Format::Bin,
                CheckpointFormat::Json => Format::Json,
            },
            cleanup: match &section.cleanup {
                metric_store::Cleanup::Delete => Cleanup::Delete,
                metric_store::Cleanup::Archive { directory } => {
                    Cleanup::Archive { directory: directory.clone() }
                }
            },
        }),
    }
}

/// Ours, beside the reference's directory, in which nothing foreign may lie.
fn own_directory(checkpoints: &Path) -> PathBuf {
    // As components: without a slash at the end.
    let mut name = checkpoints.components().as_path().as_os_str().to_owned();
    name.push(".ccx");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_directory_lies_beside_the_references() {
        for (theirs, ours) in
            [("./var/checkpoints", "./var/checkpoints.ccx"), ("/data/cp/", "/data/cp.ccx"), ("cp", "cp.ccx")]
        {
            assert_eq!(own_directory(Path::new(theirs)), Path::new(ours));
        }
    }
}
