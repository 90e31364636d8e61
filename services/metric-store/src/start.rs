//! Starting the service from the configuration of a process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cc_proto::metric_store::v1::metric_store_server::MetricStoreServer;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::config::metric_store::{
    self, CheckpointFormat, LogDurability, MetricStore as Section, StoreLog,
};
use cc_runtime::health::{Health, Readiness};
use cc_runtime::tasks::Tasks;
use tonic::service::Routes;

use crate::error::Error;
use crate::external::External;
use crate::grpc::{Grpc, MINIMUM_POINTS};
use crate::log::Durability;
use crate::nats;
use crate::store::{self, Cleanup, Format, Options, Pinning, Reference, Store};

/// What the service needs of its process.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The configuration; section `metric-store` or `metric-store-external` must be present.
    pub config: Arc<Config>,
    /// What time it is.
    pub clock: Clock,
    /// Where background work is registered.
    pub tasks: Tasks,
    /// Says when all samples are loaded and the metrics are known.
    pub readiness: Readiness,
    /// All parts of the process: the connection to the message broker becomes one of them.
    pub health: Health,
}

/// Opens the store, starts its background work, and returns the routes of its gRPC service, without layers. Questions about
/// clusters whose samples are in a store of `metric-store-external` go there.
///
/// # Errors
/// Both sections are missing, or an entry or the store's directory cannot be used.
pub async fn start(deps: Deps) -> Result<Routes, Error> {
    let elsewhere = &deps.config.metric_store_external;
    let local = match &deps.config.metric_store {
        Some(section) => Some(local(&deps, section).await?),
        None if elsewhere.is_empty() => {
            return Err(Error::Invalid("section metric-store is missing in the configuration".to_owned()));
        }
        None => None,
    };
    match local {
        Some(local) if elsewhere.is_empty() => Ok(Routes::new(MetricStoreServer::new(local))),
        local => {
            let instance = u64::try_from(deps.clock.now().as_nanosecond()).unwrap_or(0).max(1);
            let external = External::new(elsewhere, local, &deps.readiness, instance)?;
            Ok(Routes::new(MetricStoreServer::new(external)))
        }
    }
}

/// The store of this process.
async fn local(deps: &Deps, section: &Section) -> Result<Grpc, Error> {
    let store = open(options(section, deps.config.store_log, Pinning::Expected), deps.clock.clone()).await?;
    store::start(&store, &deps.tasks, &deps.readiness);
    nats::start(&store, &deps.config, &deps.health, &deps.tasks);
    let resampling = deps.config.main.resampling.as_ref();
    let minimum = resampling.and_then(|resampling| resampling.minimum_points).filter(|points| *points > 0);
    let minimum = minimum.and_then(|points| usize::try_from(points).ok()).unwrap_or(MINIMUM_POINTS);
    Ok(Grpc::new(store, minimum))
}

/// Opens a store on a thread that may block.
pub(crate) async fn open(options: Options, clock: Clock) -> Result<Arc<Store>, Error> {
    let opened = tokio::task::spawn_blocking(move || Store::open(options, clock)).await;
    opened.map_err(|_| Error::Invalid("the store was interrupted while it opened".to_owned()))?
}

/// The settings that the sections `metric-store` and `store-log` stand for.
pub(crate) fn options(section: &Section, log: StoreLog, pinning: Pinning) -> Options {
    Options {
        directory: own_directory(&section.checkpoints.directory),
        retention: section.retention_in_memory,
        memory_cap: section.memory_cap_gb.saturating_mul(1_000_000_000),
        checkpoint_interval: section.checkpoint_interval,
        workers: section.num_workers,
        durability: match log.durability {
            LogDurability::Background => Durability::Background,
            LogDurability::Sync => Durability::Sync,
        },
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
