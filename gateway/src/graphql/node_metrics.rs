//! Series of nodes in a window of time, whatever ran on them (graphql-api.md 8.20 to 8.22). For staff.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_graphql::{Result, SimpleObject};
use cc_model::Cluster;
use cc_model::scope::MetricScope;
use cc_proto::common::v1 as common;
use cc_proto::convert::scope_from_proto;
use cc_proto::job_db::v1 as proto;
use cc_runtime::caller::Role;

use super::clusters::Unit;
use super::context::{Viewing, error, forbidden, refused};
use super::inputs::PageRequest;
use super::scalars::Samples;
use super::series::{JobMetricWithName, of_node};
use crate::series::{self, Loaded, Metric, NodesWanted};

/// Nodes of one request, and of one cluster.
const NODES_MAX: usize = 20_000;
/// Nodes of a page where the request names no size.
const PAGE_DEFAULT: i64 = 10;
/// Prefix and factor that sums over a cluster are told in.
const TERA: (&str, f64) = ("T", 1e12);

/// A node with its metrics.
#[derive(SimpleObject)]
pub(super) struct NodeMetrics {
    host: String,
    /// As the scheduler last reported it; empty when it never did.
    node_state: String,
    /// Whether its samples arrived at the last report; empty when there was none.
    metric_health: String,
    /// Empty when the host is in no part of the cluster.
    sub_cluster: String,
    metrics: Vec<JobMetricWithName>,
}

/// A page of nodes.
#[derive(Default, SimpleObject)]
pub(super) struct NodesResultList {
    items: Vec<NodeMetrics>,
    offset: Option<i64>,
    limit: Option<i64>,
    count: Option<i64>,
    /// Of all pages.
    total_nodes: Option<usize>,
    has_next_page: Option<bool>,
}

/// Sums over the nodes of a cluster.
#[derive(SimpleObject)]
pub(super) struct ClusterMetrics {
    /// Nodes with any sample.
    node_count: usize,
    metrics: Vec<ClusterMetricWithName>,
}

/// The sum of one metric.
#[derive(SimpleObject)]
pub(super) struct ClusterMetricWithName {
    name: String,
    unit: Option<Unit>,
    /// Seconds between two values.
    timestep: u32,
    data: Samples,
}

/// What is asked for.
pub(super) struct Asked {
    pub(super) cluster: String,
    /// `None`: all of the cluster.
    pub(super) metrics: Option<Vec<String>>,
    /// Unix seconds.
    pub(super) window: (i64, i64),
}

/// Which nodes of a cluster are listed.
pub(super) struct Listed {
    /// Empty: all.
    pub(super) sub_cluster: String,
    /// `all`, `notindb`, or a state of the scheduler.
    pub(super) state: String,
    /// Part of the host name; empty: any.
    pub(super) name: String,
    pub(super) page: Option<PageRequest>,
    /// `None`: no data at all.
    pub(super) scopes: Option<Vec<MetricScope>>,
    pub(super) resolution: u32,
}

/// State, health and part of the cluster of a node.
#[derive(Clone, Default)]
struct Known {
    state: String,
    health: String,
}

impl Asked {
    fn cluster<'view>(&self, viewing: &'view Viewing) -> Result<&'view Cluster> {
        if !viewing.caller.has_any(&[Role::Admin, Role::Support]) {
            return Err(forbidden("you need to be administrator or support staff for this query"));
        }
        if self.window.0 > self.window.1 {
            return Err(error("INVALID", "[METRICSTORE]> invalid time range: 'from' must be before 'to'"));
        }
        viewing.some_metrics(self.metrics.clone())?;
        let cluster = viewing.clusters.clusters.get(&self.cluster);
        cluster
            .map(AsRef::as_ref)
            .ok_or_else(|| error("NOT_FOUND", format!("unknown cluster: {}", self.cluster)))
    }

    /// Those of the metrics that the cluster has, each once.
    fn metrics(&self, cluster: &Cluster) -> Vec<String> {
        let names = cluster.metric_config.iter().map(|metric| &metric.name);
        match &self.metrics {
            None => names.cloned().collect(),
            Some(wanted) => {
                let mut known: BTreeSet<&String> = names.collect();
                wanted.iter().filter(|name| known.remove(name)).cloned().collect()
            }
        }
    }

    /// About how many samples that is.
    fn samples(
        &self,
        cluster: &Cluster,
        metrics: &[String],
        hosts: usize,
        scopes: &[MetricScope],
        resolution: u32,
    ) -> u64 {
        let range = self.window.1.abs_diff(self.window.0);
        let threads = cluster.sub_clusters.iter().map(|part| part.topology.node.len()).max().unwrap_or(1);
        let threads = u64::try_from(threads).unwrap_or(u64::MAX).max(1);
        let of_host = metrics.iter().filter_map(|name| {
            let config = cluster.metric_config.iter().find(|config| config.name == *name)?;
            let timestep = u64::try_from(config.timestep).unwrap_or(1).max(resolution.into()).max(1);
            let whole = |scope: &MetricScope| [*scope, config.scope].contains(&MetricScope::Node);
            let series = scopes.iter().map(|scope| if whole(scope) { 1 } else { threads });
            Some((range / timestep).saturating_mul(series.fold(0, u64::saturating_add)))
        });
        let of_host = of_host.fold(0, u64::saturating_add);
        of_host.saturating_mul(u64::try_from(hosts).unwrap_or(u64::MAX))
    }

    async fn load(
        &self,
        viewing: &Viewing,
        cluster: &Cluster,
        hosts: Vec<String>,
        scopes: Vec<MetricScope>,
        resolution: u32,
    ) -> Result<Loaded> {
        let metrics = self.metrics(cluster);
        if metrics.is_empty() || hosts.is_empty() || scopes.is_empty() {
            return Ok(Loaded::default());
        }
        viewing.take_samples(self.samples(cluster, &metrics, hosts.len(), &scopes, resolution))?;
        let cluster = self.cluster.clone();
        let wanted = NodesWanted { cluster, hosts, metrics, scopes, window: self.window, resolution };
        let loaded = series::of_nodes(&viewing.state, &viewing.caller, wanted).await;
        loaded.map_err(|status| refused(&status))
    }

    /// `nodeMetrics`: nodes with any sample in the window, by name.
    pub(super) async fn nodes(
        self,
        viewing: &Viewing,
        hosts: Option<Vec<String>>,
    ) -> Result<Vec<NodeMetrics>> {
        let cluster = self.cluster(viewing)?;
        let states = states(viewing, &self.cluster, "", "").await?;
        let all = || {
            let known: BTreeSet<String> = states.keys().cloned().chain(configured(cluster, "")).collect();
            known.into_iter().collect()
        };
        let hosts: Vec<String> = hosts.unwrap_or_else(all);
        limit(hosts.len())?;
        let loaded = self.load(viewing, cluster, hosts, vec![MetricScope::Node], 0).await?;
        let found = by_host(loaded.metrics);
        Ok(found.into_iter().map(|(host, metrics)| node(cluster, &states, host, metrics)).collect())
    }

    /// `nodeMetricsList`: a page of nodes, each listed also without samples.
    pub(super) async fn list(self, viewing: &Viewing, listed: Listed) -> Result<NodesResultList> {
        let cluster = self.cluster(viewing)?;
        let mut states = states(viewing, &self.cluster, &listed.sub_cluster, "").await?;
        let mut hosts = hosts(cluster, &mut states, &listed);
        let total = hosts.len();
        let page = listed.page.unwrap_or(PageRequest { items_per_page: PAGE_DEFAULT, page: 1 });
        let has_next_page = match page.items_per_page {
            -1 => false,
            size if size >= 1 => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let before = usize::try_from(page.page.max(1) - 1).unwrap_or(usize::MAX).saturating_mul(size);
                hosts = hosts.into_iter().skip(before).take(size).collect();
                before.saturating_add(size) < total
            }
            size => return Err(error("INVALID", format!("invalid items-per-page value: {size}"))),
        };
        limit(hosts.len())?;
        let scopes = listed.scopes.unwrap_or_default();
        let loaded = self.load(viewing, cluster, hosts.clone(), scopes, listed.resolution).await?;
        let empty = without_samples(cluster, &loaded.missing);
        let mut found = by_host(loaded.metrics);
        for (host, metric) in empty {
            found.entry(host).or_default().push(metric);
        }
        let items = hosts.into_iter().map(|host| {
            let metrics = found.remove(&host).unwrap_or_default();
            node(cluster, &states, host, metrics)
        });
        Ok(NodesResultList {
            items: items.collect(),
            total_nodes: Some(total),
            has_next_page: Some(has_next_page),
            ..NodesResultList::default()
        })
    }

    /// `clusterMetrics`: the sums over all nodes.
    pub(super) async fn sums(self, viewing: &Viewing) -> Result<ClusterMetrics> {
        let cluster = self.cluster(viewing)?;
        let states = states(viewing, &self.cluster, "", "").await?;
        let hosts: BTreeSet<String> = states.into_keys().chain(configured(cluster, "")).collect();
        limit(hosts.len())?;
        let hosts = hosts.into_iter().collect();
        let loaded = self.load(viewing, cluster, hosts, vec![MetricScope::Node], 0).await?;
        let names: BTreeSet<&String> =
            loaded.metrics.iter().flat_map(|metric| &metric.series).map(|one| &one.hostname).collect();
        let node_count = names.len();
        let metrics = loaded.metrics.iter().map(|metric| {
            let prefix = (metric.unit.factor().unwrap_or(1.0)) / TERA.1;
            let unit = cc_model::Unit::new(metric.unit.base.clone(), TERA.0);
            ClusterMetricWithName {
                name: metric.name.clone(),
                unit: Some(Unit::from(&unit)),
                timestep: metric.timestep,
                data: Samples(sum(metric).into_iter().map(|value| value * prefix).collect()),
            }
        });
        Ok(ClusterMetrics { node_count, metrics: metrics.collect() })
    }
}

/// The sum over all series at each time; what is missing counts as nothing.
fn sum(metric: &Metric) -> Vec<f64> {
    let points = metric.series.iter().map(|one| one.values.len()).max().unwrap_or_default();
    let mut sums = vec![0.0; points];
    for one in &metric.series {
        for (sum, value) in sums.iter_mut().zip(&one.values) {
            if !value.is_nan() {
                *sum += value;
            }
        }
    }
    sums
}

fn limit(nodes: usize) -> Result<()> {
    if nodes <= NODES_MAX {
        return Ok(());
    }
    Err(error("INVALID", format!("{nodes} nodes are more than the {NODES_MAX} of one request")))
}

/// The latest report of each node that matches.
async fn states(
    viewing: &Viewing,
    cluster: &str,
    sub_cluster: &str,
    state: &str,
) -> Result<BTreeMap<String, Known>> {
    let equal = |text: &str| {
        let filter = proto::StringFilter { eq: Some(text.to_owned()), ..proto::StringFilter::default() };
        (!text.is_empty()).then_some(filter)
    };
    let filter = proto::NodeFilter {
        cluster: equal(cluster),
        sub_cluster: equal(sub_cluster),
        scheduler_state: (!state.is_empty()).then(|| state.to_owned()),
        ..proto::NodeFilter::default()
    };
    let request = proto::ListNodesRequest { filters: vec![filter], order: None, with_meta: false };
    let answer = viewing.state.job_db().list_nodes(viewing.request(request)).await;
    let nodes = answer.map_err(|status| refused(&status))?.into_inner().nodes;
    let known =
        |node: proto::Node| (node.hostname, Known { state: node.scheduler_state, health: node.health_state });
    Ok(nodes.into_iter().map(known).collect())
}

/// The hosts that the cluster file names, of one part or all.
fn configured(cluster: &Cluster, sub_cluster: &str) -> BTreeSet<String> {
    let parts = cluster.sub_clusters.iter().filter(|part| sub_cluster.is_empty() || part.name == sub_cluster);
    let lists = parts.filter_map(|part| part.hosts()?.expand(NODES_MAX).ok());
    lists.flatten().collect()
}

/// The listed hosts by name. Reported nodes are searched without case, names of the cluster file with it, as recorded.
fn hosts(cluster: &Cluster, states: &mut BTreeMap<String, Known>, listed: &Listed) -> Vec<String> {
    let named = |host: &String| host.contains(&listed.name);
    if listed.state == "notindb" {
        let hosts = configured(cluster, &listed.sub_cluster).into_iter();
        return hosts.filter(named).filter(|host| !states.contains_key(host)).collect();
    }
    let (all, part) = (listed.state == "all", listed.name.to_ascii_lowercase());
    let fits = |(host, known): (&String, &Known)| {
        let fits = (all || known.state == listed.state) && host.to_ascii_lowercase().contains(&part);
        fits.then(|| host.clone())
    };
    let reported: Vec<String> = states.iter().filter_map(fits).collect();
    if all && reported.is_empty() {
        states.clear();
        return configured(cluster, &listed.sub_cluster).into_iter().filter(named).collect();
    }
    reported
}

fn node(
    cluster: &Cluster,
    states: &BTreeMap<String, Known>,
    host: String,
    metrics: Vec<Metric>,
) -> NodeMetrics {
    let known = states.get(&host).cloned().unwrap_or_default();
    NodeMetrics {
        node_state: known.state,
        metric_health: known.health,
        sub_cluster: cluster.sub_cluster_of(&host).map(|part| part.name.clone()).unwrap_or_default(),
        metrics: metrics.into_iter().map(of_node).collect(),
        host,
    }
}

/// The metrics of each host apart.
fn by_host(metrics: Vec<Metric>) -> BTreeMap<String, Vec<Metric>> {
    let mut found: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
    for metric in metrics {
        let Metric { name, scope, unit, timestep, native_timestep, first_time, series, over: _ } = metric;
        let mut of_host: HashMap<String, usize> = HashMap::new();
        for mut one in series {
            // a node is no part of itself
            if scope == MetricScope::Node {
                one.id = None;
            }
            let mine = found.entry(one.hostname.clone()).or_default();
            let index = *of_host.entry(one.hostname.clone()).or_insert(mine.len());
            if index == mine.len() {
                mine.push(Metric {
                    name: name.clone(),
                    scope,
                    unit: unit.clone(),
                    timestep,
                    native_timestep,
                    first_time,
                    series: Vec::new(),
                    over: None,
                });
            }
            if let Some(metric) = mine.get_mut(index) {
                metric.series.push(one);
            }
        }
    }
    for metric in found.values_mut().flatten() {
        metric.align();
    }
    found
}

/// An empty metric for each that a host could have and has no sample of.
fn without_samples(cluster: &Cluster, missing: &[common::MissingMetric]) -> Vec<(String, Metric)> {
    let empty = |missing: &common::MissingMetric| {
        if !["NO_SAMPLES", "UNKNOWN_HOST"].contains(&missing.reason.as_str()) {
            return None;
        }
        let part = cluster.sub_cluster_of(&missing.hostname)?;
        let config = part.metric(&missing.metric)?;
        let timestep = u32::try_from(config.timestep).unwrap_or_default();
        let metric = Metric {
            name: config.name.clone(),
            scope: scope_from_proto(missing.scope())?,
            unit: config.unit.clone(),
            timestep,
            native_timestep: timestep,
            first_time: 0,
            series: Vec::new(),
            over: None,
        };
        Some((missing.hostname.clone(), metric))
    };
    missing.iter().filter_map(empty).collect()
}
