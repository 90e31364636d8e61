//! Cluster configuration as pages and clients read it (graphql-api.md 4.3, 8.1, 8.3).

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use cc_model::cluster::{self, GlobalMetric};
use cc_model::unit;

use super::context;
use super::scalars::MetricScope;

/// One cluster.
pub(super) struct Cluster(pub(super) Arc<cluster::Cluster>);

#[Object]
impl Cluster {
    /// Name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Partitions seen in jobs.
    async fn partitions(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        context::of(ctx)?.partitions(&self.0.name).await
    }

    /// Its parts of equal nodes.
    async fn sub_clusters(&self) -> Vec<SubCluster<'_>> {
        self.0.sub_clusters.iter().map(SubCluster).collect()
    }
}

/// Nodes of one kind.
pub(super) struct SubCluster<'a>(&'a cluster::SubCluster);

#[Object]
impl SubCluster<'_> {
    /// Name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Compact list text, e.g. `f[0001-0256]`.
    async fn nodes(&self) -> &str {
        self.0.nodes.as_str()
    }

    /// How many hosts that list has; 0 for `*`.
    async fn number_of_nodes(&self) -> u64 {
        self.0.number_of_nodes()
    }

    /// Name of the processor.
    async fn processor_type(&self) -> &str {
        &self.0.processor_type
    }

    /// Sockets of a node.
    async fn sockets_per_node(&self) -> i32 {
        self.0.sockets_per_node
    }

    /// Cores of a socket.
    async fn cores_per_socket(&self) -> i32 {
        self.0.cores_per_socket
    }

    /// Hardware threads of a core.
    async fn threads_per_core(&self) -> i32 {
        self.0.threads_per_core
    }

    /// Peak without vector units.
    async fn flop_rate_scalar(&self) -> MetricValue {
        MetricValue::from(&self.0.flop_rate_scalar)
    }

    /// Peak with vector units.
    async fn flop_rate_simd(&self) -> MetricValue {
        MetricValue::from(&self.0.flop_rate_simd)
    }

    /// Peak of the memory.
    async fn memory_bandwidth(&self) -> MetricValue {
        MetricValue::from(&self.0.memory_bandwidth)
    }

    /// Where threads, cores, sockets and accelerators are.
    async fn topology(&self) -> Topology {
        Topology::from(&self.0.topology)
    }

    /// Merged per subcluster; removed metrics are absent.
    async fn metric_config(&self) -> Vec<MetricConfig> {
        self.0.metric_config.iter().map(|metric| MetricConfig::of(metric, false)).collect()
    }

    /// Names of the metrics that make the footprint.
    async fn footprint(&self) -> &[String] {
        &self.0.footprint
    }
}

/// A peak value.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct MetricValue {
    name: Option<String>,
    unit: Unit,
    value: f64,
}

impl From<&cluster::MetricValue> for MetricValue {
    fn from(value: &cluster::MetricValue) -> Self {
        Self { name: None, unit: Unit::from(&value.unit), value: value.value }
    }
}

/// A unit and its prefix.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct Unit {
    pub(super) base: String,
    pub(super) prefix: Option<String>,
}

impl From<&unit::Unit> for Unit {
    fn from(unit: &unit::Unit) -> Self {
        Self { base: unit.base.clone(), prefix: Some(unit.prefix.clone()) }
    }
}

/// Ids of hardware threads, grouped.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct Topology {
    node: Option<Vec<u32>>,
    socket: Option<Vec<Vec<u32>>>,
    memory_domain: Option<Vec<Vec<u32>>>,
    die: Option<Vec<Vec<u32>>>,
    core: Option<Vec<Vec<u32>>>,
    accelerators: Option<Vec<Accelerator>>,
}

impl From<&cluster::Topology> for Topology {
    fn from(topology: &cluster::Topology) -> Self {
        let groups = |groups: &Vec<Vec<u32>>| (!groups.is_empty()).then(|| groups.clone());
        let accelerators = topology.accelerators.iter().map(|accelerator| Accelerator {
            id: accelerator.id.clone(),
            r#type: accelerator.kind.clone(),
            model: accelerator.model.clone(),
        });
        Self {
            node: (!topology.node.is_empty()).then(|| topology.node.clone()),
            socket: groups(&topology.socket),
            memory_domain: groups(&topology.memory_domain),
            die: groups(&topology.die),
            core: groups(&topology.core),
            accelerators: (!topology.accelerators.is_empty()).then(|| accelerators.collect()),
        }
    }
}

/// A GPU or the like.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct Accelerator {
    id: String,
    r#type: String,
    model: String,
}

/// How a metric is measured and judged.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct MetricConfig {
    name: String,
    unit: Unit,
    /// Scope the metric is measured at.
    scope: MetricScope,
    /// `sum`, `avg`, or empty: how series are joined for a coarser scope.
    aggregation: String,
    /// Seconds between two samples.
    timestep: i64,
    peak: f64,
    normal: Option<f64>,
    caution: f64,
    alert: f64,
    lower_is_better: Option<bool>,
    sub_clusters: Vec<SubClusterConfig>,
}

impl MetricConfig {
    /// `overrides`: list the exceptions of subclusters; the merged metrics of a subcluster have none.
    fn of(metric: &cluster::MetricConfig, overrides: bool) -> Self {
        let sub_clusters = metric.sub_clusters.iter().filter(|_| overrides).map(|sub| SubClusterConfig {
            name: sub.name.clone(),
            peak: Some(sub.peak),
            normal: Some(sub.normal),
            caution: Some(sub.caution),
            alert: Some(sub.alert),
            remove: Some(sub.remove),
        });
        Self {
            name: metric.name.clone(),
            unit: Unit::from(&metric.unit),
            scope: MetricScope(metric.scope),
            aggregation: metric.aggregation.as_str().to_owned(),
            timestep: metric.timestep,
            peak: metric.peak,
            normal: Some(metric.normal),
            caution: metric.caution,
            alert: metric.alert,
            lower_is_better: Some(metric.lower_is_better),
            sub_clusters: sub_clusters.collect(),
        }
    }
}

/// The exception of one subcluster.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct SubClusterConfig {
    name: String,
    peak: Option<f64>,
    normal: Option<f64>,
    caution: Option<f64>,
    alert: Option<f64>,
    remove: Option<bool>,
}

/// A metric over all clusters.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct GlobalMetricListItem {
    name: String,
    unit: Unit,
    scope: MetricScope,
    /// Empty, `avg`, `min` or `max`.
    footprint: Option<String>,
    availability: Vec<ClusterSupport>,
}

/// Where a metric is measured.
#[derive(Clone, Debug, SimpleObject)]
pub(super) struct ClusterSupport {
    cluster: String,
    sub_clusters: Vec<String>,
}

impl From<GlobalMetric> for GlobalMetricListItem {
    fn from(metric: GlobalMetric) -> Self {
        let availability = metric
            .availability
            .into_iter()
            .map(|entry| ClusterSupport { cluster: entry.cluster, sub_clusters: entry.sub_clusters });
        Self {
            unit: Unit::from(&metric.unit),
            scope: MetricScope(metric.scope),
            footprint: Some(metric.footprint.map_or_else(String::new, |stat| stat.as_str().to_owned())),
            availability: availability.collect(),
            name: metric.name,
        }
    }
}
