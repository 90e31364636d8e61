//! `cluster.json` (cluster-config.md): the metrics of a cluster, its sub-clusters, their topology and hosts.
//!
//! [`Cluster::from_json`] reads, checks and merges: every sub-cluster gets its own metric list with the overrides
//! applied. [`Clusters`] is all of them together: lookups, assignment of jobs, the global metric list.
//! `Serialize` emits what `GET /api/clusters/` shows (rest-api.md 6.3).

mod clusters;
mod decode;
mod merge;
mod metric;
mod review;
mod topology;

use serde::{Serialize, Serializer};

pub use clusters::{AssignError, Availability, Clusters, GlobalMetric};
pub use decode::ClusterError;
pub use metric::{Aggregation, EnergyKind, FootprintStat, MetricConfig, SubClusterOverride};
pub use topology::{Accelerator, Topology};

use crate::{json::Problem, node_list::NodeList, unit::Unit};

/// One cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name, checked with [`crate::names::ClusterName`].
    pub name: String,
    /// Metrics in the order of the file, as the file has them.
    pub metric_config: Vec<MetricConfig>,
    /// Sub-clusters in the order of the file.
    pub sub_clusters: Vec<SubCluster>,
    #[serde(skip)]
    rejected: Vec<Problem>,
    #[serde(skip)]
    warnings: Vec<Problem>,
}

impl Cluster {
    /// Reads a `cluster.json`. Unknown keys are ignored, keys match in any case, derived lists in the file are ignored.
    ///
    /// A metric that cannot be used (timestep below 1) is left out and reported by [`Cluster::rejected`]; what is
    /// suspicious but works is reported by [`Cluster::warnings`].
    ///
    /// # Errors
    /// Every problem that makes the file unusable, each with its JSON path.
    pub fn from_json(document: &[u8]) -> Result<Self, ClusterError> {
        let (mut cluster, warnings) = decode::cluster(document)?;
        merge::derive(&mut cluster);
        cluster.warnings = warnings;
        let found = review::review(&cluster);
        cluster.warnings.extend(found);
        Ok(cluster)
    }

    /// Metrics of the file that are not used, with the reason. To be logged as errors.
    pub fn rejected(&self) -> &[Problem] {
        &self.rejected
    }

    /// What works but is probably not meant. To be logged as warnings.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The sub-cluster of that name.
    pub fn sub_cluster(&self, name: &str) -> Option<&SubCluster> {
        self.sub_clusters.iter().find(|sub| sub.name == name)
    }

    /// The metric of that name as the file has it, without overrides.
    pub fn metric(&self, name: &str) -> Option<&MetricConfig> {
        self.metric_config.iter().find(|metric| metric.name == name)
    }

    /// The metric of that name as it applies in a sub-cluster; nothing if it is unknown or removed there.
    pub fn metric_in(&self, sub_cluster: &str, name: &str) -> Option<&MetricConfig> {
        self.sub_cluster(sub_cluster)?.metric(name)
    }

    /// The sub-cluster of a host: the one with the shortest list that names it (file order on a tie), else the first
    /// one that takes every host (`*` or no list at all).
    pub fn sub_cluster_of(&self, host: &str) -> Option<&SubCluster> {
        self.sub_clusters
            .iter()
            .filter(|sub| sub.hosts().is_some_and(|list| list.contains(host)))
            .min_by_key(|sub| sub.hosts().map(NodeList::count))
            .or_else(|| self.sub_clusters.iter().find(|sub| sub.takes_every_host()))
    }

    /// Whether plain users and managers may not see a metric in a sub-cluster (cluster-config.md 7). An override that
    /// says nothing about it does not lift the cluster's restriction.
    pub fn restricted(&self, sub_cluster: &str, metric: &str) -> bool {
        self.metric(metric).is_some_and(|config| config.restricted_in(sub_cluster))
    }
}

/// A part of a cluster with equal nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubCluster {
    /// Its name.
    pub name: String,
    /// Which hosts it has.
    pub nodes: Nodes,
    /// Name of the processor, for people.
    pub processor_type: String,
    /// Hardware threads, cores, sockets, memory domains, accelerators of each node.
    pub topology: Topology,
    /// Scalar peak performance of a node.
    pub flop_rate_scalar: MetricValue,
    /// SIMD peak performance of a node.
    pub flop_rate_simd: MetricValue,
    /// Memory bandwidth of a node.
    pub memory_bandwidth: MetricValue,
    /// The metrics that exist here with overrides applied, in the order of the cluster's list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_config: Vec<MetricConfig>,
    /// Names of the metrics that make up a job's footprint here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub footprint: Vec<String>,
    /// Names of the metrics that make up a job's energy here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub energy_footprint: Vec<String>,
    /// Sockets of a node, for people.
    pub sockets_per_node: i32,
    /// Cores of a socket, for people.
    pub cores_per_socket: i32,
    /// Hardware threads of a core, for people.
    pub threads_per_core: i32,
}

impl SubCluster {
    /// The metric of that name as it applies here; nothing if it is unknown or removed.
    pub fn metric(&self, name: &str) -> Option<&MetricConfig> {
        self.metric_config.iter().find(|metric| metric.name == name)
    }

    /// The list of hosts, unless every host is taken.
    pub fn hosts(&self) -> Option<&NodeList> {
        match &self.nodes {
            Nodes::List(list) => Some(list),
            Nodes::Every(_) => None,
        }
    }

    /// How many hosts the list names; 0 where every host is taken.
    pub fn number_of_nodes(&self) -> u64 {
        self.hosts().map_or(0, NodeList::count)
    }

    /// Whether hosts that no list names belong here.
    pub fn takes_every_host(&self) -> bool {
        matches!(self.nodes, Nodes::Every(_))
    }
}

/// Which hosts belong to a sub-cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Nodes {
    /// Those that a list names.
    List(NodeList),
    /// Every host that no list names; the text is `*` or empty.
    Every(String),
}

impl Nodes {
    /// The text as in the file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::List(list) => list.as_str(),
            Self::Every(text) => text,
        }
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self::Every(String::new())
    }
}

impl Serialize for Nodes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A number with a unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricValue {
    /// The unit.
    pub unit: Unit,
    /// The number.
    pub value: f64,
}

#[cfg(test)]
mod tests;
