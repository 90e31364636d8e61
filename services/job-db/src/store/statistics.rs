//! Sums and histograms over jobs as values (spec/job-db.md 9, graphql-api.md 8.16): what is asked, what is found,
//! and the arithmetic that every store shares: seconds are added up first and divided once.

use std::collections::{BTreeMap, HashSet};

use super::query::{Filter, IntColumn, MetricKey};

/// Most bins of one histogram.
pub(crate) const BINS_MAX: u32 = 10_000;
/// Most metrics in one request.
pub(crate) const METRICS_MAX: usize = 64;

/// What to compute over the jobs that match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// All must hold.
    pub(crate) filters: Vec<Filter>,
    /// One group per value of a column; absent: one group of all.
    pub(crate) group: Option<GroupColumn>,
    /// Count distinct users per group.
    pub(crate) users: bool,
    /// A job with a stored duration below this many seconds counts as short.
    pub(crate) short_below: i64,
    /// Jobs by duration: seconds per bin and number of bins.
    pub(crate) durations: Option<DurationBins>,
    /// Jobs by each distinct value of these columns.
    pub(crate) values: Vec<IntColumn>,
    /// Jobs by a footprint value.
    pub(crate) metrics: Vec<MetricBins>,
}

/// What groups can be made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupColumn {
    User,
    Project,
    Cluster,
    SubCluster,
}

/// Equal bins from 0 on; longer jobs are in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DurationBins {
    /// At least 1.
    pub(crate) seconds: i64,
    pub(crate) bins: usize,
}

impl DurationBins {
    /// The bin of a duration.
    pub(crate) fn bin(self, seconds: i64) -> Option<usize> {
        usize::try_from(seconds / self.seconds.max(1)).ok().filter(|bin| *bin < self.bins)
    }
}

/// Equal bins from 0 to a peak.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetricBins {
    pub(crate) key: MetricKey,
    pub(crate) peak: f64,
    pub(crate) bins: usize,
}

impl MetricBins {
    /// The bin of a value: none above the peak, the last one for the peak itself. The division and the factor are
    /// those of the reference, so that values at an edge fall on the same side.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "bins are few; what is out of range saturates and then is in no bin"
    )]
    #[expect(clippy::float_cmp, reason = "the peak itself is meant")]
    pub(crate) fn bin(&self, value: f64) -> Option<usize> {
        if value.is_nan() || value > self.peak {
            return None;
        }
        let inside = if value == self.peak { self.peak * 0.999_999_999 } else { value };
        let bin = (inside / self.peak * self.bins as f64).trunc();
        if bin.is_nan() {
            return None;
        }
        usize::try_from(bin as i64).ok().filter(|bin| *bin < self.bins)
    }
}

/// Sums of one group; seconds, not hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) jobs: u64,
    pub(crate) running: u64,
    pub(crate) short: u64,
    pub(crate) users: u64,
    pub(crate) seconds: i128,
    pub(crate) nodes: i128,
    pub(crate) node_seconds: i128,
    pub(crate) hwthreads: i128,
    pub(crate) hwthread_seconds: i128,
    pub(crate) accs: i128,
    pub(crate) acc_seconds: i128,
}

impl Sums {
    /// Adds everything but the users, which cannot be added up.
    pub(crate) fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.running += other.running;
        self.short += other.short;
        self.seconds += other.seconds;
        self.nodes += other.nodes;
        self.node_seconds += other.node_seconds;
        self.hwthreads += other.hwthreads;
        self.hwthread_seconds += other.hwthread_seconds;
        self.accs += other.accs;
        self.acc_seconds += other.acc_seconds;
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Found {
    /// By key; one with the key `""` where not grouped, also when nothing matched.
    pub(crate) groups: BTreeMap<String, Sums>,
    /// Jobs per bin.
    pub(crate) durations: Vec<u64>,
    /// In the order of [`Question::values`]: jobs by value.
    pub(crate) values: Vec<BTreeMap<i64, u64>>,
    /// In the order of [`Question::metrics`]: jobs per bin.
    pub(crate) metrics: Vec<Vec<u64>>,
}

/// One job, as far as statistics look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'row> {
    /// Value of the group column; `""` where not grouped.
    pub(crate) key: &'row str,
    pub(crate) user: &'row str,
    pub(crate) running: bool,
    /// As stored.
    pub(crate) stored_duration: i64,
    /// Until now for running jobs.
    pub(crate) duration: i64,
    pub(crate) nodes: i64,
    pub(crate) hwthreads: i64,
    pub(crate) accs: i64,
}

/// Adds jobs up one by one.
#[derive(Debug)]
pub(crate) struct Tally<'question> {
    question: &'question Question,
    found: Found,
    users: BTreeMap<String, HashSet<String>>,
}

impl<'question> Tally<'question> {
    /// Nothing yet.
    pub(crate) fn new(question: &'question Question) -> Self {
        let found = Found {
            groups: BTreeMap::new(),
            durations: vec![0; question.durations.map_or(0, |bins| bins.bins)],
            values: vec![BTreeMap::new(); question.values.len()],
            metrics: question.metrics.iter().map(|bins| vec![0; bins.bins]).collect(),
        };
        Self { question, found, users: BTreeMap::new() }
    }

    /// Counts one job; `metric` gives its footprint value of the metric of that index.
    pub(crate) fn add(&mut self, job: &Sample<'_>, mut metric: impl FnMut(usize) -> Option<f64>) {
        let sums = sums_of(&mut self.found.groups, job.key);
        sums.add(&Sums {
            jobs: 1,
            running: job.running.into(),
            short: (job.stored_duration < self.question.short_below).into(),
            users: 0,
            seconds: job.duration.into(),
            nodes: job.nodes.into(),
            node_seconds: i128::from(job.duration) * i128::from(job.nodes),
            hwthreads: job.hwthreads.into(),
            hwthread_seconds: i128::from(job.duration) * i128::from(job.hwthreads),
            accs: job.accs.into(),
            acc_seconds: i128::from(job.duration) * i128::from(job.accs),
        });
        if self.question.users {
            self.user(job.key, job.user);
        }
        if let Some(bins) = self.question.durations {
            count(&mut self.found.durations, bins.bin(job.duration), 1);
        }
        for (column, counts) in self.question.values.iter().zip(&mut self.found.values) {
            let value = match column {
                IntColumn::Duration => job.stored_duration,
                IntColumn::NumNodes => job.nodes,
                IntColumn::NumAcc => job.accs,
                IntColumn::NumHwthreads => job.hwthreads,
            };
            *counts.entry(value).or_default() += 1;
        }
        for (index, (bins, counts)) in self.question.metrics.iter().zip(&mut self.found.metrics).enumerate() {
            count(counts, metric(index).and_then(|value| bins.bin(value)), 1);
        }
    }

    /// Notes a user of a group.
    fn user(&mut self, key: &str, user: &str) {
        let users = match self.users.get_mut(key) {
            Some(users) => users,
            None => self.users.entry(key.to_owned()).or_default(),
        };
        if !users.contains(user) {
            users.insert(user.to_owned());
        }
    }

    /// The whole.
    pub(crate) fn finish(mut self) -> Found {
        if self.question.group.is_none() {
            self.found.groups.entry(String::new()).or_default();
        }
        for (key, users) in &self.users {
            sums_of(&mut self.found.groups, key).users = users.len() as u64;
        }
        self.found
    }
}

fn sums_of<'groups>(groups: &'groups mut BTreeMap<String, Sums>, key: &str) -> &'groups mut Sums {
    if !groups.contains_key(key) {
        groups.insert(key.to_owned(), Sums::default());
    }
    groups.entry(key.to_owned()).or_default()
}

fn count(counts: &mut [u64], bin: Option<usize>, more: u64) {
    if let Some(counter) = bin.and_then(|bin| counts.get_mut(bin)) {
        *counter += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(peak: f64, bins: usize) -> MetricBins {
        MetricBins { key: MetricKey::new("m_avg").unwrap(), peak, bins }
    }

    #[test]
    fn the_peak_is_in_the_last_bin_and_nothing_lies_above() {
        let four = bins(100.0, 4);
        assert_eq!(
            [0.0, 24.9, 25.0, 99.9, 100.0].map(|value| four.bin(value)),
            [Some(0), Some(0), Some(1), Some(3), Some(3)]
        );
        assert_eq!([100.1, -30.0, f64::NAN, f64::INFINITY].map(|value| four.bin(value)), [None; 4]);
        assert_eq!(bins(0.0, 4).bin(0.0), None);
    }

    #[test]
    fn a_bin_of_durations_ends_before_its_edge() {
        let hours = DurationBins { seconds: 3600, bins: 2 };
        assert_eq!(
            [0, 3599, 3600, 7199, 7200, -1].map(|seconds| hours.bin(seconds)),
            [Some(0), Some(0), Some(1), Some(1), None, Some(0)]
        );
    }
}
