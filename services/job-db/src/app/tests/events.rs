//! The table of integrations.md 9.6, row by row, for `started` and `stopped`.

use cc_model::{JobState, MonitoringStatus, Resource, Tag};

use super::{NOW, apply, clusters, end_of, host, key, on_both_stores, spec, stored};
use crate::app::ingest::CloseReplaced;
use crate::app::mapping::{Allocation, Processors, Range};
use crate::app::rules::{self, Body, REPLACED_SECONDS, Stopped, Verdict};
use crate::app::spec::Spec;
use crate::app::writer::{Context, Mutation};
use crate::store::ledger::Outcome;
use crate::store::{self, Store, Unit};

/// One event without a ledger.
struct One(Body);

impl Mutation for One {
    type Answer = Verdict;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Verdict> {
        rules::apply(unit, context, "c", &self.0).await
    }
}

async fn start<S: Store>(store: &S, spec: Spec) -> Verdict {
    apply(store, NOW, One(Body::Started(spec))).await
}

async fn stop<S: Store>(store: &S, stopped: Stopped) -> Verdict {
    apply(store, NOW, One(Body::Stopped(stopped))).await
}

fn stopped(job_id: i64, start_time: i64, stop_time: i64) -> Stopped {
    let state = JobState::Completed;
    Stopped { key: key(job_id, start_time), stop_time, state, exit_code: None, job: None }
}

fn is(verdict: &Verdict, outcome: Outcome, code: &str) {
    assert_eq!((verdict.outcome, verdict.code.as_str()), (outcome, code), "{verdict:?}");
}

async fn start_of_a_new_job_inserts_it<S: Store>(store: S) {
    let verdict = start(&store, spec(1, NOW)).await;
    is(&verdict, Outcome::Applied, "");
    let row = stored(&store, &key(1, NOW)).await.unwrap();
    assert_eq!((row.id, row.sub_cluster.as_str()), (Some(verdict.id), "main"));
    assert_eq!((row.state, row.monitoring_status), (JobState::Running, MonitoringStatus::RunningOrArchiving));
    // no rule of a day here
    is(&start(&store, spec(2, NOW - 10)).await, Outcome::Applied, "");
}
on_both_stores!(start_of_a_new_job_inserts_it);

async fn second_start_of_a_running_job_adds_only_what_was_missing<S: Store>(store: S) {
    let vague = Spec { incomplete: true, ..spec(1, NOW) };
    let id = start(&store, vague.clone()).await.id;
    is(&start(&store, vague).await, Outcome::Duplicate, "");
    let threads = Processors::Threads(vec![Range { first: 0, last: 1 }]);
    let exact = Spec {
        partition: "work".to_owned(),
        user: "mallory".to_owned(),
        walltime: 60,
        allocations: vec![Allocation { processors: threads, ..host("n2") }],
        metadata: [("jobName".to_owned(), "x".to_owned())].into(),
        tags: vec![Tag {
            id: 0,
            kind: "app".to_owned(),
            name: "vasp".to_owned(),
            scope: "global".to_owned(),
        }],
        ..spec(1, NOW)
    };
    let verdict = start(&store, exact.clone()).await;
    is(&verdict, Outcome::Applied, "");
    assert_eq!(verdict.id, id);
    let row = stored(&store, &key(1, NOW)).await.unwrap();
    assert_eq!((row.partition.as_str(), row.walltime, row.user.as_str()), ("work", 60, "alice"));
    let resource = Resource { hwthreads: vec![0, 1], ..Resource::node("n2") };
    assert_eq!(row.resources, [resource]);
    assert_eq!(row.meta_data.unwrap(), [("jobName".to_owned(), "x".to_owned())].into());
    is(&start(&store, exact.clone()).await, Outcome::Duplicate, "");
    let other = Spec { partition: "else".to_owned(), walltime: 90, ..exact };
    is(&start(&store, other).await, Outcome::Duplicate, "");
    assert_eq!(stored(&store, &key(1, NOW)).await.unwrap().partition, "work", "what is known never changes");
}
on_both_stores!(second_start_of_a_running_job_adds_only_what_was_missing);

async fn start_of_an_ended_job_is_stale<S: Store>(store: S) {
    start(&store, spec(1, NOW)).await;
    stop(&store, stopped(1, NOW, NOW + 5)).await;
    is(&start(&store, Spec { walltime: 9, ..spec(1, NOW) }).await, Outcome::Stale, "");
    assert_eq!(stored(&store, &key(1, NOW)).await.unwrap().walltime, 0);
}
on_both_stores!(start_of_an_ended_job_is_stale);

async fn new_run_replaces_an_older_one_that_never_stopped<S: Store>(store: S) {
    start(&store, Spec { walltime: 100, ..spec(1, NOW - 1_000) }).await;
    start(&store, spec(2, NOW - 1_000)).await;
    let first = start(&store, Spec { restart_count: 1, ..requeued(1) }).await;
    is(&first, Outcome::Applied, "");
    assert_eq!(first.fetch, [key(1, NOW - 1_000)]);
    assert!(first.detail.contains("has not ended"), "{}", first.detail);
    start(&store, spec(2, NOW - 10)).await;

    let close = CloseReplaced { limit: 10 };
    assert_eq!(apply(&store, NOW + REPLACED_SECONDS - 1, close).await, 0, "its own stop may still come");
    // the stop of one comes in time
    is(&stop(&store, stopped(2, NOW - 1_000, NOW - 500)).await, Outcome::Applied, "");
    assert_eq!(apply(&store, NOW + REPLACED_SECONDS, close).await, 1);
    assert_eq!(
        end_of(&store, &key(1, NOW - 1_000)).await,
        (JobState::NodeFail, 100),
        "walltime ends it earlier"
    );
    assert_eq!(end_of(&store, &key(2, NOW - 1_000)).await, (JobState::Completed, 500));
    assert_eq!(end_of(&store, &key(1, NOW - 10)).await.0, JobState::Running);
    // the real stop comes after all
    let late = stop(&store, Stopped { state: JobState::Failed, ..stopped(1, NOW - 1_000, NOW - 950) }).await;
    is(&late, Outcome::Applied, "");
    assert_eq!(end_of(&store, &key(1, NOW - 1_000)).await, (JobState::Failed, 50));
}
on_both_stores!(new_run_replaces_an_older_one_that_never_stopped);

fn requeued(job_id: i64) -> Spec {
    let metadata = [("restartCount".to_owned(), "1".to_owned())].into();
    Spec { metadata, ..spec(job_id, NOW - 10) }
}

async fn late_start_of_an_older_run_does_not_run_for_ever<S: Store>(store: S) {
    start(&store, spec(1, NOW - 10)).await;
    let late = start(&store, spec(1, NOW - 1_000)).await;
    is(&late, Outcome::Applied, "");
    assert_eq!(apply(&store, NOW + REPLACED_SECONDS, CloseReplaced { limit: 10 }).await, 1);
    assert_eq!(end_of(&store, &key(1, NOW - 1_000)).await, (JobState::Cancelled, 990));
    assert_eq!(end_of(&store, &key(1, NOW - 10)).await.0, JobState::Running);
}
on_both_stores!(late_start_of_an_older_run_does_not_run_for_ever);

async fn stop_of_a_running_job_ends_it_and_queues_it<S: Store>(store: S) {
    let id = start(&store, spec(1, NOW - 60)).await.id;
    let copy = Spec { partition: "work".to_owned(), ..spec(1, NOW - 60) };
    let event = Stopped { exit_code: Some(3), job: Some(copy), ..stopped(1, NOW - 60, NOW) };
    is(&stop(&store, event).await, Outcome::Applied, "");
    let row = stored(&store, &key(1, NOW - 60)).await.unwrap();
    assert_eq!((row.state, row.duration, row.partition.as_str()), (JobState::Completed, 60, "work"));
    assert_eq!(row.meta_data.unwrap()["exitCode"], "3");
    let due = store.queue_due(NOW, 9).await.unwrap();
    assert_eq!(due.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id]);
}
on_both_stores!(stop_of_a_running_job_ends_it_and_queues_it);

async fn stop_that_stands_alone_inserts_the_job_ended<S: Store>(store: S) {
    let copy = Spec {
        tags: vec![Tag { id: 0, kind: "a".into(), name: "b".into(), scope: "global".into() }],
        ..spec(1, NOW)
    };
    let event = Stopped { job: Some(copy), ..stopped(1, NOW, NOW + 9) };
    is(&stop(&store, event).await, Outcome::Applied, "");
    assert_eq!(end_of(&store, &key(1, NOW)).await, (JobState::Completed, 9));
    assert_eq!(store.queue_due(NOW, 9).await.unwrap().len(), 1);
    let kinds: Vec<_> =
        store.changes(0, 9).await.unwrap().into_iter().map(|change| change.kind as i64).collect();
    assert_eq!(kinds, [2, 4], "started, stopped");
    is(&start(&store, spec(1, NOW)).await, Outcome::Stale, "");
}
on_both_stores!(stop_that_stands_alone_inserts_the_job_ended);

async fn stop_of_an_unknown_job_is_refused_and_asked_for<S: Store>(store: S) {
    let verdict = stop(&store, stopped(1, NOW, NOW + 9)).await;
    is(&verdict, Outcome::Rejected, "UNKNOWN_JOB");
    assert_eq!(verdict.fetch, [key(1, NOW)]);
    start(&store, spec(1, NOW - 5)).await;
    is(&stop(&store, stopped(1, NOW, NOW + 9)).await, Outcome::Rejected, "UNKNOWN_JOB");
    assert_eq!(end_of(&store, &key(1, NOW - 5)).await.0, JobState::Running, "another run is another job");
}
on_both_stores!(stop_of_an_unknown_job_is_refused_and_asked_for);

async fn second_stop_is_a_duplicate_or_a_correction<S: Store>(store: S) {
    let id = start(&store, spec(1, NOW)).await.id;
    stop(&store, stopped(1, NOW, NOW + 9)).await;
    is(&stop(&store, stopped(1, NOW, NOW + 9)).await, Outcome::Duplicate, "");
    is(&stop(&store, stopped(1, NOW, NOW + 10)).await, Outcome::Applied, "");
    assert_eq!(end_of(&store, &key(1, NOW)).await.1, 10, "not archived yet: every difference counts");

    let mut unit = store.begin("test").await.unwrap();
    unit.dequeue(id).await.unwrap();
    unit.monitoring(id, MonitoringStatus::Archived).await.unwrap();
    unit.commit().await.unwrap();
    is(&stop(&store, stopped(1, NOW, NOW + 11)).await, Outcome::Duplicate, "");
    let corrected = stop(&store, Stopped { state: JobState::Timeout, ..stopped(1, NOW, NOW + 30) }).await;
    is(&corrected, Outcome::Applied, "");
    assert!(corrected.detail.contains("completed after 10 s"), "{}", corrected.detail);
    let row = stored(&store, &key(1, NOW)).await.unwrap();
    assert_eq!(row.monitoring_status, MonitoringStatus::RunningOrArchiving, "it is archived again");
    assert_eq!(store.queue_due(NOW, 9).await.unwrap().len(), 1);
}
on_both_stores!(second_stop_is_a_duplicate_or_a_correction);

async fn senseless_events_have_a_code_and_a_field<S: Store>(store: S) {
    let invalid = "INVALID_FIELD";
    let elsewhere = cc_model::JobKey { cluster: "d".to_owned(), ..key(1, NOW) };
    for (wrong, code, field) in [
        (Spec { user: String::new(), ..spec(1, NOW) }, invalid, "job.user"),
        (Spec { num_nodes: 2, ..spec(1, NOW) }, invalid, "job.num_nodes"),
        (Spec { num_nodes: 0, allocations: Vec::new(), ..spec(1, NOW) }, invalid, "job.num_nodes"),
        (spec(1, 0), invalid, "job.key.start_time"),
        (spec(0, NOW), invalid, "job.key.job_id"),
        (Spec { key: elsewhere.clone(), ..spec(1, NOW) }, invalid, "job.key.cluster"),
        (Spec { smt: 2, ..spec(1, NOW) }, invalid, "job.smt"),
        (Spec { walltime: -1, ..spec(1, NOW) }, invalid, "job.walltime_s"),
        (Spec { num_acc: u32::MAX, ..spec(1, NOW) }, invalid, "job.num_acc"),
        (Spec { allocations: vec![host("../etc")], ..spec(1, NOW) }, invalid, "job.nodes[0].hostname"),
    ] {
        let verdict = start(&store, wrong).await;
        is(&verdict, Outcome::Rejected, code);
        assert_eq!(verdict.field, field);
    }
    start(&store, spec(1, NOW)).await;
    for (wrong, code, field) in [
        (Stopped { state: JobState::Pending, ..stopped(1, NOW, NOW + 1) }, "STATE_NOT_TERMINAL", "state"),
        (Stopped { state: JobState::Running, ..stopped(1, NOW, NOW + 1) }, "STATE_NOT_TERMINAL", "state"),
        (Stopped { state: JobState::Suspended, ..stopped(1, NOW, NOW + 1) }, "STATE_NOT_TERMINAL", "state"),
        (stopped(1, NOW, NOW - 1), invalid, "stop_time"),
        (stopped(1, NOW, i64::MAX), invalid, "stop_time"),
        (Stopped { key: elsewhere, ..stopped(1, NOW, NOW) }, invalid, "key.cluster"),
        (Stopped { job: Some(spec(2, NOW)), ..stopped(1, NOW, NOW) }, invalid, "job.key"),
    ] {
        let verdict = stop(&store, wrong).await;
        is(&verdict, Outcome::Rejected, code);
        assert_eq!(verdict.field, field);
    }
    assert_eq!(end_of(&store, &key(1, NOW)).await.0, JobState::Running);
    let unsupported = apply(&store, NOW, One(Body::Unsupported("updated"))).await;
    is(&unsupported, Outcome::Rejected, "UNSUPPORTED_EVENT");
}
on_both_stores!(senseless_events_have_a_code_and_a_field);

async fn unknown_clusters_and_hosts_are_parked<S: Store>(store: S) {
    let mut unit = store.begin("test").await.unwrap();
    let mut context = Context::new(NOW, clusters(), 0);
    let elsewhere = cc_model::JobKey { cluster: "nosuch".to_owned(), ..key(1, NOW) };
    let foreign = Body::Started(Spec { key: elsewhere, ..spec(1, NOW) });
    let verdict = rules::apply(&mut unit, &mut context, "nosuch", &foreign).await.unwrap();
    is(&verdict, Outcome::Parked, "UNKNOWN_CLUSTER");
    drop(unit);
    let two = Spec { num_nodes: 2, allocations: vec![host("n1"), host("x9")], ..spec(1, NOW) };
    let verdict = start(&store, two).await;
    is(&verdict, Outcome::Parked, "UNKNOWN_HOST");
    assert_eq!(verdict.field, "job.nodes[1].hostname");
    assert_eq!(stored(&store, &key(1, NOW)).await, None);
}
on_both_stores!(unknown_clusters_and_hosts_are_parked);

async fn what_cannot_be_mapped_keeps_its_hosts<S: Store>(store: S) {
    let cores = |core| Processors::Cores(vec![(0, vec![Range { first: core, last: core }])]);
    let two = Spec {
        num_nodes: 2,
        allocations: vec![
            Allocation { processors: cores(1), ..host("n1") },
            Allocation { processors: cores(99), gpus: vec![Range { first: 0, last: 0 }], ..host("n2") },
        ],
        ..spec(1, NOW)
    };
    is(&start(&store, two).await, Outcome::Applied, "");
    let row = stored(&store, &key(1, NOW)).await.unwrap();
    assert_eq!(row.resources[0].hwthreads, [1, 9]);
    assert_eq!(row.resources[1], Resource::node("n2"));
    assert_eq!(row.meta_data.unwrap()["resourcesIncomplete"], "true");
}
on_both_stores!(what_cannot_be_mapped_keeps_its_hosts);
