//! Speed of the service behind its layers, in one process: acknowledged starts on an empty database, and lists of
//! 100,000 jobs. `cargo bench -p cc-job-db --profile quick`; figures only, no limits.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

#[expect(dead_code, reason = "the suites use more of it")]
#[path = "../tests/service/house.rs"]
mod house;
#[path = "../tests/service/peers.rs"]
mod peers;

use std::io::Write as _;
use std::time::{Duration, Instant};

use cc_proto::job_db::v1 as proto;
use cc_proto::scheduler::v1 as scheduler;
use futures::StreamExt as _;
use futures::stream;
use house::{House, NOW, admin, api, job, user};

/// Concurrent callers of the start benchmark.
const CALLERS: usize = 64;
/// Starts of one run.
const STARTS: i64 = 5_000;
/// Jobs in the table of the list benchmark.
const JOBS: u32 = 100_000;
/// Calls per list.
const CALLS: usize = 40;

fn say(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}

fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small"
    )]
    let index = ((times.len() - 1) as f64 * share) as usize;
    times.get(index).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

#[tokio::main]
async fn main() {
    say(&format!("cc-job-db, {} cores", std::thread::available_parallelism().map_or(0, usize::from)));
    starts().await;
    events().await;
    lists().await;
}

async fn starts() {
    let house = House::new().await;
    let began = Instant::now();
    let mut times: Vec<Duration> = stream::iter(1..=STARTS)
        .map(|id| {
            let house = &house;
            async move {
                let asked = Instant::now();
                house.start(job(id, NOW - 60)).await.unwrap();
                asked.elapsed()
            }
        })
        .buffer_unordered(CALLERS)
        .collect()
        .await;
    let rate = 5_000.0 / began.elapsed().as_secs_f64();
    let (p50, p99) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
    say(&format!("starts, fsynced, {CALLERS} callers: {rate:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms"));
}

async fn events() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let key = |job_id| scheduler::JobKey { cluster: "fritz".to_owned(), job_id, start_time: NOW - 60 };
    let spec = |job_id| scheduler::JobSpec {
        key: Some(key(job_id)),
        user: "alice".to_owned(),
        num_nodes: 1,
        nodes: vec![scheduler::NodeAllocation { hostname: "f0001".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let began = Instant::now();
    for batch in 0..10_i64 {
        let event = |id: i64| {
            let started = scheduler::JobStarted { job: Some(spec(batch * 500 + id)) };
            let event_id =
                bytes::Bytes::copy_from_slice(&[i64::to_be_bytes(batch), i64::to_be_bytes(id)].concat());
            let body = Some(scheduler::event::Body::Started(started));
            scheduler::Event { event_id, body, ..Default::default() }
        };
        let events = (1..=500).map(event).collect();
        let batch = scheduler::EventBatch { cluster: "fritz".to_owned(), events, ..Default::default() };
        let request =
            proto::IngestRequest { adapter_id: "bench".to_owned(), batch: Some(batch), unsequenced: true };
        client.ingest(api(request)).await.unwrap();
    }
    let rate = 5_000.0 / began.elapsed().as_secs_f64();
    say(&format!("events in batches of 500, fsynced, with ledger: {rate:.0}/s"));
}

/// Rows as a site of some years has them, made inside SQLite.
const FILL: &str = "
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO job (job_id, cluster, subcluster, start_time, hpc_user, project, cluster_partition, array_job_id,
      duration, walltime, job_state, meta_data, resources, num_nodes, num_hwthreads, num_acc, smt, shared,
      monitoring_status, energy, footprint)
    SELECT i, 'fritz', 'main', 1600000000 + i * 1000 - (i * 7919) % 977, 'user' || ((i * i) % 2000),
      'project' || ((i * i) % 400), CASE i % 3 WHEN 0 THEN 'multinode' ELSE 'singlenode' END, 0,
      (i * 31) % 86400, 86400, CASE WHEN i > 99900 THEN 'running' WHEN i % 20 = 0 THEN 'failed' ELSE 'completed' END,
      '{\"jobName\":\"run_' || (i % 1000) || '\",\"jobScript\":\"' || hex(zeroblob(400)) || '\"}',
      '[{\"hostname\":\"f' || printf('%04d', i % 100) || '\"}]', 1 + i % 64, 72 * (1 + i % 64), 0, 1, 'none', 3,
      (i % 977) / 10.0, '{\"cpu_load_avg\":' || (i % 720) / 10.0 || ',\"mem_used_max\":' || (i % 256) || '}'
    FROM n";

async fn lists() {
    let house = House::new().await;
    let mut writer = house.database.write("bench").await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut *writer).await.unwrap();
    writer.commit().await.unwrap();
    let order =
        |field: &str, footprint| Some(proto::Order { field: field.to_owned(), footprint, descending: true });
    let eq = |text: &str| Some(proto::StringFilter { eq: Some(text.to_owned()), ..Default::default() });
    let contains =
        |text: &str| Some(proto::StringFilter { contains: Some(text.to_owned()), ..Default::default() });
    let newest = || order("startTime", false);
    let running = || proto::JobFilter {
        state: Some(proto::StringSet { values: vec!["running".to_owned()] }),
        ..Default::default()
    };
    let cases = [
        ("newest first", newest(), proto::JobFilter::default()),
        ("one user", newest(), proto::JobFilter { user: eq("user4"), ..Default::default() }),
        ("running", newest(), running()),
        ("by duration", order("duration", false), proto::JobFilter::default()),
        (
            "cluster, by energy",
            order("energy", false),
            proto::JobFilter { cluster: eq("fritz"), ..Default::default() },
        ),
        (
            "job name contains",
            newest(),
            proto::JobFilter { job_name: contains("run_77"), ..Default::default() },
        ),
        ("node", newest(), proto::JobFilter { node: eq("f0042"), ..Default::default() }),
        ("by footprint", order("cpu_load_avg", true), proto::JobFilter::default()),
    ];
    say(&format!("lists of {JOBS} jobs, page of 50 with tags, job names and count, in ms:"));
    for (name, order, filter) in cases {
        let request = proto::ListJobsRequest {
            filters: vec![filter],
            order,
            page: 1,
            page_size: 50,
            with_tags: true,
            with_job_name: true,
            with_count: true,
            ..Default::default()
        };
        for (role, as_user) in [("admin", false), ("user", true)] {
            let mut times = Vec::new();
            for _ in 0..CALLS {
                let asked = Instant::now();
                let request = request.clone();
                let request = if as_user { user("user4", request) } else { admin(request) };
                house.client.clone().list_jobs(request).await.unwrap();
                times.push(asked.elapsed());
            }
            let (p50, p95) = (quantile(&mut times, 0.5), quantile(&mut times, 0.95));
            say(&format!("  {name:<20} {role:<6} p50 {p50:6.1}  p95 {p95:6.1}"));
        }
    }
}
