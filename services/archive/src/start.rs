//! Brings the service up.

use std::sync::Arc;

use cc_proto::archive::v1::archive_server::ArchiveServer;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::config::archive::Place;
use cc_runtime::health::Readiness;
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::Transport;
use tonic::service::Routes;

use crate::clusters::ClusterFiles;
use crate::error::Error;
use crate::grpc::Grpc;
use crate::layout::Layout;
use crate::metrics;

/// Points below which a series is never thinned, where the configuration says nothing.
const MINIMUM_POINTS: usize = 1000;
/// Largest request: an imported job comes whole.
const MESSAGE_BYTES_MAX: usize = 96 << 20;

/// What the service is made of.
#[derive(Clone)]
pub struct Deps {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// Background tasks.
    pub tasks: Tasks,
    /// Ready when the archive is open and all cluster files are read.
    pub readiness: Readiness,
    /// Where the series of stopped jobs come from.
    pub metric_store: Transport,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// Opens the archive and reads its cluster files.
///
/// # Errors
/// [`Error::Kind`] for storage that is not built, and what [`Layout::open`] and [`ClusterFiles::load`] say.
pub async fn start(deps: Deps) -> Result<Routes, Error> {
    metrics::describe();
    let path = match &deps.config.archive.place {
        Place::File { path } => path.clone(),
        Place::S3(_) => return Err(Error::Kind { kind: "s3" }),
        Place::Sqlite { .. } => return Err(Error::Kind { kind: "sqlite" }),
    };
    let first_version = u64::try_from(deps.clock.now().as_nanosecond()).unwrap_or_default();
    let opened = cc_runtime::cpu::run(move || {
        let layout = Layout::open(&path)?;
        let clusters = ClusterFiles::load(layout.clone(), first_version)?;
        Ok::<_, Error>((layout, clusters))
    });
    let (layout, clusters) = opened.await??;
    clusters.follow(&deps.tasks);
    let resampling = deps.config.main.resampling.as_ref().and_then(|resampling| resampling.minimum_points);
    let minimum_points = resampling.and_then(|points| usize::try_from(points).ok()).unwrap_or(MINIMUM_POINTS);
    let grpc = Grpc {
        layout,
        clusters,
        metric_store: MetricStoreClient::new(deps.metric_store),
        tasks: deps.tasks,
        clock: deps.clock,
        minimum_points,
    };
    deps.readiness.ready();
    let server = ArchiveServer::new(grpc)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    Ok(Routes::new(server))
}
