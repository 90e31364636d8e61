//! Keeps the archive's copies of metadata and tags up to date. A change is noted in its own transaction
//! ([`super::edits`]); the copy follows at once where it can, and again and again where it could not: a crash or an
//! outage of the archive in between loses none.

use std::sync::Arc;
use std::time::Duration;

use cc_model::{Job, MonitoringStatus};
use cc_runtime::clock::Clock;
use tokio::sync::{Mutex, Notify};

use super::archiver::{Archive, Failed, pause_seconds};
use super::writer::{Context, Mutation, Writer};
use crate::error::Error;
use crate::store::visible::TagScopes;
use crate::store::{self, DbId, Store, ToCopy, Unit};

/// Notes read at a time.
const DUE_AT_ONCE: u32 = 64;
/// Longest time without a look at the notes.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// Pause after a failed look.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How long a request waits for its copy; the note stays when it takes longer.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Seconds until a job that is being archived is looked at again.
const WHILE_ARCHIVING_S: i64 = 2;

/// Jobs are spread over so many locks.
const LOCKS: usize = 64;
/// Seconds until a change that the archive refused for good is tried again: somebody has to mend the entry first.
const AFTER_REFUSAL_S: i64 = 3_600;

/// One copy of a job at a time: of two that are made at once, the older one could be written last.
#[derive(Debug, Clone)]
pub(crate) struct Busy(Arc<[Mutex<()>]>);

impl Default for Busy {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| Mutex::new(())).collect())
    }
}

/// What an archive did with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Copied {
    /// The entry has it.
    Yes,
    /// There is no entry.
    NoEntry,
}

/// The copier.
#[derive(Debug, Clone)]
pub(crate) struct Copies<S: Store, A: Archive> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) archive: A,
    pub(crate) clock: Clock,
    /// Told when many notes were made at once.
    pub(crate) wake: Arc<Notify>,
    pub(crate) busy: Busy,
}

impl<S: Store, A: Archive> Copies<S, A> {
    /// Copies what is noted, until the task is dropped.
    pub(crate) async fn run(self) {
        loop {
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(%error, "cannot bring the archive up to date: {error}");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Copies what is due; returns how long there is nothing to do.
    pub(crate) async fn round(&self) -> Result<Duration, Error> {
        loop {
            let now = self.clock.unix();
            let due = self.store.copies_due(now, DUE_AT_ONCE).await?;
            if due.is_empty() {
                let next = self.store.copies_next(now).await?;
                return Ok(next.map_or(LOOK_EVERY, |next| {
                    Duration::from_secs((next - now).max(1).unsigned_abs()).min(LOOK_EVERY)
                }));
            }
            for copy in due {
                self.one(copy).await?;
            }
        }
    }

    /// Copies the change of one job now, within the patience of a request. What fails is logged and stays noted.
    pub(crate) async fn now(&self, id: DbId) {
        let copied = async {
            match self.store.copy_of(id).await? {
                Some(copy) => self.one(copy).await,
                None => Ok(()),
            }
        };
        match tokio::time::timeout(WAIT_MAX, copied).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job.db_id = id, "the archive copy of job {id} follows later: {error}");
                self.wake.notify_one();
            }
            Err(_) => {
                self.wake.notify_one();
                tracing::warn!(
                    job.db_id = id,
                    "the archive copy of job {id} follows later: it takes too long"
                );
            }
        }
    }

    async fn one(&self, copy: ToCopy) -> Result<(), Error> {
        let id = copy.id;
        let lock = usize::try_from(id.unsigned_abs()).unwrap_or_default() % LOCKS;
        // held over the call: the next copy of this job reads it after this one is written
        let _alone = match self.busy.0.get(lock) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        let now = self.clock.unix();
        let Some(job) = self.store.get(&TagScopes::Every, id, now).await? else {
            return self.writer.run(Done(copy)).await;
        };
        let archiving = job.monitoring_status == MonitoringStatus::RunningOrArchiving;
        let outcome = match (job.state.is_running(), job.monitoring_status) {
            // archiving will read the change itself; nothing is archived without monitoring
            (true, _) | (_, MonitoringStatus::Disabled) => Ok(Copied::Yes),
            // it may have been read before the change
            _ if archiving => {
                return self.writer.run(Later { id, not_before: now + WHILE_ARCHIVING_S }).await;
            }
            _ => self.archive.update_meta(&job).await,
        };
        match outcome {
            Ok(copied) => {
                if copied == Copied::NoEntry && job.monitoring_status == MonitoringStatus::Archived {
                    tracing::warn!(
                        job.db_id = id,
                        "job {} is not in the archive, its change is not copied",
                        job.key()
                    );
                }
                self.writer.run(Done(copy)).await
            }
            Err(Failed { retry, text }) => {
                let pause = if retry { pause_seconds(copy.attempts) } else { AFTER_REFUSAL_S };
                tracing::warn!(
                    job.db_id = id,
                    "a change of job {} goes into the archive again in {pause} s: {text}",
                    job.key()
                );
                self.writer.run(Later { id, not_before: now + pause }).await
            }
        }
    }
}

/// The archive has it.
#[derive(Debug, Clone, Copy)]
struct Done(ToCopy);

impl Mutation for Done {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        unit.copied(self.0).await
    }
}

/// Not now.
#[derive(Debug, Clone, Copy)]
struct Later {
    id: DbId,
    not_before: i64,
}

impl Mutation for Later {
    type Answer = ();

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        unit.defer_copy(self.id, self.not_before).await
    }
}

/// The archive's answer to a change, from its status.
///
/// # Errors
/// Every failure but the one that there is no entry.
pub(crate) fn outcome(answer: Result<(), tonic::Status>, job: &Job) -> Result<Copied, Failed> {
    match answer {
        Ok(()) => Ok(Copied::Yes),
        Err(status) if cc_runtime::error::reason(&status).as_deref() == Some("ARCHIVE_ENTRY_NOT_FOUND") => {
            tracing::debug!("job {} has no archive entry", job.key());
            Ok(Copied::NoEntry)
        }
        Err(status) => Err(Failed::of(&status)),
    }
}
