//! Background tasks: each has a name, a policy for errors and one for the end of the process. This is the only
//! place that spawns.
//!
//! The end comes in stages ([`Stage`]): what feeds the house stops before what stores, what stores before the
//! database closes. Every stage has a time limit, and whoever is late is named.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// Any error a task can end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What to do when a task ends with an error or panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Write it to the log; the process goes on without the task.
    Log,
    /// End the process in order, exit code 1.
    StopProcess,
}

/// What to do with a task when its stage of the shutdown comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// Drop it where it stands.
    Abort,
    /// Wait for it: it watches [`Tasks::token`], finishes what it has and returns.
    Drain,
}

/// The order in which a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Stop accepting, finish running requests.
    Requests,
    /// Stop what makes work by itself: timers, subscriptions, queues' consumers. Tasks are here by default.
    Producers,
    /// Write what is only in memory: checkpoints, the archive queue.
    Flush,
    /// Close the database.
    Database,
    /// Send the last traces.
    Telemetry,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Self; 5] =
        [Self::Requests, Self::Producers, Self::Flush, Self::Database, Self::Telemetry];

    /// The most a stage may take, whatever is left of the whole.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Requests | Self::Flush => 60,
            Self::Producers | Self::Database => 15,
            Self::Telemetry => 5,
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Requests => "requests",
            Self::Producers => "producers",
            Self::Flush => "flush",
            Self::Database => "database",
            Self::Telemetry => "telemetry",
        })
    }
}

/// Results a task may have: `()` or a `Result`.
pub trait Outcome: Send + 'static {
    /// The common form.
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError> + Send + 'static> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// The task did not come to an end: it panicked, or the process is past its stage of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without a result")]
pub struct Lost;

/// A name that was not finished in time at the end of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// The stage it held up.
    pub stage: Stage,
    /// The task or step.
    pub name: Cow<'static, str>,
}

type Step = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct StageState {
    token: CancellationToken,
    steps: Vec<(Cow<'static, str>, Step)>,
    closed: bool,
}

struct Running {
    name: Cow<'static, str>,
    stage: Stage,
    on_shutdown: OnShutdown,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, Running>,
    stages: BTreeMap<Stage, StageState>,
}

struct Registry {
    state: Mutex<State>,
    /// Counts endings, to wake the shutdown.
    ended: watch::Sender<u64>,
    /// The first task whose error ends the process.
    failed: watch::Sender<Option<Cow<'static, str>>>,
}

/// The registry of background tasks. Clones share it; [`Tasks::at`] makes a view for another stage.
#[derive(Clone)]
pub struct Tasks {
    registry: Arc<Registry>,
    stage: Stage,
}

impl Tasks {
    /// An empty registry.
    pub fn new() -> Self {
        let registry = Registry {
            state: Mutex::default(),
            ended: watch::Sender::new(0),
            failed: watch::Sender::new(None),
        };
        Self { registry: Arc::new(registry), stage: Stage::Producers }
    }

    /// The same registry, for tasks and steps of that stage.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Self {
        Self { registry: Arc::clone(&self.registry), stage }
    }

    /// Cancelled when this view's stage of the shutdown begins (at once, if it is over).
    pub fn token(&self) -> CancellationToken {
        self.state().stages.entry(self.stage).or_default().token.clone()
    }

    /// Starts a task. It inherits nothing from the caller, no span and no deadline. When this view's stage of the
    /// shutdown is over, the task is not started.
    pub fn spawn<F>(
        &self,
        name: impl Into<Cow<'static, str>>,
        on_error: OnError,
        on_shutdown: OnShutdown,
        future: F,
    ) where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let name = name.into();
        let Some((id, stop)) = self.enter(name.clone(), on_shutdown) else { return };
        let registry = Arc::clone(&self.registry);
        start(async move {
            let mut entry = Entry { registry, id, name, on_error, finished: false };
            tokio::select! {
                biased;
                () = stop.cancelled() => entry.finished = true,
                result = AssertUnwindSafe(future).catch_unwind() => entry.finish(result),
            }
        });
    }

    /// Runs a future to its end even if the caller goes away, in the caller's span: for handlers that change
    /// something and must not be cut in the middle when a client disconnects. The shutdown waits for it.
    pub async fn detached<T: Send + 'static>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Lost> {
        let (sender, receiver) = oneshot::channel();
        let name = name.into();
        let (id, stop) = self.enter(name.clone(), OnShutdown::Drain).ok_or(Lost)?;
        let registry = Arc::clone(&self.registry);
        let work = async move {
            let mut entry = Entry { registry, id, name, on_error: OnError::Log, finished: false };
            let answer = async {
                // Nobody may be left to hear the answer; that is what this function is for.
                let _heard = sender.send(future.await).is_ok();
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => entry.finished = true,
                result = AssertUnwindSafe(answer).catch_unwind() => entry.finish(result),
            }
        };
        start(work.in_current_span());
        receiver.await.map_err(|_| Lost)
    }

    /// Adds a step that runs when this view's stage of the shutdown begins, beside the stage's other steps.
    pub fn on_shutdown(
        &self,
        name: impl Into<Cow<'static, str>>,
        step: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut state = self.state();
        let later = state.stages.entry(self.stage).or_default();
        if !later.closed {
            later.steps.push((name.into(), Box::pin(step)));
        }
    }

    /// Waits for the first task that fails with [`OnError::StopProcess`] and gives its name.
    pub async fn failed(&self) -> Cow<'static, str> {
        let mut failed = self.registry.failed.subscribe();
        // The sender lives as long as `self`.
        let found = failed.wait_for(Option::is_some).await.ok();
        found.and_then(|name| name.clone()).unwrap_or_default()
    }

    /// The names of the tasks that run now, sorted.
    pub fn running(&self) -> Vec<String> {
        let mut names: Vec<_> = self.state().running.values().map(|task| task.name.to_string()).collect();
        names.sort();
        names
    }

    /// Ends everything, stage by stage, within `deadline` in total; each stage has its own limit besides.
    /// Returns who was late; those are dropped where they stand.
    pub async fn shutdown(&self, deadline: Duration) -> Vec<Late> {
        let end = Instant::now() + deadline;
        let mut late = Vec::new();
        for stage in Stage::ALL {
            let begun = Instant::now();
            late.extend(self.at(stage).end_stage(end.min(begun + stage.limit())).await);
            tracing::debug!(stage = %stage, duration_ms = begun.elapsed().as_millis(), "shutdown stage {stage} done");
        }
        late
    }

    async fn end_stage(&self, end: Instant) -> Vec<Late> {
        let steps = self.close();
        let mut late: Vec<_> = futures::future::join_all(steps.into_iter().map(async |(name, step)| {
            let run = AssertUnwindSafe(step).catch_unwind();
            match tokio::time::timeout_at(end, run).await {
                Ok(Ok(())) => None,
                Ok(Err(_panic)) => {
                    tracing::error!(step = %name, "shutdown step {name} panicked");
                    None
                }
                Err(_elapsed) => Some(name),
            }
        }))
        .await
        .into_iter()
        .flatten()
        .collect();
        let mut endings = self.registry.ended.subscribe();
        // Both endings of the wait are fine: what still runs afterwards is late.
        let _in_time =
            tokio::time::timeout_at(end, endings.wait_for(|_| self.left().is_empty())).await.is_ok();
        for (name, stop) in self.left() {
            stop.cancel();
            late.push(name);
        }
        for name in &late {
            let stage = self.stage;
            tracing::warn!(stage = %stage, task = %name, "shutdown: {name} is late in stage {stage}, going on without it");
        }
        late.into_iter().map(|name| Late { stage: self.stage, name }).collect()
    }

    /// Lets nobody in any more, tells the tasks of the stage, and takes its steps.
    fn close(&self) -> Vec<(Cow<'static, str>, Step)> {
        let mut state = self.state();
        let ending = state.stages.entry(self.stage).or_default();
        ending.closed = true;
        ending.token.cancel();
        let steps = std::mem::take(&mut ending.steps);
        let mine = state.running.values().filter(|task| task.stage == self.stage);
        mine.filter(|task| task.on_shutdown == OnShutdown::Abort).for_each(|task| task.stop.cancel());
        steps
    }

    fn left(&self) -> Vec<(Cow<'static, str>, CancellationToken)> {
        let state = self.state();
        let mine = state.running.values().filter(|task| task.stage == self.stage);
        mine.map(|task| (task.name.clone(), task.stop.clone())).collect()
    }

    fn enter(&self, name: Cow<'static, str>, on_shutdown: OnShutdown) -> Option<(u64, CancellationToken)> {
        let mut state = self.state();
        if state.stages.entry(self.stage).or_default().closed {
            tracing::debug!(task = %name, "task {name} not started: the process is ending");
            return None;
        }
        let id = state.next;
        state.next += 1;
        let stop = CancellationToken::new();
        state.running.insert(id, Running { name, stage: self.stage, on_shutdown, stop: stop.clone() });
        Some((id, stop))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.registry.state()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tasks")
            .field("stage", &self.stage)
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}

impl Registry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The presence of one task in the registry; leaves it when dropped, also when the runtime drops the task.
struct Entry {
    registry: Arc<Registry>,
    id: u64,
    name: Cow<'static, str>,
    on_error: OnError,
    finished: bool,
}

impl Entry {
    fn finish<T: Outcome>(&mut self, result: Result<T, Box<dyn std::any::Any + Send>>) {
        self.finished = true;
        let name = &self.name;
        match result.map(Outcome::into_result) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let error = chain(&*error);
                tracing::error!(task = %name, %error, "task {name} failed: {error}");
            }
            Err(panic) => {
                let text = panic_text(&*panic);
                tracing::error!(task = %name, "task {name} panicked: {text}");
            }
        }
        ::metrics::counter!("runtime_task_failures_total", "task" => self.name.to_string()).increment(1);
        if self.on_error == OnError::StopProcess {
            self.registry.failed.send_if_modified(|failed| {
                let first = failed.is_none();
                failed.get_or_insert_with(|| self.name.clone());
                first
            });
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.state().running.remove(&self.id);
        self.registry.ended.send_modify(|count| *count = count.wrapping_add(1));
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
fn start(future: impl Future<Output = ()> + Send + 'static) {
    // The handle is not needed: the registry follows the task.
    drop(tokio::spawn(future));
}

/// An error with its causes, `outer: inner: innermost`.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries print their cause themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let fixed = panic.downcast_ref::<&str>().copied();
    fixed.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests;
