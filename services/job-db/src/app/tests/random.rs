//! Any order and repetition of events and requests leaves both stores with the same rows, and the jobs where the
//! scheduler has them.

use cc_model::JobState;
use proptest::prelude::*;

use super::{NOW, api, apply, clusters, job, key, spec, sqlite, stored};
use crate::app::ingest::CloseReplaced;
use crate::app::rest::{StartJob, StopJob};
use crate::app::rules::{self, Body, REPLACED_SECONDS, Stopped, Verdict};
use crate::app::spec::Spec;
use crate::app::writer::{Context, Mutation};
use crate::store::memory::MemoryStore;
use crate::store::query::{Page, Query};
use crate::store::visible::{TagScopes, Visible};
use crate::store::{self, Load, Metadata, Store, Unit};

/// Something that happens to one of a few runs.
#[derive(Debug, Clone)]
enum Step {
    Start { run: usize, vague: bool },
    Stop { run: usize, seconds: i64, with_copy: bool },
    RestStart { run: usize },
    RestStop { run: usize, seconds: i64 },
    TimePasses,
}

/// (job id, start): two jobs with two runs each.
const RUNS: [(i64, i64); 4] = [(1, NOW - 5_000), (1, NOW - 1_000), (2, NOW - 200_000), (2, NOW - 300)];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let run = 0..RUNS.len();
    let step = prop_oneof![
        4 => (run.clone(), any::<bool>()).prop_map(|(run, vague)| Step::Start { run, vague }),
        4 => (run.clone(), prop_oneof![Just(60_i64), Just(61), Just(400)], any::<bool>())
            .prop_map(|(run, seconds, with_copy)| Step::Stop { run, seconds, with_copy }),
        1 => run.clone().prop_map(|run| Step::RestStart { run }),
        1 => (run, Just(60_i64)).prop_map(|(run, seconds)| Step::RestStop { run, seconds }),
        1 => Just(Step::TimePasses),
    ];
    proptest::collection::vec(step, 1..25)
}

struct Event(Body);

impl Mutation for Event {
    type Answer = Verdict;

    async fn apply<U: Unit>(&self, unit: &mut U, context: &mut Context) -> store::Result<Verdict> {
        rules::apply(unit, context, "c", &self.0).await
    }
}

async fn take<S: Store>(store: &S, step: &Step) -> String {
    let of = |run: usize| RUNS[run];
    match *step {
        Step::Start { run, vague } => {
            let (id, start) = of(run);
            let body = Body::Started(Spec { incomplete: vague, walltime: 600, ..spec(id, start) });
            format!("{:?}", apply(store, NOW, Event(body)).await)
        }
        Step::Stop { run, seconds, with_copy } => {
            let (id, start) = of(run);
            let body = Body::Stopped(Stopped {
                key: key(id, start),
                stop_time: start + seconds,
                state: JobState::Completed,
                exit_code: with_copy.then_some(0),
                job: with_copy.then(|| spec(id, start)),
            });
            format!("{:?}", apply(store, NOW, Event(body)).await)
        }
        Step::RestStart { run } => {
            let (id, start) = of(run);
            let request = StartJob::new(job(id, start), &api(), &clusters()).unwrap();
            format!("{:?}", apply(store, NOW, request).await)
        }
        Step::RestStop { run, seconds } => {
            let (job_id, start) = of(run);
            let request = StopJob {
                job_id,
                cluster: None,
                start_time: None,
                stop_time: start + seconds,
                state: String::new(),
            };
            format!("{:?}", apply(store, NOW, request).await)
        }
        Step::TimePasses => {
            format!("{:?}", apply(store, NOW + REPLACED_SECONDS, CloseReplaced { limit: 10 }).await)
        }
    }
}

/// Every row a reader can see, and the queue.
async fn everything<S: Store>(store: &S) -> String {
    let service = Visible::to(&cc_runtime::caller::Caller::service("job-db")).unwrap();
    let query = Query { filters: Vec::new(), order: None, page: Page::All, count: true };
    let load = Load { metadata: Metadata::All, tags: true };
    let listing = store.list(&service, &TagScopes::Every, &query, load, NOW).await.unwrap();
    // each store draws generations of its own
    let queue = store.queue_due(i64::MAX, 99).await.unwrap().into_iter();
    let queue: Vec<_> = queue.map(|entry| (entry.id, entry.attempts, entry.not_before)).collect();
    let changes = store.changes(0, 999).await.unwrap();
    format!("{listing:#?}\n{queue:#?}\n{changes:#?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_agree_on_any_history(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let naive = MemoryStore::default();
            let (_folder, _database, real) = sqlite().await;
            for step in &steps {
                let (expected, found) = (take(&naive, step).await, take(&real, step).await);
                assert_eq!(found, expected, "{step:?}");
            }
            assert_eq!(everything(&real).await, everything(&naive).await);
        });
    }

    #[test]
    fn any_order_and_repetition_of_a_run_ends_it(
        order in Just(vec![0_usize, 1, 0, 1, 1]).prop_shuffle(),
        runs in proptest::collection::vec(0..RUNS.len(), 1..4),
    ) {
        // starts (0) and self-contained stops (1) of the same runs, each at least once, in any order
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = MemoryStore::default();
            for run in &runs {
                for what in &order {
                    let step = if *what == 0 {
                        Step::Start { run: *run, vague: false }
                    } else {
                        Step::Stop { run: *run, seconds: 60, with_copy: true }
                    };
                    take(&store, &step).await;
                }
            }
            for run in &runs {
                let (id, start) = RUNS[*run];
                let row = stored(&store, &key(id, start)).await.unwrap();
                assert_eq!((row.state, row.duration), (JobState::Completed, 60));
            }
            let rows = store.tables().await.jobs.len();
            let different: std::collections::BTreeSet<_> = runs.iter().collect();
            assert_eq!(rows, different.len(), "no run is there twice");
        });
    }
}
