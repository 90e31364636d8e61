//! The methods of `SchedulerIngest`: checked here, decided by job-db.

use std::sync::Arc;

use cc_proto::job_db::v1::IngestRequest;
use cc_proto::scheduler::v1::scheduler_ingest_server::SchedulerIngest;
use cc_proto::scheduler::v1::{
    EventBatch, HelloRequest, HelloResponse, PublishBatchRequest, PublishBatchResponse, PublishRequest,
    PublishResponse,
};
use cc_runtime::caller;
use cc_runtime::tasks::{OnError, OnShutdown};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::adapters::{self, Adapters};
use super::session::Session;
use super::{BATCH_EVENTS_MAX, admission, refusal};
use crate::metrics;
use crate::state::State;

/// Messages to an adapter that may wait for the network; it reads slowly only when it is in trouble itself.
const OUTBOX: usize = 16;
/// Open `Publish` streams at most; a site has one per cluster, and a few that stand by.
pub const STREAMS_MAX: usize = 256;

/// The service.
#[derive(Clone, Debug)]
pub struct Ingest {
    state: State,
    adapters: Arc<Adapters>,
    streams: Arc<Semaphore>,
}

impl Ingest {
    /// On the shared state.
    pub fn new(state: State) -> Self {
        Self { state, adapters: Arc::default(), streams: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }
}

#[tonic::async_trait]
impl SchedulerIngest for Ingest {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        let (metadata, extensions, mut hello) = request.into_parts();
        let admitted = admission::admit(&self.state, &metadata, &extensions).await?;
        adapters::check(&hello.adapter_id)?;
        // leases come with adapters that stand by for each other
        hello.want_lease = false;
        let (name, epoch) = (hello.adapter_id.clone(), hello.epoch);
        let request = caller::request(hello, &admitted.identity.caller);
        let mut answer =
            self.state.job_db().hello(request).await.map_err(|status| refusal::public(&status))?.into_inner();
        for epoch in [epoch, answer.epoch] {
            self.adapters.introduced(&admitted.identity.caller.name, epoch, &name);
        }
        answer.lease = None;
        answer.limits = Some(self.state.settings().grpc.limits());
        answer.server_time_ms = self.state.clock().now().as_millisecond();
        if answer.server_version.is_empty() {
            env!("CARGO_PKG_VERSION").clone_into(&mut answer.server_version);
        }
        Ok(Response::new(answer))
    }

    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let (metadata, extensions, inbound) = request.into_parts();
        let admitted = admission::admit(&self.state, &metadata, &extensions).await?;
        let name = adapters::named(&metadata)?;
        if self.state.tasks().token().is_cancelled() {
            return Err(refusal::draining());
        }
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            let text = "too many streams are open";
            return Err(refusal::refuse(Code::ResourceExhausted, "STREAMS", text));
        };
        let (outbox, answers) = tokio::sync::mpsc::channel(OUTBOX);
        let session = Session::new(self.state.clone(), Arc::clone(&self.adapters), admitted, name, outbox);
        // a committed batch is acknowledged even while the process ends
        self.state.tasks().spawn("scheduler events", OnError::Log, OnShutdown::Drain, async move {
            session.run(inbound).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn publish_batch(
        &self,
        request: Request<PublishBatchRequest>,
    ) -> Result<Response<PublishBatchResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let admitted = admission::admit(&self.state, &metadata, &extensions).await?;
        let PublishBatchRequest { adapter_id, batch, unsequenced } = message;
        adapters::check(&adapter_id)?;
        let batch = batch.ok_or_else(|| refusal::invalid("BATCH", "the request has no batch"))?;
        check(&batch)?;
        let request = IngestRequest { adapter_id, batch: Some(batch), unsequenced };
        let request = caller::request(request, &admitted.identity.caller);
        let mut job_db = self.state.job_db();
        let ingested =
            self.state.detached("publish batch", async move { job_db.ingest(request).await }).await;
        let answer = ingested.map_err(|status| refusal::public(&status))?.into_inner();
        count(answer.ack.as_ref());
        Ok(Response::new(PublishBatchResponse { ack: answer.ack, credit: answer.credit }))
    }
}

/// What is wrong with a batch as a whole.
pub(super) fn check(batch: &EventBatch) -> Result<(), Status> {
    if batch.cluster.is_empty() {
        return Err(refusal::invalid("BATCH", "the batch names no cluster"));
    }
    if batch.events.len() > usize::try_from(BATCH_EVENTS_MAX).unwrap_or(usize::MAX) {
        let text = format!("a batch has at most {BATCH_EVENTS_MAX} events");
        return Err(refusal::refuse(Code::ResourceExhausted, "BATCH_EVENTS", &text));
    }
    Ok(())
}

/// Counts what became of the events.
pub(super) fn count(ack: Option<&cc_proto::scheduler::v1::Ack>) {
    use cc_proto::scheduler::v1::Outcome;

    for result in ack.into_iter().flat_map(|ack| &ack.results) {
        let outcome = match result.outcome() {
            Outcome::Applied => "applied",
            Outcome::Duplicate => "duplicate",
            Outcome::Stale => "stale",
            Outcome::Parked => "parked",
            Outcome::Rejected => "rejected",
            Outcome::Unspecified => "other",
        };
        metrics::scheduler_events(outcome, 1);
    }
}
