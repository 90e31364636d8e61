use cc_proto::scheduler::v1::{
    FetchDetails, JobKey, JobRetracted, JobSpec, JobStarted, Limits, Outcome, Slowdown, command, event::Body,
};
use jiff::Timestamp;

use super::*;
use crate::spool::Spool;
use crate::testing::{Fault, Server};

struct NoToken;

impl Token for NoToken {
    fn token(&self) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// Outcomes in the order told, `None` for acknowledged without a result.
#[derive(Default)]
struct Heard(Vec<(String, u64, Option<Outcome>)>);

impl Observer for Heard {
    fn result(&mut self, cluster: &str, event: &Event, result: &EventResult) {
        assert_eq!(event.seq, result.seq);
        self.0.push((cluster.to_owned(), event.seq, Some(result.outcome())));
    }

    fn acknowledged(&mut self, cluster: &str, event: &Event) {
        self.0.push((cluster.to_owned(), event.seq, None));
    }

    fn command(&mut self, command: &Command) -> CommandDone {
        CommandDone { id: command.id.clone(), ok: false, detail: "no".to_owned() }
    }
}

fn event(job_id: i64) -> Event {
    let key = JobKey { cluster: "a".to_owned(), job_id, start_time: 1 };
    let body = Body::Retracted(JobRetracted { key: Some(key), reason: "x".repeat(100) });
    Event {
        seq: 0,
        event_id: job_id.to_le_bytes().to_vec().into(),
        observed_at_ms: 1000 + job_id,
        body: Some(body),
    }
}

fn events(cluster: &str, ids: std::ops::Range<i64>) -> Vec<(String, Event)> {
    ids.map(|id| (cluster.to_owned(), event(id))).collect()
}

fn outbox(events: Vec<(String, Event)>) -> Outbox {
    let outbox = Outbox::new(Spool::in_memory());
    outbox.append(events).unwrap();
    outbox
}

async fn send(server: &Server, outbox: &Outbox, options: &Options) -> (Result<(), Error>, Heard) {
    let mut heard = Heard::default();
    let clock = Clock::fixed(Timestamp::from_second(1_795_000_000).unwrap());
    let sent = run(outbox, server.transport(), &NoToken, options, &clock, &mut heard).await;
    (sent, heard)
}

async fn send_all(server: &Server, outbox: &Outbox) -> Heard {
    outbox.close();
    let (sent, heard) = send(server, outbox, &Options::new("test")).await;
    sent.unwrap();
    assert_eq!(outbox.waiting(), 0);
    assert!(server.ledger().violations.is_empty(), "{:?}", server.ledger().violations);
    heard
}

/// Every event took effect once, in the order of its stream.
fn assert_applied(server: &Server, cluster: &str, ids: std::ops::Range<i64>) {
    let ledger = server.ledger();
    let applied: Vec<i64> = ledger
        .applied
        .iter()
        .filter(|(name, _)| name == cluster)
        .map(|(_, id)| i64::from_le_bytes(id.as_slice().try_into().unwrap()))
        .collect();
    assert_eq!(applied, ids.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn every_event_is_sent_in_order_and_told_once() {
    let server = Server::new([]);
    let heard = send_all(&server, &outbox([events("a", 0..35), events("b", 100..103)].concat())).await;
    assert_applied(&server, "a", 0..35);
    assert_applied(&server, "b", 100..103);
    let told: Vec<u64> =
        heard.0.iter().filter(|(cluster, ..)| cluster == "a").map(|(_, seq, _)| *seq).collect();
    assert_eq!(told, (1..=35).collect::<Vec<_>>());
    assert!(heard.0.iter().all(|(.., outcome)| *outcome == Some(Outcome::Applied)));
    assert_eq!(heard.0.len(), 38);
    let ledger = server.ledger();
    assert!(ledger.batches.iter().all(|batch| batch.events.len() <= 10));
    assert_eq!(ledger.hellos.len(), 1);
    assert_eq!(ledger.names.iter().collect::<Vec<_>>(), ["test"]);
    let hello = &ledger.hellos[0];
    assert_eq!((hello.revision_min, hello.revision_max, hello.want_lease), (1, 1, false));
    assert_eq!(
        (hello.adapter_id.as_str(), hello.clusters.as_slice()),
        ("test", &["a".to_owned(), "b".to_owned()][..])
    );
}

#[tokio::test(start_paused = true)]
async fn credit_is_never_exceeded() {
    for (count, bytes) in [(1, 0), (3, 0), (7, 1 << 20), (100, 300), (100, 1)] {
        let mut server = Server::new([]);
        server.credit.events = count;
        server.credit.bytes = bytes;
        send_all(&server, &outbox(events("a", 0..40))).await;
        assert_applied(&server, "a", 0..40);
        let ledger = server.ledger();
        assert!(ledger.under_way_max <= count as usize, "{} > {count}", ledger.under_way_max);
        if bytes == 1 {
            assert_eq!(ledger.under_way_max, 1, "an event larger than the credit goes alone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_before_the_time_that_the_credit_names() {
    let mut server = Server::new([]);
    server.credit.retry_after_ms = 5_000;
    send_all(&server, &outbox(events("a", 0..3))).await;
    let ledger = server.ledger();
    assert!(ledger.batch_at[0] - ledger.hello_at[0] >= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_anywhere_lose_and_repeat_nothing() {
    for code in [
        Code::Unavailable,
        Code::Internal,
        Code::Unknown,
        Code::Cancelled,
        Code::ResourceExhausted,
        Code::OutOfRange,
    ] {
        for after in [1, 2, 9, 10, 11, 30] {
            let mut server = Server::new(vec![Fault::EndAfter(after, code); 3]);
            server.credit.events = 7;
            let heard = send_all(&server, &outbox(events("a", 0..60))).await;
            assert_applied(&server, "a", 0..60);
            assert_eq!(server.ledger().batches.iter().map(|batch| batch.events.len()).sum::<usize>(), 60);
            let told: Vec<u64> = heard.0.iter().map(|(_, seq, _)| *seq).collect();
            assert_eq!(told, (1..=60).collect::<Vec<_>>(), "{code:?} after {after}");
            assert!(
                heard.0.iter().any(|(.., outcome)| outcome.is_none()),
                "results were lost with the connections"
            );
            assert_eq!(server.ledger().epochs.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_asked_again_after_growing_waits() {
    let server = Server::new(vec![Fault::Hello(Code::Unavailable); 12]);
    send_all(&server, &outbox(events("a", 0..3))).await;
    let ledger = server.ledger();
    assert_eq!(ledger.hellos.len(), 13);
    let waits: Vec<Duration> = ledger.hello_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, bound_ms) in
        waits.iter().zip([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000, 30000])
    {
        assert!(*wait <= Duration::from_millis(bound_ms + 2), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_trying_again_does_not_change_ends_at_once_and_loses_nothing() {
    for code in [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::InvalidArgument,
        Code::FailedPrecondition,
        Code::Unimplemented,
    ] {
        for fault in [Fault::Hello(code), Fault::EndAfter(1, code)] {
            let server = Server::new([fault]);
            let outbox = outbox(events("a", 0..3));
            outbox.close();
            let (sent, _) = send(&server, &outbox, &Options::new("test")).await;
            let text = sent.unwrap_err().to_string();
            assert_eq!(text, format!("the server refuses: test ({code:?})"));
            assert_eq!(outbox.waiting(), 3);
        }
    }
    let server = Server::new([Fault::Revision(2)]);
    let (sent, _) = send(&server, &outbox(events("a", 0..3)), &Options::new("test")).await;
    assert!(matches!(sent, Err(Error::Revision { found: 2 })));
}

#[test]
fn a_server_that_forgot_the_hello_hears_it_again() {
    let refused = |reason: &'static str| -> Status {
        cc_runtime::error::Failure::new(cc_runtime::error::Kind::Conflict, reason, "x").precondition().into()
    };
    assert!(!is_final(&refused("HELLO_REQUIRED")) && !is_final(&refused("EPOCH_UNKNOWN")));
    assert!(is_final(&refused("FENCED")) && is_final(&Status::failed_precondition("x")));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_after_three_heartbeats() {
    let server = Server::new([Fault::Silent]);
    send_all(&server, &outbox(events("a", 0..3))).await;
    let ledger = server.ledger();
    let waited = ledger.hello_at[1] - ledger.hello_at[0];
    assert!(waited > Duration::from_secs(45) && waited < Duration::from_secs(62), "{waited:?}");
    assert!(ledger.heartbeats.len() >= 2, "{}", ledger.heartbeats.len());
    let beat = &ledger.heartbeats[0];
    assert_eq!((beat.now_ms, beat.spool_events, beat.oldest_unacked_ms), (1_795_000_000_000, 3, 1000));
}

#[tokio::test(start_paused = true)]
async fn patience_ends_when_nothing_is_acknowledged() {
    let options = Options { patience: Some(Duration::from_mins(1)), ..Options::new("test") };
    for fault in [Fault::Stuck, Fault::Silent, Fault::Hello(Code::Unavailable)] {
        let server = Server::new(vec![fault.clone(); 1000]);
        let outbox = outbox(events("a", 0..3));
        outbox.close();
        let begun = Instant::now();
        let (sent, _) = send(&server, &outbox, &options).await;
        assert!(matches!(sent, Err(Error::OutOfPatience { waiting: 3, .. })), "{fault:?}: {sent:?}");
        assert!(
            begun.elapsed() <= Duration::from_secs(61) && begun.elapsed() > Duration::from_secs(29),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lost_or_found_events_gets_a_new_epoch() {
    for fault in [Fault::Amnesia, Fault::Ahead(1000)] {
        let server = Server::new([
            Fault::EndAfter(10, Code::Unavailable),
            Fault::EndAfter(10, Code::Unavailable),
            fault.clone(),
        ]);
        let heard = send_all(&server, &outbox(events("a", 0..60))).await;
        assert_eq!(server.ledger().epochs.len(), 2, "{fault:?}");
        // ten of those that were under way are known to the server, and no event was left out
        let ids: std::collections::BTreeSet<_> =
            server.ledger().applied.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!(ids.len(), 60, "{fault:?}");
        assert!(heard.0.len() >= 60);
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_what_was_not_sent_is_not_believed() {
    let server = Server::new([Fault::AckBeyond]);
    let heard = send_all(&server, &outbox(events("a", 0..30))).await;
    assert_applied(&server, "a", 0..30);
    assert_eq!(heard.0.len(), 30);
    assert_eq!(server.ledger().hellos.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn commands_are_answered_and_slowing_down_is_obeyed() {
    let fetch = command::What::Fetch(FetchDetails::default());
    let server = Server::new([Fault::Ask(fetch)]);
    send_all(&server, &outbox(events("a", 0..30))).await;
    let done = server.ledger().done.clone();
    assert_eq!(done, [CommandDone { id: "c1".to_owned(), ok: false, detail: "no".to_owned() }]);

    let server = Server::new([Fault::Ask(command::What::Slow(Slowdown { min_interval_ms: 3000 }))]);
    send_all(&server, &outbox(events("a", 0..50))).await;
    let ledger = server.ledger();
    assert!(ledger.done[0].ok);
    let slow = ledger.batch_at.windows(2).filter(|pair| pair[1] - pair[0] >= Duration::from_secs(3)).count();
    assert!(slow >= 3, "{:?}", ledger.batch_at);
}

#[tokio::test(start_paused = true)]
async fn an_event_larger_than_a_message_is_made_smaller_and_blocks_nothing() {
    let mut server = Server::new([]);
    server.limits = Limits { max_message_bytes: 8192, ..server.limits };
    let key = JobKey { cluster: "a".to_owned(), job_id: 1, start_time: 1 };
    let job = JobSpec {
        key: Some(key),
        user: "alice".into(),
        job_script: "x".repeat(100_000),
        ..JobSpec::default()
    };
    let large = Event {
        event_id: vec![9; 8].into(),
        body: Some(Body::Started(JobStarted { job: Some(job) })),
        ..Event::default()
    };
    let heard = send_all(
        &server,
        &outbox([events("a", 0..2), vec![("a".to_owned(), large)], events("a", 2..4)].concat()),
    )
    .await;
    assert_eq!(heard.0.len(), 5);
    for batch in &server.ledger().batches {
        assert!(prost::Message::encoded_len(batch) <= 8192);
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_come_while_connected_go_out_at_once() {
    let server = Server::new([]);
    let outbox = outbox(events("a", 0..1));
    let late = async {
        for id in 1..4 {
            tokio::time::sleep(Duration::from_secs(100)).await;
            outbox.append(events("a", id..id + 1)).unwrap();
        }
        outbox.append(events("new", 50..51)).unwrap();
        outbox.close();
    };
    let options = Options::new("test");
    let ((sent, heard), ()) = tokio::join!(send(&server, &outbox, &options), late);
    sent.unwrap();
    assert_applied(&server, "a", 0..4);
    assert_applied(&server, "new", 50..51);
    assert_eq!(heard.0.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_token_is_shown_and_asked_for_at_each_connection() {
    struct Counting(std::sync::atomic::AtomicUsize);
    impl Token for Counting {
        fn token(&self) -> Result<Option<String>, String> {
            match self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 | 1 => Ok(Some("first".to_owned())),
                2 | 3 => Ok(Some("second\n".to_owned())),
                _ => Err("gone".to_owned()),
            }
        }
    }
    let server = Server::new(vec![Fault::EndAfter(1, Code::Unavailable); 5]);
    let outbox = outbox(events("a", 0..60));
    outbox.close();
    let clock = Clock::system();
    let token = Counting(0.into());
    let sent =
        run(&outbox, server.transport(), &token, &Options::new("test"), &clock, &mut Heard::default()).await;
    assert_eq!(sent.unwrap_err().to_string(), "no usable token: gone");
    let tokens: std::collections::BTreeSet<_> = server.ledger().tokens.iter().cloned().collect();
    assert_eq!(tokens.into_iter().collect::<Vec<_>>(), ["Bearer first", "Bearer second"]);
}
