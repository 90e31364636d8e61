//! Filters and order of job lists as values (spec/graphql-api.md 5): checked once, the same for every database.

use cc_model::{JobState, Sharing};

/// Longest list of values in one term; a statement takes 32,766 parameters in all.
pub(crate) const LIST_VALUES_MAX: usize = 5_000;
/// Most terms over all filters of a request.
pub(crate) const TERMS_MAX: usize = 200;
/// Longest text in a filter, in bytes; SQLite refuses longer patterns at 50,000.
pub(crate) const TEXT_BYTES_MAX: usize = 4_096;

/// Terms that must all hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) terms: Vec<Term>,
}

/// One condition on a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    /// Nothing matches (an empty list, a word outside the vocabulary).
    Nothing,
    /// The database id is one of these.
    DbId(Vec<i64>),
    /// On the decimal digits of the scheduler's id.
    JobId(NumberOp),
    /// Equal; 0 = all jobs outside arrays.
    ArrayJobId(i64),
    /// On a text column.
    Text(TextColumn, TextOp),
    /// On the metadata key `jobName`; jobs without it never match.
    JobName(TextOp),
    /// On an integer column, as stored.
    Int(IntColumn, Bounds<i64>),
    /// Kilowatt hours.
    Energy(Bounds<f64>),
    /// Unix seconds.
    StartTime(Bounds<i64>),
    /// One of these states.
    State(Vec<JobState>),
    Shared(Sharing),
    /// `jobName` is (or is there and is not) `interactive`.
    Interactive(bool),
    /// At least one of these tags.
    Tags(Vec<i64>),
    /// Some host of the job.
    Node(TextOp),
    /// A numeric footprint value.
    Metric(MetricKey, Bounds<f64>),
}

/// The text columns that can be filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextColumn {
    User,
    Project,
    Cluster,
    SubCluster,
    Partition,
}

/// The integer columns that can be filtered by range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntColumn {
    Duration,
    NumNodes,
    NumAcc,
    NumHwthreads,
}

/// A condition on text. The three patterns compare ASCII letters without case, and `%` and `_` in them stand for
/// any characters and any one character: recorded behaviour that searches of the field rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextOp {
    Eq(String),
    Neq(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    In(Vec<String>),
}

/// A condition on the scheduler's id, which people type as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NumberOp {
    Eq(i64),
    Neq(i64),
    In(Vec<i64>),
    /// On the decimal text.
    Like(TextOp),
    /// `neq` with something that is no number: every job.
    Any,
}

/// A range that restricts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bounds<T> {
    Between(T, T),
    AtLeast(T),
    AtMost(T),
}

impl<T: PartialOrd + Copy + Default> Bounds<T> {
    /// The range of two ends, 0 = open; `None` where it does not restrict (both open, or one negative).
    pub(crate) fn of(from: T, to: T) -> Option<Self> {
        let zero = T::default();
        match (from > zero, to > zero) {
            (true, true) => Some(Self::Between(from, to)),
            (true, false) if to == zero => Some(Self::AtLeast(from)),
            (false, true) if from == zero => Some(Self::AtMost(to)),
            _ => None,
        }
    }

    /// The range of two optional ends.
    pub(crate) fn of_options(from: Option<T>, to: Option<T>) -> Option<Self> {
        match (from, to) {
            (Some(from), Some(to)) => Some(Self::Between(from, to)),
            (Some(from), None) => Some(Self::AtLeast(from)),
            (None, Some(to)) => Some(Self::AtMost(to)),
            (None, None) => None,
        }
    }

    /// Whether a value is inside.
    #[cfg(test)]
    pub(crate) fn contains(self, value: T) -> bool {
        match self {
            Self::Between(from, to) => from <= value && value <= to,
            Self::AtLeast(from) => from <= value,
            Self::AtMost(to) => value <= to,
        }
    }
}

/// A footprint key such as `cpu_load_avg`: letters, digits and `_` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricKey(String);

impl MetricKey {
    /// The key of a text, if it can be one.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty()
            && text.len() <= 255
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// The key.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the value in the footprint's JSON.
    pub(crate) fn json_path(&self) -> String {
        format!("$.\"{}\"", self.0)
    }
}

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortColumn {
    Id,
    JobId,
    User,
    Project,
    Cluster,
    SubCluster,
    StartTime,
    Partition,
    ArrayJobId,
    NumNodes,
    NumHwthreads,
    NumAcc,
    Duration,
    Walltime,
    Energy,
    State,
    Shared,
    Smt,
    MonitoringStatus,
    SubmitTime,
}

impl SortColumn {
    /// Every column, with the names that callers may use: the reference's, then those of GraphQL fields.
    const NAMES: [(Self, &'static [&'static str]); 20] = [
        (Self::Id, &["id"]),
        (Self::JobId, &["jobId", "job_id"]),
        (Self::User, &["hpcUser", "hpc_user", "user"]),
        (Self::Project, &["project"]),
        (Self::Cluster, &["cluster"]),
        (Self::SubCluster, &["subcluster", "subCluster"]),
        (Self::StartTime, &["startTime", "start_time"]),
        (Self::Partition, &["clusterPartition", "cluster_partition", "partition"]),
        (Self::ArrayJobId, &["arrayJobId", "array_job_id"]),
        (Self::NumNodes, &["numNodes", "num_nodes"]),
        (Self::NumHwthreads, &["numHwthreads", "num_hwthreads", "numHWThreads"]),
        (Self::NumAcc, &["numAcc", "num_acc"]),
        (Self::Duration, &["duration"]),
        (Self::Walltime, &["walltime"]),
        (Self::Energy, &["energy"]),
        (Self::State, &["jobState", "job_state", "state"]),
        (Self::Shared, &["shared"]),
        (Self::Smt, &["smt"]),
        (Self::MonitoringStatus, &["monitoringStatus", "monitoring_status"]),
        (Self::SubmitTime, &["submitTime", "submit_time"]),
    ];

    /// The column of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(column, _)| *column)
    }

    /// Every column.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.iter().map(|(column, _)| *column)
    }
}

/// What a list is sorted by. Equal values follow the database id in the same direction, so pages never overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: SortKey,
    pub(crate) descending: bool,
}

/// A column or a footprint value; jobs without the value come lowest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SortKey {
    Column(SortColumn),
    Footprint(MetricKey),
    /// As they are found: for a single page.
    Any,
}

/// Which of the matching rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    All,
    Rows { offset: u64, limit: u32 },
}

/// A list request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// All must hold.
    pub(crate) filters: Vec<Filter>,
    /// Absent: ascending id.
    pub(crate) order: Option<Order>,
    pub(crate) page: Page,
    /// Also count all matching rows.
    pub(crate) count: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_and_senseless_ranges() {
        assert_eq!(Bounds::of(300, 4000), Some(Bounds::Between(300, 4000)));
        assert_eq!(Bounds::of(80_000, 0), Some(Bounds::AtLeast(80_000)));
        assert_eq!(Bounds::of(0, 80), Some(Bounds::AtMost(80)));
        assert_eq!(Bounds::of(0, 0), None);
        assert_eq!(Bounds::of(-5, 100), None);
        assert_eq!(Bounds::of(5, -100), None);
        assert_eq!(Bounds::of(0.5, 0.0), Some(Bounds::AtLeast(0.5)));
        assert_eq!(Bounds::of(f64::NAN, 1.0), None);
    }

    #[test]
    fn only_known_columns_sort() {
        assert_eq!(SortColumn::of("startTime"), Some(SortColumn::StartTime));
        assert_eq!(SortColumn::of("numHWThreads"), Some(SortColumn::NumHwthreads));
        for name in ["nosuch", "id'", "", "(select\tpassword\tfrom\thpc_user)", "id;", "ID"] {
            assert_eq!(SortColumn::of(name), None, "{name}");
        }
        assert_eq!(SortColumn::all().count(), 20);
        assert_eq!(MetricKey::new("cpu_load_avg").unwrap().json_path(), "$.\"cpu_load_avg\"");
        for name in ["", "cpu') or 1=1 --", "a\"b", "ä", "a.b"] {
            assert_eq!(MetricKey::new(name), None, "{name}");
        }
    }
}
