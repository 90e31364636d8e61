//! Statistics of one job (graphql-api.md 8.13, 8.14), from wherever its series are.

use async_graphql::{Result, SimpleObject};
use cc_proto::archive::v1::ReadStatisticsRequest;
use cc_proto::common::v1 as common;

use super::context::{Viewing, refused};
use super::scalars::MetricScope;
use super::series::MetricStatistics;
use crate::series::{Wanted, average};

/// Statistics of a metric over all nodes of a job.
#[derive(SimpleObject)]
pub(super) struct NamedStats {
    pub(super) name: String,
    pub(super) data: MetricStatistics,
}

/// Statistics of a metric per series.
#[derive(SimpleObject)]
pub(super) struct NamedStatsWithScope {
    pub(super) name: String,
    pub(super) scope: MetricScope,
    pub(super) stats: Vec<ScopedStats>,
}

/// Statistics of one series.
#[derive(SimpleObject)]
pub(super) struct ScopedStats {
    pub(super) hostname: String,
    pub(super) id: Option<String>,
    pub(super) data: MetricStatistics,
}

/// Of a job that is in the store: mean over its nodes, smallest and largest of all.
pub(super) async fn live_stats(
    viewing: &Viewing,
    job: &common::Job,
    metrics: Vec<String>,
) -> Result<Vec<NamedStats>> {
    let scopes = Some(vec![cc_model::scope::MetricScope::Node]);
    let wanted = Wanted { metrics: Some(metrics), scopes, resolution: 0, with_data: false };
    let loaded = viewing.series(job, wanted).await.map_err(|status| refused(&status))?;
    let stats = loaded.metrics.into_iter().map(|metric| {
        let nodes: Vec<&common::Statistics> =
            metric.series.iter().filter_map(|one| one.statistics.as_ref()).collect();
        let whole = common::Statistics {
            avg: average(&nodes.iter().map(|one| one.avg).collect::<Vec<_>>()),
            min: nodes.iter().map(|one| one.min).reduce(f64::min).unwrap_or_default(),
            max: nodes.iter().map(|one| one.max).reduce(f64::max).unwrap_or_default(),
        };
        NamedStats { name: metric.name, data: MetricStatistics::from(&whole) }
    });
    Ok(stats.collect())
}

/// Of an archived job: as its entry has them; a metric that it lacks has zeros.
pub(super) async fn archived_stats(
    viewing: &Viewing,
    job: &common::Job,
    metrics: Vec<String>,
) -> Result<Vec<NamedStats>> {
    let key = common::JobKey { cluster: job.cluster.clone(), job_id: job.job_id, start_time: job.start_time };
    let request = viewing.request(ReadStatisticsRequest { keys: vec![key] });
    let answer = viewing.state.archive().read_statistics(request).await;
    let found =
        answer.map_err(|status| refused(&status))?.into_inner().jobs.into_iter().next().unwrap_or_default();
    Ok(of_archive(&found.statistics, metrics))
}

/// The metrics asked for, of what an entry has.
pub(super) fn of_archive(found: &[common::MetricStatistics], metrics: Vec<String>) -> Vec<NamedStats> {
    let stats = metrics.into_iter().map(|name| {
        let statistics = found.iter().find(|one| one.metric == name);
        let data = statistics.map(|one| MetricStatistics { avg: one.avg, min: one.min, max: one.max });
        NamedStats { name, data: data.unwrap_or_default() }
    });
    stats.collect()
}
