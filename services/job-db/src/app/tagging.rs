//! When the taggers run (spec/taggers.md 3, 10): they follow the log of changes, from where they were when the process
//! ended, so that no event waits for them and none is missed; and over all ended jobs when an administrator asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cc_model::job::JobStatistics;
use cc_model::{Clusters, Job, JobKey, MonitoringStatus, Tag};
use cc_runtime::clock::Clock;
use cc_runtime::cpu;
use tokio::sync::{Notify, mpsc};

use super::archiver::Failed;
use super::clusters::ClusterState;
use super::writer::{Context, Mutation, Writer};
use crate::error::Error;
use crate::metrics;
use crate::store::change::{Change, ChangeKind};
use crate::store::visible::TagScopes;
use crate::store::{self, DbId, Store, Unit};
use crate::tagger::{self, Directory, Input, Problem, RuleSet, Tagger};

/// Changes looked at, and jobs tagged, in one transaction.
const CHUNK: u32 = 100;
/// How often the rule files are looked at; also the longest time without a look at the log.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Problems of single jobs that are kept for administrators.
const PROBLEMS_KEPT: usize = 200;
/// Key of the metadata that the hints go into.
const MESSAGE: &str = "message";

/// Where the statistics of archived jobs are.
pub(crate) trait ArchivedStatistics: Clone + Send + Sync + 'static {
    /// Those of the jobs that have some; others are left out.
    fn statistics(
        &self,
        keys: Vec<JobKey>,
    ) -> impl Future<Output = Result<HashMap<JobKey, BTreeMap<String, JobStatistics>>, Failed>> + Send;
}

/// What a run over all jobs has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunState {
    pub(crate) running: bool,
    /// Nothing is written.
    pub(crate) dry: bool,
    /// Jobs looked at.
    pub(crate) done: u64,
    /// Jobs to be looked at, as counted at the start.
    pub(crate) total: u64,
    /// Jobs that got (or, dry, would get) something new.
    pub(crate) tagged: u64,
    /// Why the last run ended early.
    pub(crate) error: String,
}

#[derive(Debug, Default)]
struct Run {
    running: AtomicBool,
    dry: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    tagged: AtomicU64,
    error: Mutex<String>,
}

/// The runs of both taggers and what went wrong with single jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs {
    of: Arc<[Run; 2]>,
    problems: Arc<Mutex<Vec<Problem>>>,
}

impl Runs {
    fn of(&self, tagger: Tagger) -> &Run {
        let [applications, classes] = &*self.of;
        match tagger {
            Tagger::Applications => applications,
            Tagger::Classes => classes,
        }
    }

    /// The state of a tagger's last run.
    pub(crate) fn state(&self, tagger: Tagger) -> RunState {
        let run = self.of(tagger);
        RunState {
            running: run.running.load(Ordering::Acquire),
            dry: run.dry.load(Ordering::Relaxed),
            done: run.done.load(Ordering::Relaxed),
            total: run.total.load(Ordering::Relaxed),
            tagged: run.tagged.load(Ordering::Relaxed),
            error: run.error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Marks a run as begun; false when there is one already.
    pub(crate) fn begin(&self, tagger: Tagger, dry: bool) -> bool {
        let run = self.of(tagger);
        if run.running.swap(true, Ordering::AcqRel) {
            return false;
        }
        run.dry.store(dry, Ordering::Relaxed);
        for count in [&run.done, &run.total, &run.tagged] {
            count.store(0, Ordering::Relaxed);
        }
        run.error.lock().unwrap_or_else(PoisonError::into_inner).clear();
        true
    }

    fn end(&self, tagger: Tagger, outcome: &Result<(), Error>) {
        let run = self.of(tagger);
        if let Err(error) = outcome {
            tracing::error!(%error, "tagger {} stopped: {error}", tagger.name());
            *run.error.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
        }
        run.running.store(false, Ordering::Release);
    }

    /// Rules that could not be decided for jobs, the last ones.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, problems: Vec<Problem>) {
        if problems.is_empty() {
            return;
        }
        metrics::tagger_problems(problems.len());
        let mut kept = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems {
            if !kept.contains(&problem) {
                tracing::debug!("tagger rule {}: {}: {}", problem.file, problem.place, problem.text);
                kept.push(problem);
            }
        }
        let surplus = kept.len().saturating_sub(PROBLEMS_KEPT);
        kept.drain(..surplus);
    }
}

/// The taggers at work.
#[derive(Debug, Clone)]
pub(crate) struct Tagging<S: Store, A: ArchivedStatistics> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) archive: A,
    pub(crate) clusters: ClusterState,
    pub(crate) clock: Clock,
    pub(crate) directory: Directory,
    pub(crate) runs: Runs,
    /// Told when archive entries lack new tags.
    pub(crate) copies: Arc<Notify>,
}

/// A job and which taggers shall look at it.
type Task = (DbId, Vec<Tagger>);

impl<S: Store, A: ArchivedStatistics> Tagging<S, A> {
    /// Follows the log of changes until the task is dropped.
    pub(crate) async fn follow(self, mut wake: mpsc::Receiver<()>) {
        loop {
            self.refresh().await;
            let outcome = self.catch_up().await;
            super::janitor::report("tag jobs", outcome);
            tokio::select! {
                Some(()) = wake.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    pub(crate) async fn refresh(&self) {
        let directory = self.directory.clone();
        // reading files and compiling patterns
        let _ = cpu::run(move || directory.refresh()).await;
    }

    /// Tags what changed since the last time.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let (_, last) = self.store.change_span().await?;
        let mut position = match self.store.tagger_position().await? {
            // the first time: from now on; and after the database was restored from an older copy
            None => {
                return self.writer.run(Apply { found: Vec::new(), position: Some(last) }).await.map(drop);
            }
            Some(position) => position.min(last),
        };
        // Without the cluster files no job would have a class, and nobody would look at it again.
        if self.clusters.current().is_none() {
            return Ok(());
        }
        loop {
            let changes = self.store.changes(position, CHUNK).await?;
            let Some(newest) = changes.last() else { return Ok(()) };
            position = newest.position;
            let found = self.find(tasks(&changes)).await?;
            self.apply(Apply { found, position: Some(position) }).await?;
        }
    }

    async fn apply(&self, found: Apply) -> Result<u64, Error> {
        let changed = self.writer.run(found).await?;
        if changed > 0 {
            self.copies.notify_one();
        }
        Ok(changed)
    }

    /// Runs a tagger over all ended jobs; [`Runs::begin`] was called.
    pub(crate) async fn run_all(self, taggers: Vec<Tagger>, dry: bool) -> Result<(), Error> {
        let outcome = self.all(&taggers, dry).await;
        for tagger in taggers {
            self.runs.end(tagger, &outcome);
        }
        outcome
    }

    async fn all(&self, taggers: &[Tagger], dry: bool) -> Result<(), Error> {
        self.refresh().await;
        let rules = self.directory.rules();
        if let Some(tagger) = taggers.iter().find(|tagger| rules.missing.contains(&tagger.folder())) {
            return Err(Error::Taggers(format!("there is no directory {} with rules", tagger.folder())));
        }
        let runs = || taggers.iter().map(|tagger| self.runs.of(*tagger));
        let total = self.store.ended_count().await?;
        runs().for_each(|run| run.total.store(total, Ordering::Relaxed));
        let mut after = 0;
        loop {
            let ids = self.store.ended_ids(after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let count = ids.len() as u64;
            let found = self.find(ids.into_iter().map(|id| (id, taggers.to_vec())).collect()).await?;
            let tagged = if dry {
                found.iter().filter(|found| found.is_new()).count() as u64
            } else {
                self.apply(Apply { found, position: None }).await?
            };
            for run in runs() {
                run.done.fetch_add(count, Ordering::Relaxed);
                run.tagged.fetch_add(tagged, Ordering::Relaxed);
            }
        }
    }

    /// What the rules say about some jobs.
    async fn find(&self, tasks: Vec<Task>) -> Result<Vec<Tagged>, Error> {
        let now = self.clock.unix();
        let mut jobs = Vec::with_capacity(tasks.len());
        for (id, taggers) in tasks {
            if let Some(job) = self.store.get(&TagScopes::Every, id, now).await? {
                jobs.push((job, taggers));
            }
        }
        // without an entry in the archive there are no statistics
        let keys: Vec<JobKey> = jobs
            .iter()
            .filter(|(job, taggers)| {
                taggers.contains(&Tagger::Classes) && job.monitoring_status == MonitoringStatus::Archived
            })
            .map(|(job, _)| job.key())
            .collect();
        let statistics = if keys.is_empty() {
            HashMap::new()
        } else {
            self.archive.statistics(keys).await.map_err(|failed| Error::Taggers(failed.text))?
        };
        let (rules, clusters) = (self.directory.rules(), self.clusters.clusters());
        let found = cpu::run(move || {
            let of =
                |(job, taggers): (Job, Vec<Tagger>)| look(&rules, &clusters, &job, &taggers, &statistics);
            jobs.into_iter().map(of).collect::<Vec<_>>()
        });
        let mut tagged = Vec::new();
        for (job, problems) in found.await.map_err(|_| Error::ShuttingDown)? {
            self.runs.note(problems);
            tagged.extend(job);
        }
        Ok(tagged)
    }
}

/// Which jobs of some changes shall be looked at, and by whom: each job once.
fn tasks(changes: &[Change]) -> Vec<Task> {
    let mut tasks: BTreeMap<DbId, Vec<Tagger>> = BTreeMap::new();
    for change in changes {
        let wanted: &[Tagger] = match change.kind {
            ChangeKind::Started => &[Tagger::Applications],
            // a script that came with a later event is looked at, too
            ChangeKind::Archived => &Tagger::ALL,
            _ => continue,
        };
        let task = tasks.entry(change.id).or_default();
        for tagger in wanted {
            if !task.contains(tagger) {
                task.push(*tagger);
            }
        }
    }
    tasks.into_iter().collect()
}

/// One job against the rules.
fn look(
    rules: &RuleSet,
    clusters: &Clusters,
    job: &Job,
    taggers: &[Tagger],
    statistics: &HashMap<JobKey, BTreeMap<String, JobStatistics>>,
) -> (Option<Tagged>, Vec<Problem>) {
    let Some(id) = job.id else { return (None, Vec::new()) };
    let mut tagged = Tagged { id, tags: Vec::new(), had: job.tags.clone() };
    let mut problems = Vec::new();
    if taggers.contains(&Tagger::Applications) {
        let names = tagger::applications(rules, job);
        tagged.tags.extend(names.into_iter().map(|name| (Tagger::Applications, name, None)));
    }
    let sub_cluster = clusters.get(&job.cluster).and_then(|cluster| cluster.sub_cluster(&job.sub_cluster));
    if let (true, Some(statistics), Some(sub_cluster)) =
        (taggers.contains(&Tagger::Classes), statistics.get(&job.key()), sub_cluster)
    {
        let found = tagger::classes(rules, &Input { job, statistics, sub_cluster });
        tagged.tags.extend(found.tags.into_iter().map(|(name, hint)| (Tagger::Classes, name, hint)));
        problems = found.problems;
    }
    let any = !tagged.tags.is_empty();
    (any.then_some(tagged), problems)
}

/// What a job shall have.
#[derive(Debug, Clone)]
struct Tagged {
    id: DbId,
    /// With the hint of the rule.
    tags: Vec<(Tagger, String, Option<String>)>,
    /// Tags it had when it was looked at.
    had: Vec<Tag>,
}

impl Tagged {
    /// Whether a tag is missing.
    fn is_new(&self) -> bool {
        let has = |kind: &str, name: &str| self.had.iter().any(|tag| tag.kind == kind && tag.name == name);
        self.tags.iter().any(|(tagger, name, _)| !has(tagger.tag_type(), name))
    }
}

/// Writes tags and messages, and how far the log was followed. Answers how many jobs got something new.
#[derive(Debug, Clone)]
struct Apply {
    found: Vec<Tagged>,
    position: Option<u64>,
}

impl Mutation for Apply {
    type Answer = u64;

    fn weight(&self) -> usize {
        self.found.len().max(1)
    }

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<u64> {
        let mut changed = 0;
        for tagged in &self.found {
            changed += u64::from(apply(unit, context, tagged).await?);
        }
        if let Some(position) = self.position {
            unit.put_tagger_position(position).await?;
        }
        Ok(changed)
    }
}

async fn apply<U: Unit>(unit: &mut U, context: &mut Context, tagged: &Tagged) -> store::Result<bool> {
    let id = tagged.id;
    let Some(mut job) = unit.job(id).await? else { return Ok(false) };
    let had = unit.tags_of(id).await?;
    let mut changed = false;
    let mut messages = Vec::new();
    for (tagger, name, hint) in &tagged.tags {
        let kind = tagger.tag_type();
        // in whatever scope: the table holds each type and name once
        if !had.iter().any(|tag| tag.kind == kind && tag.name == *name) {
            let tag = match unit.tag(kind, name).await? {
                Some(tag) if tag.scope == "global" => tag.id,
                Some(tag) => {
                    tracing::warn!("tag {kind} {name} is not attached: {} has one of that name", tag.scope);
                    continue;
                }
                None => unit.insert_tag(kind, name, "global").await?,
            };
            unit.attach(id, tag).await?;
            changed = true;
        }
        messages.extend(hint.as_ref().filter(|hint| !hint.is_empty()).map(String::as_str));
    }
    let message = messages.join("\n");
    let former = job.meta_data.as_ref().and_then(|metadata| metadata.get(MESSAGE));
    if !message.is_empty() && former != Some(&message) {
        let metadata = job.meta_data.get_or_insert_default();
        metadata.insert(MESSAGE.to_owned(), message);
        unit.put_metadata(id, metadata).await?;
        changed = true;
    }
    if changed {
        // the archive's copy follows; a job that still runs will be archived with its tags
        if !job.state.is_running() {
            unit.note_copy(id, context.now).await?;
        }
        context.log(unit, ChangeKind::Updated, id, &job).await?;
    }
    Ok(changed)
}
