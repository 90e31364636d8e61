//! Series of jobs and nodes: from the metric store while a job runs or waits for the archive, from the archive
//! afterwards (graphql-api.md 10). REST and GraphQL show the same data in different forms.

use std::collections::{BTreeMap, BTreeSet};

use cc_model::scope::MetricScope;
use cc_model::series::{JobData, JobMetric, Series, SeriesStatistics, StatsSeries};
use cc_model::unit::Unit;
use cc_proto::archive::v1::ReadSeriesRequest;
use cc_proto::common::v1::{self as common, series_chunk::Part};
use cc_proto::convert::{scope_from_proto, scope_to_proto};
use cc_proto::metric_store::v1::QueryJobRequest;
use cc_runtime::caller::{self, Caller};
use tonic::{Status, Streaming};

use crate::state::State;

/// From this many series on, statistics over them are given beside (10.4).
const STATISTICS_FROM: usize = 8;

/// What is wanted of a job.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// `None`: all of the cluster.
    pub(crate) metrics: Option<Vec<String>>,
    /// `None`: node while running, all that the archive has afterwards.
    pub(crate) scopes: Option<Vec<MetricScope>>,
    /// Seconds per point; 0: native.
    pub(crate) resolution: u32,
    /// False: statistics only.
    pub(crate) with_data: bool,
}

/// Whole nodes in a window of time.
#[derive(Clone, Debug)]
pub(crate) struct NodesWanted {
    /// Cluster.
    pub(crate) cluster: String,
    /// Hosts.
    pub(crate) hosts: Vec<String>,
    /// Not empty.
    pub(crate) metrics: Vec<String>,
    /// Not empty.
    pub(crate) scopes: Vec<MetricScope>,
    /// Unix seconds: from the first, to before the second.
    pub(crate) window: (i64, i64),
    /// Seconds per point; 0: native.
    pub(crate) resolution: u32,
}

/// Metrics as they came, and those that did not.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// In the order of the answer.
    pub(crate) metrics: Vec<Metric>,
    /// Asked for, without a series.
    pub(crate) missing: Vec<common::MissingMetric>,
}

/// One metric at one scope.
#[derive(Debug)]
pub(crate) struct Metric {
    /// Name.
    pub(crate) name: String,
    /// Scope.
    pub(crate) scope: MetricScope,
    /// Of all values.
    pub(crate) unit: Unit,
    /// Seconds between two values.
    pub(crate) timestep: u32,
    /// Seconds between two samples.
    pub(crate) native_timestep: u32,
    /// Unix seconds of the first value.
    pub(crate) first_time: i64,
    /// Host by host.
    pub(crate) series: Vec<OneSeries>,
    /// Over all series, as the archive has them.
    pub(crate) over: Option<StatsSeries>,
}

/// One series.
#[derive(Debug)]
pub(crate) struct OneSeries {
    /// Host.
    pub(crate) hostname: String,
    /// Part of the host.
    pub(crate) id: Option<String>,
    /// Unix seconds of the first value.
    pub(crate) first_time: i64,
    /// Of the native samples; `None`: no sample at all.
    pub(crate) statistics: Option<common::Statistics>,
    /// The values; NaN where a sample is missing.
    pub(crate) values: Vec<f64>,
}

/// Whether the series of a job are still in the store.
pub(crate) fn in_store(job: &common::Job) -> bool {
    job.state == "running" || job.monitoring_status == 1
}

/// Loads series of a job that the caller may open.
pub(crate) async fn of_job(
    state: &State,
    caller: &Caller,
    job: &common::Job,
    wanted: Wanted,
) -> Result<Loaded, Status> {
    if wanted.metrics.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Loaded::default());
    }
    let metrics = once(wanted.metrics.unwrap_or_default());
    let scopes = wanted.scopes.map(|scopes| once(to_proto(scopes)));
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
            from_first_sample: false,
        };
        state.metric_store().query_job(caller::request(request, caller)).await?.into_inner()
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
        state.archive().read_series(caller::request(request, caller)).await?.into_inner()
    };
    collect(chunks).await
}

/// Loads series of whole nodes.
pub(crate) async fn of_nodes(state: &State, caller: &Caller, wanted: NodesWanted) -> Result<Loaded, Status> {
    let (from, to) = wanted.window;
    let whole = |hostname: String| common::Resource { hostname, ..common::Resource::default() };
    let request = QueryJobRequest {
        cluster: wanted.cluster,
        // that of each host
        sub_cluster: String::new(),
        resources: wanted.hosts.into_iter().map(whole).collect(),
        metrics: wanted.metrics,
        scopes: once(to_proto(wanted.scopes)),
        from,
        to,
        resolution_s: wanted.resolution,
        with_data: true,
        // as recorded; the time of the first value is told beside
        from_first_sample: true,
    };
    collect(state.metric_store().query_job(caller::request(request, caller)).await?.into_inner()).await
}

/// What is named twice is read once: the series would come twice, and stand twice in the one list they are put in.
fn once<T: Clone + Ord>(mut wanted: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    wanted.retain(|one| seen.insert(one.clone()));
    wanted
}

fn to_proto(scopes: Vec<MetricScope>) -> Vec<i32> {
    scopes.into_iter().map(|scope| scope_to_proto(scope).into()).collect()
}

/// The resolution where the request names none: the coarsest configured.
pub(crate) fn default_resolution(state: &State) -> u32 {
    let resampling = state.config().main.resampling.as_ref();
    resampling.and_then(|resampling| resampling.resolutions.iter().copied().max()).unwrap_or(0)
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
            Some(Part::Statistics(statistics)) => loaded.put_over(&statistics),
            None => {}
        }
    }
    Ok(loaded)
}

fn values_of(bytes: &[u8]) -> impl Iterator<Item = f64> {
    let (samples, _) = bytes.as_chunks::<8>();
    samples.iter().map(|sample| f64::from_le_bytes(*sample))
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
                unit: Unit { base: header.unit_base.clone(), prefix: header.unit_prefix.clone() },
                timestep: header.timestep_s,
                native_timestep: header.native_timestep_s,
                first_time: header.first_time,
                series: Vec::new(),
                over: None,
            });
            self.metrics.len() - 1
        });
        let metric = self.metrics.get_mut(index)?;
        let points = usize::try_from(header.points).unwrap_or_default();
        metric.series.push(OneSeries {
            hostname: header.hostname,
            id: header.id,
            first_time: header.first_time,
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
        for (value, sample) in values.iter_mut().zip(values_of(&data.values_f64le)) {
            *value = sample;
        }
    }

    fn put_over(&mut self, statistics: &common::StatisticsSeries) {
        let scope = scope_from_proto(statistics.scope());
        let metric = self
            .metrics
            .iter_mut()
            .rfind(|metric| metric.name == statistics.metric && Some(metric.scope) == scope);
        let Some(metric) = metric else { return };
        let percentiles = statistics.percentiles_f64le.iter();
        metric.over = Some(StatsSeries {
            percentiles: percentiles.map(|(&percent, bytes)| (percent, values_of(bytes).collect())).collect(),
            mean: values_of(&statistics.mean_f64le).collect(),
            median: values_of(&statistics.median_f64le).collect(),
            min: values_of(&statistics.min_f64le).collect(),
            max: values_of(&statistics.max_f64le).collect(),
        });
    }

    /// The data in the form of files and REST answers (rest-api.md 5.3).
    pub(crate) fn into_job_data(self) -> JobData {
        let mut data = JobData::default();
        for metric in self.metrics {
            let (name, scope) = (metric.name.clone(), metric.scope);
            data.insert(name, scope, metric.into_job_metric());
        }
        data
    }
}

impl Metric {
    /// Lets all series begin with the earliest of them: the others get values without samples in front.
    pub(crate) fn align(&mut self) {
        let Some(first) = self.series.iter().map(|one| one.first_time).min() else { return };
        let step = i64::from(self.timestep.max(1));
        for one in &mut self.series {
            // series of one host have points half a step apart at most
            let late = (one.first_time - first + step / 2) / step;
            let gap = usize::try_from(late).unwrap_or_default();
            one.values.splice(..0, std::iter::repeat_n(f64::NAN, gap));
            one.first_time = first;
        }
        self.first_time = first;
    }

    /// Whether there are so many series that statistics over them belong beside.
    pub(crate) fn has_many(&self) -> bool {
        self.series.len() >= STATISTICS_FROM
    }

    /// Statistics over all series: the archive's, or computed.
    pub(crate) fn over(&mut self) -> StatsSeries {
        self.over.take().unwrap_or_else(|| over_series(&self.series))
    }

    /// The metric in the form of files and REST answers.
    pub(crate) fn into_job_metric(mut self) -> JobMetric {
        let kept = self.over.is_some();
        let statistics_series = (kept || self.has_many()).then(|| {
            let over = self.over();
            // the reference has means in entries of older releases only
            if kept { over } else { StatsSeries { mean: Vec::new(), ..over } }
        });
        let series = self.series.into_iter().map(|one| {
            // without a sample all three are 0, as clients expect it
            let common::Statistics { avg, min, max } = one.statistics.unwrap_or_default();
            let statistics = SeriesStatistics { min, avg, max };
            Series { hostname: one.hostname, id: one.id, statistics, data: one.values }
        });
        JobMetric {
            statistics_series,
            unit: self.unit,
            series: series.collect(),
            timestep: self.timestep.into(),
        }
    }
}

/// Smallest, middle, largest and mean of each instant; instants with fewer than three values have none.
fn over_series(series: &[OneSeries]) -> StatsSeries {
    let points = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    let few = series.len().min(3);
    let list = || Vec::with_capacity(points);
    let mut over =
        StatsSeries { mean: list(), median: list(), min: list(), max: list(), ..StatsSeries::default() };
    let mut instant: Vec<f64> = Vec::with_capacity(series.len());
    for point in 0..points {
        instant.clear();
        instant.extend(
            series.iter().filter_map(|one| one.values.get(point).copied()).filter(|value| !value.is_nan()),
        );
        if instant.len() < few || instant.is_empty() {
            for list in [&mut over.mean, &mut over.median, &mut over.min, &mut over.max] {
                list.push(f64::NAN);
            }
            continue;
        }
        instant.sort_unstable_by(f64::total_cmp);
        over.mean.push(average(&instant));
        over.median.push(middle(&instant));
        over.min.push(instant.first().copied().unwrap_or(f64::NAN));
        over.max.push(instant.last().copied().unwrap_or(f64::NAN));
    }
    over
}

/// The mean; 0 of nothing.
pub(crate) fn average(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX).max(1);
    values.iter().sum::<f64>() / f64::from(count)
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(values: &[f64]) -> OneSeries {
        OneSeries {
            hostname: "n1".to_owned(),
            id: None,
            first_time: 0,
            statistics: None,
            values: values.to_vec(),
        }
    }

    #[test]
    fn series_of_a_host_begin_together() {
        let at = |first_time: i64, values: &[f64]| OneSeries { first_time, ..one(values) };
        let mut metric = Metric {
            name: "flops".to_owned(),
            scope: MetricScope::HwThread,
            unit: Unit::new("F/s", "G"),
            timestep: 60,
            native_timestep: 60,
            first_time: 1125,
            series: vec![at(1125, &[2.0]), at(1000, &[1.0, 1.0, 1.0]), at(970, &[3.0])],
            over: None,
        };
        metric.align();
        assert_eq!(metric.first_time, 970);
        let lengths: Vec<_> = metric.series.iter().map(|one| (one.first_time, one.values.len())).collect();
        assert_eq!(lengths, [(970, 4), (970, 4), (970, 1)]);
        assert!(metric.series[0].values[2].is_nan());
        assert_eq!(metric.series[0].values[3..], [2.0]);
    }

    #[test]
    fn statistics_skip_gaps_and_need_three_values() {
        let gap = f64::NAN;
        let series = [one(&[1.0, gap]), one(&[2.0, 5.0]), one(&[6.0, 7.0]), one(&[gap, gap])];
        let over = over_series(&series);
        assert_eq!(over.median.first(), Some(&2.0));
        assert_eq!(over.mean.first(), Some(&3.0));
        assert_eq!((over.min.first(), over.max.first()), (Some(&1.0), Some(&6.0)));
        assert!(over.median.get(1).is_some_and(|value| value.is_nan()));
    }

    #[test]
    fn the_middle_of_an_even_number_lies_between() {
        for (values, want) in [(&[1.0, 2.0, 4.0, 9.0][..], 3.0), (&[1.0, 2.0, 9.0], 2.0)] {
            assert!((middle(values) - want).abs() < f64::EPSILON, "{values:?}");
        }
    }

    #[test]
    fn what_is_named_twice_is_read_once_in_the_order_named() {
        assert_eq!(once(vec!["b", "a", "b", "a", "c"]), ["b", "a", "c"]);
    }

    fn bytes(values: &[f64]) -> bytes::Bytes {
        values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn header(points: u32) -> common::SeriesHeader {
        common::SeriesHeader {
            metric: "cpu_load".to_owned(),
            scope: common::MetricScope::Node.into(),
            hostname: "n1".to_owned(),
            timestep_s: 60,
            points,
            ..Default::default()
        }
    }

    #[test]
    fn data_lands_where_its_header_says_and_never_outside() {
        let mut loaded = Loaded::default();
        let place = loaded.open(header(3));
        let values = bytes(&[1.5, 2.5, 3.5]);
        let piece = |first_point| common::SeriesData { series: 0, first_point, values_f64le: values.clone() };
        loaded.fill(place, &piece(1));
        loaded.fill(place, &piece(9));
        let values = &loaded.metrics[0].series[0].values;
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [1.5, 2.5]);
    }

    #[test]
    fn the_archives_own_statistics_win_and_computed_ones_have_no_mean_in_files() {
        let text = |loaded: Loaded| String::from_utf8(loaded.into_job_data().to_json()).unwrap();
        let mut loaded = Loaded::default();
        loaded.open(header(1));
        let over = common::StatisticsSeries {
            metric: "cpu_load".to_owned(),
            scope: common::MetricScope::Node.into(),
            mean_f64le: bytes(&[7.0]),
            percentiles_f64le: [(25, bytes(&[5.0]))].into(),
            ..Default::default()
        };
        loaded.put_over(&over);
        let kept = text(loaded);
        assert!(kept.contains(r#""percentiles":{"25":[5.00]},"mean":[7.00]"#), "{kept}");
        let mut loaded = Loaded::default();
        for _ in 0..8 {
            let place = loaded.open(header(1));
            loaded.fill(place, &common::SeriesData { values_f64le: bytes(&[2.0]), ..Default::default() });
        }
        let computed = text(loaded);
        assert!(computed.contains(r#""mean":null,"median":[2.00]"#), "{computed}");
    }
}
