//! Which metrics are taken, per cluster: interval and aggregation (spec metric-store.md 2.4, 2.5).
//!
//! With cluster files each cluster has its own metrics; samples of a cluster without a file go by the union of all (largest
//! interval, first aggregation), as the reference does. The stand-alone server has only such a union, its section `metrics`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cc_model::Cluster;
use cc_model::cluster::Aggregation;

use crate::log::record::INTERVAL_MAX;

/// What is configured for one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Seconds between samples, ≥ 1.
    pub interval: i64,
    /// How series of finer scopes become one of a coarser scope.
    pub aggregation: Aggregation,
}

type Rules = HashMap<Box<str>, Rule>;

/// The metrics of all clusters, and the clusters' files where there are any. Immutable: a change makes a new one.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    clusters: BTreeMap<String, (Arc<Cluster>, Rules)>,
    any: Rules,
    /// Counts the registries of this process; what was derived from an older one is void.
    pub(crate) generation: u64,
}

impl Registry {
    /// The registry of a site's cluster files.
    pub(crate) fn of_clusters(clusters: impl IntoIterator<Item = Cluster>, generation: u64) -> Self {
        let mut registry = Self { generation, ..Self::default() };
        for cluster in clusters {
            let mut rules = Rules::new();
            let own = cluster.metric_config.iter();
            let subs = cluster.sub_clusters.iter().flat_map(|sub| &sub.metric_config);
            for metric in own.chain(subs) {
                let rule = Rule {
                    interval: metric.timestep.clamp(1, INTERVAL_MAX),
                    aggregation: metric.aggregation,
                };
                merge(&mut rules, &metric.name, rule);
                merge(&mut registry.any, &metric.name, rule);
            }
            registry.clusters.insert(cluster.name.clone(), (Arc::new(cluster), rules));
        }
        registry
    }

    /// The registry of a stand-alone server: one list for every cluster.
    pub(crate) fn of_metrics(metrics: impl IntoIterator<Item = (String, Rule)>, generation: u64) -> Self {
        let any = metrics.into_iter().map(|(name, rule)| (name.into_boxed_str(), rule)).collect();
        Self { any, generation, ..Self::default() }
    }

    /// Whether nothing is configured: no sample can be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.any.is_empty()
    }

    /// Whether any cluster has the metric.
    pub(crate) fn knows(&self, metric: &str) -> bool {
        self.any.contains_key(metric)
    }

    /// The rule of a metric in a cluster.
    pub(crate) fn rule(&self, cluster: &str, metric: &str) -> Option<Rule> {
        let rules = self.clusters.get(cluster).map_or(&self.any, |(_, rules)| rules);
        rules.get(metric).copied()
    }

    /// A cluster's file.
    pub(crate) fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name).map(|(cluster, _)| cluster)
    }

    /// Metrics of all clusters together.
    pub(crate) fn len(&self) -> usize {
        self.any.len()
    }
}

/// A later, larger interval wins; the first aggregation stays.
fn merge(rules: &mut Rules, name: &str, rule: Rule) {
    match rules.get_mut(name) {
        Some(known) => known.interval = known.interval.max(rule.interval),
        None => {
            rules.insert(name.into(), rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, timestep: i64) -> Cluster {
        let file = format!(
            r#"{{"name":"{name}","metricConfig":[{{"name":"load","unit":{{"base":""}},"scope":"node","aggregation":"avg",
            "timestep":{timestep},"peak":1,"normal":1,"caution":1,"alert":1}}],"subClusters":[{{"name":"main","nodes":"n[1-2]",
            "processorType":"x","socketsPerNode":1,"coresPerSocket":1,"threadsPerCore":1,
            "flopRateScalar":{{"unit":{{"base":"F/s"}},"value":1}},"flopRateSimd":{{"unit":{{"base":"F/s"}},"value":1}},
            "memoryBandwidth":{{"unit":{{"base":"B/s"}},"value":1}},
            "topology":{{"node":[0],"socket":[[0]],"memoryDomain":[[0]],"core":[[0]]}}}}]}}"#
        );
        Cluster::from_json(file.as_bytes()).unwrap()
    }

    #[test]
    fn each_cluster_keeps_its_interval_and_strangers_get_the_largest() {
        let registry = Registry::of_clusters([cluster("a", 10), cluster("b", 60)], 1);
        let interval = |cluster: &str| registry.rule(cluster, "load").map(|rule| rule.interval);
        assert_eq!((interval("a"), interval("b"), interval("elsewhere")), (Some(10), Some(60), Some(60)));
        assert_eq!(registry.rule("a", "nope"), None);
        assert!(registry.knows("load") && !registry.knows("nope"));
        assert_eq!(registry.cluster("a").map(|cluster| cluster.name.as_str()), Some("a"));
    }
}
