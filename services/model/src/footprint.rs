//! Footprint and energy of a job from its statistics (job-archive.md 13, job-db.md 6.4).

use std::collections::BTreeMap;

use crate::{
    cluster::{EnergyKind, FootprintStat, SubCluster},
    job::JobStatistics,
    number::round2,
};

/// Which keys a footprint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FootprintKeys {
    /// `<metric>_<statistic of the configuration>`: jobs that ran here.
    Configured,
    /// `<metric>_avg` with the mean for every metric: what the reference writes for imported and rebuilt jobs, and
    /// what recorded clients find there.
    Average,
}

/// Energy of a job in kWh.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Energy {
    /// Per metric.
    pub metrics: BTreeMap<String, f64>,
    /// The sum.
    pub total: f64,
}

/// The footprint of a job: for each footprint metric of its sub-cluster one value; 0 if the job has no such data.
pub fn footprint(
    sub_cluster: &SubCluster,
    statistics: &BTreeMap<String, JobStatistics>,
    keys: FootprintKeys,
) -> BTreeMap<String, f64> {
    let of_metric = |name: &str, configured: FootprintStat| {
        let stat = if keys == FootprintKeys::Average { FootprintStat::Avg } else { configured };
        let value = statistics.get(name).map_or(0.0, |s| match stat {
            FootprintStat::Avg => s.avg,
            FootprintStat::Max => s.max,
            FootprintStat::Min => s.min,
        });
        (key(name, stat), finite(value))
    };
    sub_cluster
        .metric_config
        .iter()
        .filter_map(|metric| Some(of_metric(&metric.name, metric.footprint?)))
        .collect()
}

/// The key of a metric's statistic in a footprint: `mem_used_max`.
pub fn key(metric: &str, stat: FootprintStat) -> String {
    format!("{metric}_{}", stat.as_str())
}

/// Metric and statistic of a footprint key; nothing if the key does not end in a statistic.
pub fn split_key(key: &str) -> Option<(&str, FootprintStat)> {
    let (metric, stat) = key.rsplit_once('_')?;
    let stat = [FootprintStat::Avg, FootprintStat::Max, FootprintStat::Min]
        .into_iter()
        .find(|s| s.as_str() == stat)?;
    Some((metric, stat))
}

/// The energy of a job: for each energy metric of its sub-cluster mean power × nodes × time, rounded to 0.01 kWh; the
/// total is the sum of the rounded values, as recorded.
///
/// Watts are assumed, whatever the unit's prefix says, and metrics of kind `energy` count 0: both as the reference.
pub fn energy(
    sub_cluster: &SubCluster,
    statistics: &BTreeMap<String, JobStatistics>,
    num_nodes: i32,
    duration: i32,
) -> Energy {
    let node_hours = f64::from(num_nodes) * f64::from(duration) / 3600.0;
    let of_metric = |name: &str, kind: EnergyKind| match kind {
        EnergyKind::None => None,
        EnergyKind::Energy => Some(0.0),
        EnergyKind::Power => {
            let watts = statistics.get(name).map_or(0.0, |s| s.avg);
            Some(finite(round2(watts * node_hours / 1000.0)))
        }
    };
    let metrics: BTreeMap<String, f64> = sub_cluster
        .metric_config
        .iter()
        .filter_map(|metric| Some((metric.name.clone(), of_metric(&metric.name, metric.energy)?)))
        .collect();
    let total = round2(metrics.values().sum());
    Energy { metrics, total }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{Aggregation, MetricConfig},
        scope::MetricScope,
    };

    fn sub_cluster() -> SubCluster {
        let metric = |name: &str, footprint, energy| MetricConfig {
            energy,
            footprint,
            ..MetricConfig::new(name, MetricScope::Node, Aggregation::Sum, 60)
        };
        SubCluster {
            metric_config: vec![
                metric("cpu_load", Some(FootprintStat::Avg), EnergyKind::None),
                metric("mem_used", Some(FootprintStat::Max), EnergyKind::None),
                metric("nothing", Some(FootprintStat::Min), EnergyKind::Energy),
                metric("cpu_power", None, EnergyKind::Power),
                metric("mem_power", None, EnergyKind::Power),
                metric("clock", None, EnergyKind::None),
            ],
            ..SubCluster::default()
        }
    }

    fn statistics() -> BTreeMap<String, JobStatistics> {
        [
            ("cpu_load", 59.9, 54.0, 66.0),
            ("mem_used", 79.66, 60.0, 100.0),
            ("cpu_power", 299.97, 286.0, 314.0),
            ("mem_power", 40.0, 38.6, 41.4),
        ]
        .into_iter()
        .map(|(name, avg, min, max)| {
            (name.to_owned(), JobStatistics { avg, min, max, ..JobStatistics::default() })
        })
        .collect()
    }

    fn text(values: &BTreeMap<String, f64>) -> String {
        crate::json::to_string(values).unwrap()
    }

    #[test]
    fn a_footprint_has_the_configured_statistics() {
        let found = footprint(&sub_cluster(), &statistics(), FootprintKeys::Configured);
        assert_eq!(text(&found), r#"{"cpu_load_avg":59.9,"mem_used_max":100,"nothing_min":0}"#);
    }

    #[test]
    fn imported_jobs_have_averages_only() {
        let found = footprint(&sub_cluster(), &statistics(), FootprintKeys::Average);
        assert_eq!(text(&found), r#"{"cpu_load_avg":59.9,"mem_used_avg":79.66,"nothing_avg":0}"#);
    }

    /// The numbers of the recorded job in `scenarios/life/fritz-job`.
    #[test]
    fn energy_is_as_recorded() {
        let found = energy(&sub_cluster(), &statistics(), 2, 1740);
        assert_eq!(text(&found.metrics), r#"{"cpu_power":0.29,"mem_power":0.04,"nothing":0}"#);
        assert_eq!(found.total.to_string(), "0.33");
        assert_eq!(energy(&SubCluster::default(), &statistics(), 2, 1740), Energy::default());
    }

    #[test]
    fn keys_are_taken_apart() {
        assert_eq!(split_key("mem_used_max"), Some(("mem_used", FootprintStat::Max)));
        assert_eq!(split_key("mem_used"), None);
        assert_eq!(split_key("max"), None);
    }
}
