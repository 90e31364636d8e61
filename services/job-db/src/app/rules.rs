//! What an event does to the table (spec/integrations.md 9.6): `started` and `stopped`, complete.

use cc_model::{Job, JobKey, JobState, MonitoringStatus};

use super::rest;
use super::spec::{self, Problem, Spec};
use super::tags;
use super::writer::Context;
use crate::store::change::ChangeKind;
use crate::store::ledger::{Outcome, Superseded};
use crate::store::{self, DbId, JobHead, Unit};

/// How long a run that was replaced may wait for its own stop event.
pub(crate) const REPLACED_SECONDS: i64 = 600;

/// An event of a scheduler, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Started(Spec),
    Stopped(Stopped),
    /// A kind that this release does not apply; its name.
    Unsupported(&'static str),
    /// Something that is no event.
    Broken(Problem),
}

impl Body {
    /// The kind, for figures.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Stopped(_) => "stopped",
            Self::Unsupported(kind) => kind,
            Self::Broken(_) => "broken",
        }
    }

    /// The job it is about.
    pub(crate) fn key(&self) -> Option<&JobKey> {
        match self {
            Self::Started(spec) => Some(&spec.key),
            Self::Stopped(stopped) => Some(&stopped.key),
            Self::Unsupported(_) | Self::Broken(_) => None,
        }
    }
}

/// A job ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stopped {
    pub(crate) key: JobKey,
    pub(crate) stop_time: i64,
    pub(crate) state: JobState,
    pub(crate) exit_code: Option<i32>,
    /// A copy of the start, so that the event stands alone.
    pub(crate) job: Option<Spec>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) code: String,
    pub(crate) field: String,
    pub(crate) detail: String,
    /// 0 = no job.
    pub(crate) id: DbId,
    /// Jobs of which the server wants to know more.
    pub(crate) fetch: Vec<JobKey>,
}

impl Verdict {
    fn of(outcome: Outcome, id: DbId) -> Self {
        Self {
            outcome,
            code: String::new(),
            field: String::new(),
            detail: String::new(),
            id,
            fetch: Vec::new(),
        }
    }

    fn note(mut self, detail: impl Into<String>) -> Self {
        if !self.detail.is_empty() {
            self.detail.push_str("; ");
        }
        self.detail.push_str(&detail.into());
        self
    }

    /// Refused, or parked if that may change.
    pub(crate) fn problem(problem: Problem) -> Self {
        let Problem { code, field, detail, park } = problem;
        let outcome = if park { Outcome::Parked } else { Outcome::Rejected };
        Self { outcome, code: code.to_owned(), field, detail, id: 0, fetch: Vec::new() }
    }
}

/// Applies an event of the stream for `cluster`.
pub(crate) async fn apply<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    cluster: &str,
    body: &Body,
) -> store::Result<Verdict> {
    match body {
        Body::Started(spec) => started(unit, context, cluster, spec).await,
        Body::Stopped(event) => stopped(unit, context, cluster, event).await,
        Body::Unsupported(kind) => Ok(Verdict::problem(Problem {
            code: "UNSUPPORTED_EVENT",
            field: (*kind).to_owned(),
            detail: format!("events of kind {kind:?} are kept but not applied by this release"),
            park: false,
        })),
        Body::Broken(problem) => Ok(Verdict::problem(problem.clone())),
    }
}

async fn started<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    cluster: &str,
    spec: &Spec,
) -> store::Result<Verdict> {
    let checked = spec::check_key(&spec.key, cluster, "job.key").and_then(|()| spec.job(&context.clusters));
    let job = match checked {
        Ok(job) => job,
        Err(problem) => return Ok(Verdict::problem(problem)),
    };
    if let Some(known) = unit.job_by_key(&spec.key).await?
        && let Some(id) = known.id
    {
        if !is_active(known.state) {
            return Ok(Verdict::of(Outcome::Stale, id).note(format!("it is {} already", known.state)));
        }
        let filled = complete(unit, context, id, &known, &job).await?;
        return Ok(Verdict::of(if filled { Outcome::Applied } else { Outcome::Duplicate }, id));
    }
    insert_run(unit, context, spec, &job).await
}

/// A run that can still end.
fn is_active(state: JobState) -> bool {
    matches!(state, JobState::Running | JobState::Suspended)
}

/// Adds to a known job what only the event knows; true when there was something.
async fn complete<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    id: DbId,
    known: &Job,
    newer: &Job,
) -> store::Result<bool> {
    let attached = unit.tags_of(id).await?;
    let is_attached = |wanted: &&cc_model::Tag| {
        attached.iter().any(|tag| (&tag.kind, &tag.name) == (&wanted.kind, &wanted.name))
    };
    let missing: Vec<_> = newer.tags.iter().filter(|tag| !is_attached(tag)).cloned().collect();
    let found = tags::find(unit, &missing).await?;
    let new_tags = found.iter().any(|found| !matches!(found, tags::Found::Taken(_)));
    tags::attach(unit, id, &found).await?;
    let filled = spec::fill(known, newer);
    if let Some(filled) = &filled {
        unit.fill(id, filled).await?;
    }
    let changed = new_tags || filled.is_some();
    if changed {
        context.log(unit, ChangeKind::Updated, id, filled.as_ref().unwrap_or(known)).await?;
    }
    Ok(changed)
}

/// Inserts a run. Of two runs of one job only the later one can be running: the earlier one is marked and closed
/// later, unless its own stop event comes.
async fn insert_run<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    spec: &Spec,
    job: &Job,
) -> store::Result<Verdict> {
    let others: Vec<JobHead> = unit
        .heads(&spec.key.cluster, spec.key.job_id)
        .await?
        .into_iter()
        .filter(|head| is_active(head.state))
        .collect();
    let found = tags::find(unit, &job.tags).await?;
    let id = unit.insert(job).await?;
    tags::attach(unit, id, &found).await?;
    context.log(unit, ChangeKind::Started, id, job).await?;
    let mut verdict = Verdict::of(Outcome::Applied, id);
    if found.iter().any(|found| matches!(found, tags::Found::Taken(_))) {
        verdict = verdict.note("a tag was left out: its type and name are used in another scope");
    }
    let this = JobHead { id, start_time: job.start_time, state: job.state, walltime: job.walltime };
    for other in others {
        let (older, newer) =
            if other.start_time < this.start_time { (&other, &this) } else { (&this, &other) };
        let was_requeued = restarts(unit, newer.id).await? > restarts(unit, older.id).await?;
        unit.supersede(&Superseded {
            id: older.id,
            close_at: context.now + REPLACED_SECONDS,
            stop_time: replaced_at(older, newer),
            state: if was_requeued { JobState::NodeFail } else { JobState::Cancelled },
        })
        .await?;
        let key = JobKey { start_time: older.start_time, ..spec.key.clone() };
        verdict = verdict.note(format!("the run {key} has not ended"));
        verdict.fetch.push(key);
    }
    Ok(verdict)
}

/// When a replaced run ended at the latest: the next run has begun, and its walltime was over.
fn replaced_at(older: &JobHead, newer: &JobHead) -> i64 {
    if older.walltime > 0 {
        newer.start_time.min(older.start_time.saturating_add(older.walltime))
    } else {
        newer.start_time
    }
}

async fn restarts<U: Unit>(unit: &mut U, id: DbId) -> store::Result<u32> {
    let job = unit.job(id).await?;
    let text = job.and_then(|job| job.meta_data).and_then(|mut map| map.remove(spec::RESTART_COUNT));
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// Final state and duration of a stop, if they make sense.
fn end_of(event: &Stopped, cluster: &str) -> Result<i32, Problem> {
    spec::check_key(&event.key, cluster, "key")?;
    if !event.state.is_terminal() {
        return Err(Problem {
            code: "STATE_NOT_TERMINAL",
            field: "state".to_owned(),
            detail: format!("a job does not end in state {:?}", event.state.as_str()),
            park: false,
        });
    }
    if event.stop_time < event.key.start_time {
        let detail = format!("{} is before the start at {}", event.stop_time, event.key.start_time);
        return Err(Problem::field("stop_time", detail));
    }
    if let Some(job) = &event.job
        && job.key != event.key
    {
        let detail = format!("the event is of {}, its copy of the job of {}", event.key, job.key);
        return Err(Problem::field("job.key", detail));
    }
    i32::try_from(event.stop_time.saturating_sub(event.key.start_time))
        .map_err(|_| Problem::field("stop_time", "the run would last more than 68 years"))
}

async fn stopped<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    cluster: &str,
    event: &Stopped,
) -> store::Result<Verdict> {
    let duration = match end_of(event, cluster) {
        Ok(duration) => duration,
        Err(problem) => return Ok(Verdict::problem(problem)),
    };
    match unit.job_by_key(&event.key).await? {
        Some(known) if is_active(known.state) => stop_running(unit, context, event, known, duration).await,
        Some(known) => correct_end(unit, context, event, known, duration).await,
        None => insert_stopped(unit, context, event, duration).await,
    }
}

async fn stop_running<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    event: &Stopped,
    known: Job,
    duration: i32,
) -> store::Result<Verdict> {
    let id = known.id.unwrap_or_default();
    // a copy that does not fit the cluster files must not keep the job running
    let newer = event.job.as_ref().and_then(|spec| spec.job(&context.clusters).ok());
    let filled = newer.and_then(|newer| spec::fill(&known, &newer));
    let complete = with_exit_code(filled.unwrap_or_else(|| known.clone()), event);
    write_end(unit, context, &known, complete, event.state, duration).await?;
    Ok(Verdict::of(Outcome::Applied, id))
}

fn with_exit_code(mut job: Job, event: &Stopped) -> Job {
    if let Some(code) = event.exit_code {
        job.meta_data.get_or_insert_default().insert("exitCode".to_owned(), code.to_string());
    }
    job
}

/// Writes attributes, if there are new ones (each costs an index or a large text), and the end.
async fn write_end<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    known: &Job,
    mut complete: Job,
    state: JobState,
    duration: i32,
) -> store::Result<()> {
    let id = known.id.unwrap_or_default();
    if complete != *known {
        unit.fill(id, &complete).await?;
    }
    (complete.state, complete.duration) = (state, duration);
    rest::end(unit, context, id, &complete).await
}

/// The job ended already: the same end is a duplicate, a different one corrects it, and archives it again if it
/// matters. A job that could not or must not be monitored stays as it is in that respect.
async fn correct_end<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    event: &Stopped,
    known: Job,
    duration: i32,
) -> store::Result<Verdict> {
    let id = known.id.unwrap_or_default();
    let same_state = known.state == event.state;
    let difference = known.duration.abs_diff(duration);
    let archived = known.monitoring_status == MonitoringStatus::Archived;
    if same_state && (difference == 0 || (archived && difference <= 1)) {
        return Ok(Verdict::of(Outcome::Duplicate, id));
    }
    tracing::info!(
        job.db_id = id,
        "corrected the end of job {}: {} after {} s instead of {} after {} s",
        event.key,
        event.state,
        duration,
        known.state,
        known.duration
    );
    let complete = with_exit_code(known.clone(), event);
    write_end(unit, context, &known, complete, event.state, duration).await?;
    let detail = format!("it was {} after {} s", known.state, known.duration);
    Ok(Verdict::of(Outcome::Applied, id).note(detail))
}

/// The start was never seen: the event's own copy stands in for it.
async fn insert_stopped<U: Unit>(
    unit: &mut U,
    context: &mut Context,
    event: &Stopped,
    duration: i32,
) -> store::Result<Verdict> {
    let Some(spec) = &event.job else {
        if unit.has_parked(&event.key).await? {
            return Ok(Verdict::problem(Problem {
                code: "START_PARKED",
                field: "key".to_owned(),
                detail: "the start of this job is parked; the stop waits with it".to_owned(),
                park: true,
            }));
        }
        let mut verdict = Verdict::problem(Problem {
            code: "UNKNOWN_JOB",
            field: "key".to_owned(),
            detail: format!("no start of {} was seen, and the event has no copy of the job", event.key),
            park: false,
        });
        verdict.fetch.push(event.key.clone());
        return Ok(verdict);
    };
    let mut job = match spec.job(&context.clusters) {
        Ok(job) => with_exit_code(job, event),
        Err(problem) => return Ok(Verdict::problem(problem)),
    };
    let found = tags::find(unit, &job.tags).await?;
    let id = unit.insert(&job).await?;
    tags::attach(unit, id, &found).await?;
    context.log(unit, ChangeKind::Started, id, &job).await?;
    (job.state, job.duration) = (event.state, duration);
    rest::end(unit, context, id, &job).await?;
    Ok(Verdict::of(Outcome::Applied, id))
}
