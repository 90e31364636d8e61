//! What the layers make of every transport: the same answers everywhere (rust-anchors.md 2.5, 3.1).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cc_proto::access::Peer;
use cc_proto::auth::v1::GetUserRequest;
use cc_proto::auth::v1::auth_client::AuthClient;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_proto::metric_store::v1::{CheckHealthRequest, RawQueryRequest, WriteRequest};
use cc_runtime::caller::{self, Caller, How, Role};
use cc_runtime::error::{Kind, kind, reason};
use cc_runtime::health::Readiness;
use cc_runtime::rpc::{Limits, detached};
use cc_runtime::tasks::{Stage, Tasks};
use cc_runtime::transport::Transport;
use futures::stream;
use rstest::rstest;
use tonic::{Code, Request, Status};

use crate::probe::{Leak, Probe, rich_status, take};
use crate::site::{Via, ask, spawn, stacked, stacked_with};

fn alice(roles: &[Role]) -> Caller {
    Caller {
        name: "alice".to_owned(),
        roles: roles.to_vec(),
        projects: vec!["p1".to_owned()],
        how: How::Session,
    }
}

fn query(behaviour: &'static str) -> RawQueryRequest {
    RawQueryRequest { json: Bytes::from_static(behaviour.as_bytes()) }
}

async fn hostname(
    client: &mut MetricStoreClient<Transport>,
    request: Request<CheckHealthRequest>,
) -> Result<String, Status> {
    Ok(client.check_health(request).await?.into_inner().nodes.swap_remove(0).hostname)
}

/// The outcome of a refused call.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.unwrap_err();
    (status.code(), reason(&status).unwrap_or_default())
}

fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[rstest]
#[tokio::test]
async fn the_caller_arrives_signed(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let mut request = caller::request(ask("caller"), &alice(&[Role::User, Role::Manager]));
    // whatever an application puts there itself
    request.metadata_mut().insert("authorization", "Bearer forged".parse().unwrap());
    let seen = hostname(&mut site.client, request).await.unwrap();
    assert_eq!(seen, r#"alice [User, Manager] ["p1"] Session"#);
    let own = hostname(&mut site.client, Request::new(ask("caller"))).await.unwrap();
    assert_eq!(own, "service:gateway [Service] [] Service");
}

#[rstest]
#[tokio::test]
async fn extensions_and_metadata_behave_as_over_a_wire(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let mut request = Request::new(ask("extension"));
    request.extensions_mut().insert(Leak);
    assert_eq!(hostname(&mut site.client, request).await.unwrap(), "None");
    let mut request = Request::new(ask("echo"));
    request.metadata_mut().insert("x-text", "value".parse().unwrap());
    let response = site.client.check_health(request).await.unwrap();
    assert_eq!(response.metadata().get("x-text").unwrap(), "value");
    let status = site.client.check_health(ask("error")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (rich_status().code(), rich_status().message()));
    assert_eq!(status.details(), rich_status().details());
    assert_eq!(status.metadata().get("x-text"), rich_status().metadata().get("x-text"));
}

#[rstest]
#[tokio::test]
async fn a_request_without_a_signed_caller_is_unauthenticated(
    #[values(Via::Local, Via::Unix, Via::Tcp)] via: Via,
) {
    let site = stacked(via).await;
    let mut bare = MetricStoreClient::new(site.reached.transport.clone());
    // an unsigned caller in the extensions counts for nothing
    let request = caller::request(ask("echo"), &alice(&[Role::Admin]));
    assert_eq!(refusal(bare.check_health(request).await), refused(Code::Unauthenticated, "NO_CALLER"));
    let mut request = Request::new(ask("echo"));
    request.metadata_mut().insert("authorization", "Bearer a.b.c".parse().unwrap());
    assert_eq!(refusal(bare.check_health(request).await), refused(Code::Unauthenticated, "TOKEN_MALFORMED"));
    assert_eq!(site.probe.begun.load(Ordering::SeqCst), 0);
}

#[rstest]
#[tokio::test]
async fn the_access_table_decides(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let request = || caller::request(query("three"), &alice(&[Role::User]));
    let outcome = site.client.raw_query(request()).await;
    assert_eq!(refusal(outcome), refused(Code::PermissionDenied, "ROLE_REQUIRED"));
    let allowed = caller::request(query("three"), &alice(&[Role::Api]));
    site.client.raw_query(allowed).await.unwrap();
    let outcome = site.client_of(Peer::JobDb).raw_query(query("three")).await;
    assert_eq!(refusal(outcome), refused(Code::PermissionDenied, "PEER_NOT_ALLOWED"));
    // a method that job-db may call
    site.client_of(Peer::JobDb).check_health(ask("echo")).await.unwrap();
    assert_eq!(site.probe.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn over_tls_nobody_sends_the_token_of_another_peer() {
    let site = stacked(Via::Tcp).await;
    // job-db's connection, a token signed with the gateway's key
    let mut client = MetricStoreClient::new(site.wrap(site.transport_of(Peer::JobDb)));
    let outcome = client.check_health(ask("echo")).await;
    assert_eq!(refusal(outcome), refused(Code::Unauthenticated, "TOKEN_OF_ANOTHER_PEER"));
}

#[rstest]
#[tokio::test]
async fn an_unknown_service_is_unimplemented(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let site = stacked(via).await;
    let mut client = AuthClient::new(site.wrap(site.reached.transport.clone()));
    let status = client.get_user(GetUserRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[rstest]
#[tokio::test]
async fn a_deadline_is_deadline_exceeded(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let mut request = Request::new(ask("park"));
    request.set_timeout(Duration::from_millis(100));
    let outcome = site.client.check_health(request).await;
    assert_eq!(refusal(outcome), refused(Code::DeadlineExceeded, "DEADLINE"));
    site.probe.wait_dropped().await;
}

#[rstest]
#[tokio::test]
async fn a_deadline_also_ends_a_stream_that_has_begun(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let mut request = Request::new(query("stall-after-three"));
    request.set_timeout(Duration::from_millis(500));
    let mut answers = site.client.raw_query(request).await.unwrap().into_inner();
    for _ in 0..3 {
        answers.message().await.unwrap().unwrap();
    }
    assert_eq!(refusal(answers.message().await), refused(Code::DeadlineExceeded, "DEADLINE"));
    site.probe.wait_dropped().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_gets_the_one_of_the_table(#[values(Via::Local)] via: Via) {
    let mut site = stacked(via).await;
    let started = tokio::time::Instant::now();
    let outcome = site.client.check_health(ask("park")).await;
    assert_eq!(refusal(outcome), refused(Code::DeadlineExceeded, "DEADLINE"));
    assert_eq!(started.elapsed().as_secs(), 20, "CheckHealth in the access table");
}

#[rstest]
#[tokio::test]
async fn a_panic_is_internal_and_says_nothing(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let status = site.client.check_health(ask("panic")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    let mut answers = site.client.raw_query(query("panic-after-three")).await.unwrap().into_inner();
    for _ in 0..3 {
        answers.message().await.unwrap().unwrap();
    }
    let status = answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert_eq!(reason(&status).as_deref(), Some("PANIC"));
    site.client.check_health(ask("echo")).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn long_texts_are_cut_in_the_head_and_at_the_end(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let status = site.client.check_health(ask("long-error")).await.unwrap_err();
    assert_eq!((status.code(), status.message().len()), (Code::NotFound, 1024));
    let mut answers = site.client.raw_query(query("long-error-after-three")).await.unwrap().into_inner();
    for _ in 0..3 {
        answers.message().await.unwrap().unwrap();
    }
    let status = answers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message().len()), (Code::NotFound, 1024));
    let status = site.client.check_health(ask("big")).await.unwrap_err();
    assert_eq!(kind(&status), Kind::TooLarge);
}

#[rstest]
#[tokio::test]
async fn a_service_that_is_not_ready_says_so_and_is_asked_again(
    #[values(Via::Local, Via::Unix, Via::Tcp)] via: Via,
) {
    let readiness = Readiness::new();
    readiness.not_ready("loading 3/7");
    let watched = readiness.clone();
    let mut site = stacked_with(via, |stack| stack.ready_after(watched, &["Write"])).await;
    let status = site.client.check_health(ask("echo")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status).as_deref(), Some("NOT_READY"));
    assert!(status.message().contains("loading 3/7"), "{status:?}");
    // exempt
    site.client.write(stream::iter([WriteRequest::default()])).await.unwrap();
    readiness.ready();
    site.client.check_health(ask("echo")).await.unwrap();
}

/// Counts how often a method is asked for; ready from the third time on.
fn third_time(
    asked: &Arc<AtomicUsize>,
) -> impl Fn(&'static cc_proto::access::Rpc) -> Result<(), String> + use<> {
    let asked = Arc::clone(asked);
    move |_| if asked.fetch_add(1, Ordering::SeqCst) < 2 { Err("soon".to_owned()) } else { Ok(()) }
}

#[rstest]
#[tokio::test]
async fn unavailable_is_tried_three_times_when_repeating_is_harmless(
    #[values(Via::Local, Via::Unix, Via::Tcp)] via: Via,
) {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut site = stacked_with(via, |stack| stack.ready_when(third_time(&asked))).await;
    site.client.check_health(ask("echo")).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let asked = Arc::new(AtomicUsize::new(0));
    let mut site = stacked_with(via, |stack| stack.ready_when(third_time(&asked))).await;
    let status = site.client.write(stream::iter([WriteRequest::default()])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "Write is not idempotent");

    let status = site.client.check_health(ask("unavailable")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "not now"));
    assert_eq!(site.probe.begun.load(Ordering::SeqCst), 2, "the first of three was refused by readiness");
    let begun = site.probe.begun.load(Ordering::SeqCst);
    site.client.check_health(ask("error")).await.unwrap_err();
    assert_eq!(site.probe.begun.load(Ordering::SeqCst), begun + 1, "other codes are final");
}

#[rstest]
#[tokio::test]
async fn repetitions_stay_within_the_deadline(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let mut site = stacked(via).await;
    let mut request = Request::new(ask("unavailable"));
    request.set_timeout(Duration::from_millis(20));
    let status = site.client.check_health(request).await.unwrap_err();
    // a fast answer is Unavailable (no time left to repeat), a slow machine may see the deadline itself
    assert!(matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded), "{status:?}");
    assert!(site.probe.begun.load(Ordering::SeqCst) <= 1);
}

#[rstest]
#[tokio::test]
async fn more_calls_than_the_limit_are_refused_at_once(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let limits = Limits { requests_max: 2, streams_max: 1 };
    let mut site = stacked_with(via, |stack| stack.limits(limits)).await;
    let mut parked = Vec::new();
    for _ in 0..2 {
        let mut client = site.client.clone();
        parked.push(spawn(async move { client.check_health(ask("park")).await }));
    }
    site.probe.wait_parked(2).await;
    let outcome = site.client.check_health(ask("echo")).await;
    assert_eq!(refusal(outcome), refused(Code::ResourceExhausted, "TOO_MANY_CALLS"));
    site.probe.release.add_permits(2);
    for call in parked {
        call.await.unwrap().unwrap();
    }
    site.client.check_health(ask("echo")).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_stream_keeps_its_place_until_its_reader_goes(#[values(Via::Local, Via::Unix, Via::Tcp)] via: Via) {
    let limits = Limits { requests_max: 1, streams_max: 1 };
    let mut site = stacked_with(via, |stack| stack.limits(limits)).await;
    let answers = site.client.raw_query(query("stall-after-three")).await.unwrap();
    let outcome = site.client.check_health(ask("echo")).await;
    assert_eq!(refusal(outcome), refused(Code::ResourceExhausted, "TOO_MANY_CALLS"));
    drop(answers);
    // the place is free when the server has noticed
    let freed = async {
        while site.client.check_health(ask("echo")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_dropped_call_drops_its_handler_unless_detached(
    #[values(Via::Local, Via::Unix, Via::Tcp)] via: Via,
) {
    let site = stacked(via).await;
    let mut client = site.client.clone();
    let call = spawn(async move { client.check_health(ask("park")).await });
    site.probe.wait_parked(1).await;
    call.abort();
    site.probe.wait_dropped().await;
}

#[tokio::test]
async fn a_detached_handler_runs_to_its_end_and_the_shutdown_waits_for_it() {
    let (tasks, probe) = (Tasks::new().at(Stage::Requests), Probe::new());
    let (worker, parked) = (tasks.clone(), Arc::clone(&probe));
    let written = Arc::new(Mutex::new(false));
    let result = Arc::clone(&written);
    let call = spawn(async move {
        detached(&worker, "store.write", async move {
            parked.park().await;
            *result.lock().unwrap() = true;
            Ok(())
        })
        .await
    });
    probe.wait_parked(1).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let ended = Arc::new(AtomicBool::new(false));
    let (ending, flag) = (tasks.clone(), Arc::clone(&ended));
    let shutdown = spawn(async move {
        let late = ending.shutdown(Duration::from_secs(20)).await;
        flag.store(true, Ordering::SeqCst);
        late
    });
    tasks.token().cancelled().await;
    assert!(!ended.load(Ordering::SeqCst));
    probe.release.add_permits(1);
    take(&probe.finished, 1).await;
    assert!(shutdown.await.unwrap().is_empty(), "nobody was late");
    assert!(*written.lock().unwrap());
    let status = detached(&tasks, "store.write", async { Ok(()) }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).unwrap().as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
}

#[tokio::test]
async fn a_detached_handler_returns_its_result_its_failure_and_its_panic() {
    let tasks = Tasks::new();
    assert_eq!(detached(&tasks, "a", async { Ok(5) }).await.unwrap(), 5);
    let failed = detached(&tasks, "a", async { Err::<(), _>(rich_status()) }).await.unwrap_err();
    assert_eq!(failed.details(), rich_status().details());
    let status =
        detached(&tasks, "a", async { if true { panic!("secret") } else { Ok(()) } }).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
}
