//! Node states as recorded (fixtures/scenarios/rest/node-state.json).

use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use cc_runtime::error::reason;
use tonic::Code;

use crate::house::{House, NOW, admin, api, job, user};

fn report(hostname: &str, states: &[&str]) -> proto::NodeReport {
    proto::NodeReport {
        hostname: hostname.to_owned(),
        states: states.iter().map(ToString::to_string).collect(),
        cpus_allocated: 72,
        memory_allocated_mb: 5_000,
        gpus_allocated: 0,
        jobs_running: 2,
    }
}

fn starts_with(text: &str) -> proto::NodeFilter {
    let hostname = proto::StringFilter { starts_with: Some(text.to_owned()), ..Default::default() };
    proto::NodeFilter { hostname: Some(hostname), ..Default::default() }
}

#[tokio::test]
async fn reports_are_mapped_checked_and_listed() {
    let house = House::new().await;
    house
        .peers
        .told(|state| state.health = [("f0001".to_owned(), "partial"), ("f0004".to_owned(), "full")].into());
    let nodes = vec![
        report("f0001", &["ALLOCATED"]),
        report("f0002", &["IDLE", "DOWN"]),
        report("f0003", &["RESERVED", "IDLE"]),
        report("f0004", &["Mixed"]),
        report("f0005", &["DRAIN"]),
        report("q0001", &["IDLE"]),
    ];
    let mut client = house.client.clone();
    let request = proto::ReportNodesRequest { cluster: "fritz".to_owned(), nodes };
    let answer = client.report_nodes(api(request)).await.unwrap().into_inner();
    assert_eq!((answer.updated, answer.skipped), (5, vec!["q0001".to_owned()]));
    house.clock.advance(jiff::SignedDuration::from_secs(60));
    let second =
        proto::ReportNodesRequest { cluster: "fritz".to_owned(), nodes: vec![report("f0002", &["IDLE"])] };
    client.report_nodes(api(second)).await.unwrap();
    let unknown = proto::ReportNodesRequest { cluster: "nosuch".to_owned(), nodes: vec![report("x", &[])] };
    let status = client.report_nodes(api(unknown)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).unwrap().as_str()),
        (Code::InvalidArgument, "UNKNOWN_CLUSTER")
    );

    let list = proto::ListNodesRequest { filters: vec![starts_with("F00")], order: None, with_meta: true };
    let nodes = client.list_nodes(admin(list)).await.unwrap().into_inner().nodes;
    let listed: Vec<_> = nodes
        .iter()
        .map(|node| (node.hostname.as_str(), node.scheduler_state.as_str(), node.health_state.as_str()))
        .collect();
    let expected = [
        ("f0001", "allocated", "partial"),
        ("f0002", "idle", "failed"),
        ("f0003", "reserved", "failed"),
        ("f0004", "mixed", "full"),
        ("f0005", "unknown", "failed"),
    ];
    assert_eq!(listed, expected);
    let first = &nodes[0];
    assert_eq!((first.cpus_allocated, first.memory_allocated_mb, first.jobs_running), (72, 5_000, 2));
    assert_eq!((first.sub_cluster.as_str(), first.time_stamp), ("main", NOW));
    let missing = common_list(&first.health_data, "missing");
    assert_eq!(
        (missing, common_list(&first.health_data, "degraded")),
        (vec!["mem_bw".to_owned()], Vec::new())
    );

    let get = proto::GetNodeRequest { id: first.id };
    let one = client.get_node(user("alice", get)).await.unwrap().into_inner().node.unwrap();
    assert_eq!(one.hostname, "f0001");
    let absent = client.get_node(admin(proto::GetNodeRequest { id: 999 })).await.unwrap_err();
    assert_eq!(reason(&absent).as_deref(), Some("NODE_NOT_FOUND"));

    let counts =
        client.count_node_states(admin(proto::CountNodeStatesRequest::default())).await.unwrap().into_inner();
    let words = |counts: &[proto::StateCount]| -> Vec<(String, u64)> {
        counts.iter().map(|count| (count.state.clone(), count.count)).collect()
    };
    let health = words(&counts.health);
    assert_eq!(
        health,
        [("failed", 3), ("full", 1), ("partial", 1)].map(|(word, count)| (word.to_owned(), count))
    );
    assert_eq!(counts.scheduler.len(), 5);
    let filters = vec![proto::NodeFilter { time_start: Some(NOW), ..starts_with("f00") }];
    let times = proto::TimeNodeStatesRequest { filters, health: false };
    let times = client.time_node_states(admin(times)).await.unwrap().into_inner().states;
    assert_eq!(
        (times.len(), times[0].state.as_str(), times[0].counts[0], times[0].times[0]),
        (1, "idle", 1, NOW + 60)
    );
}

fn common_list(lists: &[proto::NameList], name: &str) -> Vec<String> {
    lists.iter().find(|list| list.name == name).map(|list| list.values.clone()).unwrap()
}

#[tokio::test]
async fn hosts_of_running_jobs_and_neighbours_on_them() {
    let house = House::new().await;
    let shared = |id: i64, start: i64, hosts: &[&str]| common::Job {
        shared: "multi_user".to_owned(),
        num_nodes: i32::try_from(hosts.len()).unwrap(),
        resources: hosts
            .iter()
            .map(|host| common::Resource { hostname: (*host).to_owned(), ..Default::default() })
            .collect(),
        ..job(id, start)
    };
    let first = house.start(shared(1, NOW - 2_000, &["f0002", "f0001"])).await.unwrap();
    let second = house.start(shared(2, NOW - 1_500, &["f0002"])).await.unwrap();
    let short = house.start(shared(3, NOW - 100, &["f0002"])).await.unwrap();
    house.stop(2, NOW - 100).await.unwrap();
    let mut client = house.client.clone();
    let allocated = proto::AllocatedNodesRequest { cluster: "fritz".to_owned() };
    let counts = client.allocated_nodes(user("bob", allocated)).await.unwrap().into_inner().counts;
    assert_eq!((counts.len(), counts[0].state.as_str(), counts[0].count), (1, "main", 2));
    let used =
        client.used_nodes(api(proto::UsedNodesRequest { before: NOW - 1_000 })).await.unwrap().into_inner();
    assert_eq!(used.clusters[0].values, ["f0001", "f0002"]);
    let used =
        client.used_nodes(api(proto::UsedNodesRequest { before: NOW - 3_000 })).await.unwrap().into_inner();
    assert!(used.clusters.is_empty());

    let concurrent = proto::ConcurrentJobsRequest { id: first };
    let answer = client.concurrent_jobs(admin(concurrent)).await.unwrap().into_inner();
    let ids: Vec<_> = answer.items.iter().map(|item| item.id).collect();
    assert!(answer.applicable);
    assert_eq!((ids, answer.list_query.as_str()), (vec![second, first], "cluster=fritz&jobId=2&jobId=1"));
    let concurrent = proto::ConcurrentJobsRequest { id: short };
    assert!(!client.concurrent_jobs(admin(concurrent)).await.unwrap().into_inner().applicable, "too short");
    let partitions = proto::ListPartitionsRequest { cluster: "fritz".to_owned() };
    assert!(client.list_partitions(admin(partitions)).await.unwrap().into_inner().partitions.is_empty());
}
