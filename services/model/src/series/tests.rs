use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::{job::Job, json, testing::shared};

fn series(host: &str, id: Option<&str>, data: &[f64]) -> Series {
    Series {
        hostname: host.into(),
        id: id.map(Into::into),
        statistics: SeriesStatistics::of(data).unwrap_or_default(),
        data: data.to_vec(),
    }
}

fn metric(series: Vec<Series>) -> JobMetric {
    JobMetric { unit: Unit::new("", ""), series, timestep: 60, ..JobMetric::default() }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn text(data: &JobData) -> String {
    String::from_utf8(data.to_json()).unwrap()
}

#[test]
fn the_example_of_the_specification_is_written_byte_for_byte() {
    let mut data = JobData::default();
    let mut load = metric(vec![series("n001", None, &[4.01, f64::NAN, 19.42])]);
    load.series[0].statistics.avg = 17.98;
    data.insert("cpu_load", MetricScope::Node, load);
    let want = r#"{"cpu_load":{"node":{"unit":{"base":""},"series":[{"hostname":"n001","statistics":{"min":4.01,"avg":17.98,"max":19.42},"data":[4.01,null,19.42]}],"timestep":60}}}"#;
    assert_eq!(text(&data), want);
    assert_eq!(serde_json::to_string(&data).unwrap(), want);
    assert_eq!(
        json::to_string(&data.metrics["cpu_load"][&MetricScope::Node]).unwrap(),
        want[20..want.len() - 2]
    );
}

#[test]
fn everything_is_in_the_order_of_the_reference() {
    let mut data = JobData::default();
    let mut core = metric(vec![series("a\"b", Some("0"), &[16_777_217.0, f64::INFINITY, 0.125])]);
    core.unit = Unit::new("F/s", "G");
    core.statistics_series = Some(StatsSeries {
        percentiles: [(9, vec![1.0]), (10, vec![f64::NAN])].into(),
        median: vec![0.125],
        min: vec![],
        max: vec![2.0],
        ..StatsSeries::default()
    });
    for scope in MetricScope::ALL {
        data.insert("b", scope, metric(vec![]));
    }
    data.insert("a", MetricScope::Core, core);
    let empty = r#"{"unit":{"base":""},"series":[],"timestep":60}"#;
    let want = format!(
        "{}{}",
        r#"{"a":{"core":{"statisticsSeries":{"percentiles":{"10":[null],"9":[1.00]},"mean":null,"median":[0.12],"min":[],"max":[2.00]},"unit":{"base":"F/s","prefix":"G"},"series":[{"hostname":"a\"b","id":"0","statistics":{"min":0.12,"avg":null,"max":null},"data":[16777217.00,null,0.12]}],"timestep":60}},"#,
        format_args!(
            r#""b":{{"accelerator":{empty},"core":{empty},"hwthread":{empty},"memoryDomain":{empty},"node":{empty},"socket":{empty}}}}}"#
        )
    );
    assert_eq!(text(&data), want);
    assert_eq!(text(&JobData::default()), "{}");
}

#[test]
fn the_writer_streams_and_refuses_disorder() {
    let one = metric(vec![series("n", None, &[1.0])]);
    let mut writer = DataWriter::new(Vec::new());
    writer.add("b", MetricScope::Core, &one).unwrap();
    assert!(writer.add("b", MetricScope::Core, &one).is_err());
    assert!(writer.add("b", MetricScope::Accelerator, &one).is_err());
    assert!(writer.add("a", MetricScope::Node, &one).is_err());
    writer.add("b", MetricScope::Node, &one).unwrap();
    writer.add("c", MetricScope::Node, &one).unwrap();
    let bytes = writer.finish().unwrap();
    assert!(bytes.ends_with(b"}}\n"));
    let data = JobData::from_json(&bytes).unwrap();
    assert_eq!([data.to_json(), b"\n".to_vec()].concat(), bytes);
    assert_eq!(DataWriter::new(Vec::new()).finish().unwrap(), b"{}\n");
}

#[test]
fn reading_is_tolerant() {
    let read = JobData::from_json(
        br#"{"a":{"NODE":null,"node":{"Unit":{"BASE":"B","x":1},"TimeStep":60,"foo":[{}],"series":[
            {"HostName":"n","id":7,"data":[1,null,2.5,-3e1],"statistics":{"MIN":1,"avg":null,"max":2},"bar":{}},
            {"hostname":"m","id":null,"statistics":null,"data":null}]},"rack":{"x":1}},
          "filesystems":[{"name":"x","read":{"node":{}}}],"n":null,"e":{}} trailing"#,
    )
    .unwrap();
    assert_eq!(read.metrics.keys().collect::<Vec<_>>(), ["a", "e"]);
    assert_eq!(read.metrics["a"].len(), 1);
    let node = read.get("a", MetricScope::Node).unwrap();
    assert_eq!((node.unit.base.as_str(), node.timestep), ("B", 60));
    assert_eq!(node.series[0].id.as_deref(), Some("7"));
    assert_eq!(bits(&node.series[0].data), bits(&[1.0, f64::NAN, 2.5, -30.0]));
    assert_eq!(node.series[0].statistics, SeriesStatistics { min: 1.0, avg: 0.0, max: 2.0 });
    assert_eq!(node.series[1], Series { hostname: "m".into(), ..Series::default() });
    assert_eq!(JobData::from_json(b"null").unwrap(), JobData::default());
    let old = JobData::from_json(br#"{"a":{"node":{"unit":"GB/s","series":[],"timestep":1}}}"#).unwrap();
    assert_eq!(old.get("a", MetricScope::Node).unwrap().unit.base, "GB/s");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for bad in [
        "",
        "{",
        "[]",
        r#"{"a":5}"#,
        r#"{"a":{"node":{"timestep":1.5}}}"#,
        r#"{"a":{"node":{"series":[{"data":["x"]}]}}}"#,
    ] {
        let error = JobData::from_json(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("not metric data of a job: "), "{bad}: {error}");
    }
}

#[test]
fn archived_data_is_filtered_as_in_the_reference() {
    let full = || {
        let mut data = JobData::default();
        for (name, scope) in [
            ("a", MetricScope::Node),
            ("a", MetricScope::Core),
            ("b", MetricScope::Node),
            ("c", MetricScope::Socket),
        ] {
            data.insert(name, scope, metric(vec![]));
        }
        data
    };
    let shown = |metrics: Option<&[String]>, scopes: &[MetricScope]| {
        let mut data = full();
        data.retain(metrics, scopes);
        data.iter().map(|(name, scope, _)| format!("{name}.{scope}")).collect::<Vec<_>>()
    };
    assert_eq!(shown(None, &[MetricScope::Core]), ["a.core", "b.node", "c.socket"]);
    assert_eq!(shown(Some(&["a".into()]), &[MetricScope::HwThread]), ["a.core", "a.node"]);
    assert_eq!(shown(Some(&[]), &[]), Vec::<String>::new());
}

#[test]
fn statistics_leave_gaps_out() {
    assert_eq!(
        SeriesStatistics::of(&[f64::NAN, 1.0, 4.0, f64::NAN]),
        Some(SeriesStatistics { min: 1.0, avg: 2.5, max: 4.0 })
    );
    assert_eq!(SeriesStatistics::of(&[f64::NAN]), None);
    let half = SeriesStatistics { min: f64::NAN, avg: 1.0, max: 2.0 };
    assert_eq!(half.or_zero(), SeriesStatistics::default());
    let tie = SeriesStatistics { min: -0.125, avg: 0.125, max: 1.005 };
    assert_eq!(tie.rounded(), SeriesStatistics { min: -0.13, avg: 0.13, max: 1.0 });
}

#[test]
fn eight_series_get_statistics_over_them() {
    let gap = f64::NAN;
    let mut all: Vec<Series> = (1..=8)
        .map(|n| series("n", None, &[f64::from(n), gap, if n < 4 { f64::from(n) } else { gap }, 1.0]))
        .collect();
    all[7].data.truncate(3);
    all[0].data[1] = 5.0;
    all[1].data[1] = 5.0;
    let mut seven = metric(all[..7].to_vec());
    seven.add_statistics_series();
    assert_eq!(seven.statistics_series, None);
    let mut eight = metric(all);
    eight.add_statistics_series();
    let found = eight.statistics_series.clone().unwrap();
    assert_eq!(bits(&found.median), bits(&[4.5, gap, 2.0, gap]));
    assert_eq!(bits(&found.min), bits(&[1.0, gap, 1.0, gap]));
    assert_eq!(bits(&found.max), bits(&[8.0, gap, 3.0, gap]));
    assert!(found.mean.is_empty());
    eight.series.clear();
    eight.add_statistics_series();
    assert_eq!(eight.statistics_series.unwrap().max.len(), 4, "one that is there stays");
}

#[test]
fn node_scope_is_made_of_the_coarsest_scope() {
    let mut data = JobData::default();
    data.insert("mem_bw", MetricScope::Core, metric(vec![series("x", None, &[9.0])]));
    data.insert(
        "mem_bw",
        MetricScope::Socket,
        metric(vec![
            series("b", Some("0"), &[1.0, 2.0, 3.0]),
            series("a", Some("0"), &[1.111]),
            series("b", Some("1"), &[10.0, f64::NAN]),
        ]),
    );
    data.insert("ipc", MetricScope::Core, metric(vec![series("b", None, &[1.0])]));
    let mut untouched = data.clone();
    untouched.post_process(false);
    assert!(untouched.get("mem_bw", MetricScope::Node).is_none());
    data.post_process(true);
    assert!(data.get("ipc", MetricScope::Node).is_none());
    let node = data.get("mem_bw", MetricScope::Node).unwrap();
    assert_eq!((node.series[0].hostname.as_str(), node.series[1].hostname.as_str()), ("b", "a"));
    assert_eq!(bits(&node.series[0].data), bits(&[11.0, f64::NAN, f64::NAN]));
    assert_eq!(node.series[0].statistics, SeriesStatistics { min: 11.0, avg: 11.0, max: 11.0 });
    assert_eq!(node.series[1].statistics, SeriesStatistics { min: 1.11, avg: 1.11, max: 1.11 });
}

#[test]
fn job_statistics_count_nodes_without_data() {
    let mut data = JobData::default();
    let mut load = metric(vec![series("a", None, &[1.0, 2.0]), series("b", None, &[4.0])]);
    load.unit = Unit::new("B", "");
    data.insert("load", MetricScope::Node, load);
    data.insert("ipc", MetricScope::Core, metric(vec![series("a", None, &[1.0])]));
    data.insert("none", MetricScope::Node, metric(vec![]));
    let found = job_statistics(&data, 3, |_| Some(Unit::new("B", "G")));
    assert_eq!(
        json::to_string(&found).unwrap(),
        r#"{"load":{"unit":{"base":"B","prefix":"G"},"avg":1.83,"min":1,"max":4}}"#
    );
    assert_eq!(job_statistics(&data, 0, |_| None)["load"].unit, Unit::new("B", ""));
}

#[test]
fn resampling_keeps_one_timestep_per_metric() {
    let long: Vec<f64> = (0..40).map(f64::from).collect();
    let mut data = JobData::default();
    let mut load =
        metric(vec![series("a", None, &long), series("b", None, &long[..10]), series("c", None, &long[..2])]);
    load.statistics_series = Some(StatsSeries { median: long, ..StatsSeries::default() });
    data.insert("load", MetricScope::Node, load.clone());
    data.resample(240, 41, Algorithm::Lttb).unwrap();
    assert_eq!(data.get("load", MetricScope::Node), Some(&load), "too few points");
    data.resample(240, 40, Algorithm::Lttb).unwrap();
    let thinned = data.get("load", MetricScope::Node).unwrap();
    let lengths: Vec<usize> = thinned.series.iter().map(|s| s.data.len()).collect();
    assert_eq!((lengths, thinned.timestep), (vec![10, 2, 1], 240));
    assert_eq!(thinned.statistics_series.as_ref().unwrap().median.len(), 10);
    assert_eq!(thinned.series[0].statistics, load.series[0].statistics);
    assert!(data.resample(300, 0, Algorithm::Lttb).is_err());
}

#[test]
fn real_files_read_and_agree_with_their_meta() {
    let pairs = [
        (
            "data/archive/emmy/1403/244/1608923076/meta.json",
            "data/archive/emmy/1403/244/1608923076/data.json.gz",
        ),
        ("data/import/meta-fritzMinimal.json", "data/import/data-fritzMinimal.json"),
        ("fixtures/import/meta1.json", "fixtures/import/data1.json"),
        ("fixtures/import/meta2.json", "fixtures/import/data2.json"),
    ];
    for (meta, file) in pairs {
        let (Some(meta), Some(mut bytes)) = (shared(meta), shared(file)) else { continue };
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
            bytes = plain;
        }
        let job = Job::from_meta_json(&meta).unwrap();
        let data = JobData::from_json(&bytes).unwrap();
        let again = JobData::from_json(&data.to_json()).unwrap();
        assert_eq!(again.to_json(), data.to_json(), "{file}");
        let stated = job.statistics.unwrap();
        let mut compared = 0;
        for (name, found) in job_statistics(&data, job.num_nodes, |_| None) {
            let Some(want) = stated.get(&name) else { continue };
            // one recorded file has an average above its maximum, which no data can give
            if want.avg > want.max {
                continue;
            }
            compared += 1;
            let near = |a: f64, b: f64| (a - b).abs() <= 0.02 * a.abs().max(b.abs()).max(1.0);
            assert!(near(found.avg, want.avg), "{file} {name}: {found:?} {want:?}");
        }
        assert!(compared > 3, "{file}");
    }
}

prop_compose! {
    fn any_metric()(
        rows in prop::collection::vec(("[a-z\"\\\\<]{1,4}", prop::option::of("[0-9]{1,3}"), prop::collection::vec(
            prop_oneof![4 => -1e9..1e9f64, 1 => Just(f64::NAN)], 0..20)), 0..10),
        base in ".{0,4}", timestep in 1i64..600
    ) -> JobMetric {
        JobMetric {
            unit: Unit::new(base, ""),
            series: rows.iter().map(|(host, id, data)| series(host, id.as_deref(), data)).collect(),
            timestep,
            ..JobMetric::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(mut one in any_metric(), name in ".{0,6}") {
        one.add_statistics_series();
        let mut data = JobData::default();
        data.insert(name, MetricScope::Core, one);
        let bytes = data.to_json();
        let again = JobData::from_json(&bytes).unwrap();
        prop_assert_eq!(again.to_json(), bytes);
        for ((_, _, a), (_, _, b)) in data.iter().zip(again.iter()) {
            prop_assert_eq!(a.series.len(), b.series.len());
            for (x, y) in a.series.iter().zip(&b.series) {
                prop_assert_eq!(&x.hostname, &y.hostname);
                prop_assert_eq!(&x.id, &y.id);
                for (v, w) in x.data.iter().zip(&y.data) {
                    prop_assert!(v.is_nan() == w.is_nan() && (v.is_nan() || (v - w).abs() <= 0.006 + v.abs() * 6e-8));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_total(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = JobData::from_json(&bytes);
    }

    #[test]
    fn the_median_lies_between_minimum_and_maximum(one in any_metric()) {
        let over = StatsSeries::over(&one.series);
        for ((min, median), max) in over.min.iter().zip(&over.median).zip(&over.max) {
            prop_assert!(min.is_nan() || (min <= median && median <= max));
        }
    }
}
