//! The clusters, kept up to date by `Archive.WatchClusters`: parsed once per change, not once per request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cc_model::Cluster;
use cc_proto::archive::v1::{ListClustersRequest, ListClustersResponse, WatchClustersRequest};
use cc_runtime::cpu;
use cc_runtime::error::{Failure, Kind};
use tokio::sync::watch;
use tonic::Status;

use crate::state::State;

/// Waits between attempts to follow the archive: soon at first, then every few seconds.
const WAITS: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// Metrics that one request may name, on sites that have no more than that.
const METRICS_MAX: usize = 64;

/// All clusters at one moment.
#[derive(Debug)]
pub struct ClusterSet {
    /// Of the archive: compare for equality only.
    pub version: u64,
    /// Parsed and merged; files that cannot be used are left out and logged.
    pub clusters: cc_model::Clusters,
}

impl ClusterSet {
    /// The metrics that a request names, when they are not too many: each costs a search in every job, and a name said
    /// twice costs twice. More than the site has in all are never needed.
    pub(crate) fn metric_names(&self, names: Vec<String>) -> Result<Vec<String>, Status> {
        if names.len() <= METRICS_MAX || names.len() <= self.metrics() {
            return Ok(names);
        }
        let most = METRICS_MAX.max(self.metrics());
        let text = format!("metrics: {} are more than the {most} of one request", names.len());
        Err(Failure::new(Kind::Invalid, "TOO_MANY_METRICS", text).into())
    }

    /// How many metrics all clusters have together.
    fn metrics(&self) -> usize {
        let configured = self.clusters.iter().flat_map(|cluster| &cluster.metric_config);
        configured.map(|metric| metric.name.as_str()).collect::<BTreeSet<_>>().len()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn site(metrics: usize) -> ClusterSet {
        let metric = |number: usize| {
            format!(
                r#"{{"name":"m{number}","unit":{{"base":""}},"scope":"node","aggregation":"avg","timestep":60,
                "peak":72,"normal":72,"caution":36,"alert":20}}"#
            )
        };
        let metrics: Vec<String> = (0..metrics).map(metric).collect();
        let json = format!(
            r#"{{"name":"fritz","metricConfig":[{}],"subClusters":[{{"name":"main","nodes":"f1","processorType":"Intel",
            "socketsPerNode":1,"coresPerSocket":1,"threadsPerCore":1,"flopRateScalar":{{"unit":{{"base":"F/s"}},"value":1}},
            "flopRateSimd":{{"unit":{{"base":"F/s"}},"value":1}},"memoryBandwidth":{{"unit":{{"base":"B/s"}},"value":1}},
            "topology":{{"node":[0],"socket":[[0]],"memoryDomain":[[0]],"core":[[0]]}}}}]}}"#,
            metrics.join(",")
        );
        let cluster = Cluster::from_json(json.as_bytes()).unwrap();
        ClusterSet { version: 1, clusters: cc_model::Clusters::new([Arc::new(cluster)]) }
    }

    #[test]
    fn a_request_names_no_more_metrics_than_are_sensible_here() {
        let names = |count: usize| vec!["cpu_load".to_owned(); count];
        let (small, large) = (site(3), site(100));
        assert_eq!(small.metric_names(names(64)).unwrap().len(), 64, "said twice is allowed");
        assert_eq!(
            small.metric_names(names(65)).unwrap_err().message(),
            "metrics: 65 are more than the 64 of one request"
        );
        assert_eq!(large.metric_names(names(100)).unwrap().len(), 100);
        assert!(large.metric_names(names(101)).is_err());
    }
}
