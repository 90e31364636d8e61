//! Statistics requests and answers (spec/graphql-api.md 8.16).

use std::cmp::Reverse;

use cc_proto::job_db::v1 as proto;
use cc_proto::job_db::v1::{Aggregate, SortByAggregate};

use super::filter::{self, invalid};
use crate::error::Error;
use crate::store::query::{IntColumn, MetricKey};
use crate::store::statistics::{
    BINS_MAX, DurationBins, Found, GroupColumn, METRICS_MAX, MetricBins, Question, Sums,
};

const SECONDS_PER_HOUR: i128 = 3600;

/// A checked request: what to compute, and which of the groups to answer.
pub(crate) struct Asked {
    pub(crate) question: Question,
    sort_by: SortByAggregate,
    page: u32,
    page_size: u32,
}

/// A statistics request.
///
/// # Errors
/// [`Error::InvalidFilter`].
pub(crate) fn question(request: proto::JobStatisticsRequest, short_below: i64) -> Result<Asked, Error> {
    let group = match request.group_by() {
        Aggregate::Unspecified => None,
        Aggregate::User => Some(GroupColumn::User),
        Aggregate::Project => Some(GroupColumn::Project),
        Aggregate::Cluster => Some(GroupColumn::Cluster),
        Aggregate::SubCluster => Some(GroupColumn::SubCluster),
    };
    let sort_by = request.sort_by();
    let values: Vec<IntColumn> = [
        (request.with_num_nodes, IntColumn::NumNodes),
        (request.with_num_hwthreads, IntColumn::NumHwthreads),
        (request.with_num_acc, IntColumn::NumAcc),
    ]
    .into_iter()
    .filter_map(|(wanted, column)| wanted.then_some(column))
    .collect();
    if request.metrics.len() > METRICS_MAX {
        return Err(invalid("metrics", format!("{} are more than {METRICS_MAX}", request.metrics.len())));
    }
    if group.is_some() && (request.duration.is_some() || !values.is_empty() || !request.metrics.is_empty()) {
        return Err(invalid("group_by", "histograms only implemented without groupBy argument"));
    }
    let durations = request.duration.map(|bins| -> Result<DurationBins, Error> {
        if bins.seconds == 0 {
            return Err(invalid("duration.seconds", "a bin must be at least one second wide"));
        }
        Ok(DurationBins { seconds: bins.seconds.into(), bins: number_of_bins("duration.bins", bins.bins)? })
    });
    let question = Question {
        durations: durations.transpose()?,
        metrics: request.metrics.iter().map(metric).collect::<Result<_, _>>()?,
        filters: filter::filters(request.filters)?,
        group,
        users: request.with_users || sort_by == SortByAggregate::TotalUsers,
        short_below,
        values,
    };
    Ok(Asked { question, sort_by, page: request.page, page_size: request.page_size })
}

fn number_of_bins(field: &'static str, bins: u32) -> Result<usize, Error> {
    if bins == 0 || bins > BINS_MAX {
        return Err(invalid(field, format!("{bins} is not a number of bins from 1 to {BINS_MAX}")));
    }
    Ok(usize::try_from(bins).unwrap_or(usize::MAX))
}

fn metric(bins: &proto::MetricBins) -> Result<MetricBins, Error> {
    let key = MetricKey::new(&bins.key)
        .ok_or_else(|| invalid("metrics.key", format!("{:?} is no footprint key", bins.key)))?;
    Ok(MetricBins { key, peak: bins.peak, bins: number_of_bins("metrics.bins", bins.bins)? })
}

impl Asked {
    /// The answer: groups sorted and cut to the page.
    pub(crate) fn answer(&self, found: Found) -> proto::JobStatisticsResponse {
        let mut groups: Vec<proto::JobGroup> =
            found.groups.into_iter().map(|(key, sums)| group(key, &sums)).collect();
        // stable: equal values keep the order of the keys
        groups.sort_by_key(|group| Reverse(sort_value(group, self.sort_by)));
        let groups = if self.page_size == 0 {
            groups
        } else {
            let size = usize::try_from(self.page_size).unwrap_or(usize::MAX);
            let before = usize::try_from(self.page.saturating_sub(1)).unwrap_or(usize::MAX);
            groups.into_iter().skip(before.saturating_mul(size)).take(size).collect()
        };
        let counts = |column: IntColumn| {
            let of_column =
                self.question.values.iter().zip(&found.values).find(|(asked, _)| **asked == column);
            let one = |(value, count): (&i64, &u64)| proto::ValueCount { value: *value, count: *count };
            of_column.map(|(_, counts)| counts.iter().map(one).collect()).unwrap_or_default()
        };
        proto::JobStatisticsResponse {
            groups,
            num_nodes: counts(IntColumn::NumNodes),
            num_hwthreads: counts(IntColumn::NumHwthreads),
            num_acc: counts(IntColumn::NumAcc),
            duration: found.durations,
            metrics: found.metrics.into_iter().map(|counts| proto::MetricHistogram { counts }).collect(),
        }
    }
}

fn group(key: String, sums: &Sums) -> proto::JobGroup {
    let hours = |seconds: i128| whole(seconds / SECONDS_PER_HOUR);
    proto::JobGroup {
        key,
        jobs: sums.jobs,
        running_jobs: sums.running,
        short_jobs: sums.short,
        users: sums.users,
        walltime_hours: hours(sums.seconds),
        nodes: whole(sums.nodes),
        node_hours: hours(sums.node_seconds),
        cores: whole(sums.hwthreads),
        core_hours: hours(sums.hwthread_seconds),
        accs: whole(sums.accs),
        acc_hours: hours(sums.acc_seconds),
    }
}

fn whole(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

fn sort_value(group: &proto::JobGroup, by: SortByAggregate) -> i64 {
    let counted = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match by {
        SortByAggregate::Unspecified => 0,
        SortByAggregate::TotalWalltime => group.walltime_hours,
        SortByAggregate::TotalJobs => counted(group.jobs),
        SortByAggregate::TotalUsers => counted(group.users),
        SortByAggregate::TotalNodes => group.nodes,
        SortByAggregate::TotalNodeHours => group.node_hours,
        SortByAggregate::TotalCores => group.cores,
        SortByAggregate::TotalCoreHours => group.core_hours,
        SortByAggregate::TotalAccs => group.accs,
        SortByAggregate::TotalAccHours => group.acc_hours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> proto::JobStatisticsRequest {
        proto::JobStatisticsRequest { group_by: Aggregate::User.into(), ..Default::default() }
    }

    fn found(users: &[(&str, i128)]) -> Found {
        let sums = |seconds: i128| Sums { jobs: 1, seconds, ..Sums::default() };
        Found {
            groups: users.iter().map(|(user, seconds)| ((*user).to_owned(), sums(*seconds))).collect(),
            ..Found::default()
        }
    }

    #[test]
    fn groups_are_sorted_by_whole_hours_then_by_key_and_cut_to_the_page() {
        let users = [("a", 3599), ("b", 7200), ("c", 7300), ("d", 36_000)];
        let keys = |sort_by: SortByAggregate, page, page_size| -> Vec<String> {
            let request =
                proto::JobStatisticsRequest { sort_by: sort_by.into(), page, page_size, ..request() };
            let answer = question(request, 300).unwrap().answer(found(&users));
            answer.groups.into_iter().map(|group| group.key).collect()
        };
        assert_eq!(keys(SortByAggregate::TotalWalltime, 1, 0), ["d", "b", "c", "a"]);
        assert_eq!(keys(SortByAggregate::TotalWalltime, 2, 3), ["a"]);
        assert_eq!(keys(SortByAggregate::Unspecified, 1, 2), ["a", "b"]);
        assert!(keys(SortByAggregate::TotalJobs, u32::MAX, u32::MAX).is_empty());
    }

    #[test]
    fn what_cannot_be_computed_is_refused_with_the_field() {
        let bins = |bins| Some(proto::DurationBins { seconds: 60, bins });
        let metric = |key: &str| proto::MetricBins { key: key.to_owned(), peak: 1.0, bins: 4 };
        let ungrouped = proto::JobStatisticsRequest::default;
        for (request, wanted) in [
            (proto::JobStatisticsRequest { duration: bins(4), ..request() }, "group_by"),
            (proto::JobStatisticsRequest { with_num_acc: true, ..request() }, "group_by"),
            (proto::JobStatisticsRequest { duration: bins(0), ..ungrouped() }, "duration.bins"),
            (proto::JobStatisticsRequest { duration: bins(10_001), ..ungrouped() }, "duration.bins"),
            (proto::JobStatisticsRequest { metrics: vec![metric("a') --")], ..ungrouped() }, "metrics.key"),
            (proto::JobStatisticsRequest { metrics: vec![metric("a"); 65], ..ungrouped() }, "metrics"),
        ] {
            let refused = question(request, 300).err();
            assert!(
                matches!(refused, Some(Error::InvalidFilter { field, .. }) if field == wanted),
                "{refused:?} instead of {wanted}"
            );
        }
    }
}
