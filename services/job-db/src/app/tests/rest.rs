//! Start, stop and import as recorded (rest-api.md 6.5, 6.6; fixtures start-job, stop-job, requeue).

use cc_model::{JobState, MonitoringStatus, Tag};
use cc_runtime::caller::Role;

use super::{NOW, api, apply, caller, clusters, end_of, job, key, on_both_stores, sqlite, stored};
use crate::app::janitor::DrainBuffer;
use crate::app::rest::{ImportJob, StartJob, StopJob};
use crate::error::Error;
use crate::store::visible::{TagScopes, Visible};
use crate::store::{Load, Store, query};

fn start(job: cc_model::Job) -> StartJob {
    StartJob::new(job, &api(), &clusters()).unwrap()
}

fn stop(job_id: i64, stop_time: i64) -> StopJob {
    StopJob { job_id, cluster: None, start_time: None, stop_time, state: String::new() }
}

async fn a_run_within_a_day_is_the_same_run<S: Store>(store: S) {
    let id = apply(&store, NOW, start(job(1, NOW - 90_000))).await.unwrap();
    for start_time in [NOW - 90_000, NOW - 89_000, NOW - 200_000, NOW - 3_601] {
        let again = apply(&store, NOW, start(job(1, start_time))).await;
        assert!(
            matches!(again, Err(Error::JobExists { id: known, job_id: 1 }) if known == id),
            "{start_time}"
        );
    }
    apply(&store, NOW, stop(1, NOW - 80_000)).await.unwrap();
    assert!(apply(&store, NOW, start(job(1, NOW - 3_601))).await.is_err(), "also when it has ended");
    let next = apply(&store, NOW, start(job(1, NOW - 3_600))).await.unwrap();
    assert!(next > id);
    let stopped =
        apply(&store, NOW, StopJob { state: "timeout".to_owned(), ..stop(1, NOW - 60) }).await.unwrap();
    assert_eq!((stopped.id, stopped.duration), (Some(next), 3_540), "stop by id takes the newest");
    let other = cc_model::Job { cluster: "d".to_owned(), ..job(1, NOW) };
    assert!(apply(&store, NOW, start(other)).await.is_ok(), "another cluster has ids of its own");
}
on_both_stores!(a_run_within_a_day_is_the_same_run);

async fn a_stop_ends_and_queues_exactly_its_job<S: Store>(store: S) {
    let id = apply(&store, NOW, start(job(1, NOW - 1_800))).await.unwrap();
    apply(&store, NOW, start(job(2, NOW - 1_200))).await.unwrap();
    let quiet = cc_model::Job { monitoring_status: MonitoringStatus::Disabled, ..job(3, NOW - 600) };
    apply(&store, NOW, start(quiet)).await.unwrap();

    let unknown = [
        stop(77, NOW),
        StopJob { cluster: Some("d".to_owned()), ..stop(1, NOW) },
        StopJob { start_time: Some(5), ..stop(1, NOW) },
    ];
    for unknown in unknown {
        assert!(matches!(apply(&store, NOW, unknown).await, Err(Error::JobNotFound)));
    }
    let early = apply(&store, NOW, stop(1, NOW - 1_801)).await;
    assert!(matches!(early, Err(Error::StopBeforeStart { .. })));
    assert!(
        matches!(apply(&store, NOW, stop(1, 0)).await, Err(Error::StopBeforeStart { .. })),
        "missing stop time"
    );
    for word in ["stopped", "running", "suspended", "Completed"] {
        let state = word.to_owned();
        let wrong = apply(&store, NOW, StopJob { state, ..stop(1, NOW) }).await;
        assert!(matches!(wrong, Err(Error::InvalidState { .. })), "{word}");
    }
    assert!(matches!(apply(&store, NOW, stop(1, i64::MAX)).await, Err(Error::StopTooLate { .. })));
    assert!(store.queue_due(NOW, 9).await.unwrap().is_empty());

    let stopped = apply(&store, NOW, stop(1, NOW - 300)).await.unwrap();
    assert_eq!((stopped.state, stopped.duration), (JobState::Completed, 1_500));
    let due = store.queue_due(NOW, 9).await.unwrap();
    assert_eq!(due.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id]);
    let again = apply(&store, NOW, stop(1, NOW)).await.unwrap_err();
    assert_eq!(
        again.to_string(),
        format!("jobId 1 (id {id}) on c : job has already been stopped (state is: completed)")
    );
    assert_eq!(end_of(&store, &key(2, NOW - 1_200)).await, (JobState::Running, 0), "others are untouched");

    let requeued = apply(&store, NOW, StopJob { state: "pending".to_owned(), ..stop(2, NOW) }).await.unwrap();
    assert_eq!(requeued.state, JobState::Pending, "adapters end a requeued run so");
    apply(&store, NOW, stop(3, NOW)).await.unwrap();
    assert_eq!(store.queue_due(NOW, 9).await.unwrap().len(), 2, "without monitoring nothing is archived");
}
on_both_stores!(a_stop_ends_and_queues_exactly_its_job);

#[test]
fn requests_are_refused_in_the_recorded_order_and_words() {
    let refused = |change: fn(&mut cc_model::Job)| {
        let mut wrong = job(1, NOW);
        change(&mut wrong);
        StartJob::new(wrong, &api(), &clusters()).unwrap_err().to_string()
    };
    for (expected, found) in [
        ("no such cluster: nosuch", refused(|job| job.cluster = "nosuch".to_owned())),
        ("'resources' and 'user' should not be empty", refused(|job| job.user.clear())),
        ("ARCHIVE/CLUSTERCONFIG > job without any resources/hosts", refused(|job| job.resources.clear())),
        ("'numNodes', 'numAcc' or 'numHWThreads' invalid", refused(|job| job.num_nodes = 0)),
        ("'numNodes', 'numAcc' or 'numHWThreads' invalid", refused(|job| job.num_acc = -1)),
        ("len(resources) does not equal numNodes (1 vs 2)", refused(|job| job.num_nodes = 2)),
        (
            "ARCHIVE/CLUSTERCONFIG > already assigned subcluster nosuch unkown (cluster: c)",
            refused(|job| job.sub_cluster = "nosuch".to_owned()),
        ),
        (
            "ARCHIVE/CLUSTERCONFIG > no subcluster found for cluster c and host x0001",
            refused(|job| job.resources[0].hostname = "x0001".to_owned()),
        ),
    ] {
        assert_eq!(found, expected);
    }
}

fn tag(kind: &str, name: &str, scope: &str) -> Tag {
    Tag { id: 0, kind: kind.to_owned(), name: name.to_owned(), scope: scope.to_owned() }
}

async fn tags_come_with_the_job_or_not_at_all<S: Store>(store: S) {
    let tagged = |tags: &[Tag]| cc_model::Job { tags: tags.to_vec(), ..job(1, NOW) };
    let private = StartJob::new(tagged(&[tag("x", "y", "somebody")]), &api(), &clusters());
    assert!(matches!(private, Err(Error::TagScope { .. })));
    let user = caller("alice", &[Role::User, Role::Api]);
    assert!(StartJob::new(tagged(&[tag("x", "y", "alice")]), &user, &clusters()).is_ok());
    assert!(StartJob::new(tagged(&[tag("x", "y", "global")]), &user, &clusters()).is_err());

    apply(&store, NOW, start(tagged(&[tag("app", "vasp", ""), tag("ops", "audit", "admin")]))).await.unwrap();
    let taken = cc_model::Job { tags: vec![tag("new", "one", ""), tag("ops", "audit", "")], ..job(2, NOW) };
    let refused = apply(&store, NOW, start(taken)).await;
    assert!(matches!(refused, Err(Error::TagTaken { .. })));
    assert_eq!(stored(&store, &key(2, NOW)).await, None);
    let words = |scopes: TagScopes| {
        let store = store.clone();
        async move {
            let tags = store.tags(&scopes).await.unwrap();
            tags.into_iter().map(|tag| format!("{}:{}:{}", tag.kind, tag.name, tag.scope)).collect::<Vec<_>>()
        }
    };
    assert_eq!(words(TagScopes::Every).await, ["app:vasp:global", "ops:audit:admin"], "nothing half-written");
    assert_eq!(words(TagScopes::to(&caller("bob", &[Role::User]))).await, ["app:vasp:global"]);
    let admin = caller("root", &[Role::Admin]);
    let listing = store
        .list(
            &Visible::to(&admin).unwrap(),
            &TagScopes::to(&admin),
            &query::Query { filters: Vec::new(), order: None, page: query::Page::All, count: true },
            Load { tags: true, ..Load::default() },
            NOW + 60,
        )
        .await
        .unwrap();
    assert_eq!((listing.count, listing.jobs[0].tags.len(), listing.jobs[0].duration), (Some(1), 2, 60));
}
on_both_stores!(tags_come_with_the_job_or_not_at_all);

async fn an_imported_job_is_archived_and_known_once<S: Store>(store: S) {
    let running = ImportJob::new(job(1, NOW), &api(), &clusters());
    assert!(matches!(running, Err(Error::InvalidJob { field: "jobState", .. })));
    let statistics = cc_model::job::JobStatistics { avg: 2.0, min: 1.0, max: 3.0, ..Default::default() };
    let ended = cc_model::Job {
        state: JobState::Completed,
        duration: 3_600,
        statistics: Some(
            [("cpu_load".to_owned(), statistics.clone()), ("power".to_owned(), statistics)].into(),
        ),
        ..job(1, NOW)
    };
    let import = ImportJob::new(ended, &api(), &clusters()).unwrap();
    apply(&store, NOW, import.clone()).await.unwrap();
    assert!(matches!(apply(&store, NOW, import).await, Err(Error::JobExists { .. })));
    let row = stored(&store, &key(1, NOW)).await.unwrap();
    assert_eq!(row.monitoring_status, MonitoringStatus::Archived);
    assert_eq!(
        row.footprint.unwrap(),
        [("cpu_load_avg".to_owned(), 2.0), ("mem_used_avg".to_owned(), 0.0)].into()
    );
    assert_eq!(
        row.energy_footprint.unwrap(),
        [("power".to_owned(), 0.0)].into(),
        "2 W for an hour are 0.002 kWh"
    );
    assert!(store.queue_due(NOW, 9).await.unwrap().is_empty());
}
on_both_stores!(an_imported_job_is_archived_and_known_once);

#[tokio::test]
async fn buffered_jobs_of_the_reference_are_taken_over() {
    let (_folder, database, store) = sqlite().await;
    apply(&store, NOW, start(job(2, NOW))).await.unwrap();
    let mut writer = database.write("test").await.unwrap();
    // as the reference binds them: JSON as BLOBs, NULL where the table allows it
    sqlx::raw_sql(
        "INSERT INTO job_cache (job_id, cluster, subcluster, start_time, hpc_user, project, duration, walltime,
           job_state, meta_data, resources, num_nodes, smt, shared, monitoring_status, footprint)
         VALUES (1, 'c', 'main', 1700000000, 'alice', 'p', 0, 0, 'running', CAST('{\"jobName\":\"x\"}' AS BLOB),
           CAST('[{\"hostname\":\"n1\",\"hwthreads\":[0,1]}]' AS BLOB), 1, 1, 'none', 1, NULL),
         (2, 'c', 'main', 1700000000, 'alice', 'p', 0, 0, 'running', NULL, '[]', 1, 1, 'none', 1, 'null')",
    )
    .execute(&mut *writer)
    .await
    .unwrap();
    writer.commit().await.unwrap();
    assert_eq!(apply(&store, NOW, DrainBuffer).await, (1, 1));
    assert_eq!(apply(&store, NOW, DrainBuffer).await, (0, 0));
    let moved = stored(&store, &key(1, NOW)).await.unwrap();
    assert_eq!(moved.meta_data.unwrap()["jobName"], "x");
    assert_eq!(moved.resources[0].hwthreads, [0, 1]);
    assert_eq!(
        stored(&store, &key(2, NOW)).await.unwrap().resources[0].hostname,
        "n1",
        "what was known stays"
    );
    let mut reader = database.read().await.unwrap();
    let nulls: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM job WHERE cluster_partition IS NULL OR array_job_id IS NULL OR num_hwthreads IS NULL
         OR num_acc IS NULL OR footprint IS NULL",
    )
    .fetch_one(&mut *reader)
    .await
    .unwrap();
    assert_eq!(nulls, 0, "the reference cannot read NULL there");
}
