use cc_proto::scheduler::v1::Outcome;
use jiff::Timestamp;
use serde_json::Value;
use tonic::Code;

use super::*;
use crate::testing::{Fault, Server, shared};

struct NoToken;

impl Token for NoToken {
    fn token(&self) -> Result<Option<String>, String> {
        Ok(None)
    }
}

fn replay(name: &str) -> Option<Replay> {
    Some(Replay {
        file: shared()?.join("fixtures/clients/slurm-adapter").join(name),
        shift_s: 0,
        cluster: None,
        spool: None,
        json: true,
        adapter_id: "test".to_owned(),
        patience: Duration::from_secs(100),
    })
}

async fn run(replay: &Replay, server: &Server) -> (Result<(), Error>, Vec<Value>) {
    let mut out = Vec::new();
    let clock = Clock::fixed(Timestamp::from_second(1_795_500_000).unwrap());
    let outcome = replay.run(server.transport(), &NoToken, &clock, &mut out).await;
    assert!(server.ledger().violations.is_empty(), "{:?}", server.ledger().violations);
    let lines = String::from_utf8(out).unwrap();
    (outcome, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test(start_paused = true)]
async fn every_event_of_the_recording_gets_its_line() {
    let Some(replay) = replay("poll.jsonl") else { return };
    let server = Server::new([]);
    let (outcome, lines) = run(&replay, &server).await;
    outcome.unwrap();
    assert_eq!(lines.len(), 46);
    for (line, seq) in lines.iter().zip(1..) {
        assert_eq!((line["seq"].as_u64(), line["outcome"].as_str()), (Some(seq), Some("APPLIED")));
        assert_eq!(line["key"]["cluster"], "simba");
        assert_eq!(line["db_id"], 7);
    }
    assert_eq!((&lines[0]["kind"], &lines[0]["key"]["job_id"]), (&"started".into(), &1.into()));
    assert_eq!(lines[0]["key"]["start_time"], 1_795_490_836);
}

#[tokio::test(start_paused = true)]
async fn repeated_requests_are_duplicates_and_still_get_a_line_each() {
    let Some(replay) = replay("outage.jsonl") else { return };
    let server = Server::new([]);
    let (outcome, lines) = run(&replay, &server).await;
    outcome.unwrap();
    assert_eq!(lines.len(), 108);
    let applied = lines.iter().filter(|line| line["outcome"] == "APPLIED").count();
    let duplicate = lines.iter().filter(|line| line["outcome"] == "DUPLICATE").count();
    assert_eq!((applied, applied + duplicate), (server.ledger().applied.len(), 108));
    assert!(duplicate > 20);
    assert_eq!(Outcome::Duplicate.as_str_name(), "OUTCOME_DUPLICATE");
}

#[tokio::test(start_paused = true)]
async fn times_are_shifted_and_the_cluster_renamed() {
    let Some(recorded) = replay("poll.jsonl") else { return };
    let server = Server::new([]);
    let replay = Replay { shift_s: 1000, cluster: Some("other".to_owned()), ..recorded };
    let (outcome, lines) = run(&replay, &server).await;
    outcome.unwrap();
    assert_eq!(lines[0]["key"]["cluster"], "other");
    assert_eq!(lines[0]["key"]["start_time"], 1_795_491_836);
    let first = &server.ledger().batches[0].events[0];
    assert_eq!(first.observed_at_ms, 1_795_491_836_866);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_replay_goes_on_with_its_spool() {
    let Some(recorded) = replay("poll.jsonl") else { return };
    let directory = tempfile::tempdir().unwrap();
    let replay = Replay { spool: Some(directory.path().join("spool")), ..recorded };
    // the first process dies with a connection that had committed and not acknowledged
    let mut server = Server::new([Fault::EndAfter(20, Code::PermissionDenied)]);
    server.credit.events = 5;
    let (outcome, told) = run(&replay, &server).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Publish { told: 15, waiting: 31, .. }), "{error}");
    assert_eq!(told.len(), 15);
    let (outcome, lines) = run(&replay, &server).await;
    outcome.unwrap();
    assert_eq!(server.ledger().applied.len(), 46);
    assert_eq!(server.ledger().epochs.len(), 1);
    let sent: usize = server.ledger().batches.iter().map(|batch| batch.events.len()).sum();
    assert_eq!(sent, 46, "nothing was sent twice");
    assert_eq!(lines.len(), 46);
    assert_eq!(lines.iter().filter(|line| line["outcome"] == "ACKNOWLEDGED").count(), 20);
    // the same recording once more is a new replay, and numbers go on
    let (outcome, lines) = run(&replay, &server).await;
    outcome.unwrap();
    assert_eq!(lines.len(), 46);
    assert_eq!((&lines[0]["seq"], &lines[0]["outcome"]), (&47.into(), &"DUPLICATE".into()));
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_cannot_be_replayed_sends_nothing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let start = r#"{"method": "POST", "path": "/api/jobs/start_job/", "request": {"jobId": 1, "cluster": "c", "startTime": 2}}"#;
    std::fs::write(file.path(), format!("{start}\nnonsense\n")).unwrap();
    let replay = Replay {
        file: file.path().to_owned(),
        shift_s: 0,
        cluster: None,
        spool: None,
        json: true,
        adapter_id: "test".to_owned(),
        patience: Duration::from_secs(1),
    };
    let server = Server::new([]);
    let (outcome, _) = run(&replay, &server).await;
    let text = cc_runtime::error::chain(&outcome.unwrap_err());
    assert!(text.contains("cannot be replayed: line 2 is no recorded request"), "{text}");
    assert!(server.ledger().hellos.is_empty());
}
