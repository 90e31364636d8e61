//! Series of a job, from lines to answer.

#![expect(clippy::format_push_string, clippy::float_cmp, reason = "short texts and exact values of tests")]

use super::*;
use crate::testing::{NOW, cluster_file, open, options, write};

const ACCELERATOR: &str = "00000000:49:00.0";

/// Two hosts with ten minutes of samples ending now: `flops` per thread (10·thread + minute), `power` per socket, `load`, `acc`.
fn store() -> (tempfile::TempDir, Arc<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(options(directory.path()));
    store.configure([("fritz", cluster_file("fritz").as_bytes())]).unwrap();
    let mut text = String::new();
    for host in ["f0101", "f0102"] {
        for minute in 0..10_i64 {
            let time = NOW - 600 + minute * 60;
            for thread in 0..4 {
                text += &format!(
                    "flops,cluster=fritz,host={host},type=hwthread,type-id={thread} value={} {time}\n",
                    10 * thread + minute
                );
            }
            text +=
                &format!("power,cluster=fritz,host={host},type=socket,type-id=1 value={minute}.5 {time}\n");
            text += &format!("load,cluster=fritz,host={host} value={minute} {time}\n");
            text += &format!(
                "acc,cluster=fritz,host={host},type=accelerator,type-id={ACCELERATOR} value=50 {time}\n"
            );
        }
    }
    write(&store, text).unwrap();
    (directory, store)
}

fn query() -> JobQuery {
    let whole = Resource::node("f0101");
    let half = Resource {
        hwthreads: vec![2, 3],
        accelerators: vec![ACCELERATOR.to_owned()],
        ..Resource::node("f0102")
    };
    JobQuery {
        cluster: "fritz".to_owned(),
        sub_cluster: "main".to_owned(),
        resources: vec![whole, half],
        from: NOW - 600,
        to: NOW,
        minimum_points: 1000,
        with_data: true,
        ..JobQuery::default()
    }
}

/// The answer as text, one part a line.
fn ask(store: &Store, query: JobQuery) -> Vec<String> {
    let answer = query.prepare(store).unwrap();
    let mut lines = Vec::new();
    for parts in (0..answer.steps()).map(|step| answer.step(step, store)) {
        lines.extend(parts.into_iter().map(|part| match part {
            JobPart::Missing(missing) => {
                let scope = missing.scope.map_or("-", MetricScope::as_str);
                format!("{} {scope} {}: {}", missing.metric, missing.host, missing.reason.as_str())
            }
            JobPart::Series(series) => {
                let id = series.id.as_deref().unwrap_or("-");
                let first: Vec<String> =
                    series.values.iter().take(3).map(|value| format!("{value}")).collect();
                let (avg, min, max) = series.statistics;
                let JobSeries { metric, scope, host, points, .. } = &series;
                format!("{metric} {scope} {host} {id} [{}] {points} {avg} {min} {max}", first.join(" "))
            }
        }));
    }
    lines
}

#[test]
fn every_metric_at_its_native_scope() {
    let (_directory, store) = store();
    let lines = ask(&store, query());
    let wanted = [
        "load node f0101 - [0 1 2] 10 4.5 0 9",
        "load node f0102 - [0 1 2] 10 4.5 0 9",
        "flops hwthread f0101 0 [0 1 2] 10 4.5 0 9",
        "flops hwthread f0101 1 [10 11 12] 10 14.5 10 19",
        "flops hwthread f0101 2 [20 21 22] 10 24.5 20 29",
        "flops hwthread f0101 3 [30 31 32] 10 34.5 30 39",
        "flops hwthread f0102 2 [20 21 22] 10 24.5 20 29",
        "flops hwthread f0102 3 [30 31 32] 10 34.5 30 39",
        "power socket f0101 1 [0.5 1.5 2.5] 10 5 0.5 9.5",
        "power socket f0102 1 [0.5 1.5 2.5] 10 5 0.5 9.5",
        "acc accelerator f0101: SCOPE_NOT_AVAILABLE",
        "acc accelerator f0102 00000000:49:00.0 [50 50 50] 10 50 50 50",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn coarser_scopes_are_aggregated_and_finer_ones_are_the_native() {
    let (_directory, store) = store();
    let mut query = query();
    query.metrics = vec!["flops".to_owned(), "power".to_owned()];
    query.scopes =
        vec![MetricScope::Socket, MetricScope::Node, MetricScope::HwThread, MetricScope::Accelerator];
    query.resources.truncate(1);
    let lines = ask(&store, query);
    let wanted = [
        "flops socket f0101 0 [10 12 14] 10 19 10 28",
        "flops socket f0101 1 [50 52 54] 10 59 50 68",
        "flops node f0101 0 [60 64 68] 10 78 60 96",
        "flops hwthread f0101 0 [0 1 2] 10 4.5 0 9",
        "flops hwthread f0101 1 [10 11 12] 10 14.5 10 19",
        "flops hwthread f0101 2 [20 21 22] 10 24.5 20 29",
        "flops hwthread f0101 3 [30 31 32] 10 34.5 30 39",
        "power socket f0101 1 [0.5 1.5 2.5] 10 5 0.5 9.5",
        "power node f0101 0 [0.5 1.5 2.5] 10 5 0.5 9.5",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn what_is_not_there_is_named() {
    let (_directory, store) = store();
    let mut query = query();
    query.metrics = vec!["nope".to_owned(), "load".to_owned()];
    query.resources = vec![Resource::node("f0103"), Resource::node("elsewhere"), Resource::node("f0101")];
    query.sub_cluster = String::new();
    let lines = ask(&store, query.clone());
    let wanted = [
        "nope - : UNKNOWN_METRIC",
        "load node f0103: UNKNOWN_HOST",
        "load node elsewhere: UNKNOWN_METRIC",
        "load node f0101 - [0 1 2] 10 4.5 0 9",
    ];
    assert_eq!(lines, wanted);
    query.from = NOW - 7200;
    query.to = NOW - 3600;
    assert_eq!(ask(&store, query.clone())[3], "load node f0101: NO_SAMPLES");
    query.cluster = "alex".to_owned();
    assert_eq!(ask(&store, query.clone()), [" - : NOT_CONFIGURED"]);
    query.to = query.from - 1;
    assert!(matches!(query.prepare(&store), Err(Error::Invalid(_))));
}

#[test]
fn an_answer_begins_at_the_time_asked_for() {
    let (_directory, store) = store();
    let mut query = query();
    query.metrics = vec!["load".to_owned()];
    query.resources.truncate(1);
    query.from = NOW - 700;
    query.to = i64::MAX;
    let part = query.clone().prepare(&store).unwrap().step(0, &store).remove(0);
    let JobPart::Series(series) = part else { panic!("{part:?}") };
    assert_eq!((series.from, series.timestep, series.points), (NOW - 700, 60, 12));
    // Points at -700 and -640 lie before the first sample at -600; -580 is nearest to it.
    assert!(series.values[0].is_nan() && series.values[1].is_nan());
    assert_eq!(series.values[2], 0.0);
    let later = JobQuery { from_first_sample: true, ..query.clone() };
    let part = later.prepare(&store).unwrap().step(0, &store).remove(0);
    let JobPart::Series(cut) = part else { panic!("{part:?}") };
    assert_eq!((cut.from, cut.points, cut.values[0]), (NOW - 600, 10, 0.0));
    assert_eq!(cut.statistics, series.statistics);
    query.with_data = false;
    let part = query.prepare(&store).unwrap().step(0, &store).remove(0);
    let JobPart::Series(series) = part else { panic!("{part:?}") };
    assert_eq!((series.points, series.values.len(), series.statistics), (12, 0, (4.5, 0.0, 9.0)));
}

#[test]
fn thinning_takes_the_next_possible_resolution_and_keeps_the_statistics() {
    let (_directory, store) = store();
    let mut query = query();
    query.metrics = vec!["load".to_owned()];
    query.resources.truncate(1);
    query.minimum_points = 1;
    query.resolution = 100;
    let part = query.prepare(&store).unwrap().step(0, &store).remove(0);
    let JobPart::Series(series) = part else { panic!("{part:?}") };
    assert_eq!((series.timestep, series.native_timestep, series.points), (120, 60, 5));
    assert_eq!(series.statistics, (4.5, 0.0, 9.0));
}
