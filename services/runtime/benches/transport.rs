//! Cost of a call and of a stream over each transport: `cargo bench -p cc-runtime --bench transport`.
//!
//! `bare` is the transport alone, `stacked` with all layers of both sides. Each sample is one call (ns per call, one
//! caller at a time) or one stream of 64 KiB chunks (bytes per second).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark stops at the first surprise"
)]

#[path = "../tests/transport/probe.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod probe;
#[path = "../tests/transport/site.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod site;

use cc_proto::metric_store::v1::RawQueryRequest;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::caller::{self, Caller, How, Role};
use cc_runtime::transport::Transport;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use tokio::runtime::Runtime;

use site::{Via, ask, bare, spawn, stacked};

const TRANSPORTS: [Via; 3] = [Via::Local, Via::Unix, Via::Tcp];
const CHUNKS: usize = 512;
const CHUNK_BYTES: usize = 64 * 1024;
const CALLERS: usize = 64;
const CALLS_PER_CALLER: usize = 16;

type Client = MetricStoreClient<Transport>;

fn main() {
    divan::main();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn alice() -> Caller {
    Caller {
        name: "alice".to_owned(),
        roles: vec![Role::User, Role::Api],
        projects: Vec::new(),
        how: How::Session,
    }
}

async fn call(client: &Client) {
    // a clone per call, as real code does
    let request = caller::request(ask("echo"), &alice());
    black_box(client.clone().check_health(request).await.unwrap());
}

async fn read(client: &Client) {
    let json = format!("{CHUNKS} {CHUNK_BYTES}").into();
    let request = caller::request(RawQueryRequest { json }, &alice());
    let mut answers = client.clone().raw_query(request).await.unwrap().into_inner();
    while let Some(chunk) = answers.message().await.unwrap() {
        black_box(chunk);
    }
}

fn one_caller(bencher: Bencher<'_, '_>, runtime: &Runtime, client: &Client) {
    bencher.bench_local(|| {
        let client = client.clone();
        runtime.block_on(async { call(&client).await });
    });
}

fn chunks(bencher: Bencher<'_, '_>, runtime: &Runtime, client: &Client) {
    bencher.counter(BytesCount::new(CHUNKS * CHUNK_BYTES)).bench_local(|| runtime.block_on(read(client)));
}

fn many_callers(bencher: Bencher<'_, '_>, runtime: &Runtime, client: &Client) {
    bencher.counter(ItemsCount::new(CALLERS * CALLS_PER_CALLER)).bench_local(|| {
        runtime.block_on(async {
            let callers = (0..CALLERS).map(|_| {
                let client = client.clone();
                spawn(async move {
                    for _ in 0..CALLS_PER_CALLER {
                        call(&client).await;
                    }
                })
            });
            futures::future::join_all(callers.collect::<Vec<_>>()).await
        });
    });
}

fn with_bare(via: Via, run: impl FnOnce(&Runtime, &Client)) {
    let runtime = runtime();
    let (_reached, client) = runtime.block_on(async {
        let reached = bare(via, probe::Probe::new().routes()).await;
        let client = Client::new(reached.transport.clone());
        (reached, client)
    });
    run(&runtime, &client);
}

fn with_stacked(via: Via, run: impl FnOnce(&Runtime, &Client)) {
    let runtime = runtime();
    let site = runtime.block_on(stacked(via));
    run(&runtime, &site.client);
}

#[divan::bench(args = TRANSPORTS, sample_count = 200, sample_size = 50)]
fn unary_bare(bencher: Bencher<'_, '_>, via: Via) {
    with_bare(via, |runtime, client| one_caller(bencher, runtime, client));
}

#[divan::bench(args = TRANSPORTS, sample_count = 200, sample_size = 50)]
fn unary_stacked(bencher: Bencher<'_, '_>, via: Via) {
    with_stacked(via, |runtime, client| one_caller(bencher, runtime, client));
}

#[divan::bench(args = TRANSPORTS, sample_count = 20, sample_size = 1)]
fn unary_stacked_64_callers(bencher: Bencher<'_, '_>, via: Via) {
    with_stacked(via, |runtime, client| many_callers(bencher, runtime, client));
}

#[divan::bench(args = TRANSPORTS, sample_count = 20, sample_size = 1)]
fn stream_64_kib_bare(bencher: Bencher<'_, '_>, via: Via) {
    with_bare(via, |runtime, client| chunks(bencher, runtime, client));
}

#[divan::bench(args = TRANSPORTS, sample_count = 20, sample_size = 1)]
fn stream_64_kib_stacked(bencher: Bencher<'_, '_>, via: Via) {
    with_stacked(via, |runtime, client| chunks(bencher, runtime, client));
}
