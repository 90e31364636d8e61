use serde_json::json;

use super::*;
use crate::{
    json::{Problem, to_string},
    testing::shared,
};

fn start(body: &serde_json::Value) -> Result<Job, JobDecodeError> {
    Job::from_start_request(body.to_string().as_bytes())
}

fn full() -> Job {
    Job {
        cluster: "fritz".into(),
        sub_cluster: "main".into(),
        partition: "singlenode".into(),
        project: "abc1".into(),
        user: "abc1001".into(),
        tags: vec![Tag { kind: "app".into(), name: "GROMACS".into(), scope: "global".into(), id: 7 }],
        resources: vec![Resource { hostname: "f0101".into(), hwthreads: vec![0, 1], ..Resource::default() }],
        footprint: Some([("cpu_load_avg".to_owned(), 71.9)].into()),
        walltime: 86400,
        job_id: 123_000,
        duration: 540,
        smt: 1,
        monitoring_status: MonitoringStatus::RunningOrArchiving,
        num_hwthreads: 72,
        num_nodes: 1,
        id: Some(4711),
        start_time: 1_700_000_000,
        ..Job::default()
    }
}

#[test]
fn the_example_of_the_specification_is_emitted_byte_for_byte() {
    let want = r#"{"cluster":"fritz","subCluster":"main","partition":"singlenode","project":"abc1","user":"abc1001","shared":"none","jobState":"running","tags":[{"type":"app","name":"GROMACS","scope":"global","id":7}],"resources":[{"hostname":"f0101","hwthreads":[0,1]}],"energyFootprint":null,"footprint":{"cpu_load_avg":71.9},"metaData":null,"concurrentJobs":{"items":null,"count":0},"energy":0,"walltime":86400,"jobId":123000,"duration":540,"smt":1,"monitoringStatus":1,"numHwthreads":72,"numNodes":1,"statistics":null,"id":4711,"startTime":1700000000}"#;
    assert_eq!(to_string(&full()).unwrap(), want);
}

#[test]
fn all_28_keys_are_emitted_in_order_and_read_back() {
    let job = Job {
        energy_footprint: Some([("cpu_power".to_owned(), 0.29)].into()),
        meta_data: Some([("jobScript".to_owned(), "#!/bin/sh\necho \"<&>\"\n".to_owned())].into()),
        energy: 0.33,
        array_job_id: 5,
        requested_memory: 6,
        num_acc: 1,
        submit_time: 1_699_999_999,
        statistics: Some(
            [(
                "mem_bw".to_owned(),
                JobStatistics { unit: Unit::new("B/s", "G"), avg: 1.5, min: -1.0, max: 2.0 },
            )]
            .into(),
        ),
        ..full()
    };
    let text = to_string(&job).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "cluster",
            "subCluster",
            "partition",
            "project",
            "user",
            "shared",
            "jobState",
            "tags",
            "resources",
            "energyFootprint",
            "footprint",
            "metaData",
            "concurrentJobs",
            "energy",
            "arrayJobId",
            "walltime",
            "requestedMemory",
            "jobId",
            "duration",
            "smt",
            "monitoringStatus",
            "numAcc",
            "numHwthreads",
            "numNodes",
            "statistics",
            "id",
            "submitTime",
            "startTime"
        ]
    );
    assert!(text.contains(
        r#""statistics":{"mem_bw":{"unit":{"base":"B/s","prefix":"G"},"avg":1.5,"min":-1,"max":2}}"#
    ));
    assert!(text.contains(r#"echo \"\u003c\u0026\u003e\"\n"#));
    assert_eq!(Job::from_meta_json(text.as_bytes()).unwrap(), job);
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
}

#[test]
fn an_empty_job_omits_what_says_nothing() {
    assert_eq!(
        to_string(&Job::default()).unwrap(),
        r#"{"cluster":"","subCluster":"","project":"","user":"","shared":"none","jobState":"running","resources":[],"energyFootprint":null,"footprint":null,"metaData":null,"concurrentJobs":{"items":null,"count":0},"energy":0,"jobId":0,"duration":0,"numNodes":0,"statistics":null,"startTime":0}"#
    );
}

#[test]
fn a_start_request_has_defaults_and_is_running() {
    let job = start(
        &json!({"JOBID": 500_004, "Cluster": "fritz", "jobState": "whatever", "id": 3, "statistics": null,
        "energyFootprint": {"a": 1.5}, "resources": [{"HostName": "f0304"}], "startTime": 5}),
    )
    .unwrap();
    assert_eq!((job.job_id, job.cluster.as_str(), job.start_time), (500_004, "fritz", 5));
    assert_eq!((job.state, job.shared), (JobState::Running, Sharing::None));
    assert_eq!(job.monitoring_status, MonitoringStatus::RunningOrArchiving);
    assert_eq!(job.resources, [Resource::node("f0304")]);
    assert_eq!((job.id, job.energy_footprint, job.statistics), (None, None, None));
}

#[test]
fn the_request_of_the_slurm_adapter_is_read() {
    let job = start(&json!({"cluster": "alex", "subCluster": "", "partition": "a40", "project": "pb02", "user": "bob",
        "shared": "multi_user", "jobState": "", "resources": [{"hostname": "a0123", "hwthreads": [16, 17],
        "accelerators": ["00000000:25:00.0"]}], "energyFootprint": null, "footprint": null,
        "metaData": {"jobName": "adapter"}, "concurrentJobs": {"items": null, "count": 0}, "energy": 0,
        "walltime": 3600, "jobId": 500_003, "duration": 0, "smt": 1, "numAcc": 1, "numHwthreads": 4, "numNodes": 1,
        "statistics": null, "startTime": 1}))
    .unwrap();
    assert_eq!(job.shared, Sharing::MultiUser);
    assert_eq!(job.resources[0].accelerators, ["00000000:25:00.0"]);
    assert_eq!(job.meta_data, Some([("jobName".to_owned(), "adapter".to_owned())].into()));
    assert_eq!(job.validate_start(), Ok(()));
}

#[test]
fn every_unknown_key_is_named() {
    let error =
        start(&json!({"foo": 1, "numnodess": 2, "resources": [{"hostname": "a", "bar": 1}]})).unwrap_err();
    assert_eq!(error.to_string(), "json: unknown fields \"foo\", \"numnodess\", \"resources[0].bar\"");
    assert_eq!(start(&json!({"foo": 1})).unwrap_err().to_string(), "json: unknown field \"foo\"");
    // known keys of other places are unknown here
    assert!(start(&json!({"exclusive": 1})).is_err());
    // but not in the archive
    assert!(Job::from_meta_json(br#"{"jobState":"failed","foo":1,"tags":[{"x":1}]}"#).is_ok());
}

#[test]
fn every_wrong_member_is_named() {
    let error =
        start(&json!({"jobId": "5", "startTime": 5.5, "duration": 3_000_000_000_i64, "shared": "exclusive",
        "monitoringStatus": 7, "resources": {"hostname": "a"}, "user": 5}))
        .unwrap_err();
    let JobDecodeError::Members(problems) = error else { panic!("{error}") };
    let mut paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["duration", "jobId", "monitoringStatus", "resources", "shared", "startTime", "user"]);
    assert!(problems.contains(&Problem::new("startTime", "expected an integer of at most 64 bits, got 5.5")));
    assert!(start(&json!({"jobId": 1.0})).is_err());
    assert!(
        start(&json!({"resources": [{"hwthreads": [-1]}]}))
            .unwrap_err()
            .to_string()
            .contains("resources[0].hwthreads[0]")
    );
}

#[test]
fn what_is_no_object_is_refused() {
    assert_eq!(Job::from_start_request(b"").unwrap_err().to_string(), "EOF");
    assert_eq!(Job::from_start_request(b"{\"jobId\": 1,").unwrap_err().to_string(), "unexpected EOF");
    assert_eq!(start(&json!([{"jobId": 1}])).unwrap_err(), JobDecodeError::NotAnObject("an array"));
}

#[test]
fn a_start_is_validated_in_the_order_of_the_reference() {
    let ok = full();
    assert_eq!(ok.validate_start(), Ok(()));
    let check = |change: &dyn Fn(&mut Job)| {
        let mut job = ok.clone();
        change(&mut job);
        job.validate_start().unwrap_err().to_string()
    };
    assert_eq!(check(&|j| j.user.clear()), "'resources' and 'user' should not be empty");
    assert_eq!(check(&|j| j.resources.clear()), "'resources' and 'user' should not be empty");
    assert_eq!(check(&|j| j.num_nodes = 0), "'numNodes', 'numAcc' or 'numHWThreads' invalid");
    assert_eq!(check(&|j| j.num_acc = -1), "'numNodes', 'numAcc' or 'numHWThreads' invalid");
    assert_eq!(check(&|j| j.num_nodes = 2), "len(resources) does not equal numNodes (1 vs 2)");
    assert_eq!(check(&|j| j.smt = 4), "'smt' must be 0 or 1, not 4");
    assert!(check(&|j| j.resources[0].hostname = "../x".into()).starts_with("resources[0].hostname: "));
    assert!(check(&|j| j.user = "a\0b".into()).starts_with("user: "));
}

#[test]
fn old_archives_are_understood() {
    let read = |text: &str| Job::from_meta_json(text.as_bytes()).unwrap();
    assert_eq!(read(r#"{"jobState":"canceled","exclusive":0}"#).shared, Sharing::MultiUser);
    assert_eq!(read(r#"{"jobState":"stopped","exclusive":1}"#).shared, Sharing::None);
    assert_eq!(read(r#"{"jobState":"stopped","exclusive":2}"#).shared, Sharing::SingleUser);
    assert_eq!(read(r#"{"jobState":"stopped","shared":""}"#).state, JobState::Completed);
    let with_tree = read(r#"{"jobState":"failed","statistics":{"filesystems":[{}],"a":{"avg":1}}}"#);
    assert_eq!(with_tree.statistics.unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
    assert!(Job::from_meta_json(br#"{"jobState":"gone"}"#).is_err());
    assert!(Job::from_import_json(br#"{"jobState":"canceled"}"#).is_err());
}

#[test]
fn states_are_terminal_or_not() {
    let open: Vec<&str> = JobState::ALL.iter().filter(|s| !s.is_terminal()).map(|s| s.as_str()).collect();
    assert_eq!(open, ["pending", "running", "suspended"]);
    assert_eq!(JobState::ALL.len(), 12);
    assert!(JobState::Running.is_running() && !JobState::Suspended.is_running());
    assert!("canceled".parse::<JobState>().is_err());
    assert_eq!(MonitoringStatus::try_from(3), Ok(MonitoringStatus::Archived));
    assert!(MonitoringStatus::try_from(-1).is_err());
}

#[test]
fn the_archive_path_has_three_digits() {
    let key = |job_id| JobKey { cluster: "large".into(), job_id, start_time: 1_768_978_339 }.archive_path();
    assert_eq!(key(1_034_871), "large/1034/871/1768978339");
    assert_eq!(key(57), "large/0/057/1768978339");
    assert_eq!(full().key().to_string(), "fritz/123000@1700000000");
}

#[test]
fn resources_of_the_database_are_read() {
    let read: Vec<Resource> = serde_json::from_str(
        r#"[{"hostname":"a0007","hwthreads":[0,1],"accelerators":null},{"hostname":"a0008"}]"#,
    )
    .unwrap();
    assert_eq!(read[0].hwthreads, [0, 1]);
    assert_eq!(read[1], Resource::node("a0008"));
}

#[test]
fn real_files_are_read() {
    if let Some(meta) = shared("data/archive/emmy/1403/244/1608923076/meta.json") {
        let job = Job::from_meta_json(&meta).unwrap();
        assert_eq!((job.job_id, job.num_nodes, job.resources.len()), (1_403_244, 32, 32));
        assert_eq!(job.statistics.as_ref().unwrap()["ipc"].max.to_string(), "0.510204081632653");
        assert_eq!(
            Job::from_import_json(&meta).unwrap_err(),
            JobDecodeError::UnknownKeys(vec!["stopTime".to_owned()])
        );
        assert_eq!(Job::from_meta_json(&crate::json::to_vec(&job).unwrap()).unwrap(), job);
    }
    for file in
        ["data/import/meta-fritzMinimal.json", "fixtures/import/meta1.json", "fixtures/import/meta3.json"]
    {
        if let Some(meta) = shared(file) {
            let job = Job::from_import_json(&meta).unwrap();
            assert_eq!(job.validate_start(), Ok(()), "{file}");
            assert!(job.statistics.is_some_and(|s| s.contains_key("mem_bw")), "{file}");
        }
    }
}
