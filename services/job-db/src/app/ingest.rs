//! Batches of scheduler events: identity, sequence, idempotency (spec/integrations.md 9.5), and the ledger rows in
//! the transaction of the job change itself.

use cc_model::Job;
use cc_runtime::caller::Caller;

use super::rest;
use super::rules::{self, Body, Verdict};
use super::writer::{Context, Mutation, Writer};
use crate::error::Error;
use crate::metrics;
use crate::store::ledger::{Adapter, Dead, Origin, Outcome, PARKED_MAX, Parked, Recorded, Stream};
use crate::store::{self, Store, Unit};

/// Bytes of an event id.
pub(crate) const EVENT_ID_BYTES: usize = 16;
/// The only revision of the contract so far.
pub(crate) const REVISION: u32 = 1;

/// An adapter introduces itself.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) adapter_id: String,
    /// Who uses the name, from the verified identity.
    pub(crate) credential: String,
    pub(crate) clusters: Vec<String>,
    /// 0 = a client without a spool, which sends unsequenced batches.
    pub(crate) epoch: i64,
}

/// Positions to resume from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) durable_seq: Vec<(String, i64)>,
    pub(crate) unknown_clusters: Vec<String>,
}

impl Mutation for Hello {
    type Answer = Result<Welcome, Error>;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        if let Err(refusal) = bind(unit, &self.adapter_id, &self.credential, context.now).await? {
            return Ok(Err(refusal));
        }
        let mut welcome = Welcome { durable_seq: Vec::new(), unknown_clusters: Vec::new() };
        for cluster in &self.clusters {
            if context.clusters.get(cluster).is_none() {
                welcome.unknown_clusters.push(cluster.clone());
            }
            if self.epoch == 0 {
                continue;
            }
            let durable_seq = match unit.stream(&self.adapter_id, cluster).await? {
                Some(stream) if stream.epoch == self.epoch => stream.durable_seq,
                known => {
                    // a new spool counts from 1 again; events sent before are told apart by their ids
                    let fencing = known.map_or(0, |stream| stream.fencing);
                    let stream = Stream {
                        adapter_id: self.adapter_id.clone(),
                        cluster: cluster.clone(),
                        epoch: self.epoch,
                        durable_seq: 0,
                        fencing,
                    };
                    unit.put_stream(&stream, context.now).await?;
                    0
                }
            };
            welcome.durable_seq.push((cluster.clone(), durable_seq));
        }
        Ok(Ok(welcome))
    }
}

/// Ties an adapter's name to the first credential that uses it.
async fn bind<U: Unit>(
    unit: &mut U,
    adapter_id: &str,
    credential: &str,
    now: i64,
) -> store::Result<Result<(), Error>> {
    match unit.adapter(adapter_id).await? {
        Some(known) if known.bound_to == credential => Ok(Ok(())),
        Some(_) => Ok(Err(Error::AdapterBound { adapter_id: adapter_id.to_owned() })),
        None => {
            let adapter = Adapter { adapter_id: adapter_id.to_owned(), bound_to: credential.to_owned() };
            unit.put_adapter(&adapter, now).await?;
            Ok(Ok(()))
        }
    }
}

/// One event as it came.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// 0 in unsequenced batches.
    pub(crate) seq: i64,
    /// Empty: only the natural key tells repetitions.
    pub(crate) id: Vec<u8>,
    pub(crate) body: Body,
    /// Code of a remark on an event that is applied all the same.
    pub(crate) remark: Option<(&'static str, String)>,
    /// The event as it came, encoded.
    pub(crate) payload: Vec<u8>,
}

/// Events of one adapter for one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) adapter_id: String,
    pub(crate) credential: String,
    pub(crate) cluster: String,
    pub(crate) epoch: i64,
    pub(crate) fencing: i64,
    /// `seq` and `epoch` do not count.
    pub(crate) unsequenced: bool,
    pub(crate) events: Vec<Event>,
}

/// Results, in the order of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Results {
    pub(crate) durable_seq: i64,
    pub(crate) verdicts: Vec<Verdict>,
}

/// Applies a batch in portions of the size of a transaction. An event that the database refuses for its own sake
/// becomes a dead letter, so that it cannot block the stream.
///
/// # Errors
/// Refusals of the whole batch; [`Error::Database`] when nothing more of it was acknowledged.
pub(crate) async fn ingest<S: Store>(
    writer: &Writer<S>,
    mut batch: Batch,
    portion_max: usize,
) -> Result<Results, Error> {
    let mut results = Results { durable_seq: 0, verdicts: Vec::with_capacity(batch.events.len()) };
    let events = std::mem::take(&mut batch.events);
    if events.is_empty() {
        return writer.run(Portion { batch, poisoned: None }).await?;
    }
    for chunk in events.chunks(portion_max.max(1)) {
        let portion = Portion { batch: Batch { events: chunk.to_vec(), ..batch.clone() }, poisoned: None };
        let done = match writer.run(portion).await {
            Err(Error::Database(error)) if error.class().is_some_and(|class| !class.transient()) => {
                one_by_one(writer, &batch, chunk).await?
            }
            answer => answer??,
        };
        results.durable_seq = done.durable_seq;
        results.verdicts.extend(done.verdicts);
    }
    Ok(results)
}

async fn one_by_one<S: Store>(writer: &Writer<S>, batch: &Batch, events: &[Event]) -> Result<Results, Error> {
    let mut results = Results { durable_seq: 0, verdicts: Vec::with_capacity(events.len()) };
    for event in events {
        let alone = Batch { events: vec![event.clone()], ..batch.clone() };
        let done = match writer.run(Portion { batch: alone.clone(), poisoned: None }).await {
            Err(Error::Database(error)) if error.class().is_some_and(|class| !class.transient()) => {
                let chain = cc_runtime::error::chain(error.as_ref());
                tracing::error!(error = %chain, "an event cannot be stored, kept as a dead letter");
                writer.run(Portion { batch: alone, poisoned: Some(chain) }).await??
            }
            answer => answer??,
        };
        results.durable_seq = done.durable_seq;
        results.verdicts.extend(done.verdicts);
    }
    Ok(results)
}

/// A part of a batch that is one transaction.
#[derive(Debug, Clone)]
struct Portion {
    batch: Batch,
    /// Why its only event cannot be applied.
    poisoned: Option<String>,
}

impl Mutation for Portion {
    type Answer = Result<Results, Error>;

    fn weight(&self) -> usize {
        self.batch.events.len()
    }

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Self::Answer> {
        let batch = &self.batch;
        if let Err(refusal) = bind(unit, &batch.adapter_id, &batch.credential, context.now).await? {
            return Ok(Err(refusal));
        }
        let mut stream = match self.stream(unit).await? {
            Ok(stream) => stream,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut verdicts = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            let known = stream.as_ref().is_some_and(|stream| event.seq <= stream.durable_seq);
            verdicts.push(self.one(unit, context, event, known).await?);
            if let Some(stream) = &mut stream {
                stream.durable_seq = stream.durable_seq.max(event.seq);
            }
        }
        if let Some(stream) = &stream {
            unit.put_stream(stream, context.now).await?;
        }
        let durable_seq = stream.map_or(0, |stream| stream.durable_seq);
        Ok(Ok(Results { durable_seq, verdicts }))
    }
}

impl Portion {
    /// The stream's position, after checking epoch, fencing and that no number is missing.
    async fn stream<U: Unit>(&self, unit: &mut U) -> store::Result<Result<Option<Stream>, Error>> {
        let batch = &self.batch;
        if batch.unsequenced {
            return Ok(Ok(None));
        }
        let cluster = batch.cluster.clone();
        let stream = match unit.stream(&batch.adapter_id, &cluster).await? {
            Some(stream) if stream.epoch == batch.epoch => stream,
            _ => return Ok(Err(Error::EpochUnknown { cluster, epoch: batch.epoch.unsigned_abs() })),
        };
        if batch.fencing < stream.fencing {
            return Ok(Err(Error::Fenced { cluster, token: batch.fencing.unsigned_abs() }));
        }
        let mut expected = stream.durable_seq + 1;
        for (index, event) in batch.events.iter().enumerate() {
            // a resent beginning may reach back; from then on every number counts
            let fits =
                if index == 0 { event.seq >= 1 && event.seq <= expected } else { event.seq == expected };
            if !fits {
                let (expected, found) = (expected.unsigned_abs(), event.seq.unsigned_abs());
                return Ok(Err(Error::SequenceGap { expected, found }));
            }
            expected = event.seq + 1;
        }
        Ok(Ok(Some(stream)))
    }

    /// Applies one event and writes its ledger rows.
    async fn one<U: Unit>(
        &self,
        unit: &mut U,
        context: &mut Context,
        event: &Event,
        known: bool,
    ) -> store::Result<Verdict> {
        let has_id = event.id.len() == EVENT_ID_BYTES;
        if has_id && let Some(recorded) = unit.event(&event.id).await? {
            metrics::event(event.body.kind(), "repeated");
            return Ok(repeated(recorded));
        }
        if known {
            // its ledger row has been forgotten since, or it never had an id; its effect is there
            return Ok(repeated(Recorded { outcome: Outcome::Duplicate, code: String::new(), id: 0 }));
        }
        let body = match &self.poisoned {
            None => &event.body,
            Some(reason) => &Body::Broken(rules_problem(reason)),
        };
        let mut verdict = rules::apply(unit, context, &self.batch.cluster, body).await?;
        if verdict.outcome == Outcome::Parked && unit.parked_count(PARKED_MAX).await? >= PARKED_MAX {
            verdict.outcome = Outcome::Rejected;
            verdict.detail.push_str("; too many events are parked already");
        }
        if let Some((code, detail)) = &event.remark
            && verdict.code.is_empty()
        {
            (*code).clone_into(&mut verdict.code);
            verdict.detail.clone_from(detail);
        }
        self.record(unit, context, event, &verdict).await?;
        metrics::event(event.body.kind(), word(verdict.outcome));
        Ok(verdict)
    }

    async fn record<U: Unit>(
        &self,
        unit: &mut U,
        context: &mut Context,
        event: &Event,
        verdict: &Verdict,
    ) -> store::Result<()> {
        if event.id.len() == EVENT_ID_BYTES {
            let recorded = Recorded { outcome: verdict.outcome, code: verdict.code.clone(), id: verdict.id };
            unit.put_event(&event.id, &recorded, context.now).await?;
        }
        let origin = Origin {
            adapter_id: self.batch.adapter_id.clone(),
            cluster: self.batch.cluster.clone(),
            epoch: self.batch.epoch,
            seq: event.seq,
            event_id: event.id.clone(),
        };
        let Verdict { code, field, detail, .. } = verdict.clone();
        let payload = event.payload.clone();
        match (verdict.outcome, event.body.key()) {
            (Outcome::Parked, Some(key)) => {
                let key = key.clone();
                let received_at = context.now;
                let parked = Parked { id: 0, received_at, origin, key, code, field, detail, payload };
                unit.park(&parked).await
            }
            (Outcome::Rejected | Outcome::Parked, _) => {
                unit.put_dead(&Dead { origin, code, field, detail, payload }, context.now).await
            }
            _ => Ok(()),
        }
    }
}

fn rules_problem(reason: &str) -> super::spec::Problem {
    super::spec::Problem::field("", reason)
}

/// The answer to an event that was here before.
fn repeated(recorded: Recorded) -> Verdict {
    let outcome = match recorded.outcome {
        Outcome::Applied | Outcome::Duplicate | Outcome::Stale => Outcome::Duplicate,
        // the adapter must learn of it even if the first answer was lost
        refused @ (Outcome::Parked | Outcome::Rejected) => refused,
    };
    Verdict {
        outcome,
        code: recorded.code,
        field: String::new(),
        detail: String::new(),
        id: recorded.id,
        fetch: Vec::new(),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::Duplicate => "duplicate",
        Outcome::Stale => "stale",
        Outcome::Parked => "parked",
        Outcome::Rejected => "rejected",
    }
}

/// Tries parked events again, in the order in which they came; after a change of cluster files.
#[derive(Debug, Clone)]
pub(crate) struct RetryParked {
    /// Only events with higher ids.
    pub(crate) after: i64,
    pub(crate) limit: u32,
    /// Decodes the payload of an event.
    pub(crate) decode: fn(&[u8]) -> Body,
}

/// How a round of retries went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retried {
    /// Last event looked at; `None` when there was none.
    pub(crate) last: Option<i64>,
    pub(crate) applied: u32,
}

impl Mutation for RetryParked {
    type Answer = Retried;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Retried> {
        let mut retried = Retried { last: None, applied: 0 };
        for parked in unit.parked(self.after, self.limit).await? {
            retried.last = Some(parked.id);
            // out of the way first: a stop asks whether anything of its job is still parked
            unit.unpark(parked.id).await?;
            let body = (self.decode)(&parked.payload);
            let verdict = rules::apply(unit, context, &parked.origin.cluster, &body).await?;
            if verdict.outcome == Outcome::Parked {
                unit.park(&parked).await?;
                continue;
            }
            retried.applied += 1;
            if parked.origin.event_id.len() == EVENT_ID_BYTES {
                let recorded =
                    Recorded { outcome: verdict.outcome, code: verdict.code.clone(), id: verdict.id };
                unit.put_event(&parked.origin.event_id, &recorded, context.now).await?;
            }
            if verdict.outcome == Outcome::Rejected {
                let Parked { origin, payload, .. } = parked;
                let Verdict { code, field, detail, .. } = verdict;
                unit.put_dead(&Dead { origin, code, field, detail, payload }, context.now).await?;
            }
        }
        Ok(retried)
    }
}

/// Ends runs that a newer run of the same job has replaced and whose own stop event never came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseReplaced {
    pub(crate) limit: u32,
}

impl Mutation for CloseReplaced {
    /// Closed runs.
    type Answer = u32;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<u32> {
        let mut closed = 0;
        for replaced in unit.superseded_due(context.now, self.limit).await? {
            unit.unsupersede(replaced.id).await?;
            let Some(mut job) = unit.job(replaced.id).await? else { continue };
            if !job.state.is_running() {
                continue;
            }
            let seconds = replaced.stop_time.saturating_sub(job.start_time).max(0);
            (job.state, job.duration) = (replaced.state, i32::try_from(seconds).unwrap_or(i32::MAX));
            tracing::warn!(
                job.db_id = replaced.id,
                "job {} was replaced by a newer run and never stopped, closed as {}",
                job.key(),
                job.state
            );
            rest::end(unit, context, replaced.id, &Job { id: Some(replaced.id), ..job }).await?;
            closed += 1;
        }
        Ok(closed)
    }
}

/// The name under which a caller's credential is remembered.
pub(crate) fn credential(caller: &Caller) -> String {
    caller.name.clone()
}
