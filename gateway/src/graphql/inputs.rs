//! Input types and their translation into the contract of job-db (graphql-api.md 5).

use async_graphql::{Enum, InputObject};
use cc_proto::job_db::v1 as proto;

use super::scalars::{JobState, MonitoringState, SchedulerState, Time, ids};

/// `ASC` or `DESC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
pub(super) enum SortDirectionEnum {
    /// Descending.
    Desc,
    /// Ascending.
    #[default]
    Asc,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, InputObject)]
pub(super) struct PageRequest {
    /// −1: all.
    pub(super) items_per_page: i64,
    /// Counts from 1.
    pub(super) page: i64,
}

/// How a list is sorted.
#[derive(Clone, Debug, InputObject)]
pub(super) struct OrderByInput {
    /// `startTime`, `duration`, `numNodes`, `numHwthreads`, `numAcc`, `energy`; or a footprint key.
    field: String,
    /// `col` for a column, `foot` for a footprint key.
    r#type: String,
    /// Direction.
    #[graphql(default)]
    order: SortDirectionEnum,
}

/// The first operator that is set, in the order `eq`, `neq`, `startsWith`, `endsWith`, `contains`, `in`.
#[derive(Clone, Debug, Default, InputObject)]
pub(super) struct StringInput {
    eq: Option<String>,
    neq: Option<String>,
    contains: Option<String>,
    starts_with: Option<String>,
    ends_with: Option<String>,
    r#in: Option<Vec<String>>,
}

/// Both bounds inclusive; 0 is an open end.
#[derive(Clone, Copy, Debug, InputObject)]
pub(super) struct IntRange {
    from: i64,
    to: i64,
}

/// Both bounds inclusive; 0 is an open end.
#[derive(Clone, Copy, Debug, InputObject)]
pub(super) struct FloatRange {
    from: f64,
    to: f64,
}

/// `range` is `last6h`, `last24h`, `last7d` or `last30d`, and ignored when an end is given.
#[derive(Clone, Debug, InputObject)]
pub(super) struct TimeRange {
    range: Option<String>,
    from: Option<Time>,
    to: Option<Time>,
}

/// A footprint value between two bounds.
#[derive(Clone, Debug, InputObject)]
pub(super) struct MetricStatItem {
    /// Footprint key with its statistic, e.g. `cpu_load_avg`.
    metric_name: String,
    range: FloatRange,
}

/// All set fields of one element, and all elements of a list, must hold.
#[derive(Clone, Debug, Default, InputObject)]
pub(super) struct JobFilter {
    db_id: Option<Vec<async_graphql::ID>>,
    job_id: Option<StringInput>,
    array_job_id: Option<i64>,
    user: Option<StringInput>,
    project: Option<StringInput>,
    cluster: Option<StringInput>,
    sub_cluster: Option<StringInput>,
    partition: Option<StringInput>,
    job_name: Option<StringInput>,
    /// Seconds.
    duration: Option<IntRange>,
    /// kWh.
    energy: Option<FloatRange>,
    num_nodes: Option<IntRange>,
    num_accelerators: Option<IntRange>,
    #[graphql(name = "numHWThreads")]
    num_hwthreads: Option<IntRange>,
    start_time: Option<TimeRange>,
    state: Option<Vec<JobState>>,
    /// `none`, `single_user` or `multi_user`.
    shared: Option<String>,
    /// `interactive` or `batch`.
    schedule: Option<String>,
    /// At least one of these.
    tags: Option<Vec<async_graphql::ID>>,
    node: Option<StringInput>,
    metric_stats: Option<Vec<MetricStatItem>>,
}

/// All set fields of one element, and all elements of a list, must hold.
#[derive(Clone, Debug, Default, InputObject)]
pub(super) struct NodeFilter {
    hostname: Option<StringInput>,
    cluster: Option<StringInput>,
    sub_cluster: Option<StringInput>,
    scheduler_state: Option<SchedulerState>,
    health_state: Option<MonitoringState>,
    /// Seconds since the epoch; used by `nodeStatesTimed` only.
    time_start: Option<i64>,
}

impl JobFilter {
    /// The cluster that the jobs must be of, if that is said with `eq`.
    pub(super) fn cluster_eq(&self) -> Option<&str> {
        self.cluster.as_ref()?.eq.as_deref()
    }

    /// Whether it asks for running jobs and no others.
    pub(super) fn only_running(&self) -> bool {
        self.state.as_deref().is_some_and(|states| matches!(states, [one] if one.0 == "running"))
    }
}

impl From<StringInput> for proto::StringFilter {
    fn from(input: StringInput) -> Self {
        Self {
            eq: input.eq,
            neq: input.neq,
            starts_with: input.starts_with,
            ends_with: input.ends_with,
            contains: input.contains,
            r#in: input.r#in.map(|values| proto::StringSet { values }),
        }
    }
}

impl From<IntRange> for proto::IntRange {
    fn from(range: IntRange) -> Self {
        Self { from: range.from, to: range.to }
    }
}

impl From<FloatRange> for proto::FloatRange {
    fn from(range: FloatRange) -> Self {
        Self { from: range.from, to: range.to }
    }
}

impl From<OrderByInput> for proto::Order {
    fn from(order: OrderByInput) -> Self {
        Self {
            field: order.field,
            footprint: order.r#type != "col",
            descending: order.order == SortDirectionEnum::Desc,
        }
    }
}

impl TimeRange {
    fn into_proto(self, now: i64) -> proto::TimeRange {
        let end = |time: Option<Time>| time.map(|time| time.0).filter(|&seconds| seconds != 0);
        let (from, to) = (end(self.from), end(self.to));
        if from.is_some() || to.is_some() {
            return proto::TimeRange { from, to };
        }
        let span = match self.range.as_deref() {
            Some("last6h") => Some(6 * 3600),
            Some("last24h") => Some(24 * 3600),
            Some("last7d") => Some(7 * 24 * 3600),
            Some("last30d") => Some(30 * 24 * 3600),
            _ => None,
        };
        proto::TimeRange { from: span.map(|span| now - span), to: None }
    }
}

/// All filters of a request; `now` (Unix seconds) is what `last24h` counts from.
pub(super) fn job_filters(
    filters: Option<Vec<JobFilter>>,
    now: i64,
) -> async_graphql::Result<Vec<proto::JobFilter>> {
    filters.unwrap_or_default().into_iter().map(|filter| job_filter(filter, now)).collect()
}

fn job_filter(filter: JobFilter, now: i64) -> async_graphql::Result<proto::JobFilter> {
    let id_set = |list: Option<Vec<async_graphql::ID>>| -> async_graphql::Result<Option<proto::IdSet>> {
        list.map(|list| ids(&list).map(|values| proto::IdSet { values })).transpose()
    };
    Ok(proto::JobFilter {
        db_id: id_set(filter.db_id)?,
        job_id: filter.job_id.map(Into::into),
        array_job_id: filter.array_job_id,
        user: filter.user.map(Into::into),
        project: filter.project.map(Into::into),
        cluster: filter.cluster.map(Into::into),
        sub_cluster: filter.sub_cluster.map(Into::into),
        partition: filter.partition.map(Into::into),
        job_name: filter.job_name.map(Into::into),
        duration: filter.duration.map(Into::into),
        energy: filter.energy.map(Into::into),
        num_nodes: filter.num_nodes.map(Into::into),
        num_accelerators: filter.num_accelerators.map(Into::into),
        num_hwthreads: filter.num_hwthreads.map(Into::into),
        start_time: filter.start_time.map(|range| range.into_proto(now)),
        state: filter
            .state
            .map(|states| proto::StringSet { values: states.into_iter().map(|state| state.0).collect() }),
        shared: filter.shared,
        schedule: filter.schedule,
        tags: id_set(filter.tags)?,
        node: filter.node.map(Into::into),
        metric_stats: filter
            .metric_stats
            .unwrap_or_default()
            .into_iter()
            .map(|item| proto::MetricRange { metric: item.metric_name, range: Some(item.range.into()) })
            .collect(),
    })
}

/// All node filters of a request.
pub(super) fn node_filters(filters: Option<Vec<NodeFilter>>) -> Vec<proto::NodeFilter> {
    let one = |filter: NodeFilter| proto::NodeFilter {
        hostname: filter.hostname.map(Into::into),
        cluster: filter.cluster.map(Into::into),
        sub_cluster: filter.sub_cluster.map(Into::into),
        scheduler_state: filter.scheduler_state.map(|state| state.0),
        health_state: filter.health_state.map(|state| state.0),
        time_start: filter.time_start,
    };
    filters.unwrap_or_default().into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_range_counts_back_from_now_and_yields_to_given_ends() {
        let named = |range: &str, from: Option<i64>| {
            TimeRange { range: Some(range.to_owned()), from: from.map(Time), to: None }.into_proto(1_000_000)
        };
        assert_eq!(named("last6h", None).from, Some(1_000_000 - 21_600));
        assert_eq!(named("last6h", Some(5)).from, Some(5));
        assert_eq!(named("lastweek", None), proto::TimeRange { from: None, to: None });
    }

    #[test]
    fn an_order_that_is_no_column_is_a_footprint_key() {
        let order = OrderByInput {
            field: "cpu_load_avg".to_owned(),
            r#type: "foot".to_owned(),
            order: SortDirectionEnum::Desc,
        };
        let order = proto::Order::from(order);
        assert!(order.footprint && order.descending);
    }
}
