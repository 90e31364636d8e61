//! All clusters of a site.

use std::sync::Arc;

use serde::Serialize;

use super::{Cluster, FootprintStat, MetricConfig};
use crate::{job::Resource, scope::MetricScope, unit::Unit};

/// All clusters, in the order in which they were loaded. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clusters(Vec<Arc<Cluster>>);

/// Why a job cannot be assigned to a sub-cluster. Texts of rest-api.md 6.5.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// The cluster is not configured.
    #[error("no such cluster: {0}")]
    UnknownCluster(String),
    /// The request names a sub-cluster that does not exist.
    #[error("ARCHIVE/CLUSTERCONFIG > already assigned subcluster {sub_cluster} unkown (cluster: {cluster})")]
    UnknownSubCluster {
        /// The cluster.
        cluster: String,
        /// The name in the request.
        sub_cluster: String,
    },
    /// There is no host to assign by.
    #[error("ARCHIVE/CLUSTERCONFIG > job without any resources/hosts")]
    NoResources,
    /// No sub-cluster has that host.
    #[error("ARCHIVE/CLUSTERCONFIG > no subcluster found for cluster {cluster} and host {host}")]
    UnknownHost {
        /// The cluster.
        cluster: String,
        /// The host.
        host: String,
    },
}

impl Clusters {
    /// All clusters from single ones; the first of a name wins in lookups.
    pub fn new(clusters: impl IntoIterator<Item = Arc<Cluster>>) -> Self {
        Self(clusters.into_iter().collect())
    }

    /// The cluster of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.0.iter().find(|cluster| cluster.name == name)
    }

    /// The clusters in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Cluster>> {
        self.0.iter()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The sub-cluster of a job: the given one if it exists, else that of its first host (cluster-config.md 9).
    pub fn assign(
        &self,
        cluster: &str,
        sub_cluster: &str,
        resources: &[Resource],
    ) -> Result<String, AssignError> {
        let config = self.get(cluster).ok_or_else(|| AssignError::UnknownCluster(cluster.to_owned()))?;
        if !sub_cluster.is_empty() {
            return config.sub_cluster(sub_cluster).map(|sub| sub.name.clone()).ok_or_else(|| {
                AssignError::UnknownSubCluster {
                    cluster: cluster.to_owned(),
                    sub_cluster: sub_cluster.to_owned(),
                }
            });
        }
        let host = &resources.first().ok_or(AssignError::NoResources)?.hostname;
        config
            .sub_cluster_of(host)
            .map(|sub| sub.name.clone())
            .ok_or_else(|| AssignError::UnknownHost { cluster: cluster.to_owned(), host: host.clone() })
    }

    /// Every metric of any cluster, in the order of first definition (cluster-config.md 7, list *all*).
    pub fn global_metrics(&self) -> Vec<GlobalMetric> {
        self.collect(false)
    }

    /// The metrics that plain users and managers may see (list *user*).
    pub fn global_metrics_for_users(&self) -> Vec<GlobalMetric> {
        self.collect(true)
    }

    fn collect(&self, for_users: bool) -> Vec<GlobalMetric> {
        let mut out: Vec<GlobalMetric> = Vec::new();
        for cluster in &self.0 {
            for metric in &cluster.metric_config {
                let sub_clusters = available(cluster, metric, for_users);
                if for_users && sub_clusters.is_empty() {
                    continue;
                }
                let availability = Availability { cluster: cluster.name.clone(), sub_clusters };
                let index = out.iter().position(|item| item.name == metric.name).unwrap_or_else(|| {
                    out.push(GlobalMetric::first(metric));
                    out.len() - 1
                });
                let Some(item) = out.get_mut(index) else { continue };
                if item.availability.iter().all(|a| a.cluster != cluster.name) {
                    item.availability.push(availability);
                }
                if !for_users {
                    let mut stats =
                        cluster.sub_clusters.iter().filter_map(|sub| sub.metric(&metric.name)?.footprint);
                    item.footprint = stats.next_back().or(item.footprint);
                }
            }
        }
        out
    }
}

fn available(cluster: &Cluster, metric: &MetricConfig, for_users: bool) -> Vec<String> {
    cluster
        .sub_clusters
        .iter()
        .filter(|sub| !metric.removed_in(&sub.name))
        .filter(|sub| !for_users || !metric.restricted_in(&sub.name))
        .map(|sub| sub.name.clone())
        .collect()
}

impl<'a> IntoIterator for &'a Clusters {
    type Item = &'a Arc<Cluster>;
    type IntoIter = std::slice::Iter<'a, Arc<Cluster>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Cluster> for Clusters {
    fn from_iter<T: IntoIterator<Item = Cluster>>(clusters: T) -> Self {
        Self(clusters.into_iter().map(Arc::new).collect())
    }
}

/// A metric over all clusters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GlobalMetric {
    /// Its name.
    pub name: String,
    /// Unit in the first cluster that has it.
    pub unit: Unit,
    /// Native scope in the first cluster that has it.
    pub scope: MetricScope,
    /// Its statistic in footprints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footprint: Option<FootprintStat>,
    /// Where it exists.
    pub availability: Vec<Availability>,
}

impl GlobalMetric {
    fn first(metric: &MetricConfig) -> Self {
        Self {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            scope: metric.scope,
            footprint: metric.footprint,
            availability: Vec::new(),
        }
    }
}

/// A cluster with the sub-clusters in which a metric exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// The cluster.
    pub cluster: String,
    /// Its sub-clusters; in JSON all lower case.
    #[serde(rename = "subclusters")]
    pub sub_clusters: Vec<String>,
}
