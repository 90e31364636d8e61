//! A stopped job becomes an entry (job-archive.md 12): its series from the metric store, statistics, two files.

use std::collections::BTreeMap;

use cc_model::footprint::{FootprintKeys, energy, footprint};
use cc_model::job::{Job, JobStatistics, MonitoringStatus};
use cc_model::series::{JobData, JobMetric, Series, SeriesStatistics, job_statistics};
use cc_model::{JobKey, MetricScope};
use cc_proto::common::v1::{self as common, series_chunk::Part};
use cc_proto::convert::scope_from_proto;
use cc_proto::metric_store::v1::QueryJobRequest;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::cpu;
use cc_runtime::transport::Transport;
use tonic::Status;

use crate::clusters::Snapshot;
use crate::error::Error;
use crate::layout::Layout;

/// Jobs with at most so many nodes keep values per core.
const CORE_NODES_MAX: i32 = 8;

/// What archiving a job gives back.
#[derive(Clone, Debug)]
pub struct Archived {
    /// The job as written, with its statistics.
    pub job: Job,
    /// Metrics without a sample.
    pub missing: Vec<common::MissingMetric>,
    /// Size of the data file; 0 if that of a former entry stays.
    pub data_bytes: u64,
}

/// Archives a job whose state and duration are final. Repeating it replaces the entry by an equal one.
///
/// # Errors
/// [`Error::Series`] while the store cannot tell everything, [`Error::Assign`] for an unknown cluster,
/// [`Error::Write`]; an entry is then either absent or the former one.
pub async fn archive(
    layout: &Layout,
    clusters: &Snapshot,
    store: MetricStoreClient<Transport>,
    mut job: Job,
) -> Result<Archived, Error> {
    job.sub_cluster = clusters.clusters.assign(&job.cluster, &job.sub_cluster, &job.resources)?;
    let cluster = clusters.clusters.get(&job.cluster).cloned();
    let (mut data, missing) = series(store, &job).await?;
    let layout = layout.clone();
    // all of it was fetched: too late to be refused
    cpu::wait(move || {
        data.post_process(true);
        let unit = |metric: &str| cluster.as_ref()?.metric(metric).map(|metric| metric.unit.clone());
        // The end of a job may be corrected when the store has long forgotten its samples.
        let former = former(&layout, &job, &data);
        let statistics = match &former {
            Some(statistics) => statistics.clone(),
            None => job_statistics(&data, job.num_nodes, unit),
        };
        if let Some(sub_cluster) = cluster.as_ref().and_then(|cluster| cluster.sub_cluster(&job.sub_cluster))
        {
            job.footprint = Some(footprint(sub_cluster, &statistics, FootprintKeys::Configured));
            let energy = energy(sub_cluster, &statistics, job.num_nodes, job.duration);
            job.energy = energy.total;
            job.energy_footprint = Some(energy.metrics);
        }
        job.statistics = Some(statistics);
        job.monitoring_status = MonitoringStatus::Archived;
        let data_bytes = if former.is_some() {
            tracing::warn!(
                job.id = %job.key(),
                "the metric store has fewer samples of job {} than its archive entry: the entry keeps its series, only its end is corrected",
                job.key()
            );
            layout.store_meta(&job)?;
            0
        } else {
            layout.store(&job, &data)?
        };
        Ok(Archived { job, missing, data_bytes })
    })
    .await?
}

/// The statistics of the entry that there is already, if it holds more of the job than `data`.
fn former(layout: &Layout, job: &Job, data: &JobData) -> Option<BTreeMap<String, JobStatistics>> {
    let key = job.key();
    let statistics = layout.meta(&key).ok()?.statistics?;
    let former = layout.data(&key).ok()?;
    (samples(&former, job.duration) > samples(data, job.duration)).then_some(statistics)
}

/// Samples in the first `duration` seconds of a job.
fn samples(data: &JobData, duration: i32) -> usize {
    let of_metric = |(_, _, metric): (&str, MetricScope, &JobMetric)| {
        let points = usize::try_from(i64::from(duration) / metric.timestep.max(1) + 1).unwrap_or_default();
        let of_series =
            |series: &Series| series.data.iter().take(points).filter(|value| !value.is_nan()).count();
        metric.series.iter().map(of_series).sum::<usize>()
    };
    data.iter().map(of_metric).sum()
}

/// Everything the store has of a job, at its native resolution.
async fn series(
    mut store: MetricStoreClient<Transport>,
    job: &Job,
) -> Result<(JobData, Vec<common::MissingMetric>), Error> {
    let mut scopes = vec![common::MetricScope::Node];
    if job.num_nodes <= CORE_NODES_MAX {
        scopes.push(common::MetricScope::Core);
    }
    if job.num_acc > 0 {
        scopes.push(common::MetricScope::Accelerator);
    }
    let request = QueryJobRequest {
        cluster: job.cluster.clone(),
        sub_cluster: job.sub_cluster.clone(),
        resources: cc_proto::convert::job_to_proto(job).resources,
        metrics: Vec::new(),
        scopes: scopes.into_iter().map(Into::into).collect(),
        from: job.start_time,
        to: job.start_time + i64::from(job.duration),
        resolution_s: 0,
        with_data: true,
        from_first_sample: false,
    };
    let failed = |status: Status| Error::Series { job: job.key(), source: Box::new(status) };
    let mut chunks = store.query_job(request).await.map_err(failed)?.into_inner();
    let mut collected = Collected::default();
    while let Some(chunk) = chunks.message().await.map_err(failed)? {
        collected.take(chunk, &job.key());
    }
    Ok((collected.data, collected.missing))
}

/// The stream of a query, put together.
#[derive(Debug, Default)]
struct Collected {
    data: JobData,
    missing: Vec<common::MissingMetric>,
    /// Where the series of a number went: metric, scope, index.
    places: Vec<Option<(String, MetricScope, usize)>>,
}

impl Collected {
    fn take(&mut self, chunk: common::SeriesChunk, job: &JobKey) {
        match chunk.part {
            Some(Part::Header(header)) => self.open(header),
            Some(Part::Data(data)) => self.fill(&data),
            Some(Part::Missing(missing)) => {
                tracing::debug!(job.id = %job, metric = missing.metric, reason = missing.reason, "a metric of {job} is missing");
                self.missing.push(missing);
            }
            Some(Part::Statistics(_)) | None => {}
        }
    }

    fn open(&mut self, header: common::SeriesHeader) {
        let Some(scope) = scope_from_proto(header.scope()) else {
            self.places.push(None);
            return;
        };
        // Metrics without any sample are named as missing; a series of nothing says nothing.
        let scopes = self.data.metrics.entry(header.metric.clone()).or_default();
        let metric = scopes.entry(scope).or_insert_with(|| JobMetric {
            unit: cc_model::Unit::new(header.unit_base.clone(), header.unit_prefix.clone()),
            timestep: i64::from(header.timestep_s),
            ..JobMetric::default()
        });
        let statistics =
            header.statistics.map(|one| SeriesStatistics { min: one.min, avg: one.avg, max: one.max });
        metric.series.push(Series {
            hostname: header.hostname,
            id: header.id,
            statistics: statistics.unwrap_or_default().rounded(),
            data: vec![f64::NAN; usize::try_from(header.points).unwrap_or_default()],
        });
        self.places.push(Some((header.metric, scope, metric.series.len() - 1)));
    }

    fn fill(&mut self, chunk: &common::SeriesData) {
        let place = usize::try_from(chunk.series).ok().and_then(|number| self.places.get(number)?.as_ref());
        let Some((metric, scope, index)) = place else { return };
        let metric = self.data.metrics.get_mut(metric).and_then(|scopes| scopes.get_mut(scope));
        let series = metric.and_then(|metric| metric.series.get_mut(*index));
        let first = usize::try_from(chunk.first_point).unwrap_or(usize::MAX);
        let Some(values) = series.and_then(|series| series.data.get_mut(first..)) else { return };
        let (samples, _) = chunk.values_f64le.as_chunks::<8>();
        for (value, sample) in values.iter_mut().zip(samples) {
            *value = f64::from_le_bytes(*sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(values: &[f64]) -> JobData {
        let series = Series { hostname: "n1".to_owned(), data: values.to_vec(), ..Series::default() };
        let metric = JobMetric { series: vec![series], timestep: 60, ..JobMetric::default() };
        let mut data = JobData::default();
        data.insert("cpu_load", MetricScope::Node, metric);
        data
    }

    #[test]
    fn an_entry_with_more_samples_than_the_store_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let statistics = JobStatistics { avg: 2.0, min: 1.0, max: 3.0, ..JobStatistics::default() };
        let mut job = Job {
            cluster: "c1".to_owned(),
            job_id: 1,
            start_time: 1_768_978_339,
            duration: 180,
            ..Job::default()
        };
        let whole = data(&[1.0, 2.0, 3.0, 2.0]);
        assert_eq!(former(&layout, &job, &whole), None, "there is no entry");
        job.statistics = Some([("cpu_load".to_owned(), statistics)].into());
        layout.store(&job, &whole).unwrap();
        assert_eq!(former(&layout, &job, &whole), None, "nothing is lost");
        assert_eq!(former(&layout, &job, &JobData::default()), job.statistics);
        assert_eq!(former(&layout, &job, &data(&[f64::NAN, f64::NAN, 3.0, 2.0])), job.statistics);
        job.duration = 60;
        assert_eq!(former(&layout, &job, &data(&[1.0, 2.0])), None, "all of a shorter job");
    }
}
