//! Sums and histograms over jobs (graphql-api.md 4.6, 8.16).

use async_graphql::{Context, Enum, ID, Result, SimpleObject};
use cc_model::cluster::{FootprintStat, MetricConfig};
use cc_model::scope::MetricScope;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use futures::stream::{self, StreamExt as _};

use super::context::{Viewing, error, refused};
use super::inputs::{JobFilter, PageRequest, job_filters};
use crate::series::{Wanted, average};

/// Running jobs whose samples a histogram reads; of more there is none.
const RUNNING_MAX: u32 = 5000;
/// Running jobs whose samples are read at the same time.
const AT_ONCE: usize = 8;
/// Most bins of a histogram, of archived jobs (job-db has the same bound) and running ones.
const BINS_MAX: u32 = 10_000;

/// What groups are made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum Aggregate {
    /// Owner.
    User,
    /// Account that pays.
    Project,
    /// Cluster.
    Cluster,
    /// Part of a cluster.
    #[graphql(name = "SUBCLUSTER")]
    SubCluster,
}

/// What groups are sorted by, largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum SortByAggregate {
    /// Hours.
    #[graphql(name = "TOTALWALLTIME")]
    Walltime,
    /// Jobs.
    #[graphql(name = "TOTALJOBS")]
    Jobs,
    /// Distinct users.
    #[graphql(name = "TOTALUSERS")]
    Users,
    /// Nodes.
    #[graphql(name = "TOTALNODES")]
    Nodes,
    /// Hours times nodes.
    #[graphql(name = "TOTALNODEHOURS")]
    NodeHours,
    /// Hardware threads.
    #[graphql(name = "TOTALCORES")]
    Cores,
    /// Hours times hardware threads.
    #[graphql(name = "TOTALCOREHOURS")]
    CoreHours,
    /// Accelerators.
    #[graphql(name = "TOTALACCS")]
    Accs,
    /// Hours times accelerators.
    #[graphql(name = "TOTALACCHOURS")]
    AccHours,
}

/// Sums over one group of jobs, or all; histograms only over all.
#[derive(Debug, Default, SimpleObject)]
pub(super) struct JobsStatistics {
    /// What the group has in common; empty where not grouped.
    id: ID,
    /// Real name of the user of a group by user; empty otherwise.
    name: String,
    /// Distinct users.
    total_users: u64,
    /// Jobs.
    total_jobs: u64,
    /// Jobs in state `running`.
    running_jobs: u64,
    /// Jobs shorter than `short-running-jobs-duration`.
    short_jobs: u64,
    /// Whole hours.
    total_walltime: i64,
    /// Nodes, added up over jobs.
    total_nodes: i64,
    /// Whole hours times nodes.
    total_node_hours: i64,
    /// Hardware threads, added up over jobs.
    total_cores: i64,
    /// Whole hours times hardware threads.
    total_core_hours: i64,
    /// Accelerators, added up over jobs.
    total_accs: i64,
    /// Whole hours times accelerators.
    total_acc_hours: i64,
    /// By duration; `value` is the upper edge of a bin in seconds.
    hist_duration: Vec<HistoPoint>,
    /// By number of nodes.
    hist_num_nodes: Vec<HistoPoint>,
    /// By number of hardware threads.
    hist_num_cores: Vec<HistoPoint>,
    /// By number of accelerators.
    hist_num_accs: Vec<HistoPoint>,
    /// By footprint, one per metric asked for.
    hist_metrics: Vec<MetricHistoPoints>,
}

/// How many jobs have a value.
#[derive(Debug, SimpleObject)]
pub(super) struct HistoPoint {
    count: u64,
    value: i64,
}

/// Jobs by a metric.
#[derive(Debug, SimpleObject)]
pub(super) struct MetricHistoPoints {
    metric: String,
    /// Prefix and base.
    unit: String,
    /// `avg`, `min` or `max`; null for running jobs, whose averages so far are taken.
    stat: Option<String>,
    data: Option<Vec<MetricHistoPoint>>,
}

/// How many jobs are in a bin.
#[derive(Debug, SimpleObject)]
pub(super) struct MetricHistoPoint {
    /// Counts from 1.
    bin: Option<i64>,
    count: u64,
    /// Lower edge, rounded down.
    min: Option<i64>,
    /// Upper edge, rounded down.
    max: Option<i64>,
}

/// The arguments of `jobsStatistics`.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) filter: Option<Vec<JobFilter>>,
    pub(super) metrics: Option<Vec<String>>,
    pub(super) page: Option<PageRequest>,
    pub(super) sort_by: Option<SortByAggregate>,
    pub(super) group_by: Option<Aggregate>,
    pub(super) num_duration_bins: String,
    pub(super) num_metric_bins: i64,
}

/// What is known about a metric of a histogram.
struct Metric {
    name: String,
    unit: String,
    stat: Option<FootprintStat>,
    peak: f64,
}

impl Metric {
    /// As the cluster of the filter configures it, or with the largest peak of all clusters.
    fn of(viewing: &Viewing, cluster: Option<&str>, name: &str) -> Self {
        let mut metric = Self { name: name.to_owned(), unit: String::new(), stat: None, peak: 0.0 };
        let clusters = viewing.clusters.clusters.iter();
        for configured in clusters.filter(|known| cluster.is_none_or(|cluster| cluster == known.name)) {
            let of_name = |list: &'_ [MetricConfig]| list.iter().find(|one| one.name == name).cloned();
            let Some(config) = of_name(&configured.metric_config) else { continue };
            metric.peak = metric.peak.max(config.peak);
            if metric.unit.is_empty() {
                metric.unit = format!("{}{}", config.unit.prefix, config.unit.base);
            }
            let of_part =
                || configured.sub_clusters.iter().find_map(|sub| of_name(&sub.metric_config)?.footprint);
            metric.stat = metric.stat.or(config.footprint).or_else(of_part);
        }
        metric
    }

    /// Whether bins can be made.
    fn has_peak(&self) -> bool {
        self.peak > 0.0
    }

    /// The histogram; edges as clients know them: multiples of a whole step.
    fn outward(self, stat: Option<FootprintStat>, bins: u32, counts: &[u64]) -> MetricHistoPoints {
        let step = self.step(bins);
        let point = |(bin, count): (i64, &u64)| MetricHistoPoint {
            bin: Some(bin),
            count: *count,
            min: Some(step * (bin - 1)),
            max: Some(step * bin),
        };
        MetricHistoPoints {
            metric: self.name,
            unit: self.unit,
            stat: stat.map(|stat| stat.as_str().to_owned()),
            data: Some((1_i64..).zip(counts).map(point).collect()),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "peaks are far below 2^63, and saturate")]
    fn step(&self, bins: u32) -> i64 {
        self.peak as i64 / i64::from(bins.max(1))
    }
}

/// Seconds per bin and number of bins of a name.
fn duration_bins(name: &str) -> proto::DurationBins {
    let (seconds, bins) = match name {
        "1m" => (60, 60),
        "10m" => (600, 72),
        "1h" => (3600, 48),
        "6h" => (21_600, 12),
        "12h" => (43_200, 14),
        _ => (3600, 24),
    };
    proto::DurationBins { seconds, bins }
}

/// Bins of a histogram. Checked before anything is read: the counters of running jobs are kept here.
fn bins(asked: i64) -> Result<u32> {
    let bins = u32::try_from(asked).ok().filter(|bins| *bins > 0);
    let bins = bins.ok_or_else(|| error("INVALID", format!("numMetricBins {asked} is not 1 or more")))?;
    if bins > BINS_MAX {
        return Err(error("INVALID", format!("numMetricBins {bins} is more than {BINS_MAX}")));
    }
    Ok(bins)
}

/// Letters, digits and `_`: what a footprint key can be made of.
fn is_metric_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Answers `jobsStatistics`, as far as its fields are selected.
pub(super) async fn load(
    ctx: &Context<'_>,
    viewing: &Viewing,
    arguments: Arguments,
) -> Result<Vec<JobsStatistics>> {
    let selected = ctx.look_ahead();
    let wants = |field: &str| selected.field(field).exists();
    let grouped = arguments.group_by.is_some();
    if grouped && ["histDuration", "histNumNodes", "histNumCores", "histNumAccs"].into_iter().any(wants) {
        return Err(error("INVALID", "histograms only implemented without groupBy argument"));
    }
    if grouped && wants("histMetrics") {
        return Err(error("INVALID", "metric histograms only implemented without groupBy argument"));
    }
    let metrics = viewing.metric_names(arguments.metrics.unwrap_or_default())?;
    let bins = bins(arguments.num_metric_bins)?;
    let filters = arguments.filter.unwrap_or_default();
    let cluster = filters.iter().find_map(|filter| filter.cluster_eq().map(str::to_owned));
    let live = filters.iter().any(JobFilter::only_running);
    let metrics: Vec<Metric> = if wants("histMetrics") {
        viewing.take_bins(bins, metrics.len())?;
        let names = metrics.iter().filter(|name| is_metric_name(name));
        names.map(|name| Metric::of(viewing, cluster.as_deref(), name)).collect()
    } else {
        Vec::new()
    };
    let filters = job_filters(Some(filters), viewing.state.clock().unix())?;
    let mut request = proto::JobStatisticsRequest {
        filters: filters.clone(),
        group_by: group_by(arguments.group_by).into(),
        with_users: wants("totalUsers"),
        duration: wants("histDuration").then(|| duration_bins(&arguments.num_duration_bins)),
        with_num_nodes: wants("histNumNodes"),
        with_num_hwthreads: wants("histNumCores"),
        with_num_acc: wants("histNumAccs"),
        metrics: if live { Vec::new() } else { metric_bins(&metrics, bins) },
        ..proto::JobStatisticsRequest::default()
    };
    if grouped {
        request.sort_by = sort_by(arguments.sort_by).into();
        (request.page, request.page_size) = page_of(arguments.page)?;
    }
    let duration_edge = request.duration.as_ref().map_or(0, |bins| i64::from(bins.seconds));
    let answer = viewing.state.job_db().job_statistics(viewing.request(request)).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let by_user = arguments.group_by == Some(Aggregate::User) && wants("name");
    let mut statistics = groups(viewing, answer.groups, by_user).await;
    if let Some(first) = statistics.first_mut().filter(|_| !grouped) {
        let edge = |(bin, count): (i64, u64)| HistoPoint { count, value: bin * duration_edge };
        first.hist_duration = (1..).zip(answer.duration).map(edge).collect();
        first.hist_num_nodes = points(&answer.num_nodes);
        first.hist_num_cores = points(&answer.num_hwthreads);
        first.hist_num_accs = points(&answer.num_acc);
        first.hist_metrics = if live {
            running(viewing, filters, metrics, bins).await
        } else {
            archived(metrics, bins, answer.metrics)
        };
    }
    Ok(statistics)
}

fn metric_bins(metrics: &[Metric], bins: u32) -> Vec<proto::MetricBins> {
    let one = |metric: &Metric| {
        let key = format!("{}_{}", metric.name, metric.stat?.as_str());
        metric.has_peak().then_some(proto::MetricBins { key, peak: metric.peak, bins })
    };
    metrics.iter().filter_map(one).collect()
}

fn archived(metrics: Vec<Metric>, bins: u32, found: Vec<proto::MetricHistogram>) -> Vec<MetricHistoPoints> {
    let mut found = found.into_iter();
    let one = |metric: Metric| {
        let asked = metric.stat.is_some() && metric.has_peak();
        let counts = if asked { found.next().unwrap_or_default().counts } else { Vec::new() };
        let stat = metric.stat;
        metric.outward(stat, bins, &counts)
    };
    metrics.into_iter().map(one).collect()
}

/// By the averages so far of running jobs; nothing where these cannot be had, as clients know it.
async fn running(
    viewing: &Viewing,
    filters: Vec<proto::JobFilter>,
    metrics: Vec<Metric>,
    bins: u32,
) -> Vec<MetricHistoPoints> {
    if metrics.is_empty() {
        return Vec::new();
    }
    let Ok(_turn) = viewing.turn().await else { return Vec::new() };
    let request = proto::ListJobsRequest { filters, page: 1, page_size: RUNNING_MAX, ..Default::default() };
    let Ok(answer) = viewing.state.job_db().list_jobs(viewing.request(request)).await else {
        return Vec::new();
    };
    let answer = answer.into_inner();
    if answer.has_next_page {
        return Vec::new();
    }
    let names: Vec<String> = metrics.iter().map(|metric| metric.name.clone()).collect();
    let names = &names;
    let averages: Vec<Option<Vec<f64>>> = stream::iter(answer.jobs)
        .map(|job| async move { averages(viewing, &job, names).await })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let Some(averages) = averages.into_iter().collect::<Option<Vec<_>>>() else { return Vec::new() };
    let one = |(index, metric): (usize, Metric)| {
        let mut counts = vec![0; usize::try_from(bins).unwrap_or_default()];
        let step = metric.step(bins);
        for value in averages.iter().filter_map(|of_job| of_job.get(index)).filter(|value| !value.is_nan()) {
            #[expect(clippy::cast_possible_truncation, reason = "saturates, and then is in no bin")]
            let bin =
                if step > 0 && *value >= 0.0 { usize::try_from(*value as i64 / step).ok() } else { None };
            if let Some(count) = bin.and_then(|bin| counts.get_mut(bin)) {
                *count += 1;
            }
        }
        metric.outward(None, bins, &counts)
    };
    metrics.into_iter().enumerate().map(one).collect()
}

/// Averages of a running job over its nodes, in the order of the names; not a number where there are no samples.
async fn averages(viewing: &Viewing, job: &common::Job, names: &[String]) -> Option<Vec<f64>> {
    let scopes = Some(vec![MetricScope::Node]);
    let wanted = Wanted { metrics: Some(names.to_vec()), scopes, resolution: 0, with_data: false };
    let loaded = viewing.series(job, wanted).await.ok()?;
    let average_of = |name: &String| {
        let metric = loaded.metrics.iter().find(|metric| metric.name == *name);
        let of_nodes: Vec<f64> = metric
            .into_iter()
            .flat_map(|metric| &metric.series)
            .filter_map(|series| series.statistics.as_ref().map(|statistics| statistics.avg))
            .collect();
        if of_nodes.is_empty() { f64::NAN } else { average(&of_nodes) }
    };
    Some(names.iter().map(average_of).collect())
}

async fn groups(viewing: &Viewing, groups: Vec<proto::JobGroup>, by_user: bool) -> Vec<JobsStatistics> {
    if by_user {
        // names are an addition to the figures: without them the figures stand
        let users = groups.iter().map(|group| group.key.clone()).collect();
        if let Err(error) = viewing.look_up(users).await {
            tracing::debug!(problem = %error.message, "no real names for statistics by user");
        }
    }
    let mut statistics = Vec::with_capacity(groups.len());
    for group in groups {
        let name = if by_user { real_name(viewing, &group.key).await } else { String::new() };
        statistics.push(JobsStatistics { name, ..JobsStatistics::from(group) });
    }
    statistics
}

async fn real_name(viewing: &Viewing, user: &str) -> String {
    viewing.user(user).await.ok().flatten().map(|user| user.name).unwrap_or_default()
}

impl From<proto::JobGroup> for JobsStatistics {
    fn from(group: proto::JobGroup) -> Self {
        Self {
            id: group.key.into(),
            total_users: group.users,
            total_jobs: group.jobs,
            running_jobs: group.running_jobs,
            short_jobs: group.short_jobs,
            total_walltime: group.walltime_hours,
            total_nodes: group.nodes,
            total_node_hours: group.node_hours,
            total_cores: group.cores,
            total_core_hours: group.core_hours,
            total_accs: group.accs,
            total_acc_hours: group.acc_hours,
            ..Self::default()
        }
    }
}

fn points(counts: &[proto::ValueCount]) -> Vec<HistoPoint> {
    counts.iter().map(|one| HistoPoint { count: one.count, value: one.value }).collect()
}

fn page_of(page: Option<PageRequest>) -> Result<(u32, u32)> {
    let Some(page) = page else { return Ok((1, 0)) };
    let size = match page.items_per_page {
        -1 => 0,
        size => u32::try_from(size)
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| error("INVALID", format!("invalid items-per-page value: {size}")))?,
    };
    Ok((u32::try_from(page.page.max(1)).unwrap_or(u32::MAX), size))
}

fn group_by(column: Option<Aggregate>) -> proto::Aggregate {
    match column {
        None => proto::Aggregate::Unspecified,
        Some(Aggregate::User) => proto::Aggregate::User,
        Some(Aggregate::Project) => proto::Aggregate::Project,
        Some(Aggregate::Cluster) => proto::Aggregate::Cluster,
        Some(Aggregate::SubCluster) => proto::Aggregate::SubCluster,
    }
}

fn sort_by(figure: Option<SortByAggregate>) -> proto::SortByAggregate {
    use proto::SortByAggregate as To;
    match figure {
        None => To::Unspecified,
        Some(SortByAggregate::Walltime) => To::TotalWalltime,
        Some(SortByAggregate::Jobs) => To::TotalJobs,
        Some(SortByAggregate::Users) => To::TotalUsers,
        Some(SortByAggregate::Nodes) => To::TotalNodes,
        Some(SortByAggregate::NodeHours) => To::TotalNodeHours,
        Some(SortByAggregate::Cores) => To::TotalCores,
        Some(SortByAggregate::CoreHours) => To::TotalCoreHours,
        Some(SortByAggregate::Accs) => To::TotalAccs,
        Some(SortByAggregate::AccHours) => To::TotalAccHours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_bins_but_not_too_many() {
        for (asked, want) in [
            (1, Some(1)),
            (10_000, Some(10_000)),
            (10_001, None),
            (20_000_000, None),
            (i64::MAX, None),
            (0, None),
            (-1, None),
        ] {
            assert_eq!(bins(asked).ok(), want, "{asked}");
        }
    }
}
