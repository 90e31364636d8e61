//! Random filter trees, orders and pages give the same rows on the database as by looking at every job.

use std::collections::BTreeMap;

use cc_model::{Job, JobState, MonitoringStatus, Resource, Sharing};
use cc_runtime::caller::{Caller, How, Role};
use proptest::prelude::*;
use proptest::sample::select;

use super::memory::MemoryStore;
use super::query::{
    Bounds, Filter, IntColumn, MetricKey, NumberOp, Order, Page, Query, SortColumn, SortKey, Term,
    TextColumn, TextOp,
};
use super::statistics::{DurationBins, GroupColumn, MetricBins, Question};
use super::visible::{TagScopes, Visible};
use super::{Load, Metadata, Store, Unit};
use crate::app::tests::{NOW, sqlite};

const WORDS: [&str; 12] = [
    "",
    "alice",
    "Alice",
    "bob",
    "a_b",
    "100%",
    "é",
    "x'; DROP TABLE job; --",
    "\"",
    "\\",
    "interactive",
    "work",
];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let texts = (word(), word(), word(), word(), word());
    let numbers = (0..4_i32, 0..4_i32, 0..3_i32, 0..5_i32, 0..4_i64, 0..3_i64);
    let rest = (
        select(JobState::ALL),
        select(Sharing::ALL),
        proptest::option::of(word()),
        proptest::collection::vec(word(), 0..3),
        proptest::option::of(proptest::collection::btree_map(
            select(vec!["m_avg", "m_max"]),
            -1.0..3.0_f64,
            0..3,
        )),
        0..4_i32,
    );
    let job = (texts, numbers, rest).prop_map(|(texts, numbers, rest)| Job {
        user: texts.0,
        project: texts.1,
        cluster: texts.2,
        sub_cluster: texts.3,
        partition: texts.4,
        duration: numbers.0 * 100,
        num_nodes: numbers.1,
        num_acc: numbers.2,
        num_hwthreads: numbers.3,
        start_time: NOW - numbers.4 * 50,
        array_job_id: numbers.5,
        energy: f64::from(numbers.0) / 2.0,
        walltime: i64::from(numbers.1),
        state: rest.0,
        shared: rest.1,
        meta_data: rest.2.map(|name| BTreeMap::from([("jobName".to_owned(), name)])),
        resources: rest.3.iter().map(Resource::node).collect(),
        footprint: rest.4.map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        monitoring_status: MonitoringStatus::try_from(rest.5).unwrap(),
        ..Job::default()
    });
    proptest::collection::vec(job, 0..30).prop_map(|mut jobs| {
        // unique keys, ids of some length to match patterns on
        for (index, job) in jobs.iter_mut().enumerate() {
            job.job_id = 100 + 7 * i64::try_from(index).unwrap();
        }
        jobs
    })
}

fn text_op() -> impl Strategy<Value = TextOp> {
    let pattern = prop_oneof![word(), "[a-c%_'x]{0,3}"];
    prop_oneof![
        word().prop_map(TextOp::Eq),
        word().prop_map(TextOp::Neq),
        pattern.clone().prop_map(TextOp::StartsWith),
        pattern.clone().prop_map(TextOp::EndsWith),
        pattern.prop_map(TextOp::Contains),
        proptest::collection::vec(word(), 0..3).prop_map(TextOp::In),
    ]
}

fn bounds(limit: i64) -> impl Strategy<Value = Bounds<i64>> {
    prop_oneof![
        (0..limit, 0..limit).prop_map(|(from, to)| Bounds::Between(from, to)),
        (0..limit).prop_map(Bounds::AtLeast),
        (0..limit).prop_map(Bounds::AtMost),
    ]
}

fn float_bounds() -> impl Strategy<Value = Bounds<f64>> {
    prop_oneof![
        (0.0..2.0, 0.0..2.0).prop_map(|(from, to)| Bounds::Between(from, to)),
        (0.0..2.0).prop_map(Bounds::AtLeast),
        (0.0..2.0).prop_map(Bounds::AtMost),
    ]
}

fn number_op() -> impl Strategy<Value = NumberOp> {
    let id = (0..35_i64).prop_map(|index| 100 + index);
    prop_oneof![
        id.clone().prop_map(NumberOp::Eq),
        id.clone().prop_map(NumberOp::Neq),
        proptest::collection::vec(id, 1..4).prop_map(NumberOp::In),
        "[12]{1,2}".prop_map(|text| NumberOp::Like(TextOp::Contains(text))),
        Just(NumberOp::Any),
    ]
}

fn term() -> impl Strategy<Value = Term> {
    let columns = vec![
        TextColumn::User,
        TextColumn::Project,
        TextColumn::Cluster,
        TextColumn::SubCluster,
        TextColumn::Partition,
    ];
    let counts = vec![IntColumn::Duration, IntColumn::NumNodes, IntColumn::NumAcc, IntColumn::NumHwthreads];
    let ids = proptest::collection::vec(1..35_i64, 0..6);
    prop_oneof![
        1 => Just(Term::Nothing),
        2 => ids.prop_map(Term::DbId),
        2 => number_op().prop_map(Term::JobId),
        2 => (0..3_i64).prop_map(Term::ArrayJobId),
        8 => (select(columns), text_op()).prop_map(|(column, op)| Term::Text(column, op)),
        3 => text_op().prop_map(Term::JobName),
        4 => (select(counts), bounds(400)).prop_map(|(column, bounds)| Term::Int(column, bounds)),
        2 => float_bounds().prop_map(Term::Energy),
        2 => bounds(200).prop_map(|bounds| Term::StartTime(shift(bounds))),
        4 => proptest::collection::vec(select(JobState::ALL), 1..4).prop_map(Term::State),
        1 => Just(Term::State(vec![JobState::Running])),
        2 => select(Sharing::ALL).prop_map(Term::Shared),
        2 => any::<bool>().prop_map(Term::Interactive),
        3 => proptest::collection::vec(1..4_i64, 1..3).prop_map(Term::Tags),
        3 => text_op().prop_map(Term::Node),
        3 => float_bounds().prop_map(|bounds| Term::Metric(MetricKey::new("m_avg").unwrap(), bounds)),
    ]
}

fn shift(bounds: Bounds<i64>) -> Bounds<i64> {
    match bounds {
        Bounds::Between(from, to) => Bounds::Between(NOW - from, NOW - to),
        Bounds::AtLeast(from) => Bounds::AtLeast(NOW - from),
        Bounds::AtMost(to) => Bounds::AtMost(NOW - to),
    }
}

fn order() -> impl Strategy<Value = Option<Order>> {
    let columns: Vec<SortColumn> = SortColumn::all().collect();
    let key = prop_oneof![
        4 => select(columns).prop_map(SortKey::Column),
        1 => Just(SortKey::Footprint(MetricKey::new("m_max").unwrap())),
    ];
    proptest::option::of((key, any::<bool>()).prop_map(|(key, descending)| Order { key, descending }))
}

fn query() -> impl Strategy<Value = Query> {
    let filter = proptest::collection::vec(term(), 0..3).prop_map(|terms| Filter { terms });
    let page = prop_oneof![
        Just(Page::All),
        (0..20_u64, 1..9_u32).prop_map(|(offset, limit)| Page::Rows { offset, limit }),
    ];
    (proptest::collection::vec(filter, 0..3), order(), page).prop_map(|(filters, order, page)| Query {
        filters,
        order,
        page,
        count: true,
    })
}

fn question() -> impl Strategy<Value = Question> {
    let filter = proptest::collection::vec(term(), 0..3).prop_map(|terms| Filter { terms });
    let columns =
        vec![GroupColumn::User, GroupColumn::Project, GroupColumn::Cluster, GroupColumn::SubCluster];
    let durations = (1..200_i64, 1..9_usize).prop_map(|(seconds, bins)| DurationBins { seconds, bins });
    let counts = vec![IntColumn::NumNodes, IntColumn::NumAcc, IntColumn::NumHwthreads];
    let metric = (select(vec!["m_avg", "m_max"]), 0.5..3.0_f64, 1..9_usize)
        .prop_map(|(key, peak, bins)| MetricBins { key: MetricKey::new(key).unwrap(), peak, bins });
    (
        proptest::collection::vec(filter, 0..3),
        proptest::option::of(select(columns)),
        any::<bool>(),
        0..400_i64,
        proptest::option::of(durations),
        proptest::collection::vec(select(counts), 0..3),
        proptest::collection::vec(metric, 0..3),
    )
        .prop_map(|(filters, group, users, short_below, durations, values, metrics)| Question {
            filters,
            group,
            users,
            short_below,
            durations,
            values,
            metrics,
        })
}

fn callers() -> impl Strategy<Value = Caller> {
    let roles = vec![vec![Role::Admin], vec![Role::Api], vec![Role::User], vec![Role::Manager]];
    (word(), select(roles), proptest::collection::vec(word(), 0..2))
        .prop_map(|(name, roles, projects)| Caller { name, roles, projects, how: How::Session })
}

async fn fill<S: Store>(store: &S, jobs: &[Job]) {
    let mut unit = store.begin("test").await.unwrap();
    for (kind, scope) in [("app", "global"), ("ops", "admin"), ("note", "alice")] {
        unit.insert_tag(kind, "x", scope).await.unwrap();
    }
    for (index, job) in jobs.iter().enumerate() {
        let id = unit.insert(job).await.unwrap();
        for tag in 1..=3_i64 {
            if (i64::try_from(index).unwrap() + tag) % 3 == 0 {
                unit.attach(id, tag).await.unwrap();
            }
        }
    }
    unit.commit().await.unwrap();
}

#[tokio::test]
async fn jobs_with_several_matching_hosts_count_once_when_pages_are_skipped() {
    let (_folder, _database, store) = sqlite().await;
    let job = |index: i64| Job {
        job_id: index,
        resources: ["a1", "a2", "a3"].map(Resource::node).to_vec(),
        ..Job::default()
    };
    fill(&store, &(1..=10).map(job).collect::<Vec<_>>()).await;
    let terms = vec![Term::Node(TextOp::Contains("a".to_owned()))];
    let filters = vec![Filter { terms }];
    let page = Page::Rows { offset: 4, limit: 3 };
    let query = Query { filters, order: None, page, count: true };
    let caller = Caller::service("test");
    let (visible, scopes) = (Visible::to(&caller).unwrap(), TagScopes::to(&caller));
    let listing = store.list(&visible, &scopes, &query, Load::default(), NOW).await.unwrap();
    let ids: Vec<i64> = listing.jobs.iter().map(|job| job.job_id).collect();
    assert_eq!((ids, listing.count, listing.has_next_page), (vec![5, 6, 7], Some(10), true));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lists_counts_and_statistics_are_those_of_the_oracle(
        jobs in jobs(),
        requests in proptest::collection::vec((query(), callers()), 12),
        questions in proptest::collection::vec((question(), callers()), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let naive = MemoryStore::default();
            let (_folder, _database, real) = sqlite().await;
            fill(&naive, &jobs).await;
            fill(&real, &jobs).await;
            for (query, caller) in &requests {
                let (visible, scopes) = (Visible::to(caller).unwrap(), TagScopes::to(caller));
                for metadata in [Metadata::None, Metadata::JobName, Metadata::All] {
                    let load = Load { metadata, tags: true };
                    let expected = naive.list(&visible, &scopes, query, load, NOW).await.unwrap();
                    let found = real.list(&visible, &scopes, query, load, NOW).await.unwrap();
                    assert_eq!(found, expected, "{query:?} for {caller:?}");
                }
                let expected = naive.count(&visible, &query.filters).await.unwrap();
                assert_eq!(real.count(&visible, &query.filters).await.unwrap(), expected);
            }
            for (question, caller) in &questions {
                let visible = Visible::to(caller).unwrap();
                let expected = naive.statistics(&visible, question, NOW).await.unwrap();
                let found = real.statistics(&visible, question, NOW).await.unwrap();
                assert_eq!(found, expected, "{question:?} for {caller:?}");
            }
            for cluster in WORDS {
                let expected = naive.partitions(cluster).await.unwrap();
                assert_eq!(real.partitions(cluster).await.unwrap(), expected);
            }
        });
    }
}
