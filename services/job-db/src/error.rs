//! What can go wrong, one variant per refusal, and the one place that makes a status of it.

use std::sync::Arc;

use cc_model::cluster::AssignError;
use cc_model::job::StartError;
use cc_model::{JobKey, JobState};
use cc_runtime::error::{Failure, Kind};
use tonic::Status;

/// A refused or failed request. Texts are those of the reference where its clients see them (rest-api.md 6.5, 6.6).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Cluster or sub-cluster cannot be assigned.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// The job lacks something or contradicts itself.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A member of the job has a value outside its vocabulary or range.
    #[error("{field}: {problem}")]
    InvalidJob {
        /// Member, as in JSON.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A run of this job is known that started less than a day before.
    #[error("a job with that jobId, cluster and startTime already exists: dbid: {id}, jobid: {job_id}")]
    JobExists {
        /// Database id of the known run.
        id: i64,
        /// The scheduler's id.
        job_id: i64,
    },
    /// The caller may not write tags of this scope.
    #[error("cannot write tag scope with current authorization")]
    TagScope {
        /// The scope.
        scope: String,
    },
    /// A tag of this type and name exists in another scope; the table has room for one only.
    #[error("a tag of type {kind:?} and name {name:?} exists already in another scope")]
    TagTaken {
        /// Type.
        kind: String,
        /// Name.
        name: String,
    },
    /// The caller may not use this tag.
    #[error("not authorized to change tag: {id}")]
    TagForbidden {
        /// Database id.
        id: i64,
    },
    /// No tag has these words.
    #[error("tag does not exist (name, type, scope): {name}, {kind}, {scope}")]
    TagNotFound {
        /// Type.
        kind: String,
        /// Name.
        name: String,
        /// Scope.
        scope: String,
    },
    /// No tag has this id.
    #[error("tag does not exist (ID): {id}")]
    TagIdNotFound {
        /// Database id.
        id: i64,
    },
    /// No such job.
    #[error("job not found")]
    JobNotFound,
    /// The job exists, the caller may not see it.
    #[error("job not found")]
    JobNotVisible,
    /// It ended already.
    #[error("jobId {job_id} (id {id}) on {cluster} : job has already been stopped (state is: {state})")]
    AlreadyStopped {
        /// Database id.
        id: i64,
        /// The scheduler's id.
        job_id: i64,
        /// Cluster.
        cluster: String,
        /// State it has.
        state: JobState,
    },
    /// Stop before start.
    #[error(
        "jobId {job_id} (id {id}) on {cluster} : stopTime {stop_time} must be larger/equal than startTime {start_time}"
    )]
    StopBeforeStart {
        /// Database id.
        id: i64,
        /// The scheduler's id.
        job_id: i64,
        /// Cluster.
        cluster: String,
        /// Requested.
        stop_time: i64,
        /// Known.
        start_time: i64,
    },
    /// The run would last longer than the table can hold.
    #[error("jobId {job_id} : stopTime {stop_time} is more than 68 years after its start")]
    StopTooLate {
        /// The scheduler's id.
        job_id: i64,
        /// Requested.
        stop_time: i64,
    },
    /// A stop with a word that is no final state.
    #[error("jobId {job_id} (id {id}) on {cluster} : invalid requested job state: {state:?}")]
    InvalidState {
        /// Database id.
        id: i64,
        /// The scheduler's id.
        job_id: i64,
        /// Cluster.
        cluster: String,
        /// The word.
        state: String,
    },
    /// No such node.
    #[error("node not found")]
    NodeNotFound,
    /// A filter or order that cannot be.
    #[error("{field}: {problem}")]
    InvalidFilter {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A request without what it is about.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A batch that cannot have results per event.
    #[error("{0}")]
    InvalidBatch(String),
    /// An adapter name in use by another credential.
    #[error("adapter {adapter_id:?} belongs to another credential")]
    AdapterBound {
        /// The name.
        adapter_id: String,
    },
    /// An adapter speaks no revision that we do.
    #[error("revisions {min} to {max} are not spoken here, only 1")]
    Revision {
        /// Lowest of the adapter.
        min: u32,
        /// Highest of the adapter.
        max: u32,
    },
    /// A batch of an epoch that no `Hello` announced.
    #[error("epoch {epoch} of cluster {cluster:?} was not announced by Hello")]
    EpochUnknown {
        /// Cluster.
        cluster: String,
        /// Epoch of the batch.
        epoch: u64,
    },
    /// A batch of a leader that lost its lease.
    #[error("fencing token {token} of cluster {cluster:?} is older than the leader's")]
    Fenced {
        /// Cluster.
        cluster: String,
        /// Token of the batch.
        token: u64,
    },
    /// A gap in the sequence.
    #[error("sequence gap: expected={expected}, found {found}")]
    SequenceGap {
        /// The next one.
        expected: u64,
        /// The one in the batch.
        found: u64,
    },
    /// The position is older than what is kept.
    #[error("changes after {after} are not kept any more, reload")]
    Horizon {
        /// Requested position.
        after: u64,
    },
    /// The caller has no role that sees jobs.
    #[error("user has no or unknown roles")]
    UnknownRoles,
    /// The writer has more work queued than it accepts.
    #[error("the job database has too many events queued")]
    Busy,
    /// The process ends.
    #[error("the job database is shutting down")]
    ShuttingDown,
    /// The cluster files have not arrived yet.
    #[error("the cluster configuration is not loaded yet")]
    NoClusters,
    /// The database failed.
    #[error(transparent)]
    Database(Arc<cc_database::Error>),
    /// There are two taggers, and this is none of them.
    #[error("unknown tagger: {0}")]
    UnknownTagger(String),
    /// One run over all jobs at a time.
    #[error("tagger {0} is already running")]
    TaggerRuns(&'static str),
    /// What the taggers need cannot be had.
    #[error("running job taggers: {0}")]
    Taggers(String),
}

impl From<cc_database::Error> for Error {
    fn from(error: cc_database::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl Error {
    /// The run that makes a start a duplicate.
    pub(crate) fn exists(id: i64, key: &JobKey) -> Self {
        Self::JobExists { id, job_id: key.job_id }
    }

    fn kind_and_reason(&self) -> (Kind, &'static str) {
        match self {
            Self::Assign(AssignError::UnknownCluster(_)) => (Kind::Invalid, "UNKNOWN_CLUSTER"),
            Self::Assign(_) | Self::Start(_) | Self::InvalidJob { .. } => (Kind::Invalid, "INVALID_JOB"),
            Self::JobExists { .. } => (Kind::Conflict, "JOB_EXISTS"),
            Self::TagScope { .. } | Self::TagForbidden { .. } => (Kind::Forbidden, "TAG_SCOPE"),
            Self::TagTaken { .. } => (Kind::Conflict, "TAG_TAKEN"),
            Self::TagNotFound { .. } | Self::TagIdNotFound { .. } => (Kind::NotFound, "TAG_NOT_FOUND"),
            Self::JobNotFound | Self::JobNotVisible => (Kind::NotFound, "JOB_NOT_FOUND"),
            Self::AlreadyStopped { .. } => (Kind::Conflict, "JOB_ALREADY_STOPPED"),
            Self::StopBeforeStart { .. } => (Kind::Invalid, "STOP_BEFORE_START"),
            Self::StopTooLate { .. } => (Kind::Invalid, "STOP_TOO_LATE"),
            Self::InvalidState { .. } => (Kind::Invalid, "INVALID_STATE"),
            Self::NodeNotFound => (Kind::NotFound, "NODE_NOT_FOUND"),
            Self::InvalidFilter { .. } => (Kind::Invalid, "INVALID_FILTER"),
            Self::Missing(_) => (Kind::Invalid, "MISSING"),
            Self::InvalidBatch(_) => (Kind::Invalid, "INVALID_BATCH"),
            Self::AdapterBound { .. } => (Kind::Forbidden, "ADAPTER_BOUND"),
            Self::Revision { .. } => (Kind::Conflict, "REVISION"),
            Self::EpochUnknown { .. } => (Kind::Conflict, "EPOCH_UNKNOWN"),
            Self::Fenced { .. } => (Kind::Conflict, "FENCED"),
            Self::SequenceGap { .. } => (Kind::TooLarge, "SEQUENCE_GAP"),
            Self::Horizon { .. } => (Kind::TooLarge, "HORIZON"),
            Self::UnknownRoles => (Kind::Forbidden, "UNKNOWN_ROLES"),
            Self::UnknownTagger(_) => (Kind::NotFound, "UNKNOWN_TAGGER"),
            Self::TaggerRuns(_) => (Kind::Conflict, "TAGGER_RUNS"),
            Self::Taggers(_) => (Kind::Unavailable, "TAGGERS"),
            Self::Busy => (Kind::Busy, "WRITER_BUSY"),
            Self::ShuttingDown => (Kind::Unavailable, "SHUTTING_DOWN"),
            Self::NoClusters => (Kind::Unavailable, "NO_CLUSTERS"),
            Self::Database(_) => (Kind::Internal, "DATABASE"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Database(source) = &error {
            return Self::from(source.as_ref());
        }
        let (kind, reason) = error.kind_and_reason();
        let failure = Self::new(kind, reason, error.to_string());
        match error {
            // the states in which a request comes at the wrong moment, not twice
            Error::AlreadyStopped { id, state, .. } => {
                failure.precondition().with("id", id).with("state", state)
            }
            Error::Revision { .. } => failure.precondition().with("supported", "1"),
            Error::EpochUnknown { .. } | Error::Fenced { .. } => failure.precondition(),
            Error::SequenceGap { expected, .. } => failure.with("expected", expected),
            Error::JobExists { id, .. } => failure.with("id", id),
            Error::JobNotVisible => failure.with("forbidden", "true").with("needs", "support"),
            Error::TagForbidden { id } => failure.with("tag", id),
            Error::InvalidFilter { field, .. } | Error::InvalidJob { field, .. } => {
                failure.with("field", field)
            }
            _ => failure,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
