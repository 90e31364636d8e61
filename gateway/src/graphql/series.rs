//! Series of jobs: from the metric store while a job runs or waits for the archive, from the archive afterwards
//! (graphql-api.md 10).

use std::collections::BTreeMap;

use async_graphql::SimpleObject;
use cc_model::scope;
use cc_proto::archive::v1::ReadSeriesRequest;
use cc_proto::common::v1::{self as common, series_chunk::Part};
use cc_proto::convert::{scope_from_proto, scope_to_proto};
use cc_proto::metric_store::v1::QueryJobRequest;
use tonic::{Status, Streaming};

use super::clusters::Unit;
use super::context::Viewing;
use super::scalars::{MetricScope, NumericId, Samples};

/// From this many series on, statistics over them are given beside (10.4).
const STATISTICS_FROM: usize = 8;

/// What is wanted of a job.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// `None`: all of the cluster.
    pub(super) metrics: Option<Vec<String>>,
    /// `None`: node while running, all that the archive has afterwards.
    pub(super) scopes: Option<Vec<MetricScope>>,
    /// Seconds per point; 0: native.
    pub(super) resolution: u32,
    /// False: statistics only.
    pub(super) with_data: bool,
}

/// Metrics of a job as they came, and those that did not.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// In the order of the answer.
    pub(super) metrics: Vec<Metric>,
    /// Asked for, without a series.
    pub(super) missing: Vec<common::MissingMetric>,
}

/// One metric at one scope.
#[derive(Debug)]
pub(super) struct Metric {
    /// Name.
    pub(super) name: String,
    /// Scope.
    pub(super) scope: scope::MetricScope,
    unit: Unit,
    timestep: u32,
    native_timestep: u32,
    first_time: i64,
    /// Host by host.
    pub(super) series: Vec<OneSeries>,
}

/// One series.
#[derive(Debug)]
pub(super) struct OneSeries {
    /// Host.
    pub(super) hostname: String,
    /// Part of the host.
    pub(super) id: Option<String>,
    /// Of the native samples; `None`: no sample at all.
    pub(super) statistics: Option<common::Statistics>,
    values: Vec<f64>,
}

/// Whether the series of a job are still in the store.
pub(super) fn in_store(job: &common::Job) -> bool {
    job.state == "running" || job.monitoring_status == 1
}

impl Viewing {
    /// Loads series of a job that the caller may open.
    pub(super) async fn series(&self, job: &common::Job, wanted: Wanted) -> Result<Loaded, Status> {
        if wanted.metrics.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Loaded::default());
        }
        let metrics = wanted.metrics.unwrap_or_default();
        let scopes = wanted
            .scopes
            .map(|scopes| scopes.into_iter().map(|scope| scope_to_proto(scope.0).into()).collect());
        let chunks = if in_store(job) {
            let request = QueryJobRequest {
                cluster: job.cluster.clone(),
                sub_cluster: job.sub_cluster.clone(),
                resources: job.resources.clone(),
                metrics,
                scopes: scopes.unwrap_or_else(|| vec![common::MetricScope::Node.into()]),
                from: job.start_time,
                to: job.start_time + job.duration_s,
                resolution_s: wanted.resolution,
                with_data: wanted.with_data,
            };
            self.state.metric_store().query_job(self.request(request)).await?.into_inner()
        } else {
            let request = ReadSeriesRequest {
                key: Some(common::JobKey {
                    cluster: job.cluster.clone(),
                    job_id: job.job_id,
                    start_time: job.start_time,
                }),
                metrics,
                scopes: scopes.unwrap_or_default(),
                resolution_s: wanted.resolution,
                with_data: wanted.with_data,
            };
            self.state.archive().read_series(self.request(request)).await?.into_inner()
        };
        collect(chunks).await
    }

    /// The resolution where the request names none: the coarsest configured.
    pub(super) fn default_resolution(&self) -> u32 {
        let resampling = self.state.config().main.resampling.as_ref();
        resampling.and_then(|resampling| resampling.resolutions.iter().copied().max()).unwrap_or(0)
    }
}

async fn collect(mut chunks: Streaming<common::SeriesChunk>) -> Result<Loaded, Status> {
    let mut loaded = Loaded::default();
    // Where in `loaded` the series of a number is.
    let mut places: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    while let Some(chunk) = chunks.message().await? {
        match chunk.part {
            Some(Part::Header(header)) => {
                let number = header.series;
                if let Some(place) = loaded.open(header) {
                    places.insert(number, place);
                }
            }
            Some(Part::Data(data)) => {
                let place = places.get(&data.series).copied();
                loaded.fill(place, &data);
            }
            Some(Part::Missing(missing)) => loaded.missing.push(missing),
            None => {}
        }
    }
    Ok(loaded)
}

impl Loaded {
    /// Opens a series; `None` for a scope that we do not know.
    fn open(&mut self, header: common::SeriesHeader) -> Option<(usize, usize)> {
        let scope = scope_from_proto(header.scope())?;
        let found =
            self.metrics.iter().rposition(|metric| metric.name == header.metric && metric.scope == scope);
        let index = found.unwrap_or_else(|| {
            self.metrics.push(Metric {
                name: header.metric.clone(),
                scope,
                unit: Unit { base: header.unit_base.clone(), prefix: Some(header.unit_prefix.clone()) },
                timestep: header.timestep_s,
                native_timestep: header.native_timestep_s,
                first_time: header.first_time,
                series: Vec::new(),
            });
            self.metrics.len() - 1
        });
        let metric = self.metrics.get_mut(index)?;
        let points = usize::try_from(header.points).unwrap_or_default();
        metric.series.push(OneSeries {
            hostname: header.hostname,
            id: header.id,
            statistics: header.statistics,
            values: vec![f64::NAN; points],
        });
        Some((index, metric.series.len() - 1))
    }

    fn fill(&mut self, place: Option<(usize, usize)>, data: &common::SeriesData) {
        let Some((metric, series)) = place else { return };
        let series = self.metrics.get_mut(metric).and_then(|metric| metric.series.get_mut(series));
        let first = usize::try_from(data.first_point).unwrap_or(usize::MAX);
        let Some(values) = series.and_then(|series| series.values.get_mut(first..)) else { return };
        let (samples, _) = data.values_f64le.as_chunks::<8>();
        for (value, sample) in values.iter_mut().zip(samples) {
            *value = f64::from_le_bytes(*sample);
        }
    }
}

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

impl Metric {
    /// As the interface gives it; with more than `series_max` series their statistics stand in for them.
    pub(super) fn outward(self, series_max: usize) -> JobMetricWithName {
        let statistics = (self.series.len() >= STATISTICS_FROM || self.series.len() > series_max)
            .then(|| over_series(&self.series));
        let keep = self.series.len() <= series_max;
        let series = self.series.into_iter().map(|one| Series {
            hostname: one.hostname,
            id: one.id,
            // Without a sample all three are 0, as clients expect it (10.4).
            statistics: Some(one.statistics.as_ref().map(MetricStatistics::from).unwrap_or_default()),
            data: Samples(one.values),
        });
        JobMetricWithName {
            name: self.name,
            scope: MetricScope(self.scope),
            metric: JobMetric {
                unit: Some(self.unit),
                timestep: self.timestep,
                native_timestep: Some(self.native_timestep),
                first_time: Some(self.first_time),
                series: keep.then(|| series.collect()),
                statistics_series: statistics,
            },
        }
    }
}

/// Smallest, middle, largest and mean of each instant; instants with fewer than three values have none.
fn over_series(series: &[OneSeries]) -> StatsSeries {
    let points = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let few = series.len().min(3);
    let (mut mean, mut median, mut min, mut max) = (
        Vec::with_capacity(points),
        Vec::with_capacity(points),
        Vec::with_capacity(points),
        Vec::with_capacity(points),
    );
    let mut instant: Vec<f64> = Vec::with_capacity(series.len());
    for point in 0..points {
        instant.clear();
        instant.extend(
            series.iter().filter_map(|one| one.values.get(point).copied()).filter(|value| !value.is_nan()),
        );
        if instant.len() < few || instant.is_empty() {
            for list in [&mut mean, &mut median, &mut min, &mut max] {
                list.push(f64::NAN);
            }
            continue;
        }
        instant.sort_unstable_by(f64::total_cmp);
        mean.push(average(&instant));
        median.push(middle(&instant));
        min.push(instant.first().copied().unwrap_or(f64::NAN));
        max.push(instant.last().copied().unwrap_or(f64::NAN));
    }
    StatsSeries { mean: Samples(mean), median: Samples(median), min: Samples(min), max: Samples(max) }
}

/// The mean; 0 of nothing.
pub(super) fn average(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX).max(1);
    values.iter().sum::<f64>() / f64::from(count)
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn one(values: &[f64]) -> OneSeries {
        OneSeries { hostname: "n1".to_owned(), id: None, statistics: None, values: values.to_vec() }
    }

    #[test]
    fn statistics_skip_gaps_and_need_three_values() {
        let gap = f64::NAN;
        let series = [one(&[1.0, gap]), one(&[2.0, 5.0]), one(&[6.0, 7.0]), one(&[gap, gap])];
        let over = over_series(&series);
        assert_eq!(over.median.0.first(), Some(&2.0));
        assert_eq!(over.mean.0.first(), Some(&3.0));
        assert_eq!((over.min.0.first(), over.max.0.first()), (Some(&1.0), Some(&6.0)));
        assert!(over.median.0.get(1).is_some_and(|value| value.is_nan()));
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between() {
        for (values, want) in [(&[1.0, 2.0, 4.0, 9.0][..], 3.0), (&[1.0, 2.0, 9.0], 2.0)] {
            assert!((middle(values) - want).abs() < f64::EPSILON, "{values:?}");
        }
    }

    #[test]
    fn data_lands_where_its_header_says_and_never_outside() {
        let mut loaded = Loaded::default();
        let header = common::SeriesHeader {
            metric: "cpu_load".to_owned(),
            scope: common::MetricScope::Node.into(),
            points: 3,
            ..Default::default()
        };
        let place = loaded.open(header);
        let bytes: Vec<u8> = [1.5f64, 2.5, 3.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        loaded.fill(
            place,
            &common::SeriesData { series: 0, first_point: 1, values_f64le: bytes.clone().into() },
        );
        loaded.fill(place, &common::SeriesData { series: 0, first_point: 9, values_f64le: bytes.into() });
        let values = &loaded.metrics[0].series[0].values;
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [1.5, 2.5]);
    }
}
