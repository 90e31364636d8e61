//! An entry becomes answers (job-archive.md 14): meta data, statistics, series resampled here.

use bytes::{BufMut as _, Bytes, BytesMut};
use cc_model::resample::Algorithm;
use cc_model::series::{JobData, JobMetric, Series, StatsSeries};
use cc_model::{JobKey, MetricScope};
use cc_proto::common::v1::{self as common, SeriesChunk, series_chunk::Part};
use cc_proto::convert::scope_to_proto;

use crate::error::Error;
use crate::layout::Layout;

/// Points of one chunk: 256 KiB.
const CHUNK_POINTS: usize = 32_768;

/// What is wanted of an entry.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Empty: all.
    pub metrics: Vec<String>,
    /// Empty: all there are.
    pub scopes: Vec<MetricScope>,
    /// Seconds per point; 0: native. Rounded up to a multiple of each metric's timestep.
    pub resolution: u32,
    /// Shorter series stay as they are.
    pub minimum_points: usize,
    /// False: headers with statistics only.
    pub with_data: bool,
}

/// Reads, chooses, thins. Work for the processor.
///
/// # Errors
/// As [`Layout::data`].
pub fn read(layout: &Layout, key: &JobKey, wanted: &Wanted) -> Result<Vec<SeriesChunk>, Error> {
    let mut data = layout.data(key)?;
    let metrics = (!wanted.metrics.is_empty()).then_some(wanted.metrics.as_slice());
    data.retain(metrics, &wanted.scopes);
    Ok(chunks(data, key.start_time, wanted))
}

fn chunks(mut data: JobData, start: i64, wanted: &Wanted) -> Vec<SeriesChunk> {
    let mut parts = Vec::new();
    let mut number = 0;
    for (name, scopes) in &mut data.metrics {
        // Coarse first: the node's view is what pages show before anything else.
        for (&scope, metric) in scopes.iter_mut().rev() {
            let native = metric.timestep;
            if wanted.with_data {
                thin(metric, wanted);
            }
            for series in &metric.series {
                let header = header(number, name, scope, metric, series, (start, native, wanted.with_data));
                parts.push(Part::Header(header));
                if wanted.with_data {
                    parts.extend(pieces(number, &series.data));
                }
                number += 1;
            }
            if wanted.with_data {
                let statistics = metric.statistics_series.as_ref();
                parts.extend(statistics.map(|of| Part::Statistics(over_series(name, scope, of))));
            }
        }
    }
    let absent = wanted.metrics.iter().filter(|name| !data.metrics.contains_key(*name));
    parts.extend(absent.map(|name| {
        Part::Missing(common::MissingMetric {
            metric: name.clone(),
            reason: "NO_SAMPLES".to_owned(),
            detail: "the archive has no series of this metric for this job".to_owned(),
            ..common::MissingMetric::default()
        })
    }));
    parts.into_iter().map(|part| SeriesChunk { part: Some(part) }).collect()
}

fn thin(metric: &mut JobMetric, wanted: &Wanted) {
    let native = metric.timestep.max(1);
    let wish = i64::from(wanted.resolution);
    let rounded = (wish + native - 1) / native * native;
    // It is a multiple, so it cannot be refused.
    let _ = metric.resample(rounded, wanted.minimum_points, Algorithm::default());
}

fn header(
    number: u32,
    name: &str,
    scope: MetricScope,
    metric: &JobMetric,
    series: &Series,
    (start, native, with_data): (i64, i64, bool),
) -> common::SeriesHeader {
    let seconds = |timestep: i64| u32::try_from(timestep).unwrap_or_default();
    let statistics = series.statistics;
    common::SeriesHeader {
        series: number,
        metric: name.to_owned(),
        scope: scope_to_proto(scope).into(),
        hostname: series.hostname.clone(),
        // In files of the reference the id of the first part stands at node scope, too; clients know it there.
        id: series.id.clone(),
        // Each value is the sample nearest to its time, counted from the start of the job, as in the store.
        first_time: start,
        timestep_s: seconds(metric.timestep),
        points: if with_data { u32::try_from(series.data.len()).unwrap_or_default() } else { 0 },
        unit_base: metric.unit.base.clone(),
        unit_prefix: metric.unit.prefix.clone(),
        statistics: Some(common::Statistics {
            avg: statistics.avg,
            min: statistics.min,
            max: statistics.max,
        }),
        native_timestep_s: seconds(native),
    }
}

fn over_series(name: &str, scope: MetricScope, of: &StatsSeries) -> common::StatisticsSeries {
    let percentiles = of.percentiles.iter().map(|(percent, values)| (*percent, bytes_of(values)));
    common::StatisticsSeries {
        metric: name.to_owned(),
        scope: scope_to_proto(scope).into(),
        mean_f64le: bytes_of(&of.mean),
        median_f64le: bytes_of(&of.median),
        min_f64le: bytes_of(&of.min),
        max_f64le: bytes_of(&of.max),
        percentiles_f64le: percentiles.collect(),
    }
}

fn pieces(number: u32, values: &[f64]) -> impl Iterator<Item = Part> {
    values.chunks(CHUNK_POINTS).enumerate().map(move |(index, values)| {
        Part::Data(common::SeriesData {
            series: number,
            first_point: u32::try_from(index * CHUNK_POINTS).unwrap_or_default(),
            values_f64le: bytes_of(values),
        })
    })
}

fn bytes_of(values: &[f64]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(values.len() * 8);
    for value in values {
        bytes.put_f64_le(*value);
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> JobData {
        let series = |id: Option<&str>, values: Vec<f64>| Series {
            hostname: "n1".to_owned(),
            id: id.map(str::to_owned),
            data: values,
            ..Series::default()
        };
        let metric = |series: Vec<Series>| JobMetric { series, timestep: 60, ..JobMetric::default() };
        let mut data = JobData::default();
        let long: Vec<f64> = (0..40_000).map(f64::from).collect();
        let over = StatsSeries { median: vec![1.0, f64::NAN], ..StatsSeries::default() };
        let node = metric(vec![series(Some("0"), long)]);
        data.insert("mem_bw", MetricScope::Node, JobMetric { statistics_series: Some(over), ..node });
        data.insert(
            "mem_bw",
            MetricScope::Socket,
            metric(vec![series(Some("0"), vec![1.0]), series(Some("1"), vec![2.0])]),
        );
        data
    }

    #[test]
    fn long_series_come_in_pieces_and_statistics_behind_them() {
        let wanted = Wanted {
            with_data: true,
            metrics: vec!["mem_bw".to_owned(), "ipc".to_owned()],
            ..Wanted::default()
        };
        let chunks = chunks(data(), 1_000_030, &wanted);
        let parts: Vec<Part> = chunks.into_iter().filter_map(|chunk| chunk.part).collect();
        let Part::Header(header) = &parts[0] else { panic!("no header") };
        assert_eq!((header.points, header.id.as_deref(), header.first_time), (40_000, Some("0"), 1_000_030));
        let Part::Data(second) = &parts[2] else { panic!("no second piece") };
        assert_eq!((second.first_point, second.values_f64le.len()), (32_768, (40_000 - 32_768) * 8));
        let Part::Statistics(over) = &parts[3] else { panic!("no statistics") };
        assert_eq!((over.metric.as_str(), over.mean_f64le.len(), over.median_f64le.len()), ("mem_bw", 0, 16));
        let Some(Part::Missing(missing)) = parts.last() else { panic!("nothing missing") };
        assert_eq!((missing.metric.as_str(), missing.reason.as_str()), ("ipc", "NO_SAMPLES"));
    }

    #[test]
    fn a_resolution_that_does_not_fit_is_rounded_up() {
        let wanted = Wanted { with_data: true, resolution: 100, ..Wanted::default() };
        let chunks = chunks(data(), 0, &wanted);
        let Some(Part::Header(header)) = &chunks[0].part else { panic!("no header") };
        assert_eq!((header.timestep_s, header.native_timestep_s, header.points), (120, 60, 20_000));
    }
}
