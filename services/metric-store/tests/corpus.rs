//! The recorded cases of `fixtures/metric-store`: what the reference answered, or, where that was a defect on purpose, the safe answer.
//!
//! The files are found by `CC_SHARED`, by default beside the workspace; without them the tests say so and end.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests: a surprise is a failure, a skip is said aloud"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cc_metric_store::store::{Options, Pinning};
use cc_metric_store::{Durability, Error, Ingest, RawQuery, Rule, Store};
use cc_model::cluster::Aggregation;
use cc_runtime::clock::Clock;
use cc_runtime::env::{Env as _, ProcessEnv};
use serde_json::{Value, json};

#[path = "corpus/marks.rs"]
mod marks;

use marks::{NOW, T0, body_of, fill_json};

fn fixtures() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = ProcessEnv.get("CC_SHARED").map_or(beside, PathBuf::from);
    let found = shared.join("fixtures/metric-store");
    if found.is_dir() {
        return Some(found);
    }
    println!("skipped: {} is missing, set CC_SHARED", found.display());
    None
}

fn cases(directory: &std::path::Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Server {
    _directory: tempfile::TempDir,
    store: Arc<Store>,
}

impl Server {
    fn new(fixtures: &std::path::Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            directory: directory.path().join("checkpoints.ccx"),
            retention: Duration::from_hours(48),
            memory_cap: 0,
            checkpoint_interval: Duration::from_hours(12),
            workers: 1,
            durability: Durability::Background,
            pinning: Pinning::None,
            reference: None,
        };
        let clock = Clock::fixed(jiff::Timestamp::from_second(NOW).unwrap());
        let store = Store::open(options, clock).unwrap();
        let registry: Value =
            serde_json::from_str(&std::fs::read_to_string(fixtures.join("registry.json")).unwrap()).unwrap();
        let rule = |value: &Value| Rule {
            interval: value["frequency"].as_i64().unwrap(),
            aggregation: match value["aggregation"].as_str() {
                Some("sum") => Aggregation::Sum,
                Some("avg") => Aggregation::Avg,
                _ => Aggregation::None,
            },
        };
        let metrics = registry["metrics"].as_object().unwrap().iter();
        store.configure_metrics(metrics.map(|(name, value)| (name.clone(), rule(value))));
        Self { _directory: directory, store }
    }

    /// Sends a batch; the status that HTTP would answer with.
    fn write(&self, body: &[u8], default_cluster: &str, broken_off: bool) -> u64 {
        let mut ingest = Ingest::new(&self.store, default_cluster).unwrap();
        for piece in body.chunks(997) {
            ingest.push(piece).unwrap();
        }
        let report = if broken_off { ingest.break_off() } else { ingest.finish() };
        match report {
            Ok(report) if report.first_error.is_none() && !broken_off => 200,
            Ok(_) => 400,
            Err(error) => panic!("{error}"),
        }
    }

    fn ask(&self, query: &str) -> Result<String, Error> {
        Ok(String::from_utf8(RawQuery::parse(query.as_bytes())?.answer(&self.store)).unwrap())
    }

    /// All samples of one series as (time, value).
    fn series(&self, path: &[String], metric: &str) -> Vec<(i64, f64)> {
        let mut query = json!({ "host": path[1], "metric": metric });
        for (key, name) in [("type", path.get(2)), ("subtype", path.get(3))] {
            if let Some(name) = name {
                query[key] = json!(name);
                query[format!("{key}-ids")] = json!([""]);
            }
        }
        let ask = json!({ "cluster": path[0], "from": -7200, "to": NOW + 400_000, "with-padding": false, "queries": [query] });
        let answer: Value = serde_json::from_str(&self.ask(&ask.to_string()).unwrap()).unwrap();
        let Some(result) = answer["results"][0].get(0) else { return Vec::new() };
        assert!(result.get("error").is_none(), "{result}");
        let (from, step) = (result["from"].as_i64().unwrap(), result["resolution"].as_i64().unwrap());
        let data = result["data"].as_array().into_iter().flatten();
        (0..).zip(data).filter_map(|(index, value)| Some((from + index * step, value.as_f64()?))).collect()
    }
}

fn close(wanted: f64, got: f64) -> bool {
    (wanted - got).abs() <= 0.001_01 + 1e-6 * wanted.abs()
}

/// The first difference; numbers may differ by half of the last decimal, further keys are allowed except those that carry data.
fn difference(wanted: &Value, got: &Value, path: &str) -> Option<String> {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, value) in wanted {
                let Some(other) = found.get(key) else { return Some(format!("{path}.{key}: missing")) };
                if key == "error" {
                    if other.as_str().is_none_or(str::is_empty) {
                        return Some(format!("{path}.error: expected a message"));
                    }
                } else if let Some(found) = difference(value, other, &format!("{path}.{key}")) {
                    return Some(found);
                }
            }
            let surplus = ["data", "error", "queries"]
                .into_iter()
                .find(|key| !wanted.contains_key(*key) && found.contains_key(*key));
            surplus.map(|key| format!("{path}.{key}: unexpected"))
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.find_map(|(index, (wanted, got))| difference(wanted, got, &format!("{path}[{index}]")))
        }
        _ => match (wanted.as_f64(), got.as_f64()) {
            (Some(wanted), Some(got)) if close(wanted, got) => None,
            _ if wanted == got => None,
            _ => Some(format!(
                "{path}: expected {wanted}, got {}",
                got.to_string().chars().take(200).collect::<String>()
            )),
        },
    }
}

/// Makes an answer to `for-all-nodes` independent of the order of hosts.
fn paired(mut answer: Value) -> Value {
    let queries = answer["queries"].as_array().cloned().unwrap_or_default();
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    if !queries.is_empty() && queries.len() == results.len() {
        let key = |query: &Value| (query["host"].to_string(), query["metric"].to_string());
        let sorted: BTreeMap<_, _> = queries
            .iter()
            .zip(results)
            .map(|(query, result)| (key(query), (query.clone(), result)))
            .collect();
        let (queries, results): (Vec<_>, Vec<_>) = sorted.into_values().unzip();
        answer["queries"] = queries.into();
        answer["results"] = results.into();
    }
    answer
}

#[test]
fn recorded_queries_are_answered_as_recorded() {
    let Some(fixtures) = fixtures() else { return };
    let server = Server::new(&fixtures);
    for load in cases(&fixtures, "query-load.jsonl") {
        assert_eq!(server.write(&body_of(&load), "", false), 200);
    }
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases(&fixtures, "query.jsonl") {
        for step in case["steps"].as_array().unwrap() {
            let expected = &step["expect"];
            if step["method"] == "PUT" {
                continue;
            }
            count += 1;
            let name = case["name"].as_str().unwrap();
            let answer = server.ask(&String::from_utf8(body_of(step)).unwrap());
            match (expected["status"].as_i64(), answer) {
                (Some(400), Err(Error::Invalid(_))) => {}
                (Some(200), Ok(answer)) => {
                    if let Some(text) = expected["text"].as_str() {
                        assert_eq!(answer.trim(), marks::fill(text).trim(), "{name}");
                    }
                    let got = paired(serde_json::from_str(&answer).unwrap());
                    let wanted = paired(fill_json(&expected["json"]));
                    failures.extend(difference(&wanted, &got, "$").map(|found| format!("{name}: {found}")));
                }
                (status, answer) => failures.push(format!("{name}: expected {status:?}, got {answer:?}")),
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} differ:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 100, "only {count} cases");
}

/// Whether what is stored is what the case says; else the first difference.
fn stored(server: &Server, wanted: &Value, status: u64) -> Result<(), String> {
    let allowed = &wanted["http_status"];
    let fits = allowed.as_u64() == Some(status)
        || allowed.as_array().is_some_and(|list| list.contains(&json!(status)));
    if !fits {
        return Err(format!("status {status}, expected {allowed}"));
    }
    let path = |series: &Value| -> Vec<String> {
        series["path"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    for series in wanted["accepted"].as_array().unwrap() {
        let got = server.series(&path(series), series["metric"].as_str().unwrap());
        let samples = series["samples"].as_array().unwrap();
        if got.len() != samples.len() {
            return Err(format!("{}: stored {got:?}, expected {} samples", series["path"], samples.len()));
        }
        for ((time, value), sample) in got.iter().zip(samples) {
            let (at, within) = match sample[0].as_str() {
                Some(mark) => (NOW + mark.trim_start_matches("now").parse::<i64>().unwrap_or(0), 90),
                None if series["absolute"] == true => (sample[0].as_i64().unwrap(), 0),
                None => (T0 + sample[0].as_i64().unwrap(), 0),
            };
            let within = series["within"].as_i64().unwrap_or(within);
            if (time - at).abs() > within || !close(sample[1].as_f64().unwrap(), *value) {
                return Err(format!(
                    "{}: stored ({}, {value}), expected {sample}",
                    series["path"],
                    time - T0
                ));
            }
        }
    }
    for series in wanted["absent"].as_array().into_iter().flatten() {
        let got = server.series(&path(series), series["metric"].as_str().unwrap());
        if !got.is_empty() {
            return Err(format!("{}: must not be stored, found {got:?}", series["path"]));
        }
    }
    Ok(())
}

#[test]
fn recorded_batches_are_stored_as_recorded() {
    let Some(fixtures) = fixtures() else { return };
    let server = Server::new(&fixtures);
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases(&fixtures, "write.jsonl") {
        // HTTP itself is tested elsewhere.
        if case["encoding"] == "gzip" || case["name"] == "write/batch/percent-encoded-cluster" {
            continue;
        }
        count += 1;
        let query = case["query"].as_str().unwrap_or_default();
        let cluster = query.split('&').find_map(|pair| pair.strip_prefix("cluster=")).unwrap_or_default();
        let status = server.write(&body_of(&case), cluster, case["transfer"] == "short");
        let also = case["also"].as_array().into_iter().flatten();
        let results: Vec<_> =
            std::iter::once(&case).chain(also).map(|wanted| stored(&server, wanted, status)).collect();
        if results.iter().all(Result::is_err) {
            failures.push(format!("{}: {}", case["name"], results[0].clone().unwrap_err()));
        }
    }
    assert!(failures.is_empty(), "{} of {count} differ:\n{}", failures.len(), failures.join("\n"));
    assert!(count > 150, "only {count} cases");
}
