//! One `Publish` stream (integrations.md 9.8): batches go to job-db one after the other, in order; acknowledgements,
//! credits, commands and heartbeats come back.
//!
//! Nothing is read ahead: what the adapter sends meanwhile waits in the windows of HTTP/2, so its memory here is one
//! message. An answer to a batch means that its results are durable.

use std::sync::Arc;
use std::time::Duration;

use cc_proto::common::v1::JobKey as Fetch;
use cc_proto::job_db::v1::{IngestRequest, IngestResponse};
use cc_proto::scheduler::v1::command::What;
use cc_proto::scheduler::v1::publish_request::Msg as Asked;
use cc_proto::scheduler::v1::publish_response::Msg as Told;
use cc_proto::scheduler::v1::{
    Command, Credit, EventBatch, FetchDetails, Heartbeat, JobKey, PublishRequest, PublishResponse,
};
use cc_runtime::caller;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tonic::{Code, Status, Streaming};

use super::adapters::Adapters;
use super::admission::Admitted;
use super::{refusal, service};
use crate::auth::{self, AuthFailure};
use crate::metrics;
use crate::state::State;

/// Both ends say something at least this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Three of them missed: the other end is gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A stream may outlive its token by this, seconds.
const GRACE_S: i64 = 60;
/// From here on, seconds before the end, heartbeats warn.
const WARNING_S: i64 = 24 * 3600;
/// How often the token is looked at again.
const RECHECK: Duration = Duration::from_mins(1);
/// How long a batch is tried again while the database is away; then the adapter shall look for another way.
const PATIENCE: Duration = Duration::from_mins(1);
/// Waits between those attempts.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

type Outbox = mpsc::Sender<Result<PublishResponse, Status>>;

/// The stream.
pub(super) struct Session {
    state: State,
    adapters: Arc<Adapters>,
    admitted: Admitted,
    adapter: Option<String>,
    outbox: Outbox,
    credit: Credit,
    beat: Interval,
    heard: Instant,
    commands: u64,
}

/// Why a stream ends.
enum End {
    /// The adapter closed its side, or went away.
    Closed,
    /// We close it.
    With(Status),
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::With(status)
    }
}

impl Session {
    pub(super) fn new(
        state: State,
        adapters: Arc<Adapters>,
        admitted: Admitted,
        adapter: Option<String>,
        outbox: Outbox,
    ) -> Self {
        let credit = full_credit(&state);
        let (beat, heard) = (every(HEARTBEAT), Instant::now());
        Self { state, adapters, admitted, adapter, outbox, credit, beat, heard, commands: 0 }
    }

    /// Until one side ends it, or the process does: then what is committed is acknowledged first.
    pub(super) async fn run(mut self, inbound: Streaming<PublishRequest>) {
        metrics::scheduler_streams(1.0);
        if let End::With(status) = self.serve(inbound).await {
            tracing::debug!("a scheduler stream ends: {:?} {}", status.code(), status.message());
            // an adapter that has gone does not hear it
            let _heard = self.outbox.send(Err(status)).await.is_ok();
        }
        metrics::scheduler_streams(-1.0);
    }

    async fn serve(&mut self, mut inbound: Streaming<PublishRequest>) -> End {
        let stopping = self.state.tasks().token();
        let mut recheck = every(RECHECK);
        if let Err(end) = self.tell(Told::Credit(self.credit)).await {
            return end;
        }
        loop {
            let step = tokio::select! {
                biased;
                () = stopping.cancelled() => Err(End::With(refusal::draining())),
                _ = self.beat.tick() => self.look_around().await,
                _ = recheck.tick() => self.check_token().await,
                message = inbound.message() => match message {
                    Ok(Some(message)) => self.take(message).await,
                    Ok(None) | Err(_) => Err(End::Closed),
                },
                () = self.outbox.closed() => Err(End::Closed),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&mut self, message: PublishRequest) -> Result<(), End> {
        self.heard = Instant::now();
        match message.msg {
            Some(Asked::Batch(batch)) => self.batch(batch).await,
            Some(Asked::Heartbeat(beat)) => {
                tracing::debug!(
                    spool.events = beat.spool_events,
                    scheduler.reachable = beat.scheduler_reachable,
                    "heartbeat of an adapter with {} events in its spool",
                    beat.spool_events
                );
                Ok(())
            }
            Some(Asked::CommandDone(done)) => {
                tracing::debug!("command {} done: {} {}", done.id, done.ok, done.detail);
                Ok(())
            }
            // of a later revision
            None => Ok(()),
        }
    }

    async fn batch(&mut self, batch: EventBatch) -> Result<(), End> {
        service::check(&batch)?;
        let events = u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
        if events > full_credit(&self.state).events {
            let text = "more events in flight than were granted";
            return Err(refusal::refuse(Code::ResourceExhausted, "CREDIT", text).into());
        }
        let adapter_id = self.adapter_of(&batch)?;
        let answer =
            self.ingest(IngestRequest { adapter_id, batch: Some(batch), unsequenced: false }).await?;
        service::count(answer.ack.as_ref());
        if let Some(ack) = answer.ack {
            self.tell(Told::Ack(ack)).await?;
        }
        self.grant(answer.credit.unwrap_or_else(|| full_credit(&self.state))).await?;
        if !answer.fetch.is_empty() {
            self.fetch(answer.fetch).await?;
        }
        Ok(())
    }

    fn adapter_of(&mut self, batch: &EventBatch) -> Result<String, End> {
        if let Some(name) = &self.adapter {
            return Ok(name.clone());
        }
        let user = &self.admitted.identity.caller.name;
        let name = self.adapters.of(user, batch.epoch).ok_or_else(|| {
            refusal::refuse(Code::FailedPrecondition, "HELLO_REQUIRED", "say Hello before Publish")
        })?;
        self.adapter = Some(name.clone());
        Ok(name)
    }

    /// Tries the batch again while the database is away: it knows what it has, so nothing is applied twice.
    async fn ingest(&mut self, request: IngestRequest) -> Result<IngestResponse, End> {
        let give_up = Instant::now() + PATIENCE;
        let mut pause = PAUSE_MIN;
        loop {
            let status = match self.ask(request.clone()).await? {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let ending = self.state.tasks().token().is_cancelled();
            if !refusal::is_passing(&status) || Instant::now() + pause > give_up || ending {
                tracing::warn!("a batch of events was not taken: {:?} {}", status.code(), status.message());
                return Err(refusal::public(&status).into());
            }
            let retry_after_ms = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
            self.grant(Credit { events: 1, bytes: self.credit.bytes, retry_after_ms }).await?;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One attempt. Heartbeats go on meanwhile: a slow database is no dead server.
    async fn ask(&mut self, request: IngestRequest) -> Result<Result<IngestResponse, Status>, End> {
        let request = caller::request(request, &self.admitted.identity.caller);
        let mut job_db = self.state.job_db();
        let mut asked = Box::pin(async move { job_db.ingest(request).await });
        loop {
            tokio::select! {
                answer = &mut asked => return Ok(answer.map(tonic::Response::into_inner)),
                _ = self.beat.tick() => self.tell_beat().await?,
            }
        }
    }

    async fn grant(&mut self, credit: Credit) -> Result<(), End> {
        if credit == self.credit {
            return Ok(());
        }
        self.credit = credit;
        self.tell(Told::Credit(credit)).await
    }

    async fn fetch(&mut self, jobs: Vec<Fetch>) -> Result<(), End> {
        self.commands += 1;
        let key =
            |job: Fetch| JobKey { cluster: job.cluster, job_id: job.job_id, start_time: job.start_time };
        let details = FetchDetails {
            jobs: jobs.into_iter().map(key).collect(),
            what: vec!["spec".to_owned(), "final_state".to_owned()],
        };
        self.tell(Told::Command(Command { id: self.commands.to_string(), what: Some(What::Fetch(details)) }))
            .await
    }

    async fn look_around(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > SILENCE_MAX {
            let text = "no heartbeat for 45 seconds";
            return Err(refusal::refuse(Code::Unavailable, "SILENCE", text).into());
        }
        self.check_end(self.state.clock().unix())?;
        self.tell_beat().await
    }

    async fn tell_beat(&mut self) -> Result<(), End> {
        let now = self.state.clock().now();
        let left = self.admitted.identity.expires_at.map(|end| end.saturating_sub(now.as_second()));
        let note = match left {
            Some(left) if left < WARNING_S => format!("the token expires in {} s", left.max(0)),
            _ => String::new(),
        };
        let beat = Heartbeat {
            now_ms: now.as_millisecond(),
            scheduler_reachable: true,
            note,
            ..Heartbeat::default()
        };
        self.tell(Told::Heartbeat(beat)).await
    }

    /// The end of the token is enforced with a grace, everything else that ends it at once.
    async fn check_token(&mut self) -> Result<(), End> {
        let Some(credential) = self.admitted.credential.clone() else { return Ok(()) };
        let now = self.state.clock().unix();
        if self.admitted.identity.expires_at.is_some_and(|end| now >= end) {
            return self.check_end(now);
        }
        match auth::check_now(&self.state, &credential).await {
            Ok(identity) if crate::auth::gate::Gate::Api.opens_for(&identity.words) => Ok(()),
            Ok(_) => Err(Status::from(AuthFailure::Insufficient).into()),
            Err(AuthFailure::Unavailable(_)) => Ok(()),
            Err(failure) => Err(Status::from(failure).into()),
        }
    }

    /// The grace is over.
    fn check_end(&self, now: i64) -> Result<(), End> {
        let end = self.admitted.identity.expires_at.map(|end| end.saturating_add(GRACE_S));
        if end.is_some_and(|end| now >= end) {
            return Err(
                refusal::refuse(Code::Unauthenticated, "EXPIRED_TOKEN", "the token has expired").into()
            );
        }
        Ok(())
    }

    async fn tell(&mut self, told: Told) -> Result<(), End> {
        let message = PublishResponse { msg: Some(told) };
        self.outbox.send(Ok(message)).await.map_err(|_gone| End::Closed)
    }
}

fn full_credit(state: &State) -> Credit {
    let settings = state.settings().grpc;
    Credit { events: settings.inflight_events_max, bytes: settings.inflight_bytes_max, retry_after_ms: 0 }
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
