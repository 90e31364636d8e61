//! Numbers of many jobs at once (graphql-api.md 8.17 to 8.19): statistics by job, weighted averages, the roofline.

use std::collections::HashMap;

use async_graphql::{Result, SimpleObject};
use cc_model::scope::MetricScope;
use cc_proto::archive::v1::ReadStatisticsRequest;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use cc_runtime::cpu;
use cc_runtime::error::{self, Kind};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::context::{Viewing, error as refusal, refused};
use super::scalars::Samples;
use super::stats::{NamedStats, live_stats, of_archive};
use crate::series::{Loaded, Wanted, in_store};

/// Jobs of one list of statistics.
const JOBS_MAX: u32 = 10_000;
/// Jobs whose series or averages go into one picture.
const PICTURE_JOBS_MAX: u32 = 500;
/// Keys of one question to the archive.
const KEYS_AT_ONCE: usize = 1_000;
/// Jobs that are read at the same time.
const AT_ONCE: usize = 8;
/// Most rows and columns of a heat map.
const TILES_MAX: i64 = 1_000;
/// Values of the statistics of one metric in an answer, about.
const STATS_VALUES: usize = 10;
/// Jobs of a picture whose samples are held at the same time: a large job has hundreds of megabytes.
const PICTURES_AT_ONCE: usize = 2;
/// Statistics of archived jobs that are looked up without letting others in between.
const WITHOUT_PAUSE: usize = 100;

/// The metrics of a roofline: performance, and what its intensity follows from.
const FLOPS: &str = "flops_any";
const BANDWIDTH: &str = "mem_bw";

/// A job with its statistics.
#[derive(SimpleObject)]
pub(super) struct JobStats {
    /// Database id.
    id: i64,
    /// The scheduler's id, as text.
    job_id: String,
    /// Seconds since the epoch.
    start_time: i64,
    duration: i64,
    cluster: String,
    sub_cluster: String,
    num_nodes: i32,
    #[graphql(name = "numHWThreads")]
    num_hwthreads: Option<i32>,
    num_accelerators: Option<i32>,
    stats: Vec<NamedStats>,
}

/// Averages of jobs, and what weight each has; all lists are in the same order.
#[derive(SimpleObject)]
pub(super) struct Footprints {
    time_weights: TimeWeights,
    metrics: Vec<MetricFootprints>,
}

/// Weights by job; minutes, despite the names.
#[derive(SimpleObject)]
#[expect(clippy::struct_field_names, reason = "the names are the contract of the query")]
pub(super) struct TimeWeights {
    node_hours: Samples,
    acc_hours: Samples,
    core_hours: Samples,
}

/// The average of one metric by job.
#[derive(SimpleObject)]
pub(super) struct MetricFootprints {
    metric: String,
    data: Samples,
}

/// Statistics by metric of archived jobs.
type Archived = HashMap<(String, i64, i64), Vec<common::MetricStatistics>>;

fn key(job: &common::Job) -> common::JobKey {
    common::JobKey { cluster: job.cluster.clone(), job_id: job.job_id, start_time: job.start_time }
}

/// The jobs that match, at most `most`.
async fn list(
    viewing: &Viewing,
    filters: Vec<proto::JobFilter>,
    order: Option<proto::Order>,
    most: u32,
) -> Result<Vec<common::Job>> {
    let unordered = order.is_none();
    let request = proto::ListJobsRequest {
        filters,
        order,
        page: 1,
        page_size: most,
        unordered,
        ..proto::ListJobsRequest::default()
    };
    let answer = viewing.state.job_db().list_jobs(viewing.request(request)).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    if answer.has_next_page {
        return Err(refusal("INVALID", format!("GRAPH/UTIL > too many jobs matched (max: {most})")));
    }
    Ok(answer.jobs)
}

/// What the archive knows of those of the jobs that are in it, in few calls.
async fn archived(viewing: &Viewing, jobs: &[common::Job]) -> Result<Archived> {
    let keys: Vec<common::JobKey> = jobs.iter().filter(|job| !in_store(job)).map(key).collect();
    let mut found = Archived::new();
    for keys in keys.chunks(KEYS_AT_ONCE) {
        let request = viewing.request(ReadStatisticsRequest { keys: keys.to_vec() });
        let answer = viewing.state.archive().read_statistics(request).await;
        for job in answer.map_err(|status| refused(&status))?.into_inner().jobs {
            let key = job.key.unwrap_or_default();
            found.insert((key.cluster, key.job_id, key.start_time), job.statistics);
        }
    }
    Ok(found)
}

fn of<'found>(found: &'found Archived, job: &common::Job) -> Option<&'found [common::MetricStatistics]> {
    found.get(&(job.cluster.clone(), job.job_id, job.start_time)).map(Vec::as_slice)
}

/// `jobsMetricStats`: by start time; jobs whose statistics cannot be read are left out.
pub(super) async fn metric_stats(
    viewing: &Viewing,
    filters: Vec<proto::JobFilter>,
    metrics: Vec<String>,
) -> Result<Vec<JobStats>> {
    let order = proto::Order { field: "startTime".to_owned(), footprint: false, descending: false };
    let jobs = list(viewing, filters, Some(order), JOBS_MAX).await?;
    viewing.take_values(jobs.len(), metrics.len().saturating_add(1).saturating_mul(STATS_VALUES))?;
    let archived = if metrics.is_empty() { Archived::new() } else { archived(viewing, &jobs).await? };
    let (archived, metrics) = (&archived, &metrics);
    let stats = stream::iter(jobs.into_iter().enumerate()).map(|(index, job)| async move {
        if index % WITHOUT_PAUSE == WITHOUT_PAUSE - 1 {
            tokio::task::yield_now().await;
        }
        let stats = if metrics.is_empty() {
            Vec::new()
        } else if in_store(&job) {
            live_stats(viewing, &job, metrics.clone()).await.ok()?
        } else {
            of_archive(of(archived, &job)?, metrics.clone())
        };
        Some(JobStats {
            id: job.id,
            job_id: job.job_id.to_string(),
            start_time: job.start_time,
            duration: job.duration_s,
            cluster: job.cluster,
            sub_cluster: job.sub_cluster,
            num_nodes: job.num_nodes,
            num_hwthreads: Some(job.num_hwthreads),
            num_accelerators: Some(job.num_acc),
            stats,
        })
    });
    Ok(stats.buffered(AT_ONCE).filter_map(std::future::ready).collect().await)
}

/// The averages of a job, one per metric; none where it has no such metric.
async fn averages(viewing: &Viewing, archived: &Archived, job: &common::Job, metrics: &[String]) -> Vec<f64> {
    let known: HashMap<String, f64> = if in_store(job) {
        let live = live_stats(viewing, job, metrics.to_vec()).await.unwrap_or_default();
        live.into_iter().map(|one| (one.name, one.data.avg)).collect()
    } else {
        let known = of(archived, job).unwrap_or_default();
        known.iter().map(|one| (one.metric.clone(), one.avg)).collect()
    };
    metrics.iter().map(|name| known.get(name).copied().unwrap_or(f64::NAN)).collect()
}

/// `jobsFootprints`: a job whose statistics cannot be read has no averages, and its place in every list.
pub(super) async fn footprints(
    viewing: &Viewing,
    filters: Vec<proto::JobFilter>,
    metrics: Vec<String>,
) -> Result<Footprints> {
    let mut jobs = list(viewing, filters, None, PICTURE_JOBS_MAX).await?;
    jobs.retain(|job| [1, 3].contains(&job.monitoring_status));
    let archived = archived(viewing, &jobs).await?;
    let averages: Vec<_> = jobs.iter().map(|job| averages(viewing, &archived, job, &metrics)).collect();
    let averages: Vec<Vec<f64>> = stream::iter(averages).buffered(AT_ONCE).collect().await;
    let weights = |count: fn(&common::Job) -> i32, none: Option<f64>| {
        let weight = |job: &common::Job| match (count(job), none) {
            (0, Some(none)) => none,
            (count, _) => minutes(job.duration_s) * f64::from(count),
        };
        Samples(jobs.iter().map(weight).collect())
    };
    Ok(Footprints {
        time_weights: TimeWeights {
            node_hours: weights(|job| job.num_nodes, None),
            acc_hours: weights(|job| job.num_acc, Some(1.0)),
            core_hours: weights(|job| job.num_hwthreads, Some(1.0)),
        },
        metrics: metrics
            .iter()
            .enumerate()
            .map(|(index, name)| MetricFootprints {
                metric: name.clone(),
                data: Samples(averages.iter().filter_map(|of_job| of_job.get(index).copied()).collect()),
            })
            .collect(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a duration is far below 2^53 seconds")]
fn minutes(seconds: i64) -> f64 {
    seconds as f64 / 60.0
}

/// The plane of a roofline and its tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roofline {
    rows: usize,
    columns: usize,
    /// Decimal logarithms: first and last of intensity, first and last of performance.
    intensity: (f64, f64),
    performance: (f64, f64),
}

impl Roofline {
    /// A plane of `rows` by `cols` tiles between bounds.
    pub(super) fn new(rows: i64, cols: i64, x: (f64, f64), y: (f64, f64)) -> Result<Self> {
        for (name, tiles) in [("rows", rows), ("cols", cols)] {
            if !(1..=TILES_MAX).contains(&tiles) {
                let text = format!("{name}: expected 1 to {TILES_MAX}, found {tiles}");
                return Err(refusal("INVALID", text));
            }
        }
        for (name, (low, high)) in [("minX, maxX", x), ("minY, maxY", y)] {
            if !(low > 0.0 && high > low && high.is_finite()) {
                return Err(refusal(
                    "INVALID",
                    format!("{name}: expected 0 < min < max, found {low}, {high}"),
                ));
            }
        }
        let log = |(low, high): (f64, f64)| (low.log10(), high.log10());
        let size = |tiles: i64| usize::try_from(tiles).unwrap_or(1);
        Ok(Self { rows: size(rows), columns: size(cols), intensity: log(x), performance: log(y) })
    }

    /// The tile of one sample; nothing when it lies outside.
    fn tile(self, flops: f64, bandwidth: f64) -> Option<usize> {
        let (x, y) = ((flops / bandwidth).log10(), flops.log10());
        let (low_x, high_x) = self.intensity;
        let (low_y, high_y) = self.performance;
        if !(low_x <= x && x < high_x && low_y <= y && y <= high_y) {
            return None;
        }
        let column = place((x - low_x) / (high_x - low_x), self.columns)?;
        let row = place((y - low_y) / (high_y - low_y), self.rows)?;
        Some(row * self.columns + column)
    }

    /// `rooflineHeatmap`: how many samples lie in each tile, row by row from the lowest performance on.
    pub(super) async fn count(
        self,
        viewing: &Viewing,
        filters: Vec<proto::JobFilter>,
    ) -> Result<Vec<Vec<f64>>> {
        viewing.take_tiles(self.rows, self.columns)?;
        let _turn = viewing.turn().await?;
        let mut jobs = list(viewing, filters, None, PICTURE_JOBS_MAX).await?;
        jobs.retain(|job| [1, 3].contains(&job.monitoring_status));
        let loaded = stream::iter(jobs).map(|job| async move { samples(viewing, &job).await });
        let mut loaded = std::pin::pin!(loaded.buffer_unordered(PICTURES_AT_ONCE));
        let mut counts = vec![0.0; self.rows * self.columns];
        while let Some(of_job) = loaded.try_next().await.map_err(|status| refused(&status))? {
            let counted = cpu::run(move || {
                self.add(&of_job, &mut counts);
                counts
            });
            counts = counted.await.map_err(|failure| refused(&failure.into()))?;
        }
        Ok(counts.chunks(self.columns).map(<[f64]>::to_vec).collect())
    }

    /// Counts the samples of one job; none of a job that lacks one of the two metrics.
    fn add(self, job: &Loaded, counts: &mut [f64]) {
        let find = |name: &str| {
            job.metrics.iter().find(|metric| metric.name == name && metric.scope == MetricScope::Node)
        };
        let (Some(flops), Some(bandwidth)) = (find(FLOPS), find(BANDWIDTH)) else { return };
        let by_host: HashMap<&str, &[f64]> =
            bandwidth.series.iter().map(|one| (one.hostname.as_str(), one.values.as_slice())).collect();
        for flops in &flops.series {
            let Some(bandwidth) = by_host.get(flops.hostname.as_str()) else { continue };
            for (flops, bandwidth) in flops.values.iter().zip(*bandwidth) {
                let tile = self.tile(*flops, *bandwidth);
                if let Some(count) = tile.and_then(|tile| counts.get_mut(tile)) {
                    *count += 1.0;
                }
            }
        }
    }
}

/// What a roofline needs of a job; nothing of one whose entry is missing.
async fn samples(viewing: &Viewing, job: &common::Job) -> Result<Loaded, Status> {
    let wanted = Wanted {
        metrics: Some([FLOPS, BANDWIDTH].map(str::to_owned).to_vec()),
        scopes: Some(vec![MetricScope::Node]),
        resolution: 0,
        with_data: true,
    };
    match viewing.series(job, wanted).await {
        Err(status) if error::kind(&status) == Kind::NotFound => Ok(Loaded::default()),
        other => other,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part between 0 and 1 of at most a thousand tiles"
)]
fn place(part: f64, tiles: usize) -> Option<usize> {
    let index = (part * tiles as f64).floor();
    (index >= 0.0 && index < tiles as f64).then_some(index as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Metric, OneSeries};

    #[test]
    fn samples_fall_into_the_tile_of_their_decades() {
        let plane = Roofline::new(2, 3, (0.1, 100.0), (1.0, 100.0)).unwrap();
        for (flops, bandwidth, tile) in [
            (1.0, 1.0, Some(1)),
            (5.0, 25.0, Some(0)),
            (50.0, 1.0, Some(5)),
            (100.0, 1.0, None),
            (100.0, 2.0, None),
            (0.5, 1.0, None),
            (f64::NAN, 1.0, None),
            (1.0, 0.0, None),
        ] {
            assert_eq!(plane.tile(flops, bandwidth), tile, "{flops} {bandwidth}");
        }
    }

    #[test]
    fn samples_of_a_job_are_counted_where_both_metrics_of_a_host_are() {
        let metric = |name: &str, hosts: &[(&str, &[f64])]| Metric {
            name: name.to_owned(),
            scope: MetricScope::Node,
            unit: cc_model::Unit::new("", ""),
            timestep: 60,
            native_timestep: 60,
            first_time: 0,
            series: hosts
                .iter()
                .map(|(host, values)| OneSeries {
                    hostname: (*host).to_owned(),
                    id: None,
                    first_time: 0,
                    statistics: None,
                    values: values.to_vec(),
                })
                .collect(),
            over: None,
        };
        let plane = Roofline::new(2, 3, (0.1, 100.0), (1.0, 100.0)).unwrap();
        let flops = metric(FLOPS, &[("n1", &[1.0, 50.0, f64::NAN]), ("n2", &[1.0]), ("n3", &[5.0])]);
        let bandwidth = metric(BANDWIDTH, &[("n3", &[25.0]), ("n1", &[1.0, 1.0, 1.0])]);
        let mut counts = vec![0.0; 6];
        let both = Loaded { metrics: vec![flops, bandwidth], ..Loaded::default() };
        plane.add(&both, &mut counts);
        plane.add(&both, &mut counts);
        plane.add(&Loaded::default(), &mut counts);
        assert_eq!(counts, [2.0, 2.0, 0.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn planes_without_an_area_are_refused() {
        for (rows, cols, x, y) in [
            (0, 3, (1.0, 2.0), (1.0, 2.0)),
            (3, 1_001, (1.0, 2.0), (1.0, 2.0)),
            (3, 3, (0.0, 2.0), (1.0, 2.0)),
            (3, 3, (1.0, 2.0), (2.0, 2.0)),
            (3, 3, (1.0, f64::NAN), (1.0, 2.0)),
        ] {
            assert!(Roofline::new(rows, cols, x, y).is_err(), "{rows} {cols} {x:?} {y:?}");
        }
    }
}
