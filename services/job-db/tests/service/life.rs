//! A job's life: started, seen, stopped, archived; and what happens when something is in the way.

use cc_proto::job_db::v1 as proto;
use cc_runtime::caller::{self, Role};
use cc_runtime::error::{details, reason};
use jiff::SignedDuration;
use tonic::{Code, Status};

use crate::house::{House, NOW, admin, job, user};

fn list() -> proto::ListJobsRequest {
    proto::ListJobsRequest { page: 1, page_size: 10, with_tags: true, with_count: true, ..Default::default() }
}

#[tokio::test]
async fn a_job_is_seen_at_once_and_archived_after_its_stop() {
    let house = House::new().await;
    let watch = proto::WatchRequest { after: None };
    let mut changes = house.client.clone().watch(user("alice", watch)).await.unwrap().into_inner();
    assert_eq!(changes.message().await.unwrap().unwrap().kind(), proto::ChangeKind::Position);

    let mut request = job(500_001, NOW - 1_800);
    request.tags =
        vec![cc_proto::common::v1::Tag { r#type: "app".into(), name: "vasp".into(), ..Default::default() }];
    let id = house.start(request).await.unwrap();
    let seen = changes.message().await.unwrap().unwrap();
    assert_eq!(
        (seen.kind(), seen.id, seen.position, seen.user.as_str()),
        (proto::ChangeKind::Started, id, 1, "alice")
    );

    let mine = house.client.clone().list_jobs(user("alice", list())).await.unwrap().into_inner();
    assert_eq!((mine.jobs.len(), mine.count, mine.position, mine.has_next_page), (1, Some(1), 1, false));
    assert_eq!((mine.jobs[0].duration_s, mine.jobs[0].tags[0].scope.as_str()), (1_800, "global"));
    assert!(!mine.jobs[0].has_metadata && !mine.jobs[0].has_footprint);
    let others = house.client.clone().list_jobs(user("bob", list())).await.unwrap().into_inner();
    assert_eq!((others.jobs.len(), others.count), (0, Some(0)));
    house
        .until("its host is pinned", async || {
            house.peers.told(|state| state.pins == [("f0001".to_owned(), NOW - 1_800)])
        })
        .await;
    assert_eq!(house.peers.told(|state| state.configured.clone()), [["fritz"]]);

    let stopped = house.stop(500_001, NOW - 300).await.unwrap();
    assert_eq!(
        (stopped.state.as_str(), stopped.duration_s, stopped.monitoring_status),
        ("completed", 1_500, 1)
    );
    let archived = house.until_status(id, 3).await;
    let footprint: Vec<_> = archived.footprint.iter().map(|pair| (pair.key.as_str(), pair.value)).collect();
    assert_eq!(footprint, [("cpu_load_avg", 59.9), ("mem_used_max", 0.0)]);
    let sent = house.peers.told(|state| state.archived.clone());
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].duration_s, sent[0].tags.len(), sent[0].sub_cluster.as_str()), (1_500, 1, "main"));
    for kind in [proto::ChangeKind::Stopped, proto::ChangeKind::Archived] {
        assert_eq!(changes.message().await.unwrap().unwrap().kind(), kind);
    }
    house.until("nothing is pinned any more", async || house.peers.told(|state| state.pins.is_empty())).await;
}

#[tokio::test]
async fn refusals_carry_reasons_for_the_recorded_answers() {
    let house = House::new().await;
    let id = house.start(job(1, NOW - 1_800)).await.unwrap();
    let refused = |status: &Status| (status.code(), reason(status).unwrap());

    let again = house.start(job(1, NOW - 60)).await.unwrap_err();
    assert_eq!(refused(&again), (Code::AlreadyExists, "JOB_EXISTS".to_owned()));
    assert_eq!(
        again.message(),
        format!("a job with that jobId, cluster and startTime already exists: dbid: {id}, jobid: 1")
    );
    let mut nowhere = job(1, NOW - 1_800);
    nowhere.resources.clear();
    let known = house.start(nowhere.clone()).await.unwrap_err();
    assert_eq!(refused(&known).1, "JOB_EXISTS", "what is known needs no valid description");
    nowhere.job_id = 2;
    let invalid = house.start(nowhere).await.unwrap_err();
    assert_eq!(refused(&invalid), (Code::InvalidArgument, "INVALID_JOB".to_owned()));
    let mut foreign = job(2, NOW);
    "nosuch".clone_into(&mut foreign.cluster);
    assert_eq!(refused(&house.start(foreign).await.unwrap_err()).1, "UNKNOWN_CLUSTER");
    let mut exclusive = job(2, NOW);
    "exclusive".clone_into(&mut exclusive.shared);
    assert_eq!(refused(&house.start(exclusive).await.unwrap_err()).1, "INVALID_JOB");
    let mut tagged = job(2, NOW);
    tagged.tags = vec![cc_proto::common::v1::Tag {
        r#type: "x".into(),
        name: "y".into(),
        scope: "somebody".into(),
        ..Default::default()
    }];
    assert_eq!(
        refused(&house.start(tagged).await.unwrap_err()),
        (Code::PermissionDenied, "TAG_SCOPE".to_owned())
    );

    assert_eq!(
        refused(&house.stop(77, NOW).await.unwrap_err()),
        (Code::NotFound, "JOB_NOT_FOUND".to_owned())
    );
    assert_eq!(refused(&house.stop(1, NOW - 1_801).await.unwrap_err()).1, "STOP_BEFORE_START");
    let stop =
        proto::StopJobRequest { job_id: 1, stop_time: NOW, state: "stopped".into(), ..Default::default() };
    let word = house.client.clone().stop_job(crate::house::api(stop)).await.unwrap_err();
    assert_eq!(refused(&word), (Code::InvalidArgument, "INVALID_STATE".to_owned()));
    house.stop(1, NOW).await.unwrap();
    let twice = house.stop(1, NOW).await.unwrap_err();
    assert_eq!(refused(&twice), (Code::FailedPrecondition, "JOB_ALREADY_STOPPED".to_owned()));

    let get = proto::GetJobRequest { id };
    let hidden = house.client.clone().get_job(user("bob", get)).await.unwrap_err();
    assert_eq!(refused(&hidden), (Code::NotFound, "JOB_NOT_FOUND".to_owned()));
    assert_eq!(details(&hidden).get("forbidden").map(String::as_str), Some("true"));
    let absent =
        house.client.clone().get_job(user("bob", proto::GetJobRequest { id: 999 })).await.unwrap_err();
    assert_eq!(details(&absent).get("forbidden"), None);

    let unordered = proto::ListJobsRequest {
        order: Some(proto::Order { field: "id'".into(), ..Default::default() }),
        ..list()
    };
    let status = house.client.clone().list_jobs(admin(unordered)).await.unwrap_err();
    assert_eq!(refused(&status), (Code::InvalidArgument, "INVALID_FILTER".to_owned()));
    let horizon = proto::WatchRequest { after: Some(99) };
    let status = house.client.clone().watch(admin(horizon)).await.unwrap_err();
    assert_eq!(refused(&status), (Code::OutOfRange, "HORIZON".to_owned()));
    let nobody = caller::request(list(), &crate::house::caller("x", &[]));
    assert!(house.client.clone().list_jobs(nobody).await.is_err());
}

#[tokio::test]
async fn an_archive_that_is_away_delays_and_a_restart_continues() {
    let house = House::new().await;
    house.peers.told(|state| state.archive_failures = vec![Status::unavailable("loading"); 1_000]);
    let id = house.start(job(1, NOW - 600)).await.unwrap();
    house.start(job(2, NOW - 500)).await.unwrap();
    house.stop(1, NOW).await.unwrap();
    house
        .until("it was tried", async || house.peers.told(|state| state.archive_failures.len() < 1_000))
        .await;
    assert_eq!(house.get(id).await.monitoring_status, 1);

    house.peers.told(|state| {
        state.archive_failures.clear();
        // the store was restarted meanwhile
        state.instance = 2;
    });
    house.clock.advance(SignedDuration::from_secs(10));
    let house = house.restart().await;
    house.clock.advance(SignedDuration::from_secs(600));
    let archived = house.until_status(id, 3).await;
    assert_eq!(archived.state, "completed");
    assert_eq!(house.peers.told(|state| state.archived.len()), 1);
    house
        .until("the next start of the store was configured", async || {
            house
                .peers
                .told(|state| state.configured.len() >= 2 && state.pins == [("f0001".to_owned(), NOW - 500)])
        })
        .await;
    // positions go on where they were
    let all = house.client.clone().list_jobs(admin(list())).await.unwrap().into_inner();
    assert_eq!((all.count, all.position), (Some(2), 4));
    let watch = proto::WatchRequest { after: Some(2) };
    let mut changes = house.client.clone().watch(admin(watch)).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(changes.message().await.unwrap().unwrap().kind());
    }
    let expected = [proto::ChangeKind::Position, proto::ChangeKind::Stopped, proto::ChangeKind::Archived];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn roles_are_needed_even_in_one_process() {
    let house = House::new().await;
    let start = proto::StartJobRequest { job: Some(job(1, NOW)) };
    let refused = house.client.clone().start_job(user("alice", start)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let nodes = proto::ListNodesRequest::default();
    let manager = crate::house::caller("m", &[Role::Manager]);
    let refused = house.client.clone().list_nodes(caller::request(nodes, &manager)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let import = proto::ImportJobRequest { job: Some(job(1, NOW)) };
    let refused = house.client.clone().import_job(admin(import)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "the command line alone");
}
