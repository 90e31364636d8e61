//! What is derived at load (cluster-config.md 6): the metric list, footprint and energy list of each sub-cluster.

use super::{Cluster, EnergyKind, MetricConfig, SubCluster};

/// Fills the derived lists of every sub-cluster; what the file has there is not used.
pub(super) fn derive(cluster: &mut Cluster) {
    for sub in &mut cluster.sub_clusters {
        sub.metric_config = cluster
            .metric_config
            .iter()
            .filter(|metric| !metric.removed_in(&sub.name))
            .map(|metric| merged(metric, &sub.name))
            .collect();
        sub.footprint = names(sub, |metric| metric.footprint.is_some());
        sub.energy_footprint = names(sub, |metric| metric.energy != EnergyKind::None);
    }
}

fn names(sub: &SubCluster, keep: impl Fn(&MetricConfig) -> bool) -> Vec<String> {
    sub.metric_config.iter().filter(|metric| keep(metric)).map(|metric| metric.name.clone()).collect()
}

fn merged(metric: &MetricConfig, sub_cluster: &str) -> MetricConfig {
    let plain = MetricConfig { sub_clusters: Vec::new(), restrict: false, ..metric.clone() };
    match metric.override_for(sub_cluster) {
        None => plain,
        Some(o) => MetricConfig {
            peak: o.peak,
            normal: o.normal,
            caution: o.caution,
            alert: o.alert,
            footprint: o.footprint,
            energy: o.energy,
            lower_is_better: o.lower_is_better,
            ..plain
        },
    }
}
