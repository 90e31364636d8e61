//! Scheduler adapters over the wire form of their events (integrations.md 9.4–9.11).

use bytes::Bytes;
use cc_proto::job_db::v1 as proto;
use cc_proto::scheduler::v1 as scheduler;
use cc_proto::scheduler::v1::Outcome::{Applied, Duplicate, Rejected};
use cc_proto::scheduler::v1::event::Body;
use cc_runtime::error::{details, reason};
use tonic::Code;

use crate::house::{House, NOW, admin, api};

fn hello(epoch: u64) -> scheduler::HelloRequest {
    scheduler::HelloRequest {
        adapter_id: "slurm-m1".to_owned(),
        revision_min: 1,
        revision_max: 3,
        clusters: vec!["fritz".to_owned(), "nosuch".to_owned()],
        epoch,
        ..Default::default()
    }
}

fn spec(job_id: i64, start_time: i64) -> scheduler::JobSpec {
    let key = scheduler::JobKey { cluster: "fritz".to_owned(), job_id, start_time };
    scheduler::JobSpec {
        key: Some(key),
        user: "alice".to_owned(),
        project: "pa01".to_owned(),
        num_nodes: 1,
        nodes: vec![scheduler::NodeAllocation {
            hostname: "f0007".to_owned(),
            numbering: scheduler::CoreNumbering::SchedSocketCore.into(),
            sockets: vec![scheduler::SocketCores {
                socket: 0,
                cores: vec![scheduler::IdRange { first: 1, last: 1 }],
            }],
            ..Default::default()
        }],
        job_name: "md_run".to_owned(),
        submit_time: NOW - 9_000,
        restart_count: 1,
        metadata: [("site".to_owned(), "x".to_owned())].into(),
        ..Default::default()
    }
}

fn event(seq: u64, body: Body) -> scheduler::Event {
    let id = [u8::try_from(seq).unwrap(); 16];
    scheduler::Event {
        seq,
        event_id: Bytes::copy_from_slice(&id),
        observed_at_ms: NOW * 1_000,
        body: Some(body),
    }
}

fn started(job_id: i64, start_time: i64) -> Body {
    Body::Started(scheduler::JobStarted { job: Some(spec(job_id, start_time)) })
}

fn stopped(job_id: i64, start_time: i64, state: scheduler::JobState) -> Body {
    Body::Stopped(scheduler::JobStopped {
        key: spec(job_id, start_time).key,
        stop_time: NOW,
        state: state.into(),
        ..Default::default()
    })
}

fn batch(epoch: u64, events: Vec<scheduler::Event>) -> proto::IngestRequest {
    proto::IngestRequest {
        adapter_id: "slurm-m1".to_owned(),
        batch: Some(scheduler::EventBatch { cluster: "fritz".to_owned(), epoch, events, fencing_token: 0 }),
        unsequenced: false,
    }
}

fn codes(answer: &proto::IngestResponse) -> Vec<(u64, scheduler::Outcome, String)> {
    let results = &answer.ack.as_ref().unwrap().results;
    results.iter().map(|result| (result.seq, result.outcome(), result.code.clone())).collect()
}

#[tokio::test]
async fn an_adapter_introduces_itself_and_streams_events() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let welcome = client.hello(api(hello(7))).await.unwrap().into_inner();
    assert_eq!(
        (welcome.revision, welcome.epoch, welcome.unknown_clusters),
        (1, 7, vec!["nosuch".to_owned()])
    );
    assert_eq!(welcome.durable_seq["fritz"], 0);
    let limits = welcome.limits.unwrap();
    assert_eq!(
        (limits.max_batch_events, limits.max_script_bytes, limits.ack_delay_ms),
        (1_000, 1 << 20, 200)
    );
    assert_eq!((welcome.server_time_ms, welcome.lease), (NOW * 1_000, None));

    let updated = Body::Updated(scheduler::JobUpdated::default());
    let events = vec![
        event(1, started(1, NOW - 100)),
        event(2, started(2, NOW - 100)),
        event(3, stopped(1, NOW - 100, scheduler::JobState::Timeout)),
        event(4, stopped(3, NOW - 100, scheduler::JobState::Completed)),
        event(5, stopped(2, NOW - 100, scheduler::JobState::Pending)),
        event(6, updated),
        scheduler::Event { seq: 7, ..Default::default() },
    ];
    let answer = client.ingest(api(batch(7, events.clone()))).await.unwrap().into_inner();
    let expected = [
        (1, Applied, ""),
        (2, Applied, ""),
        (3, Applied, ""),
        (4, Rejected, "UNKNOWN_JOB"),
        (5, Rejected, "STATE_NOT_TERMINAL"),
        (6, Rejected, "UNSUPPORTED_EVENT"),
        (7, Rejected, "INVALID_FIELD"),
    ]
    .map(|(seq, outcome, code)| (seq, outcome, code.to_owned()));
    assert_eq!(codes(&answer), expected);
    let ack = answer.ack.unwrap();
    assert_eq!((ack.cluster.as_str(), ack.epoch, ack.durable_seq), ("fritz", 7, 7));
    assert_eq!(answer.fetch.iter().map(|key| key.job_id).collect::<Vec<_>>(), [3]);
    assert_eq!(answer.credit.unwrap().events, 5_000);

    let id = ack.results[0].db_id;
    let row = house.get(id).await;
    assert_eq!((row.state.as_str(), row.duration_s), ("timeout", 100));
    assert_eq!(row.resources[0].hwthreads, [1], "core 1 of socket 0");
    let metadata: Vec<_> = row.metadata.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    let submit = (NOW - 9_000).to_string();
    assert_eq!(
        metadata,
        [("jobName", "md_run"), ("restartCount", "1"), ("site", "x"), ("submitTime", &submit)]
    );
    house.until_status(id, 3).await;

    // the same over a connection that lost the answer, after a restart
    let house = house.restart().await;
    let mut client = house.client.clone();
    let welcome = client.hello(api(hello(7))).await.unwrap().into_inner();
    assert_eq!(welcome.durable_seq["fritz"], 7);
    let again = client.ingest(api(batch(7, events))).await.unwrap().into_inner();
    let outcomes: Vec<_> = codes(&again).into_iter().map(|(_, outcome, _)| outcome).collect();
    let expected = [Duplicate, Duplicate, Duplicate, Rejected, Rejected, Rejected, Duplicate];
    assert_eq!(outcomes, expected);
    let mut reader = house.database.read().await.unwrap();
    let dead: Vec<(i64, String)> = sqlx::query_as("SELECT seq, code FROM ccx_ingest_dead ORDER BY id")
        .fetch_all(&mut *reader)
        .await
        .unwrap();
    let seqs: Vec<i64> = dead.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, [4, 5, 6, 7], "each dead letter once");
}

#[tokio::test]
async fn batches_that_cannot_have_results_are_refused_whole() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let strange = scheduler::HelloRequest { revision_min: 2, ..hello(7) };
    let status = client.hello(api(strange)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).unwrap().as_str()), (Code::FailedPrecondition, "REVISION"));
    let unannounced = client.ingest(api(batch(7, vec![event(1, started(1, NOW))]))).await.unwrap_err();
    assert_eq!(reason(&unannounced).as_deref(), Some("EPOCH_UNKNOWN"));
    client.hello(api(hello(7))).await.unwrap();
    let gap = client.ingest(api(batch(7, vec![event(2, started(1, NOW))]))).await.unwrap_err();
    assert_eq!((gap.code(), details(&gap)["expected"].as_str()), (Code::OutOfRange, "1"));
    let many = vec![event(1, started(1, NOW)); 1_001];
    let status = client.ingest(api(batch(7, many))).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).unwrap().as_str()), (Code::InvalidArgument, "INVALID_BATCH"));
    let empty = proto::IngestRequest { adapter_id: "x".to_owned(), ..Default::default() };
    assert_eq!(client.ingest(api(empty)).await.unwrap_err().code(), Code::InvalidArgument);
    let other = crate::house::caller("other", &[cc_runtime::caller::Role::Api]);
    let stolen = cc_runtime::caller::request(hello(7), &other);
    let status = client.hello(stolen).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).unwrap().as_str()), (Code::PermissionDenied, "ADAPTER_BOUND"));
}

#[tokio::test]
async fn a_job_on_a_host_that_is_added_later_comes_out_of_the_parking() {
    let house = House::new().await;
    let mut client = house.client.clone();
    let mut elsewhere = spec(1, NOW - 60);
    "f0999".clone_into(&mut elsewhere.nodes[0].hostname);
    elsewhere.nodes[0].numbering = 0;
    let body = Body::Started(scheduler::JobStarted { job: Some(elsewhere) });
    let request = proto::IngestRequest { unsequenced: true, ..batch(0, vec![event(1, body)]) };
    let answer = client.ingest(api(request.clone())).await.unwrap().into_inner();
    assert_eq!(codes(&answer), [(1, scheduler::Outcome::Parked, "UNKNOWN_HOST".to_owned())]);
    let (name, json) = crate::house::fritz();
    let json = String::from_utf8(json.to_vec()).unwrap().replace("f[0001-0100]", "f[0001-0999]");
    house.peers.files.send_modify(|files| {
        files.insert(name, Bytes::from(json));
    });
    let list = || proto::ListJobsRequest { page: 1, page_size: 9, ..Default::default() };
    house
        .until("the job is there", async || {
            !house.client.clone().list_jobs(admin(list())).await.unwrap().into_inner().jobs.is_empty()
        })
        .await;
    let again = client.ingest(api(request)).await.unwrap().into_inner();
    assert_eq!(codes(&again)[0].1, scheduler::Outcome::Duplicate);
}

#[tokio::test]
async fn a_script_beyond_the_limit_is_cut_and_noted() {
    let house = House::new().await;
    let script = "x".repeat((1 << 20) + 5);
    let long = scheduler::JobSpec { job_script: script, ..spec(1, NOW - 60) };
    let body = Body::Started(scheduler::JobStarted { job: Some(long) });
    let request = proto::IngestRequest { unsequenced: true, ..batch(0, vec![event(1, body)]) };
    let answer = house.client.clone().ingest(api(request)).await.unwrap().into_inner();
    assert_eq!(codes(&answer), [(1, scheduler::Outcome::Applied, "TOO_LARGE".to_owned())]);
    let row = house.get(answer.ack.unwrap().results[0].db_id).await;
    let script = row.metadata.iter().find(|pair| pair.key == "jobScript").unwrap();
    assert_eq!(script.value.len(), 1 << 20);
}
