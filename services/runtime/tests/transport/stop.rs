//! The end of a server as its callers see it.

use std::time::Duration;

use cc_proto::access::Peer;
use cc_proto::archive::v1::WatchClustersRequest;
use cc_proto::archive::v1::archive_client::ArchiveClient;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::clock::Clock;
use cc_runtime::error::reason;
use cc_runtime::rpc::{ClientStack, ServerStack};
use cc_runtime::transport::{Address, Listener, serve};
use rstest::rstest;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::probe::Probe;
use crate::site::{Ground, LONG, Via, ask, spawn, stacked, stacked_with, there};

#[rstest]
#[tokio::test]
async fn running_calls_finish_and_new_ones_find_nobody(#[values(Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let mut client = site.client.clone();
    let call = spawn(async move { client.check_health(ask("park")).await });
    site.probe.wait_parked(1).await;
    site.reached.stop.cancel();
    // the listener is gone before the running call is done
    let mut late = site.client_of(Peer::Gateway);
    let refused = async {
        loop {
            match late.check_health(ask("echo")).await {
                Err(status) => return status,
                Ok(_still_listening) => tokio::task::yield_now().await,
            }
        }
    };
    let status = tokio::time::timeout(LONG, refused).await.unwrap();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    site.probe.release.add_permits(1);
    call.await.unwrap().unwrap();
    site.reached.server.take().unwrap().await.unwrap().unwrap();
    if let Address::Unix(path) = &site.reached.address {
        assert!(!there(path));
    }
}

#[rstest]
#[tokio::test]
async fn calls_that_do_not_finish_are_cut_after_the_grace(#[values(Via::Unix, Via::Tcp)] via: Via) {
    let (ground, probe) = (Ground::new(), Probe::new());
    let stack = ServerStack::new(ground.material(Peer::MetricStore).identity(), Clock::system());
    let mut reached = ground.reach(via, stack.wrap(probe.routes()), Duration::from_millis(100)).await;
    let stack = ClientStack::new(ground.material(Peer::Gateway).identity(), Clock::system());
    let mut client = MetricStoreClient::new(stack.wrap(reached.transport.clone()));
    let call = spawn(async move { client.write(parked()).await });
    // the request stream never ends
    while probe.begun.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    reached.stop.cancel();
    tokio::time::timeout(LONG, reached.server.take().unwrap()).await.unwrap().unwrap().unwrap();
    let status = call.await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(&status).as_deref(), Some("CONNECTION_LOST"));
}

/// A request stream that never ends.
fn parked() -> impl futures::Stream<Item = cc_proto::metric_store::v1::WriteRequest> {
    futures::stream::pending()
}

#[rstest]
#[tokio::test]
async fn streams_without_a_deadline_end_when_the_service_stops(
    #[values(Via::Local, Via::Unix, Via::Tcp)] via: Via,
) {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let site = stacked_with(via, |stack| stack.stop_streams(token)).await;
    let mut archive = ArchiveClient::new(site.wrap(site.reached.transport.clone()));
    let mut answers = archive.watch_clusters(WatchClustersRequest::default()).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().version, 1);
    let (stopping, probe) = (stop.clone(), std::sync::Arc::clone(&site.probe));
    spawn(async move {
        probe.wait_parked(1).await;
        stopping.cancel();
    });
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status).as_deref(), Some("SHUTTING_DOWN"));
    site.probe.wait_dropped().await;
}

#[rstest]
#[tokio::test]
async fn a_client_finds_the_next_process_by_itself(#[values(Via::Unix, Via::Tcp)] via: Via) {
    let (ground, probe) = (Ground::new(), Probe::new());
    let mut first = ground.reach(via, probe.routes(), LONG).await;
    let mut client = MetricStoreClient::new(first.transport.clone());
    client.check_health(ask("echo")).await.unwrap();
    first.stop.cancel();
    first.server.take().unwrap().await.unwrap().unwrap();
    client.check_health(ask("echo")).await.unwrap_err();
    let _second = ground.reach_at(&first.address, probe.routes(), LONG).await;
    client.check_health(ask("echo")).await.unwrap();
}

#[tokio::test]
async fn a_plain_text_or_foreign_connection_gets_no_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (ground, probe) = (Ground::new(), Probe::new());
    let listener = Listener::bind(&ground.listen(Via::Tcp), Some(&ground.material(Peer::MetricStore)), &[])
        .await
        .unwrap();
    let Address::Https { host, port } = listener.address().clone() else { unreachable!() };
    let stop = CancellationToken::new();
    let server = spawn(serve(listener, probe.routes(), stop.clone(), LONG));
    let mut stream = tokio::net::TcpStream::connect((host.as_str(), port)).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // closed, with at most a TLS alert
    let _ended = stream.read_to_end(&mut answer).await.is_ok();
    assert!(answer.len() < 16, "{answer:?}");
    stop.cancel();
    server.await.unwrap().unwrap();
}
