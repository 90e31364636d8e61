//! The public gRPC of scheduler adapters.

use cc_proto::scheduler::v1::publish_request::Msg as Ask;
use cc_proto::scheduler::v1::publish_response::Msg as Told;
use cc_proto::scheduler::v1::scheduler_ingest_client::SchedulerIngestClient;
use cc_proto::scheduler::v1::{
    CommandDone, Event, EventBatch, Heartbeat, HelloRequest, PublishBatchRequest, PublishRequest,
    PublishResponse,
};
use cc_runtime::error::{self, Failure, Kind};
use cc_runtime::transport::{Transport, local};
use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::fakes::Heard;
use crate::house::{House, NOW};

const SERVICE: &str = "clustercockpit.scheduler.v1.SchedulerIngest";

fn reach(house: &House) -> Transport {
    local(house.gateway.grpc.clone().unwrap())
}

fn client(house: &House) -> SchedulerIngestClient<Transport> {
    SchedulerIngestClient::new(reach(house))
}

fn with<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

fn hello(epoch: u64) -> HelloRequest {
    HelloRequest {
        adapter_id: "slurm-a".to_owned(),
        revision_min: 1,
        revision_max: 1,
        clusters: vec!["fritz".to_owned()],
        epoch,
        want_lease: true,
        ..HelloRequest::default()
    }
}

fn batch(epoch: u64, seqs: impl IntoIterator<Item = u64>) -> EventBatch {
    let events = seqs.into_iter().map(|seq| Event { seq, ..Event::default() }).collect();
    EventBatch { cluster: "fritz".to_owned(), epoch, events, fencing_token: 0 }
}

/// An adapter with an open stream.
struct Adapter {
    to: mpsc::UnboundedSender<PublishRequest>,
    from: Streaming<PublishResponse>,
}

impl Adapter {
    async fn connect(house: &House, token: &str) -> Result<Self, Status> {
        let (to, messages) = mpsc::unbounded_channel();
        let request = with(UnboundedReceiverStream::new(messages), token);
        let from = client(house).publish(request).await?.into_inner();
        Ok(Self { to, from })
    }

    async fn introduced(house: &House) -> Self {
        client(house).hello(with(hello(7), "roles:api")).await.unwrap();
        Self::connect(house, "roles:api").await.unwrap()
    }

    fn say(&self, msg: Ask) {
        self.to.send(PublishRequest { msg: Some(msg) }).unwrap();
    }

    async fn hear(&mut self) -> Told {
        self.from.message().await.unwrap().unwrap().msg.unwrap()
    }

    async fn end(mut self) -> Status {
        loop {
            match self.from.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("closed"),
                Err(status) => return status,
            }
        }
    }
}

#[tokio::test]
async fn hello_tells_positions_and_limits_and_gives_no_lease() {
    let house = House::with(|config| config.grpc.max_message_mb = 2);
    let answer = client(&house).hello(with(hello(7), "roles:api")).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.durable_seq["fritz"], answer.epoch), (1, 4, 7));
    let limits = answer.limits.unwrap();
    assert_eq!((limits.max_batch_events, limits.max_message_bytes), (1000, 2 << 20));
    assert_eq!((answer.lease, answer.server_time_ms), (None, NOW * 1000));
    let future = HelloRequest { revision_min: 2, revision_max: 3, ..hello(7) };
    let refused = client(&house).hello(with(future, "roles:api")).await.unwrap_err();
    assert_eq!(
        (refused.code(), error::reason(&refused).as_deref()),
        (Code::FailedPrecondition, Some("REVISION"))
    );
    let nameless = HelloRequest { adapter_id: String::new(), ..hello(7) };
    assert_eq!(
        client(&house).hello(with(nameless, "roles:api")).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn every_method_wants_a_token_with_the_role_api() {
    let house = House::new();
    for (token, code) in [
        ("", Code::Unauthenticated),
        ("garbage", Code::Unauthenticated),
        ("until:5:api", Code::Unauthenticated),
        ("roles:user", Code::PermissionDenied),
        ("roles:user+api", Code::PermissionDenied),
        ("roles:admin", Code::PermissionDenied),
        ("roles:admin+api", Code::Ok),
    ] {
        let of = |result: Option<Status>| result.map_or(Code::Ok, |status| status.code());
        let mut client = client(&house);
        assert_eq!(of(client.hello(with(hello(7), token)).await.err()), code, "Hello {token}");
        let request = PublishBatchRequest {
            adapter_id: "curl".to_owned(),
            batch: Some(batch(0, [1])),
            unsequenced: true,
        };
        assert_eq!(of(client.publish_batch(with(request, token)).await.err()), code, "PublishBatch {token}");
        assert_eq!(of(Adapter::connect(&house, token).await.err()), code, "Publish {token}");
    }
    let listed = House::with(|config| config.main.api_allowed_ips = vec!["10.1.2.3".to_owned()]);
    let refused = client(&listed).hello(with(hello(7), "roles:api")).await.unwrap_err();
    assert_eq!(
        (refused.code(), error::reason(&refused).as_deref()),
        (Code::PermissionDenied, Some("ADDRESS"))
    );
    let mut header = Request::new(hello(7));
    header.metadata_mut().insert("x-auth-token", "roles:api".parse().unwrap());
    client(&house).hello(header).await.unwrap();
}

#[tokio::test]
async fn a_stream_begins_with_credit_and_acknowledges_in_order() {
    let house = House::new();
    let mut adapter = Adapter::introduced(&house).await;
    let Told::Credit(credit) = adapter.hear().await else { panic!("no credit first") };
    assert_eq!((credit.events, credit.retry_after_ms), (5000, 0));
    for first in [5, 8, 11] {
        adapter.say(Ask::Batch(batch(7, first..first + 3)));
    }
    adapter.say(Ask::Heartbeat(Heartbeat::default()));
    adapter.say(Ask::CommandDone(CommandDone::default()));
    for last in [7, 10, 13] {
        let Told::Ack(ack) = adapter.hear().await else { panic!("no acknowledgement") };
        assert_eq!((ack.durable_seq, ack.results.len()), (last, 3));
    }
    let heard = house.fakes.job_db.get().heard.clone();
    let Heard::Ingest(request, caller) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!((request.adapter_id.as_str(), request.unsequenced), ("slurm-a", false));
    assert_eq!(caller.name, "tester");
    drop(adapter.to);
    assert_eq!(adapter.from.message().await.unwrap(), None, "a stream that the adapter ends, ends well");
}

#[tokio::test]
async fn what_the_server_wants_to_know_is_asked_for() {
    let house = House::new();
    let mut adapter = Adapter::introduced(&house).await;
    adapter.hear().await;
    adapter.say(Ask::Batch(batch(7, [99])));
    assert!(matches!(adapter.hear().await, Told::Ack(_)));
    let Told::Command(command) = adapter.hear().await else { panic!("no command") };
    let Some(cc_proto::scheduler::v1::command::What::Fetch(fetch)) = command.what else {
        panic!("{command:?}")
    };
    assert_eq!((fetch.jobs[0].job_id, fetch.what.len()), (1, 2));
}

#[tokio::test]
async fn publishing_without_an_introduction_is_refused_unless_the_name_is_sent_along() {
    let house = House::new();
    let stranger = Adapter::connect(&house, "roles:api").await.unwrap();
    stranger.say(Ask::Batch(batch(8, [1])));
    let status = stranger.end().await;
    assert_eq!(
        (status.code(), error::reason(&status).as_deref()),
        (Code::FailedPrecondition, Some("HELLO_REQUIRED"))
    );
    let (to, messages) = mpsc::unbounded_channel();
    let mut named = with(UnboundedReceiverStream::new(messages), "roles:api");
    named.metadata_mut().insert("x-adapter-id", "slurm-b".parse().unwrap());
    let from = client(&house).publish(named).await.unwrap().into_inner();
    let mut adapter = Adapter { to, from };
    adapter.hear().await;
    adapter.say(Ask::Batch(batch(8, [1])));
    assert!(matches!(adapter.hear().await, Told::Ack(_)));
    let heard = house.fakes.job_db.get().heard.clone();
    let Some(Heard::Ingest(request, _)) = heard.last() else { panic!("{heard:?}") };
    assert_eq!(request.adapter_id, "slurm-b");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_shrinks_the_credit_and_loses_nothing() {
    let house = House::new();
    let mut adapter = Adapter::introduced(&house).await;
    adapter.hear().await;
    for _ in 0..2 {
        house.fakes.job_db.get().ingest_fails.push_back(Failure::new(Kind::Busy, "WRITER_BUSY", "x").into());
    }
    adapter.say(Ask::Batch(batch(7, [5])));
    let mut credits = Vec::new();
    loop {
        match adapter.hear().await {
            Told::Credit(credit) => credits.push((credit.events, credit.retry_after_ms > 0)),
            Told::Ack(ack) => break assert_eq!(ack.durable_seq, 5),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(credits.first(), Some(&(1, true)));
    let Told::Credit(credit) = adapter.hear().await else { panic!("the credit is not restored") };
    assert_eq!((credit.events, credit.retry_after_ms), (5000, 0));
    assert_eq!(house.fakes.job_db.get().heard.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_minute_without_the_database_the_stream_ends_with_advice() {
    let house = House::new();
    let adapter = Adapter::introduced(&house).await;
    let mut failures = Vec::new();
    failures.resize_with(1000, || Status::from(Failure::new(Kind::Unavailable, "STARTING", "/var/x locked")));
    house.fakes.job_db.get().ingest_fails.extend(failures);
    adapter.say(Ask::Batch(batch(7, [5])));
    let status = adapter.end().await;
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    assert!(!status.message().contains("/var"));
}

#[tokio::test]
async fn errors_of_the_contract_end_the_stream_as_the_contract_says() {
    let house = House::new();
    for (failure, code, reason) in [
        (
            Failure::new(Kind::TooLarge, "SEQUENCE_GAP", "gap").with("expected", 5),
            Code::OutOfRange,
            "SEQUENCE_GAP",
        ),
        (Failure::new(Kind::Conflict, "FENCED", "old").precondition(), Code::FailedPrecondition, "FENCED"),
        (Failure::new(Kind::Invalid, "INVALID_BATCH", "no"), Code::InvalidArgument, "INVALID_BATCH"),
        (Failure::new(Kind::Forbidden, "ADAPTER_BOUND", "no"), Code::PermissionDenied, "ADAPTER_BOUND"),
    ] {
        let adapter = Adapter::introduced(&house).await;
        house.fakes.job_db.get().ingest_fails.push_back(failure.into());
        adapter.say(Ask::Batch(batch(7, [9])));
        let status = adapter.end().await;
        assert_eq!((status.code(), error::reason(&status).as_deref()), (code, Some(reason)));
        if code == Code::OutOfRange {
            assert_eq!(error::details(&status)["expected"], "5");
        }
    }
}

#[tokio::test]
async fn batches_have_a_largest_size() {
    let house = House::new();
    let adapter = Adapter::introduced(&house).await;
    adapter.say(Ask::Batch(batch(7, 1..=1001)));
    assert_eq!(adapter.end().await.code(), Code::ResourceExhausted);
    let narrow = House::with(|config| config.grpc.ingest.max_inflight_events = 10);
    let adapter = Adapter::introduced(&narrow).await;
    adapter.say(Ask::Batch(batch(7, 1..=11)));
    let status = adapter.end().await;
    assert_eq!((status.code(), error::reason(&status).as_deref()), (Code::ResourceExhausted, Some("CREDIT")));
    let request = PublishBatchRequest { adapter_id: "curl".to_owned(), batch: None, unsequenced: true };
    assert_eq!(
        client(&house).publish_batch(with(request, "roles:api")).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn streams_are_bounded_and_places_come_back() {
    let house = House::new();
    let mut open = Vec::new();
    for _ in 0..cc_gateway::grpc::service::STREAMS_MAX {
        open.push(Adapter::connect(&house, "roles:api").await.unwrap());
    }
    assert_eq!(Adapter::connect(&house, "roles:api").await.err().unwrap().code(), Code::ResourceExhausted);
    drop(open);
    while Adapter::connect(&house, "roles:api").await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_both_ways_and_a_silent_adapter_is_let_go() {
    let house = House::new();
    let mut adapter = Adapter::introduced(&house).await;
    adapter.hear().await;
    assert!(matches!(adapter.hear().await, Told::Heartbeat(beat) if beat.now_ms == NOW * 1000));
    let begun = tokio::time::Instant::now();
    let status = adapter.end().await;
    assert_eq!((status.code(), error::reason(&status).as_deref()), (Code::Unavailable, Some("SILENCE")));
    assert!(begun.elapsed().as_secs() <= 60, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_its_token_by_a_minute_and_is_warned() {
    let house = House::new();
    let token = format!("until:{}:api", NOW + 100);
    client(&house).hello(with(hello(7), &token)).await.unwrap();
    let mut adapter = Adapter::connect(&house, &token).await.unwrap();
    adapter.hear().await;
    assert!(
        matches!(adapter.hear().await, Told::Heartbeat(beat) if beat.note == "the token expires in 100 s")
    );
    house.clock.advance(SignedDuration::from_secs(159));
    adapter.say(Ask::Heartbeat(Heartbeat::default()));
    assert!(matches!(adapter.hear().await, Told::Heartbeat(_)), "the grace is not over");
    house.clock.advance(SignedDuration::from_secs(1));
    let status = adapter.end().await;
    assert_eq!(
        (status.code(), error::reason(&status).as_deref()),
        (Code::Unauthenticated, Some("EXPIRED_TOKEN"))
    );
}

#[tokio::test]
async fn at_the_end_of_the_process_what_is_committed_is_acknowledged_first() {
    let house = House::new();
    let mut adapter = Adapter::introduced(&house).await;
    adapter.hear().await;
    adapter.say(Ask::Batch(batch(7, [5])));
    assert!(matches!(adapter.hear().await, Told::Ack(_)));
    let late = house.tasks.shutdown(std::time::Duration::from_secs(10)).await;
    assert_eq!(late, []);
    let status = adapter.end().await;
    assert_eq!((status.code(), error::reason(&status).as_deref()), (Code::Unavailable, Some("DRAINING")));
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(Adapter::connect(&house, "roles:api").await.err().unwrap().code(), Code::Unavailable);
}

#[tokio::test]
async fn health_follows_the_readiness() {
    let house = House::new();
    house.readiness.wait_ready().await;
    let mut health = HealthClient::new(reach(&house));
    for name in ["", SERVICE] {
        let request = HealthCheckRequest { service: name.to_owned() };
        let mut states = health.watch(request).await.unwrap().into_inner();
        while states.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    }
    let unknown = HealthCheckRequest { service: "nosuch".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
    let mut states = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    house.tasks.shutdown(std::time::Duration::from_secs(10)).await;
    while states.message().await.unwrap().unwrap().status() != ServingStatus::NotServing {}
}

#[tokio::test]
async fn without_an_address_there_is_no_public_interface() {
    let house = House::with(|config| config.grpc.addr = None);
    assert!(house.gateway.grpc.is_none());
}
