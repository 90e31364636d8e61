//! The comparison table of rust-anchors.md 2.3, columns "with guard" and "real transport", without our layers.

use bytes::Bytes;
use cc_proto::access::Peer;
use cc_proto::auth::v1::GetUserRequest;
use cc_proto::auth::v1::auth_client::AuthClient;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_proto::metric_store::v1::{RawQueryRequest, WriteRequest};
use cc_proto::scheduler::v1::scheduler_ingest_client::SchedulerIngestClient;
use cc_proto::scheduler::v1::scheduler_ingest_server::{SchedulerIngest, SchedulerIngestServer};
use cc_proto::scheduler::v1::{
    Heartbeat, HelloRequest, HelloResponse, PublishBatchRequest, PublishBatchResponse, PublishRequest,
    PublishResponse, publish_request, publish_response,
};
use cc_runtime::transport::{Address, Transport, remote};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use rstest::rstest;
use std::error::Error as _;
use std::pin::Pin;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::probe::{Leak, Probe, rich_status};
use crate::site::{Ground, Reached, Via, ask, bare};

async fn probe(via: Via) -> (MetricStoreClient<Transport>, std::sync::Arc<Probe>, Reached) {
    let probe = Probe::new();
    let reached = bare(via, probe.routes()).await;
    (MetricStoreClient::new(reached.transport.clone()), probe, reached)
}

fn query(behaviour: &'static str) -> RawQueryRequest {
    RawQueryRequest { json: Bytes::from_static(behaviour.as_bytes()) }
}

async fn read(
    mut stream: Streaming<cc_proto::metric_store::v1::RawQueryResponse>,
) -> (Vec<Bytes>, Option<Status>) {
    let mut chunks = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => chunks.push(chunk.json),
            Ok(None) => return (chunks, None),
            Err(status) => return (chunks, Some(status)),
        }
    }
}

/// Headers of ours in an answer, sorted.
fn ours(metadata: &MetadataMap) -> Vec<String> {
    let mut names: Vec<String> = metadata
        .clone()
        .into_headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    names.sort();
    names
}

#[rstest]
#[tokio::test]
async fn unary_calls_and_their_metadata_arrive(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, _probe, _reached) = probe(via).await;
    let mut request = Request::new(ask("echo"));
    request.metadata_mut().insert("x-text", "value".parse().unwrap());
    let response = client.check_health(request).await.unwrap();
    assert_eq!(ours(response.metadata()), ["x-bytes-bin: \"CQDI\"", "x-text: \"value\""]);
    let has_date = match via {
        Via::Local => false,
        Via::Unix | Via::Tcp => true,
    };
    assert_eq!(response.metadata().contains_key("date"), has_date);
    let hosts: Vec<_> = response.into_inner().nodes.into_iter().map(|node| node.hostname).collect();
    assert_eq!(hosts, ["n1", "n2"]);
}

#[rstest]
#[tokio::test]
async fn server_streams_arrive_in_order(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, _probe, _reached) = probe(via).await;
    let stream = client.raw_query(query("three")).await.unwrap().into_inner();
    let (chunks, error) = read(stream).await;
    assert_eq!(chunks, ["a", "b", "c"]);
    assert!(error.is_none());
}

#[rstest]
#[tokio::test]
async fn client_streams_arrive_whole(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, _probe, _reached) = probe(via).await;
    let piece = WriteRequest { lines: Bytes::from(vec![b'x'; 64 * 1024]), ..WriteRequest::default() };
    let answer = client.write(stream::iter(vec![piece; 100])).await.unwrap().into_inner();
    assert_eq!(answer.samples, 100 * 64 * 1024);
}

/// Answers each heartbeat with the next number.
struct Counting;

#[tonic::async_trait]
impl SchedulerIngest for Counting {
    type PublishStream = Pin<Box<dyn Stream<Item = Result<PublishResponse, Status>> + Send>>;

    async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        Ok(Response::new(HelloResponse::default()))
    }

    async fn publish(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let answers = request.into_inner().map(|message| {
            let Some(publish_request::Msg::Heartbeat(mut heartbeat)) = message?.msg else {
                return Err(Status::invalid_argument("heartbeats only"));
            };
            heartbeat.now_ms += 1;
            Ok(PublishResponse { msg: Some(publish_response::Msg::Heartbeat(heartbeat)) })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn publish_batch(
        &self,
        _: Request<PublishBatchRequest>,
    ) -> Result<Response<PublishBatchResponse>, Status> {
        Ok(Response::new(PublishBatchResponse::default()))
    }
}

#[rstest]
#[tokio::test]
async fn bidirectional_streams_interleave(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let reached = bare(via, Routes::new(SchedulerIngestServer::new(Counting))).await;
    let mut client = SchedulerIngestClient::new(reached.transport.clone());
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let mut answers = client.publish(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut now_ms = 0;
    // each question is only asked when the last answer is there
    for _ in 0..20 {
        let heartbeat = Heartbeat { now_ms, ..Heartbeat::default() };
        let message = PublishRequest { msg: Some(publish_request::Msg::Heartbeat(heartbeat)) };
        sender.send(message).await.unwrap();
        let Some(publish_response::Msg::Heartbeat(answer)) = answers.message().await.unwrap().unwrap().msg
        else {
            panic!("another message");
        };
        now_ms = answer.now_ms;
    }
    assert_eq!(now_ms, 20);
    drop(sender);
    assert!(answers.message().await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn a_status_arrives_whole_but_without_its_source(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, _probe, _reached) = probe(via).await;
    let status = client.check_health(ask("error")).await.unwrap_err();
    assert_eq!(status.code(), rich_status().code());
    assert_eq!(status.message(), rich_status().message());
    assert_eq!(status.details(), rich_status().details());
    assert_eq!(ours(status.metadata()), ours(rich_status().metadata()));
    assert!(status.source().is_none());
}

#[rstest]
#[tokio::test]
async fn an_error_after_three_items_arrives_after_three_items(
    #[values(Via::Local, Via::Unix, Via::Tcp)] via: Via,
) {
    let (mut client, _probe, _reached) = probe(via).await;
    let stream = client.raw_query(query("error-after-three")).await.unwrap().into_inner();
    let (chunks, status) = read(stream).await;
    let status = status.unwrap();
    assert_eq!(chunks, ["a", "b", "c"]);
    assert_eq!((status.code(), status.message()), (rich_status().code(), rich_status().message()));
    assert_eq!(status.details(), rich_status().details());
}

#[rstest]
#[case(Via::Local, Code::NotFound, 100_000)]
#[case(Via::Unix, Code::ResourceExhausted, 0)]
#[case(Via::Tcp, Code::ResourceExhausted, 0)]
#[tokio::test]
async fn a_text_of_100_kb_passes_locally_and_breaks_the_stream_remotely(
    #[case] via: Via,
    #[case] code: Code,
    #[case] bytes: usize,
) {
    let (mut client, _probe, _reached) = probe(via).await;
    let status = client.check_health(ask("long-error")).await.unwrap_err();
    assert_eq!(status.code(), code);
    if bytes > 0 {
        assert_eq!(status.message().len(), bytes);
    } else {
        assert!(status.message().contains("h2 protocol error"), "{status:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_message_over_4_mib_is_refused_by_its_reader(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, _probe, _reached) = probe(via).await;
    let status = client.check_health(ask("big")).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[rstest]
#[tokio::test]
async fn extensions_of_the_caller_never_arrive(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, _probe, _reached) = probe(via).await;
    let mut request = Request::new(ask("extension"));
    request.extensions_mut().insert(Leak);
    let answer = client.check_health(request).await.unwrap().into_inner();
    assert_eq!(answer.nodes[0].hostname, "None");
}

#[rstest]
#[tokio::test]
async fn a_deadline_is_enforced_and_called_cancelled(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, probe, _reached) = probe(via).await;
    let mut request = Request::new(ask("park"));
    request.set_timeout(Duration::from_millis(100));
    let status = client.check_health(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Cancelled, "Timeout expired"));
    probe.wait_dropped().await;
}

#[rstest]
#[case(Via::Local, Code::Internal, "internal error")]
#[case(Via::Unix, Code::Cancelled, "h2 protocol error")]
#[case(Via::Tcp, Code::Cancelled, "h2 protocol error")]
#[tokio::test]
async fn a_panic_reaches_no_caller(#[case] via: Via, #[case] code: Code, #[case] text: &str) {
    let (mut client, _probe, _reached) = probe(via).await;
    let status = client.check_health(ask("panic")).await.unwrap_err();
    assert_eq!(status.code(), code);
    assert!(status.message().contains(text), "{status:?}");
    // and the next call finds the service alive
    client.check_health(ask("echo")).await.unwrap();
}

#[rstest]
#[case(Via::Local, Code::Internal)]
#[case(Via::Unix, Code::Cancelled)]
#[case(Via::Tcp, Code::Cancelled)]
#[tokio::test]
async fn a_panic_in_a_stream_ends_it_with_an_error(#[case] via: Via, #[case] code: Code) {
    let (mut client, _probe, _reached) = probe(via).await;
    let outcome = client.raw_query(query("panic-after-three")).await;
    // remotely the reset may overtake the head of the answer and the items before it
    let status = match outcome {
        Ok(response) => {
            let (chunks, status) = read(response.into_inner()).await;
            assert!(via != Via::Local || chunks == ["a", "b", "c"]);
            status.unwrap()
        }
        Err(status) => status,
    };
    assert_eq!(status.code(), code, "{status:?}");
    client.check_health(ask("echo")).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_caller_that_goes_away_drops_the_handler(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, probe, _reached) = probe(via).await;
    let mut call = Box::pin(client.check_health(ask("park")));
    tokio::select! {
        biased;
        _ = &mut call => panic!("nobody released it"),
        () = probe.wait_parked(1) => {}
    }
    assert!(call.as_mut().now_or_never().is_none());
    drop(call);
    probe.wait_dropped().await;
    assert_eq!(probe.finished.available_permits(), 0);
}

#[rstest]
#[tokio::test]
async fn a_reader_that_goes_away_drops_the_stream(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (mut client, probe, _reached) = probe(via).await;
    let mut stream = client.raw_query(query("stall-after-three")).await.unwrap().into_inner();
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
    assert!(stream.message().now_or_never().is_none());
    probe.wait_parked(1).await;
    drop(stream);
    probe.wait_dropped().await;
}

#[rstest]
#[tokio::test]
async fn an_unknown_service_is_unimplemented(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let (_client, _probe, reached) = probe(via).await;
    let status =
        AuthClient::new(reached.transport.clone()).get_user(GetUserRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[rstest]
#[case(Via::Local, "in-process, user-agent: false")]
#[case(Via::Unix, "unix, user-agent: true")]
#[case(Via::Tcp, "tls gateway, user-agent: true")]
#[tokio::test]
async fn the_peer_is_known_as_far_as_the_transport_can(#[case] via: Via, #[case] expected: &str) {
    let (mut client, _probe, _reached) = probe(via).await;
    let answer = client.check_health(ask("peer")).await.unwrap().into_inner();
    assert_eq!(answer.nodes[0].hostname, expected);
}

#[rstest]
#[case(Via::Unix)]
#[case(Via::Tcp)]
#[tokio::test]
async fn a_peer_that_does_not_listen_yet_is_unavailable(#[case] via: Via) {
    let ground = Ground::new();
    let address = match ground.listen(via) {
        Address::Https { host, .. } => {
            // a port that was free a moment ago
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            Address::Https { host, port: free }
        }
        other => other,
    };
    let transport = remote(&address, Peer::MetricStore, Some(&ground.material(Peer::Gateway))).unwrap();
    let mut client = MetricStoreClient::new(transport);
    let status = client.check_health(ask("echo")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    // the same client finds it once it does
    let probe = Probe::new();
    let _reached = ground.reach_at(&address, probe.routes(), crate::site::LONG).await;
    client.check_health(ask("echo")).await.unwrap();
}
