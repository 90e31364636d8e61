//! The clusters, kept up to date by `Archive.WatchClusters`: parsed once per change, not once per request.

use std::sync::Arc;
use std::time::Duration;

use cc_model::Cluster;
use cc_proto::archive::v1::{ListClustersRequest, ListClustersResponse, WatchClustersRequest};
use cc_runtime::cpu;
use tokio::sync::watch;
use tonic::Status;

use crate::state::State;

/// Waits between attempts to follow the archive: soon at first, then every few seconds.
const WAITS: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// All clusters at one moment.
#[derive(Debug)]
pub struct ClusterSet {
    /// Of the archive: compare for equality only.
    pub version: u64,
    /// Parsed and merged; files that cannot be used are left out and logged.
    pub clusters: cc_model::Clusters,
}

/// The last known set.
#[derive(Debug)]
pub(crate) struct Clusters(watch::Sender<Option<Arc<ClusterSet>>>);

impl Default for Clusters {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Clusters {
    pub(crate) async fn get(&self, state: &State) -> Result<Arc<ClusterSet>, Status> {
        if let Some(known) = self.0.borrow().clone() {
            return Ok(known);
        }
        let answer = state.archive().list_clusters(ListClustersRequest {}).await?;
        parse(answer.into_inner()).await
    }

    pub(crate) fn are_known(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Follows the archive until the process ends.
    pub(crate) async fn follow(&self, state: &State) {
        let mut failures = 0;
        loop {
            let status = match self.follow_once(state, &mut failures).await {
                Ok(()) => Status::unavailable("the archive ended the stream"),
                Err(status) => status,
            };
            tracing::debug!("cluster files are not followed: {:?} {}", status.code(), status.message());
            let wait = WAITS.get(failures).or(WAITS.last()).copied().unwrap_or_default();
            failures = failures.saturating_add(1);
            tokio::time::sleep(wait).await;
        }
    }

    async fn follow_once(&self, state: &State, failures: &mut usize) -> Result<(), Status> {
        let mut changes = state.archive().watch_clusters(WatchClustersRequest {}).await?.into_inner();
        while let Some(change) = changes.message().await? {
            let set = parse(change).await?;
            tracing::debug!(cluster.count = set.clusters.len(), "took {} clusters", set.clusters.len());
            self.0.send_replace(Some(set));
            *failures = 0;
        }
        Ok(())
    }
}

async fn parse(told: ListClustersResponse) -> Result<Arc<ClusterSet>, Status> {
    let parsed = cpu::run(move || {
        let clusters = told.clusters.into_iter().filter_map(|file| match Cluster::from_json(&file.json) {
            Ok(cluster) => Some(Arc::new(cluster)),
            Err(error) => {
                tracing::error!(cluster = file.name, "cluster {} cannot be used: {error}", file.name);
                None
            }
        });
        Arc::new(ClusterSet { version: told.version, clusters: cc_model::Clusters::new(clusters) })
    });
    Ok(parsed.await?)
}
