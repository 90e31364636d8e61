//! What answers become.

use super::*;
use crate::job_query::JobPart;

fn planned() -> Planned {
    let cluster = Cluster::from_json(crate::testing::cluster_file("fritz").as_bytes()).unwrap();
    let metric = Arc::new(cluster.metric_config[0].clone());
    let question = Question {
        metric: metric.name.clone(),
        host: "h".to_owned(),
        resolution: 0,
        aggreg: false,
        kind: None,
        ids: Vec::new(),
    };
    Planned { metric, scope: MetricScope::Node, host: "h".to_owned(), id: None, question }
}

fn answered(from: i64, to: i64, resolution: i64, data: &[f64]) -> Answer {
    let data = data.iter().copied().map(Some).collect();
    Answer { from, to, resolution, data, avg: Some(1.0), min: Some(1.0), max: Some(1.0), error: None }
}

#[test]
fn series_begin_at_the_time_asked_for() {
    let JobPart::Series(series) = part(planned(), Some(answered(105, 130, 10, &[1.0, 2.0])), 80, true) else {
        panic!("no series")
    };
    assert_eq!((series.from, series.timestep, series.points), (85, 10, 4));
    assert!(series.values[0].is_nan() && series.values[1].is_nan());
    assert_eq!(series.values[2..], [1.0, 2.0]);
    let JobPart::Series(series) = part(planned(), Some(answered(100, 130, 10, &[])), 80, false) else {
        panic!("no series")
    };
    assert_eq!((series.from, series.points, series.values.len()), (80, 5, 0));
}

#[test]
fn times_of_a_mad_store_take_no_memory() {
    for with_data in [false, true] {
        for (from, to, resolution) in [
            (i64::MAX, i64::MAX, 1),
            (1 << 60, 1 << 60, 1),
            (0, i64::MAX, 1),
            (i64::MIN, i64::MAX, 1),
            (POINTS_MAX + 101, POINTS_MAX + 101, 1),
        ] {
            let mad = answered(from, to, resolution, &[1.0]);
            match part(planned(), Some(mad), -100, with_data) {
                JobPart::Missing(missing) => {
                    assert!(missing.detail.contains("too many points"), "{}", missing.detail);
                }
                JobPart::Series(series) => {
                    panic!("{from} to {to} every {resolution}: {} points", series.points)
                }
            }
        }
    }
}
