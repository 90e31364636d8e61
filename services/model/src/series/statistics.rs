//! Statistics of metric data and what is made of it after loading (job-archive.md 12, metric-store.md 10.4).

use std::collections::BTreeMap;

use super::{JobData, JobMetric, Series, SeriesStatistics, StatsSeries};
use crate::{job::JobStatistics, number::round2, scope::MetricScope, unit::Unit};

/// From so many series on a metric gets statistics over them.
const SERIES_MIN: usize = 8;
/// A point in time with fewer values than this has no statistics.
const VALUES_MIN: usize = 3;

/// Metrics that are added up to node scope if they lack it.
pub const SYNTHESIZED: [&str; 2] = ["flops_any", "mem_bw"];

impl SeriesStatistics {
    /// Statistics of the values that are numbers; nothing if there is none.
    pub fn of(data: &[f64]) -> Option<Self> {
        let mut known = data.iter().copied().filter(|value| !value.is_nan());
        let first = known.next()?;
        let mut count = 1_u32;
        let (mut min, mut sum, mut max) = (first, first, first);
        for value in known {
            min = min.min(value);
            max = max.max(value);
            sum += value;
            count += 1;
        }
        Some(Self { min, avg: sum / f64::from(count), max })
    }

    /// All zero if any of them is not a number, as the reference's loaders do.
    #[must_use]
    pub fn or_zero(self) -> Self {
        if self.min.is_nan() || self.avg.is_nan() || self.max.is_nan() { Self::default() } else { self }
    }

    /// Rounded to two decimals.
    #[must_use]
    pub fn rounded(self) -> Self {
        Self { min: round2(self.min), avg: round2(self.avg), max: round2(self.max) }
    }
}

impl StatsSeries {
    /// Minimum, median and maximum over series at each time. Gaps are left out; fewer than three values give a gap, as
    /// do times after the end of the shortest series.
    pub fn over(series: &[Series]) -> Self {
        let longest = series.iter().map(|s| s.data.len()).max().unwrap_or(0);
        let shortest = series.iter().map(|s| s.data.len()).min().unwrap_or(0);
        let mut out = Self::default();
        let mut values = Vec::with_capacity(series.len());
        for index in 0..longest {
            values.clear();
            if index < shortest {
                let at_index = series.iter().filter_map(|s| s.data.get(index).copied());
                values.extend(at_index.filter(|value| !value.is_nan()));
            }
            values.sort_unstable_by(f64::total_cmp);
            let (min, max) = match values.as_slice() {
                all if all.len() < VALUES_MIN => (f64::NAN, f64::NAN),
                [min, .., max] => (*min, *max),
                _ => (f64::NAN, f64::NAN),
            };
            out.min.push(min);
            out.max.push(max);
            out.median.push(median(&values));
        }
        out
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        _ if sorted.len() < VALUES_MIN => f64::NAN,
        (Some(left), Some(right)) if sorted.len().is_multiple_of(2) => f64::midpoint(*left, *right),
        (_, Some(value)) => *value,
        _ => f64::NAN,
    }
}

impl JobMetric {
    /// Adds statistics over the series if there are at least eight and none was there.
    pub fn add_statistics_series(&mut self) {
        if self.series.len() >= SERIES_MIN && self.statistics_series.is_none() {
            self.statistics_series = Some(StatsSeries::over(&self.series));
        }
    }

    /// This metric added up per host; statistics are those of the sums. A gap in one part is a gap in the sum, as is
    /// the time after the end of the shortest part.
    fn summed(&self) -> Self {
        let mut hosts: Vec<(&str, Vec<&[f64]>)> = Vec::new();
        for series in &self.series {
            match hosts.iter_mut().find(|(host, _)| *host == series.hostname) {
                Some((_, parts)) => parts.push(&series.data),
                None => hosts.push((&series.hostname, vec![&series.data])),
            }
        }
        let series = hosts
            .into_iter()
            .map(|(host, parts)| {
                let length = parts.iter().map(|part| part.len()).max().unwrap_or(0);
                let at = |index: usize| {
                    parts.iter().map(|part| part.get(index).copied().unwrap_or(f64::NAN)).sum()
                };
                let data: Vec<f64> = (0..length).map(at).collect();
                let statistics = SeriesStatistics::of(&data).unwrap_or_default();
                Series { hostname: host.to_owned(), id: None, statistics, data }
            })
            .collect();
        Self { statistics_series: None, unit: self.unit.clone(), series, timestep: self.timestep }
    }
}

impl JobData {
    /// What is done with loaded data before it is shown or archived, in this order: statistics over many series; node
    /// scope for `flops_any` and `mem_bw` where it was asked for and is missing; statistics rounded.
    pub fn post_process(&mut self, node_scope_requested: bool) {
        self.metrics.values_mut().flat_map(BTreeMap::values_mut).for_each(JobMetric::add_statistics_series);
        if node_scope_requested {
            for metric in SYNTHESIZED {
                self.add_node_scope(metric);
            }
        }
        for series in
            self.metrics.values_mut().flat_map(BTreeMap::values_mut).flat_map(|metric| &mut metric.series)
        {
            series.statistics = series.statistics.or_zero().rounded();
        }
    }

    /// Adds a metric up to node scope, from the coarsest scope that it has, unless it is there.
    pub fn add_node_scope(&mut self, metric: &str) {
        let Some(scopes) = self.metrics.get_mut(metric) else { return };
        if let Some((scope, coarsest)) = scopes.last_key_value()
            && *scope != MetricScope::Node
        {
            let summed = coarsest.summed();
            scopes.insert(MetricScope::Node, summed);
        }
    }
}

/// Statistics of a job from its data: for each metric at node scope the mean over `num_nodes` nodes (those without
/// data count too), the smallest and the largest value. Metrics without series have none.
pub fn job_statistics(
    data: &JobData,
    num_nodes: i32,
    unit: impl Fn(&str) -> Option<Unit>,
) -> BTreeMap<String, JobStatistics> {
    let at_node =
        data.metrics.iter().filter_map(|(name, scopes)| Some((name, scopes.get(&MetricScope::Node)?)));
    at_node
        .filter_map(|(name, metric)| {
            let all = || metric.series.iter().map(|series| series.statistics);
            let statistics = JobStatistics {
                unit: unit(name).unwrap_or_else(|| metric.unit.clone()),
                avg: round2(all().map(|s| s.avg).sum::<f64>() / f64::from(num_nodes.max(1))),
                min: all().map(|s| s.min).reduce(f64::min)?,
                max: all().map(|s| s.max).reduce(f64::max)?,
            };
            Some((name.clone(), statistics))
        })
        .collect()
}
