//! The cluster files as last reported by the archive, for everybody in this service.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cc_model::{Cluster, Clusters};
use tokio::sync::watch;

/// One version of all cluster files: as text for the metric store, decoded for the rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterFiles {
    pub(crate) files: Arc<BTreeMap<String, Bytes>>,
    pub(crate) clusters: Arc<Clusters>,
}

/// The current version and news of it.
#[derive(Debug, Clone)]
pub(crate) struct ClusterState(Arc<watch::Sender<Option<ClusterFiles>>>);

impl Default for ClusterState {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl ClusterState {
    /// The current version; nothing until the archive has reported one.
    pub(crate) fn current(&self) -> Option<ClusterFiles> {
        self.0.borrow().clone()
    }

    /// The decoded clusters; none until the archive has reported.
    pub(crate) fn clusters(&self) -> Arc<Clusters> {
        self.current().map(|files| files.clusters).unwrap_or_default()
    }

    /// News of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<ClusterFiles>> {
        self.0.subscribe()
    }

    /// Takes a report. A file that cannot be used leaves the last usable version of that cluster in place, so that a
    /// typing error does not stop jobs from being accepted. Returns whether anything is different now.
    pub(crate) fn report(&self, files: impl IntoIterator<Item = (String, Bytes)>) -> bool {
        let before = self.current().unwrap_or_default();
        let mut kept = BTreeMap::new();
        let mut clusters = Vec::new();
        for (name, json) in files {
            match Cluster::from_json(&json) {
                Ok(cluster) => {
                    clusters.push(Arc::new(cluster));
                    kept.insert(name, json);
                }
                Err(error) => {
                    tracing::error!(cluster = %name, %error, "cluster file of {name} cannot be used: {error}");
                    if let Some((last, text)) = before.clusters.get(&name).zip(before.files.get(&name)) {
                        clusters.push(Arc::clone(last));
                        kept.insert(name, text.clone());
                    }
                }
            }
        }
        let after = ClusterFiles { files: Arc::new(kept), clusters: Arc::new(Clusters::new(clusters)) };
        self.0.send_if_modified(|current| {
            let different = current.as_ref().is_none_or(|current| current.files != after.files);
            if different {
                *current = Some(after);
            }
            different
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> (String, Bytes) {
        let json = serde_json::json!({
            "name": name,
            "metricConfig": [{"name": "cpu_load", "scope": "node", "timestep": 60, "aggregation": "avg",
                "unit": {"base": ""}, "peak": 1, "normal": 1, "caution": 1, "alert": 1}],
            "subClusters": [{"name": "main", "nodes": "n[1-4]", "processorType": "x", "socketsPerNode": 1,
                "coresPerSocket": 1, "threadsPerCore": 1, "flopRateScalar": {"unit": {"base": "F/s"}, "value": 1},
                "flopRateSimd": {"unit": {"base": "F/s"}, "value": 1},
                "memoryBandwidth": {"unit": {"base": "B/s"}, "value": 1},
                "topology": {"node": [0], "socket": [[0]], "memoryDomain": [[0]], "core": [[0]]}}]
        });
        (name.to_owned(), Bytes::from(json.to_string()))
    }

    #[test]
    fn broken_file_keeps_the_last_good_version() {
        let state = ClusterState::default();
        assert!(state.current().is_none());
        assert!(state.report([file("a"), file("b")]));
        assert!(!state.report([file("a"), file("b")]), "nothing new");
        assert!(!state.report([file("a"), ("b".to_owned(), Bytes::from_static(b"{"))]));
        assert!(state.clusters().get("b").is_some());
        assert!(state.report([file("a")]), "b is gone");
        assert!(state.clusters().get("b").is_none());
        assert!(!state.report([file("a"), ("c".to_owned(), Bytes::from_static(b"{"))]));
    }
}
