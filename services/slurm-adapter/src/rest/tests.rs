use serde_json::json;

use super::*;

fn start(body: serde_json::Value) -> StartJob {
    serde_json::from_value(body).unwrap()
}

fn stop(body: serde_json::Value) -> StopJob {
    serde_json::from_value(body).unwrap()
}

fn spec(body: Body) -> JobSpec {
    match body {
        Body::Started(started) => started.job.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn stopped(body: Body) -> JobStopped {
    match body {
        Body::Stopped(stopped) => stopped,
        other => panic!("{other:?}"),
    }
}

/// A body as the Go adapter writes it: everything there, nulls and zeros included.
fn full() -> serde_json::Value {
    json!({
        "cluster": "simba", "subCluster": "", "partition": "main", "project": "hpc", "user": "alice",
        "shared": "single_user", "jobState": "",
        "resources": [{"hostname": "sim01", "hwthreads": [0, 1, 2, 5, 7, 6], "accelerators": ["a", " b"]}, {"hostname": "sim02", "hwthreads": [3]}],
        "energyFootprint": null, "footprint": null,
        "metaData": {"jobName": "n \"ü\"", "jobScript": "#!/bin/sh\n", "slurmInfo": "JobId=1", "submitTime": "1795490835", "note": "x"},
        "concurrentJobs": {"items": null, "count": 0}, "energy": 0, "arrayJobId": 5, "walltime": 3600, "jobId": 9_007_199_254_740_993_i64,
        "duration": 0, "numAcc": 2, "numHwthreads": 7, "numNodes": 2, "statistics": null, "startTime": 1_795_490_836
    })
}

#[test]
fn every_field_of_a_start_has_its_place() {
    let job = spec(Mapper::new(0, None).start(start(full())));
    let key = JobKey { cluster: "simba".into(), job_id: 9_007_199_254_740_993, start_time: 1_795_490_836 };
    let expected = JobSpec {
        key: Some(key),
        user: "alice".into(),
        project: "hpc".into(),
        partition: "main".into(),
        sharing: Sharing::SingleUser.into(),
        submit_time: 1_795_490_835,
        walltime_s: 3600,
        num_nodes: 2,
        num_hwthreads: 7,
        num_acc: 2,
        nodes: vec![
            NodeAllocation {
                hostname: "sim01".into(),
                numbering: CoreNumbering::OsHwthread.into(),
                hwthreads: [(0, 2), (5, 5), (7, 7), (6, 6)]
                    .map(|(first, last)| IdRange { first, last })
                    .to_vec(),
                accelerator_ids: vec!["a".into(), " b".into()],
                ..NodeAllocation::default()
            },
            NodeAllocation {
                hostname: "sim02".into(),
                numbering: CoreNumbering::OsHwthread.into(),
                hwthreads: vec![IdRange { first: 3, last: 3 }],
                ..NodeAllocation::default()
            },
        ],
        array_job_id: 5,
        job_name: "n \"ü\"".into(),
        job_script: "#!/bin/sh\n".into(),
        scheduler_info: "JobId=1".into(),
        metadata: [("note".to_owned(), "x".to_owned())].into(),
        ..JobSpec::default()
    };
    assert_eq!(job, expected);
}

#[test]
fn a_start_with_three_keys_is_one() {
    let job = spec(Mapper::new(0, None).start(start(json!({"jobId": 1, "cluster": "c", "startTime": 7}))));
    assert_eq!(job.key, Some(JobKey { cluster: "c".into(), job_id: 1, start_time: 7 }));
    assert_eq!(job.sharing, i32::from(Sharing::Unspecified));
    assert!(job.resources_incomplete && job.nodes.is_empty());
    for missing in [
        json!({"cluster": "c", "startTime": 7}),
        json!({"jobId": 1, "startTime": 7}),
        json!({"jobId": 1, "cluster": "c"}),
    ] {
        assert!(serde_json::from_value::<StartJob>(missing).is_err());
    }
}

#[test]
fn hosts_without_hwthreads_are_incomplete() {
    let mut body = full();
    body["resources"] = json!([{"hostname": "sim01"}, {"hostname": "sim02", "hwthreads": [1]}]);
    let job = spec(Mapper::new(0, None).start(start(body)));
    assert!(job.resources_incomplete);
    assert_eq!(job.nodes[0].numbering, i32::from(CoreNumbering::Unspecified));
    assert_eq!(job.nodes[1].numbering, i32::from(CoreNumbering::OsHwthread));
}

#[test]
fn a_stop_carries_the_job_it_ends() {
    let mut mapper = Mapper::new(0, None);
    let job = spec(mapper.start(start(full())));
    let id = job.key.as_ref().unwrap().job_id;
    let event = stopped(mapper.stop(&stop(
        json!({"jobId": id, "cluster": "simba", "jobState": "failed", "stopTime": 1_795_490_900}),
    )));
    assert_eq!(event.key, job.key);
    assert_eq!((event.stop_time, event.state), (1_795_490_900, JobState::Failed.into()));
    assert_eq!(event.scheduler_state, "failed");
    assert_eq!(event.job, Some(job));
}

#[test]
fn of_several_runs_the_last_one_before_the_stop_is_meant() {
    let mut mapper = Mapper::new(0, None);
    for time in [100, 200, 300] {
        mapper.start(start(json!({"jobId": 1, "cluster": "c", "startTime": time})));
    }
    mapper.start(start(json!({"jobId": 1, "cluster": "other", "startTime": 250})));
    let run = |body| stopped(mapper.stop(&stop(body))).key.unwrap().start_time;
    assert_eq!(run(json!({"jobId": 1, "cluster": "c", "stopTime": 250})), 200);
    assert_eq!(run(json!({"jobId": 1, "cluster": "c", "stopTime": 300})), 300);
    assert_eq!(run(json!({"jobId": 1, "cluster": "c", "stopTime": 999, "startTime": 100})), 100);
}

#[test]
fn a_stop_without_a_start_goes_out_as_it_is() {
    let mapper = Mapper::new(1000, None);
    let event =
        stopped(mapper.stop(&stop(json!({"jobId": 1, "cluster": "c", "stopTime": 5, "jobState": null}))));
    assert_eq!(event.key, Some(JobKey { cluster: "c".into(), job_id: 1, start_time: 0 }));
    assert_eq!((event.stop_time, event.state, event.job), (1005, JobState::Completed.into(), None));
    let named =
        stopped(mapper.stop(&stop(json!({"jobId": 1, "cluster": "c", "stopTime": 5, "startTime": 3}))));
    assert_eq!(named.key.unwrap().start_time, 1003);
}

#[test]
fn all_times_of_a_job_move_together_and_the_cluster_may_be_another() {
    let mut mapper = Mapper::new(-800, Some("fritz".into()));
    let job = spec(mapper.start(start(full())));
    assert_eq!(job.key.as_ref().unwrap().start_time, 1_795_490_036);
    assert_eq!(job.key.as_ref().unwrap().cluster, "fritz");
    assert_eq!(job.submit_time, 1_795_490_035);
    assert_eq!(job.walltime_s, 3600, "a duration is no time");
    let id = job.key.as_ref().unwrap().job_id;
    let event =
        stopped(mapper.stop(&stop(json!({"jobId": id, "cluster": "simba", "stopTime": 1_795_490_900}))));
    assert_eq!((event.stop_time, event.key), (1_795_490_100, job.key));
}

#[test]
fn states_are_the_twelve_and_others_travel_as_text() {
    for name in [
        "boot_fail",
        "cancelled",
        "completed",
        "deadline",
        "failed",
        "node_fail",
        "out_of_memory",
        "pending",
        "preempted",
        "running",
        "suspended",
        "timeout",
    ] {
        assert_eq!(state(name).as_str_name(), format!("JOB_STATE_{}", name.to_uppercase()));
    }
    assert_eq!(state("resizing"), JobState::Unspecified);
    assert_eq!(state("unspecified"), JobState::Unspecified);
    assert_eq!(state(""), JobState::Completed);
}

#[test]
fn ranges_keep_the_order() {
    assert_eq!(ranges(&[]), []);
    assert_eq!(
        ranges(&[u32::MAX, 0, 1]),
        [IdRange { first: u32::MAX, last: u32::MAX }, IdRange { first: 0, last: 1 }]
    );
}
