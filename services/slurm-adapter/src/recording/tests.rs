use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use cc_proto::scheduler::v1::JobState;

use super::*;
use crate::event_id;

fn read_text(text: &str) -> Result<Vec<Recorded>, Error> {
    read(text.as_bytes(), &mut Mapper::new(0, None))
}

fn recorded(name: &str) -> Option<Vec<Recorded>> {
    let path = crate::testing::shared()?.join("fixtures/clients/slurm-adapter").join(name);
    Some(read(BufReader::new(File::open(path).unwrap()), &mut Mapper::new(0, None)).unwrap())
}

fn kinds(events: &[Recorded]) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for event in events {
        *kinds.entry(event_id::kind(&event.body)).or_default() += 1;
    }
    kinds
}

#[test]
fn the_poll_recording_is_24_jobs_and_every_stop_finds_its_start() {
    let Some(events) = recorded("poll.jsonl") else { return };
    assert_eq!(kinds(&events), [("started", 23), ("stopped", 23)].into());
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        let key = event_id::key(&event.body).unwrap();
        assert_eq!(key.cluster, "simba");
        assert!(key.start_time > 1_795_490_000, "{event:?}");
        assert!(event.recorded_at_ms > 1_795_490_000_000);
        if let Body::Stopped(stopped) = &event.body {
            assert_eq!(stopped.job.as_ref().and_then(|job| job.key.as_ref()), Some(key));
            assert!(stopped.stop_time >= key.start_time);
            *states.entry(JobState::try_from(stopped.state).unwrap().as_str_name()).or_default() += 1;
        }
    }
    assert_eq!(
        states,
        [
            ("JOB_STATE_CANCELLED", 1),
            ("JOB_STATE_COMPLETED", 17),
            ("JOB_STATE_FAILED", 3),
            ("JOB_STATE_PENDING", 1),
            ("JOB_STATE_TIMEOUT", 1)
        ]
        .into()
    );
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event_id::of(&event.body)).collect();
    assert_eq!(ids.len(), events.len(), "every event of this recording is another one");
}

#[test]
fn repeated_requests_are_the_same_events() {
    let Some(events) = recorded("outage.jsonl") else { return };
    assert_eq!(kinds(&events), [("started", 81), ("stopped", 27)].into());
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event_id::of(&event.body)).collect();
    assert!(ids.len() < events.len(), "{}", ids.len());
    // a requeued job that waits has no host, and hosts of long gone jobs have no hwthreads
    let incomplete = events.iter().filter(|event| match &event.body {
        Body::Started(started) => started.job.as_ref().unwrap().resources_incomplete,
        _ => false,
    });
    assert!(incomplete.count() > 20);
}

#[test]
fn all_recordings_are_understood() {
    for (name, started, stopped) in [("hooks.jsonl", 28, 28), ("poll-node-failure.jsonl", 29, 24)] {
        let Some(events) = recorded(name) else { return };
        assert_eq!(kinds(&events), [("started", started), ("stopped", stopped)].into(), "{name}");
    }
}

#[test]
fn other_requests_and_empty_lines_are_passed_over() {
    let text = r#"
        {"method": "GET", "path": "/api/jobs/?state=running", "request": null}

        {"method": "POST", "path": "/api/nodestate/", "request": {"cluster": "c"}}
        {"method": "GET", "path": "/api/jobs/start_job/"}
        {"t": 1.5, "subject": "cc.jobs", "payload": "x"}"#;
    assert_eq!(read_text(text).unwrap(), []);
    assert_eq!(read_text("").unwrap(), []);
}

#[test]
fn both_methods_and_both_spellings_of_a_path_count() {
    let start = r#"{"method": "PUT", "path": "/api/jobs/start_job", "request": {"jobId": 1, "cluster": "c", "startTime": 2}, "t": 3.25}"#;
    let stop = r#"{"method": "POST", "path": "/api/jobs/stop_job/", "request": {"jobId": 1, "cluster": "c", "stopTime": 9}}"#;
    let events = read_text(&format!("{start}\n{stop}\n")).unwrap();
    assert_eq!(
        events.iter().map(|event| (event.line, event.recorded_at_ms)).collect::<Vec<_>>(),
        [(1, 3250), (2, 0)]
    );
}

#[test]
fn what_cannot_be_replayed_is_named_by_line_and_field() {
    let error = read_text("{}\nnonsense\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2 is no recorded request");
    let error = read_text(r#"{"method": "POST", "path": "/api/jobs/start_job/", "request": {"jobId": "x"}}"#)
        .unwrap_err();
    let text = cc_runtime::error::chain(&error);
    assert!(
        text.starts_with(
            "line 1: the body of /api/jobs/start_job/ is not understood: invalid type: string \"x\""
        ),
        "{text}"
    );
    let error = read_text(r#"{"method": "POST", "path": "/api/jobs/stop_job/"}"#).unwrap_err();
    assert!(matches!(error, Error::Body { line: 1, .. }), "{error}");
    let long = format!("{{\"x\": \"{}\"}}", "x".repeat(LINE_BYTES_MAX));
    assert!(matches!(read_text(&long), Err(Error::TooLong { line: 1 })));
}
