//! The one writer: takes mutations from a bounded queue, commits what is waiting in one transaction, and answers
//! only when that is durable (spec/integrations.md 9.5: up to 500 events). There is no artificial wait: while one
//! commit is on its way to the disk the next group gathers.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cc_model::Clusters;
use cc_runtime::clock::Clock;
use tokio::sync::{mpsc, oneshot};

use super::clusters::ClusterState;
use super::watch::Hub;
use crate::error::Error;
use crate::metrics;
use crate::store::change::{Change, ChangeKind};
use crate::store::{self, Store, Unit};

/// Mutations that may wait; more is answered with `Busy`.
pub(crate) const QUEUE_MAX: usize = 20_000;
/// Changes that `Watch` can look back on.
pub(crate) const CHANGES_KEPT: u64 = 100_000;
/// Old changes are removed each time so many new ones have come.
const PRUNE_EVERY: u64 = 1_000;

/// What a mutation may use besides the unit of work.
#[derive(Debug)]
pub(crate) struct Context {
    /// Unix seconds, the same for the whole group.
    pub(crate) now: i64,
    pub(crate) clusters: Arc<Clusters>,
    /// Changes of the group so far, with positions.
    changes: Vec<Change>,
    position: u64,
}

impl Context {
    /// A context for a unit of work outside the writer's task.
    pub(crate) fn new(now: i64, clusters: Arc<Clusters>, position: u64) -> Self {
        Self { now, clusters, changes: Vec::new(), position }
    }

    /// Logs a change of a job.
    pub(crate) async fn log<U: Unit>(
        &mut self,
        unit: &mut U,
        kind: ChangeKind,
        id: store::DbId,
        job: &cc_model::Job,
    ) -> store::Result<()> {
        self.position += 1;
        let change = Change { position: self.position, ..Change::of(kind, id, job) };
        unit.put_change(&change).await?;
        self.changes.push(change);
        Ok(())
    }
}

/// Something that changes the database. It may be applied more than once: when one of a group fails, the others are
/// applied again.
pub(crate) trait Mutation: Send + Sync + 'static {
    /// What the requester gets, refusals included.
    type Answer: Send + 'static;

    /// Events in it, for the size of a group.
    fn weight(&self) -> usize {
        1
    }

    /// Applies it. A refusal is an answer and must not leave writes behind.
    fn apply<U: Unit>(
        &self,
        unit: &mut U,
        context: &mut Context,
    ) -> impl Future<Output = store::Result<Self::Answer>> + Send;
}

/// Applies and commits one mutation without a writer's task: for the command line, which has none.
pub(crate) async fn apply_alone<S: Store, M: Mutation>(
    store: &S,
    now: i64,
    clusters: Arc<Clusters>,
    mutation: &M,
) -> store::Result<M::Answer> {
    let mut unit = store.begin("command line").await?;
    let position = unit.last_position().await?;
    let answer = mutation.apply(&mut unit, &mut Context::new(now, clusters, position)).await?;
    unit.commit().await?;
    Ok(answer)
}

type Applying<'life> = Pin<Box<dyn Future<Output = store::Result<()>> + Send + 'life>>;

/// A mutation with its requester, whatever its type.
trait Work<U: Unit>: Send {
    fn weight(&self) -> usize;
    fn apply<'life>(&'life mut self, unit: &'life mut U, context: &'life mut Context) -> Applying<'life>;
    fn finish(self: Box<Self>, outcome: Result<(), Error>);
}

struct Request<M: Mutation> {
    mutation: M,
    answer: Option<M::Answer>,
    reply: oneshot::Sender<Result<M::Answer, Error>>,
}

impl<U: Unit, M: Mutation> Work<U> for Request<M> {
    fn weight(&self) -> usize {
        self.mutation.weight()
    }

    fn apply<'life>(&'life mut self, unit: &'life mut U, context: &'life mut Context) -> Applying<'life> {
        Box::pin(async move {
            self.answer = None;
            self.answer = Some(self.mutation.apply(unit, context).await?);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, outcome: Result<(), Error>) {
        let answer = match (outcome, self.answer) {
            (Ok(()), Some(answer)) => Ok(answer),
            (Ok(()), None) => Err(Error::ShuttingDown),
            (Err(error), _) => Err(error),
        };
        // a requester that went away does not need it; the work is done all the same
        let _ = self.reply.send(answer);
    }
}

type Boxed<S> = Box<dyn Work<<S as Store>::Unit>>;

/// The way to the writer.
pub(crate) struct Writer<S: Store> {
    queue: mpsc::Sender<Boxed<S>>,
    backlog: Arc<Backlog>,
}

impl<S: Store> Clone for Writer<S> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), backlog: Arc::clone(&self.backlog) }
    }
}

impl<S: Store> std::fmt::Debug for Writer<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Writer").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// How much waits and how fast it goes, for back-pressure.
#[derive(Debug, Default)]
struct Backlog {
    waiting: AtomicU64,
    /// Events per second, smoothed; 0 = not known yet.
    rate: AtomicU64,
}

impl<S: Store> Writer<S> {
    /// Hands a mutation over and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::ShuttingDown`], [`Error::Database`]. Refusals are in the answer.
    pub(crate) async fn run<M: Mutation>(&self, mutation: M) -> Result<M::Answer, Error> {
        let (reply, answer) = oneshot::channel();
        let weight = mutation.weight() as u64;
        let work: Boxed<S> = Box::new(Request { mutation, answer: None, reply });
        // counted first: the writer may be done with it before this line's successor
        self.backlog.waiting.fetch_add(weight, Ordering::Relaxed);
        self.queue.try_send(work).map_err(|refused| {
            self.backlog.waiting.fetch_sub(weight, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(_) => Error::Busy,
                mpsc::error::TrySendError::Closed(_) => Error::ShuttingDown,
            }
        })?;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    /// Events that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.backlog.waiting.load(Ordering::Relaxed)
    }

    /// Seconds that what waits will take, at the speed of the last groups.
    pub(crate) fn waiting_seconds(&self) -> f64 {
        match self.backlog.rate.load(Ordering::Relaxed) {
            0 => 0.0,
            rate => precise(self.waiting()) / precise(rate),
        }
    }
}

fn precise(count: u64) -> f64 {
    // queue lengths and rates are far below 2^32
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The task behind a [`Writer`]. It ends when all writers are gone.
pub(crate) struct Loop<S: Store> {
    store: S,
    queue: mpsc::Receiver<Boxed<S>>,
    backlog: Arc<Backlog>,
    clock: Clock,
    clusters: ClusterState,
    hub: Hub,
    group_max: usize,
}

/// A writer and its task.
pub(crate) fn new<S: Store>(
    store: S,
    clock: Clock,
    clusters: ClusterState,
    hub: Hub,
    group_max: usize,
) -> (Writer<S>, Loop<S>) {
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let backlog = Arc::new(Backlog::default());
    let writer = Writer { queue: sender, backlog: Arc::clone(&backlog) };
    (writer, Loop { store, queue, backlog, clock, clusters, hub, group_max: group_max.max(1) })
}

impl<S: Store> Loop<S> {
    /// Runs until all [`Writer`]s are dropped or `stop` resolves, and then until the queue is empty: what was
    /// accepted is committed and answered.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stop, if !stopping => {
                    stopping = true;
                    self.queue.close();
                    continue;
                }
                next = self.queue.recv() => next,
            };
            let Some(first) = next else { return };
            let group = self.gather(first);
            let weight: usize = group.iter().map(|work| work.weight()).sum();
            let started = std::time::Instant::now();
            self.commit(group).await;
            let seconds = started.elapsed().as_secs_f64();
            metrics::commit(weight, seconds);
            self.note_speed(weight as u64, seconds);
        }
    }

    /// What waits, up to the limit of a group.
    fn gather(&mut self, first: Boxed<S>) -> VecDeque<Boxed<S>> {
        let mut weight = first.weight();
        let mut group = VecDeque::from([first]);
        while weight < self.group_max {
            let Ok(next) = self.queue.try_recv() else { break };
            weight += next.weight();
            group.push_back(next);
        }
        group
    }

    fn note_speed(&self, weight: u64, seconds: f64) {
        self.backlog.waiting.fetch_sub(weight, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive rate")]
        let now = (precise(weight) / seconds.max(1e-6)) as u64;
        let before = self.backlog.rate.load(Ordering::Relaxed);
        let smoothed = if before == 0 { now } else { (before * 7 + now) / 8 };
        self.backlog.rate.store(smoothed.max(1), Ordering::Relaxed);
    }

    /// Commits a group; when it fails for a reason of one of its members, each member on its own.
    async fn commit(&mut self, mut group: VecDeque<Boxed<S>>) {
        match self.attempt(group.make_contiguous()).await {
            Ok(()) => finish_all(group, &Ok(())),
            Err(error) if group.len() > 1 && !of_the_database(&error) => {
                for work in group {
                    let mut alone = VecDeque::from([work]);
                    let outcome = self.attempt(alone.make_contiguous()).await.map_err(Error::from);
                    finish_all(alone, &outcome);
                }
            }
            Err(error) => finish_all(group, &Err(Error::from(error))),
        }
    }

    async fn attempt(&mut self, group: &mut [Boxed<S>]) -> store::Result<()> {
        let mut unit = self.store.begin("events").await?;
        let mut context = Context {
            now: self.clock.unix(),
            clusters: self.clusters.clusters(),
            changes: Vec::new(),
            // from the table, not from memory: the command line writes to the same file
            position: unit.last_position().await?,
        };
        let first = context.position;
        for work in group {
            work.apply(&mut unit, &mut context).await?;
        }
        if context.position / PRUNE_EVERY > first / PRUNE_EVERY {
            unit.prune_changes(context.position.saturating_sub(CHANGES_KEPT)).await?;
        }
        unit.commit().await?;
        self.hub.publish(context.changes);
        Ok(())
    }
}

/// Whether repeating the same work in smaller portions cannot help.
fn of_the_database(error: &cc_database::Error) -> bool {
    error.class().is_none_or(cc_database::Class::transient)
}

fn finish_all<U: Unit>(group: VecDeque<Box<dyn Work<U>>>, outcome: &Result<(), Error>) {
    for work in group {
        work.finish(outcome.clone());
    }
}
