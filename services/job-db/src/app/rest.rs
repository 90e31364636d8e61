//! Start, stop and import as REST and the command line know them (spec/rest-api.md 6.5, 6.6, job-db.md 6).
//!
//! Everything of a request is looked up and written in one transaction by the natural key: the races of the
//! reference (job-db.md 6.3) have no place to happen.

use cc_model::footprint::{self, FootprintKeys};
use cc_model::{Clusters, Job, JobState, MonitoringStatus};
use cc_runtime::caller::Caller;

use super::tags::{self, Found};
use super::writer::{Context, Mutation};
use crate::error::Error;
use crate::store::change::ChangeKind;
use crate::store::{self, DbId, Unit};

/// A start of the same job less than this after (or any time before) a known run is a duplicate.
const SAME_RUN_SECONDS: i64 = 86_400;

/// A job that is to run.
#[derive(Debug, Clone)]
pub(crate) struct StartJob {
    job: Job,
}

impl StartJob {
    /// Checks a request against the clusters, in the reference's order, and the tags against the caller's rights.
    ///
    /// # Errors
    /// [`Error::Assign`], [`Error::Start`], [`Error::TagScope`], [`Error::InvalidJob`].
    pub(crate) fn new(mut job: Job, caller: &Caller, clusters: &Clusters) -> Result<Self, Error> {
        job.state = JobState::Running;
        job.sub_cluster = clusters.assign(&job.cluster, &job.sub_cluster, &job.resources)?;
        job.validate_start()?;
        job.tags = tags::permitted(&job.tags, caller)?;
        Ok(Self { job })
    }
}

impl Mutation for StartJob {
    type Answer = Result<DbId, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let job = &self.job;
        for head in unit.heads(&job.cluster, job.job_id).await? {
            if job.start_time.saturating_sub(head.start_time) < SAME_RUN_SECONDS {
                return Ok(Err(Error::exists(head.id, &job.key())));
            }
        }
        insert(unit, context, job).await
    }
}

/// Inserts a job with its tags and logs it as started.
async fn insert<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    job: &Job,
) -> store::Result<Result<DbId, Error>> {
    let found = tags::find(unit, &job.tags).await?;
    let taken = found.iter().find_map(|found| match found {
        Found::Taken(tag) => Some(tag),
        Found::Known(_) | Found::New(_) => None,
    });
    if let Some(tag) = taken {
        return Ok(Err(Error::TagTaken { kind: tag.kind.clone(), name: tag.name.clone() }));
    }
    let id = unit.insert(job).await?;
    tags::attach(unit, id, &found).await?;
    context.log(unit, ChangeKind::Started, id, job).await?;
    Ok(Ok(id))
}

/// The end of a job.
#[derive(Debug, Clone)]
pub(crate) struct StopJob {
    pub(crate) job_id: i64,
    /// Absent: any.
    pub(crate) cluster: Option<String>,
    /// Absent: any.
    pub(crate) start_time: Option<i64>,
    pub(crate) stop_time: i64,
    /// Empty: completed.
    pub(crate) state: String,
}

impl StopJob {
    /// Final state and duration, or why not (in the reference's order of checks).
    fn end_of(&self, id: DbId, job: &Job) -> Result<(JobState, i32), Error> {
        let (job_id, cluster) = (job.job_id, job.cluster.clone());
        if !job.state.is_running() {
            return Err(Error::AlreadyStopped { id, job_id, cluster, state: job.state });
        }
        if self.stop_time < job.start_time {
            let (stop_time, start_time) = (self.stop_time, job.start_time);
            return Err(Error::StopBeforeStart { id, job_id, cluster, stop_time, start_time });
        }
        let state = match self.state.as_str() {
            "" => Some(JobState::Completed),
            // a requeued job: real adapters end that run with this word
            word => word
                .parse()
                .ok()
                .filter(|state: &JobState| state.is_terminal() || *state == JobState::Pending),
        };
        let Some(state) = state else {
            return Err(Error::InvalidState { id, job_id, cluster, state: self.state.clone() });
        };
        let duration = i32::try_from(self.stop_time.saturating_sub(job.start_time))
            .map_err(|_| Error::StopTooLate { job_id, stop_time: self.stop_time })?;
        Ok((state, duration))
    }
}

impl Mutation for StopJob {
    type Answer = Result<Job, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let found = unit.newest(self.job_id, self.cluster.as_deref(), self.start_time).await?;
        let Some((id, mut job)) = found.and_then(|job| Some((job.id?, job))) else {
            return Ok(Err(Error::JobNotFound));
        };
        match self.end_of(id, &job) {
            Ok((state, duration)) => (job.state, job.duration) = (state, duration),
            Err(refusal) => return Ok(Err(refusal)),
        }
        end(unit, context, id, &job).await?;
        job.meta_data = None;
        Ok(Ok(job))
    }
}

/// Writes the end that `job` has and queues it for archiving unless it is not monitored.
pub(crate) async fn end<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    id: DbId,
    job: &Job,
) -> store::Result<()> {
    let monitored = job.monitoring_status != MonitoringStatus::Disabled;
    let status = if monitored { MonitoringStatus::RunningOrArchiving } else { MonitoringStatus::Disabled };
    unit.end(id, job.state, job.duration, status).await?;
    unit.unsupersede(id).await?;
    if monitored {
        unit.enqueue(id, context.now).await?;
    }
    context.log(unit, ChangeKind::Stopped, id, job).await
}

/// The row of a job that was imported into the archive.
#[derive(Debug, Clone)]
pub(crate) struct ImportJob {
    job: Job,
}

impl ImportJob {
    /// Checks the job against the clusters. Tags keep the scopes they come with; a footprint that is not given
    /// follows from the statistics.
    ///
    /// # Errors
    /// [`Error::Assign`], [`Error::Start`], [`Error::InvalidJob`] for a job that has not ended.
    pub(crate) fn new(mut job: Job, caller: &Caller, clusters: &Clusters) -> Result<Self, Error> {
        if !job.state.is_terminal() {
            let problem = format!("expected a final state, found {:?}", job.state.as_str());
            return Err(Error::InvalidJob { field: "jobState", problem });
        }
        job.sub_cluster = clusters.assign(&job.cluster, &job.sub_cluster, &job.resources)?;
        job.validate_start()?;
        job.tags = tags::permitted(&job.tags, caller)?;
        job.monitoring_status = MonitoringStatus::Archived;
        let config = clusters.get(&job.cluster).and_then(|cluster| cluster.sub_cluster(&job.sub_cluster));
        if job.footprint.is_none()
            && let (Some(config), Some(statistics)) = (config, &job.statistics)
        {
            job.footprint = Some(footprint::footprint(config, statistics, FootprintKeys::Average));
            let energy = footprint::energy(config, statistics, job.num_nodes, job.duration);
            (job.energy_footprint, job.energy) = (Some(energy.metrics), energy.total);
        }
        Ok(Self { job })
    }

    /// The job as its row will have it.
    pub(crate) fn into_job(self) -> Job {
        self.job
    }
}

impl Mutation for ImportJob {
    type Answer = Result<DbId, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        if let Some(known) = unit.job_by_key(&self.job.key()).await?
            && let Some(id) = known.id
        {
            return Ok(Err(Error::exists(id, &self.job.key())));
        }
        insert(unit, context, &self.job).await
    }
}
