//! What all handlers share: typed clients of the services, settings, clock, caches, limits.

use std::future::Future;
use std::sync::Arc;

use cc_proto::archive::v1::archive_client::ArchiveClient;
use cc_proto::auth::v1::auth_client::AuthClient;
use cc_proto::job_db::v1::job_db_client::JobDbClient;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::health::Readiness;
use cc_runtime::rpc;
use cc_runtime::tasks::{Stage, Tasks};
use cc_runtime::transport::Transport;
use tonic::Status;

use crate::Deps;
use crate::auth::cache::Identities;
use crate::clusters::{ClusterSet, Clusters};
use crate::error::Error;
use crate::middleware::concurrency::Places;
use crate::settings::Settings;
use crate::web::events::Streams;

/// Largest message taken from a service. Answers are paged or streamed; this is for the one job with a huge script.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// The shared state. Clones are one.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    settings: Settings,
    clock: Clock,
    tasks: Tasks,
    readiness: Readiness,
    auth: AuthClient<Transport>,
    job_db: JobDbClient<Transport>,
    archive: ArchiveClient<Transport>,
    metric_store: MetricStoreClient<Transport>,
    identities: Identities,
    places: Places,
    streams: Streams,
    clusters: Clusters,
}

impl State {
    /// Of the dependencies.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(deps: Deps) -> Result<Self, Error> {
        let settings = Settings::new(&deps.config)?;
        let places = Places::new(settings.requests_max);
        Ok(Self(Arc::new(Inner {
            settings,
            clock: deps.clock,
            // requests and streams end before what they call does
            tasks: deps.tasks.at(Stage::Requests),
            readiness: deps.readiness,
            auth: AuthClient::new(deps.auth),
            job_db: JobDbClient::new(deps.job_db)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            archive: ArchiveClient::new(deps.archive).max_decoding_message_size(MESSAGE_BYTES_MAX),
            metric_store: MetricStoreClient::new(deps.metric_store),
            config: deps.config,
            identities: Identities::default(),
            places,
            streams: Streams::default(),
            clusters: Clusters::default(),
        })))
    }

    /// The whole configuration, for what [`Settings`] does not hold.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// What the gateway itself takes from it.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Tasks that end with the requests. Its token is cancelled when the process stops accepting.
    pub fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    /// Whether the gateway can answer.
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Users, tokens, sessions.
    pub fn auth(&self) -> AuthClient<Transport> {
        self.0.auth.clone()
    }

    /// Jobs, tags, nodes.
    pub fn job_db(&self) -> JobDbClient<Transport> {
        self.0.job_db.clone()
    }

    /// Finished jobs and cluster files.
    pub fn archive(&self) -> ArchiveClient<Transport> {
        self.0.archive.clone()
    }

    /// Samples.
    pub fn metric_store(&self) -> MetricStoreClient<Transport> {
        self.0.metric_store.clone()
    }

    /// The clusters as the archive last told them.
    ///
    /// # Errors
    /// When the archive has told nothing yet and cannot be asked.
    pub async fn clusters(&self) -> Result<Arc<ClusterSet>, Status> {
        self.0.clusters.get(self).await
    }

    /// Runs a change to its end, also when the client goes away meanwhile.
    ///
    /// # Errors
    /// The change's own, UNAVAILABLE while the process ends.
    pub async fn detached<T: Send + 'static>(
        &self,
        name: &'static str,
        change: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        rpc::detached(&self.0.tasks, name, change).await
    }

    pub(crate) fn watched_clusters(&self) -> &Clusters {
        &self.0.clusters
    }

    pub(crate) fn identities(&self) -> &Identities {
        &self.0.identities
    }

    pub(crate) fn places(&self) -> &Places {
        &self.0.places
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
