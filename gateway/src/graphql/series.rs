//! Series in the form of GraphQL (graphql-api.md 4.4).

use async_graphql::SimpleObject;
use cc_model::series::StatsSeries as Over;
use cc_proto::common::v1 as common;
use cc_proto::convert::scope_from_proto;

use super::clusters::Unit;
use super::scalars::{MetricScope, NumericId, Samples};
use crate::series::Metric;

/// A metric of a job with its series.
#[derive(SimpleObject)]
pub(super) struct JobMetricWithName {
    name: String,
    scope: MetricScope,
    metric: JobMetric,
}

/// The series of a metric.
#[derive(SimpleObject)]
pub(super) struct JobMetric {
    unit: Option<Unit>,
    /// Seconds between two values of `data`.
    timestep: u32,
    /// Additive: seconds between two samples as measured; smaller than `timestep` when the data is reduced.
    native_timestep: Option<u32>,
    /// Additive: seconds since the epoch of the first value; null: the start of the job.
    first_time: Option<i64>,
    series: Option<Vec<Series>>,
    /// Per instant over all series; given for 8 series and more.
    statistics_series: Option<StatsSeries>,
}

/// One series.
#[derive(SimpleObject)]
pub(super) struct Series {
    hostname: String,
    /// Id of the unit below the node (core, socket, accelerator address); null at node scope.
    id: Option<String>,
    /// Of the full data, whatever the resolution of `data`.
    statistics: Option<MetricStatistics>,
    data: Samples,
}

/// Per instant over many series.
#[derive(SimpleObject)]
pub(super) struct StatsSeries {
    mean: Samples,
    median: Samples,
    min: Samples,
    max: Samples,
}

/// Average, smallest, largest.
#[derive(Clone, Copy, Debug, Default, SimpleObject)]
pub(super) struct MetricStatistics {
    pub(super) avg: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl From<&common::Statistics> for MetricStatistics {
    fn from(statistics: &common::Statistics) -> Self {
        let two = |value: f64| (value * 100.0).round() / 100.0;
        Self { avg: two(statistics.avg), min: two(statistics.min), max: two(statistics.max) }
    }
}

/// As the interface gives the metric of one node: statistics are not rounded, and none are given over its parts.
pub(super) fn of_node(metric: Metric) -> JobMetricWithName {
    told(metric, usize::MAX, None, |one| MetricStatistics { avg: one.avg, min: one.min, max: one.max })
}

/// As the interface gives it; with more than `series_max` series their statistics stand in for them.
pub(super) fn outward(mut metric: Metric, series_max: usize) -> JobMetricWithName {
    let many = metric.over.is_some() || metric.has_many() || metric.series.len() > series_max;
    let over = many.then(|| metric.over().into());
    told(metric, series_max, over, |one| MetricStatistics::from(one))
}

fn told(
    metric: Metric,
    series_max: usize,
    statistics_series: Option<StatsSeries>,
    statistics: fn(&common::Statistics) -> MetricStatistics,
) -> JobMetricWithName {
    let keep = metric.series.len() <= series_max;
    let series = metric.series.into_iter().map(|one| Series {
        hostname: one.hostname,
        id: one.id,
        // Without a sample all three are 0, as clients expect it (10.4).
        statistics: Some(one.statistics.as_ref().map(statistics).unwrap_or_default()),
        data: Samples(one.values),
    });
    JobMetricWithName {
        name: metric.name,
        scope: MetricScope(metric.scope),
        metric: JobMetric {
            unit: Some(Unit::from(&metric.unit)),
            timestep: metric.timestep,
            native_timestep: Some(metric.native_timestep),
            first_time: Some(metric.first_time),
            series: keep.then(|| series.collect()),
            statistics_series,
        },
    }
}

impl From<Over> for StatsSeries {
    fn from(over: Over) -> Self {
        let Over { mean, median, min, max, .. } = over;
        Self { mean: Samples(mean), median: Samples(median), min: Samples(min), max: Samples(max) }
    }
}

/// Additive: the series of one of several jobs.
#[derive(SimpleObject)]
pub(super) struct JobMetricsOfJob {
    /// Database id of the job.
    pub(super) id: NumericId,
    pub(super) metrics: Vec<JobMetricWithName>,
    /// Metrics that were asked for and have no series; null or empty when there are none.
    pub(super) missing: Option<Vec<MissingMetric>>,
    /// Why the series could not be read, in words for the reader of the page; null when they could.
    pub(super) error: Option<String>,
}

/// Additive: why a metric that was asked for has no series.
#[derive(SimpleObject)]
pub(super) struct MissingMetric {
    name: String,
    /// Null: whatever the scope.
    scope: Option<MetricScope>,
    /// Null: on no host of the job.
    hostname: Option<String>,
    /// `UNKNOWN_METRIC`, `NOT_CONFIGURED`, `NO_SAMPLES`, `SCOPE_NOT_AVAILABLE`, `UNKNOWN_HOST` or `BROKEN_ENTRY`.
    reason: String,
    /// In words; may be empty.
    detail: Option<String>,
}

impl From<common::MissingMetric> for MissingMetric {
    fn from(missing: common::MissingMetric) -> Self {
        Self {
            scope: scope_from_proto(missing.scope()).map(MetricScope),
            name: missing.metric,
            hostname: (!missing.hostname.is_empty()).then_some(missing.hostname),
            reason: missing.reason,
            detail: (!missing.detail.is_empty()).then_some(missing.detail),
        }
    }
}
