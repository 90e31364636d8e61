//! Identity, sequence and idempotency of batches (integrations.md 9.5).

use super::{NOW, Running, key, on_both_stores, running, spec, stored};
use crate::app::clusters::ClusterState;
use crate::app::ingest::{self, Batch, Event, Hello, Results, RetryParked};
use crate::app::rules::{Body, Stopped};
use crate::error::Error;
use crate::store::ledger::{Origin, Outcome, PARKED_MAX, Parked};
use crate::store::{Store, Unit};

const EPOCH: i64 = 77;

fn event(seq: i64, id: u8, body: Body) -> Event {
    let id = if id == 0 { Vec::new() } else { vec![id; 16] };
    Event { seq, id, body, remark: None, payload: vec![u8::try_from(seq).unwrap()] }
}

fn start(seq: i64, id: u8, job_id: i64) -> Event {
    event(seq, id, Body::Started(spec(job_id, NOW)))
}

fn batch(events: Vec<Event>) -> Batch {
    Batch {
        adapter_id: "slurm-1".to_owned(),
        credential: "adapter".to_owned(),
        cluster: "c".to_owned(),
        epoch: EPOCH,
        fencing: 0,
        unsequenced: false,
        events,
    }
}

fn hello(epoch: i64) -> Hello {
    Hello {
        adapter_id: "slurm-1".to_owned(),
        credential: "adapter".to_owned(),
        clusters: vec!["c".to_owned(), "nosuch".to_owned()],
        epoch,
    }
}

async fn send<S: Store>(running: &Running<S>, batch: Batch) -> Result<Results, Error> {
    ingest::ingest(&running.writer, batch, 2).await
}

fn outcomes(results: &Results) -> Vec<(Outcome, &str)> {
    results.verdicts.iter().map(|verdict| (verdict.outcome, verdict.code.as_str())).collect()
}

async fn a_stream_goes_on_where_it_was_committed<S: Store>(store: S) {
    let running = running(store).await;
    let unannounced = send(&running, batch(vec![start(1, 1, 1)])).await;
    assert!(matches!(unannounced, Err(Error::EpochUnknown { .. })));
    let welcome = running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    assert_eq!(welcome.durable_seq, [("c".to_owned(), 0), ("nosuch".to_owned(), 0)]);
    assert_eq!(welcome.unknown_clusters, ["nosuch"]);

    // five events, in portions of two
    let events: Vec<Event> = (1..=5).map(|seq| start(seq, u8::try_from(seq).unwrap(), seq)).collect();
    let results = send(&running, batch(events.clone())).await.unwrap();
    assert_eq!(results.durable_seq, 5);
    assert_eq!(outcomes(&results), [(Outcome::Applied, ""); 5]);
    let ids: Vec<i64> = results.verdicts.iter().map(|verdict| verdict.id).collect();

    // the answer was lost: everything again, and one more
    let mut again = events;
    again.push(start(6, 6, 6));
    let results = send(&running, batch(again)).await.unwrap();
    assert_eq!(results.durable_seq, 6);
    assert_eq!(outcomes(&results)[..5], [(Outcome::Duplicate, ""); 5]);
    assert_eq!(results.verdicts.iter().take(5).map(|verdict| verdict.id).collect::<Vec<_>>(), ids);
    assert_eq!(outcomes(&results)[5], (Outcome::Applied, ""));

    for (events, expected, found) in [
        (vec![start(8, 8, 8)], 7, 8),
        (vec![start(7, 7, 7), start(9, 9, 9)], 8, 9),
        (vec![start(0, 7, 7)], 7, 0),
    ] {
        let gap = ingest::ingest(&running.writer, batch(events), 500).await;
        let Err(Error::SequenceGap { expected: wanted, found: got }) = gap else { panic!("{gap:?}") };
        assert_eq!((wanted, got), (expected, found));
    }
    assert_eq!(stored(&running.store, &key(7, NOW)).await, None, "a gap applies nothing");
    let welcome = running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    assert_eq!(welcome.durable_seq[0], ("c".to_owned(), 6));
}
on_both_stores!(a_stream_goes_on_where_it_was_committed);

async fn a_new_spool_counts_anew_and_its_events_are_known<S: Store>(store: S) {
    let running = running(store).await;
    running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    send(&running, batch(vec![start(1, 1, 1), start(2, 2, 2)])).await.unwrap();
    let welcome = running.writer.run(hello(EPOCH + 1)).await.unwrap().unwrap();
    assert_eq!(welcome.durable_seq[0], ("c".to_owned(), 0));
    assert!(matches!(send(&running, batch(vec![start(3, 3, 3)])).await, Err(Error::EpochUnknown { .. })));
    let anew = Batch { epoch: EPOCH + 1, ..batch(vec![start(1, 2, 2), start(2, 3, 3)]) };
    let results = send(&running, anew).await.unwrap();
    assert_eq!(outcomes(&results), [(Outcome::Duplicate, ""), (Outcome::Applied, "")]);
}
on_both_stores!(a_new_spool_counts_anew_and_its_events_are_known);

async fn a_name_belongs_to_the_credential_that_used_it_first<S: Store>(store: S) {
    let running = running(store).await;
    running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    let thief = Hello { credential: "mallory".to_owned(), ..hello(EPOCH) };
    assert!(matches!(running.writer.run(thief).await.unwrap(), Err(Error::AdapterBound { .. })));
    let batch = Batch { credential: "mallory".to_owned(), ..batch(vec![start(1, 1, 1)]) };
    assert!(matches!(send(&running, batch).await, Err(Error::AdapterBound { .. })));
    assert_eq!(stored(&running.store, &key(1, NOW)).await, None);
}
on_both_stores!(a_name_belongs_to_the_credential_that_used_it_first);

async fn unsequenced_batches_are_told_apart_by_id_and_key<S: Store>(store: S) {
    let running = running(store).await;
    let hook = |events| Batch { unsequenced: true, adapter_id: "hook".to_owned(), epoch: 0, ..batch(events) };
    for expected in [Outcome::Applied, Outcome::Duplicate, Outcome::Duplicate] {
        let results = send(&running, hook(vec![start(0, 0, 1)])).await.unwrap();
        assert_eq!(outcomes(&results), [(expected, "")], "by the natural key");
    }
    for expected in [Outcome::Applied, Outcome::Duplicate] {
        let results = send(&running, hook(vec![start(0, 9, 2)])).await.unwrap();
        assert_eq!(outcomes(&results), [(expected, "")], "by the event id");
    }
    assert!(send(&running, hook(Vec::new())).await.unwrap().verdicts.is_empty());
}
on_both_stores!(unsequenced_batches_are_told_apart_by_id_and_key);

async fn bad_events_do_not_stop_good_ones<S: Store>(store: S) {
    let running = running(store).await;
    running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    let stop = Stopped {
        key: key(9, NOW),
        stop_time: NOW + 1,
        state: cc_model::JobState::Completed,
        exit_code: None,
        job: None,
    };
    let events = vec![
        start(1, 1, 1),
        event(2, 2, Body::Stopped(stop)),
        event(3, 3, Body::Unsupported("updated")),
        start(4, 4, 4),
    ];
    let results = send(&running, batch(events.clone())).await.unwrap();
    let expected = [
        (Outcome::Applied, ""),
        (Outcome::Rejected, "UNKNOWN_JOB"),
        (Outcome::Rejected, "UNSUPPORTED_EVENT"),
        (Outcome::Applied, ""),
    ];
    assert_eq!(outcomes(&results), expected);
    assert_eq!(results.durable_seq, 4);
    let again = send(&running, batch(events)).await.unwrap();
    assert_eq!(outcomes(&again)[1..3], expected[1..3], "a lost answer is given again");
}
on_both_stores!(bad_events_do_not_stop_good_ones);

/// Payload 1 is the start, payload 2 the stop of a job on host `new1`.
fn decode(payload: &[u8]) -> Body {
    let mut start = spec(1, NOW);
    start.allocations = vec![super::host("new1")];
    match payload {
        [1] => Body::Started(start),
        _ => Body::Stopped(Stopped {
            key: key(1, NOW),
            stop_time: NOW + 60,
            state: cc_model::JobState::Completed,
            exit_code: None,
            job: None,
        }),
    }
}

fn with_new_host() -> ClusterState {
    let (name, json) = super::cluster_file("c");
    let json = String::from_utf8(json.to_vec()).unwrap().replace("n[1-8]", "n[1-8],new1");
    let state = ClusterState::default();
    state.report([(name, bytes::Bytes::from(json))]);
    state
}

async fn parked_events_are_applied_in_order_when_the_cluster_file_knows_them<S: Store>(store: S) {
    let running = running(store).await;
    running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    let events = vec![event(1, 1, decode(&[1])), event(2, 2, decode(&[2])), start(3, 3, 3)];
    let results = send(&running, batch(events.clone())).await.unwrap();
    let expected =
        [(Outcome::Parked, "UNKNOWN_HOST"), (Outcome::Parked, "START_PARKED"), (Outcome::Applied, "")];
    assert_eq!(outcomes(&results), expected);
    let retry = RetryParked { after: 0, limit: 10, decode };
    let still = running.writer.run(retry.clone()).await.unwrap();
    assert_eq!(still.applied, 0);
    let files = with_new_host().current().unwrap();
    assert!(running.clusters.report(files.files.iter().map(|(name, json)| (name.clone(), json.clone()))));
    let retried = running.writer.run(retry.clone()).await.unwrap();
    assert_eq!(retried.applied, 2);
    let row = stored(&running.store, &key(1, NOW)).await.unwrap();
    assert_eq!((row.state, row.duration), (cc_model::JobState::Completed, 60));
    assert_eq!(running.writer.run(retry).await.unwrap().last, None, "nothing is parked any more");
    let again = send(&running, batch(events)).await.unwrap();
    assert_eq!(outcomes(&again), [(Outcome::Duplicate, ""); 3]);
}
on_both_stores!(parked_events_are_applied_in_order_when_the_cluster_file_knows_them);

async fn the_parking_has_a_limit<S: Store>(store: S) {
    let running = running(store).await;
    let full = Parked {
        id: 0,
        received_at: NOW,
        origin: Origin {
            adapter_id: String::new(),
            cluster: String::new(),
            epoch: 0,
            seq: 0,
            event_id: Vec::new(),
        },
        key: key(1, 1),
        code: String::new(),
        field: String::new(),
        detail: String::new(),
        payload: Vec::new(),
    };
    let mut unit = running.store.begin("test").await.unwrap();
    for _ in 1..PARKED_MAX {
        unit.park(&full).await.unwrap();
    }
    unit.commit().await.unwrap();
    let send = async |id| {
        let alone = Batch { unsequenced: true, ..batch(vec![event(1, id, decode(&[1]))]) };
        let results = ingest::ingest(&running.writer, alone, 1).await.unwrap();
        (results.verdicts[0].outcome, results.verdicts[0].code.clone())
    };
    assert_eq!(send(1).await, (Outcome::Parked, "UNKNOWN_HOST".to_owned()));
    assert_eq!(send(2).await, (Outcome::Rejected, "UNKNOWN_HOST".to_owned()));
    assert_eq!(running.store.ledger_sizes().await.unwrap(), (1, u64::from(PARKED_MAX)));
}
on_both_stores!(the_parking_has_a_limit);

#[tokio::test]
async fn what_the_database_refuses_becomes_a_dead_letter() {
    let (_folder, database, store) = super::sqlite().await;
    // a constraint that no check of ours foresees
    let mut writer = database.write("test").await.unwrap();
    sqlx::raw_sql("CREATE UNIQUE INDEX ccx_poison ON job (project) WHERE project = 'poison'")
        .execute(&mut *writer)
        .await
        .unwrap();
    writer.commit().await.unwrap();
    let running = running(store).await;
    running.writer.run(hello(EPOCH)).await.unwrap().unwrap();
    let poison = |seq: i64| {
        let mut spec = spec(seq, NOW);
        "poison".clone_into(&mut spec.project);
        event(seq, u8::try_from(seq).unwrap(), Body::Started(spec))
    };
    let results = ingest::ingest(
        &running.writer,
        batch(vec![poison(1), start(2, 2, 2), poison(3), start(4, 4, 4)]),
        500,
    )
    .await
    .unwrap();
    let outcomes: Vec<Outcome> = results.verdicts.iter().map(|verdict| verdict.outcome).collect();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Applied, Outcome::Rejected, Outcome::Applied]);
    assert_eq!(results.durable_seq, 4);
    let mut reader = database.read().await.unwrap();
    let dead: (i64, String, Vec<u8>) = sqlx::query_as("SELECT seq, code, payload FROM ccx_ingest_dead")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    assert_eq!(dead, (3, "INVALID_FIELD".to_owned(), vec![3]));
    let mut unit = running.store.begin("test").await.unwrap();
    unit.prune_ledger(NOW + 1, 100).await.unwrap();
    unit.commit().await.unwrap();
    let left: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM ccx_ingest_event").fetch_one(&mut *reader).await.unwrap();
    assert_eq!(left, 0);
}
