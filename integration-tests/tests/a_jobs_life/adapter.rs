//! What a real cc-slurm-adapter asked of cc-backend: every request gets the recorded status.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use cc_integration_tests::{
    client::Client,
    recording::{self, Exchange, now, shift, shift_lines},
    samples::{self, Metric},
    wait,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{house::House, tracked::Tracked};

/// Interval of the metrics of `simba`.
const STEP: i64 = 10;

/// The recording and by how many seconds it has to be moved so that its last request is now.
pub fn recording(shared: &std::path::Path) -> (Vec<Exchange>, i64) {
    let exchanges = recording::read(&shared.join("fixtures/clients/slurm-adapter/poll.jsonl"));
    let last = exchanges.last().expect("requests").time.ceil() as i64;
    (exchanges, now() - last)
}

pub async fn recorded_requests_get_the_recorded_answers(house: &mut House) -> Vec<Tracked> {
    let (exchanges, seconds) = recording(&house.shared);
    feed(house, &exchanges, seconds).await;
    let (mut running, mut done): (Vec<Tracked>, Vec<Tracked>) = (Vec::new(), Vec::new());
    let (mut live, mut requests) = (0, 0);
    for exchange in &exchanges {
        let mut body = exchange.request.clone();
        if !body.is_null() {
            shift(&mut body, seconds);
        }
        let path = exchange.path.split('?').next().expect("a path");
        if path == "/api/jobs/stop_job/" {
            // Just before its end a job is seen with all samples so far.
            let job = running.iter().find(|job| job.job_id() == body["jobId"]).expect("it runs");
            live += job.shows_samples(house).await;
        }
        let answer = ask(house, exchange, &body).await;
        requests += 1;
        match path {
            "/api/jobs/start_job/" => {
                running.push(Tracked::started(house, body, "main", Instant::now()).await)
            }
            "/api/jobs/stop_job/" => {
                let place = running.iter().position(|job| job.job_id() == body["jobId"]).expect("it runs");
                let mut job = running.swap_remove(place);
                let state = body["jobState"].as_str().expect("a state");
                job.stopped(house, state, body["stopTime"].as_i64().expect("a time"), Instant::now()).await;
                done.push(job);
            }
            "/api/jobs/" => assert_eq!(ids(&answer), ids(&exchange.response), "request {}", exchange.seq),
            "/api/nodestate/" => {}
            other => panic!("what is {other}?"),
        }
    }
    assert_eq!((requests, running.len(), done.len()), (exchanges.len(), 0, 23));
    let mut archived = 0;
    for job in &done {
        archived += job.is_archived(house).await;
    }
    assert!(live > 2 * 23 && archived > 3 * 23, "{live} and {archived} values");
    nodes_are_as_last_reported(house, &exchanges).await;
    done
}

/// Samples of every node, from before the first start until now.
async fn feed(house: &mut House, exchanges: &[Exchange], seconds: i64) {
    let metrics = [Metric::node("cpu_load", 4.0, 3.0), Metric::node("mem_used", 5e9, 1e9)];
    let first = exchanges.first().expect("requests").time as i64;
    let last = exchanges.last().expect("requests").time.ceil() as i64;
    for node in 1..=4 {
        // On the recorded time's grid, moved: no multiple of the interval, as with real collectors.
        let from = first.div_euclid(STEP) * STEP - STEP;
        let lines = samples::lines("simba", &format!("sim{node:02}"), &metrics, from, last, STEP);
        house.write("simba", shift_lines(&lines, seconds)).await;
    }
}

async fn ask(house: &House, exchange: &Exchange, body: &Value) -> Value {
    let mut request = house.scheduler.request(exchange.method.clone(), &exchange.path);
    if !body.is_null() {
        request = request.json(body);
    }
    let answer = Client::send(request).await;
    assert_eq!(answer.status.as_u16(), exchange.status, "request {}: {}", exchange.seq, answer.text);
    if answer.text.is_empty() { Value::Null } else { answer.json() }
}

fn ids(answer: &Value) -> BTreeSet<i64> {
    answer["jobs"].as_array().expect("jobs").iter().map(|job| job["jobId"].as_i64().expect("an id")).collect()
}

/// The adapter reports all nodes every few seconds; here the reports came much faster, and of several within one second the first counts
/// (recorded from the reference), so the last one is sent again when that second is over for sure.
async fn nodes_are_as_last_reported(house: &House, exchanges: &[Exchange]) {
    let last = exchanges.iter().rfind(|exchange| exchange.path == "/api/nodestate/").expect("a report");
    let second = now();
    wait::until("more than a second", Duration::from_secs(3), || async move {
        if now() > second + 1 { Ok(()) } else { Err("the same".to_owned()) }
    })
    .await;
    ask(house, last, &last.request).await;
    let query = "{nodes(filter:[{cluster:{eq:\"simba\"}}]){items{hostname schedulerState}}}";
    let answer = house.person("operator").client.graphql(query, json!({})).await;
    let nodes: Vec<(&str, &str)> = answer["nodes"]["items"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| {
            (node["hostname"].as_str().expect("a host"), node["schedulerState"].as_str().expect("a state"))
        })
        .collect();
    assert_eq!(nodes, [("sim01", "idle"), ("sim02", "idle"), ("sim03", "idle"), ("sim04", "idle")]);
}

/// Only used with GET and POST, as the adapter does.
pub fn is_event(exchange: &Exchange) -> bool {
    exchange.method == Method::POST && exchange.path.starts_with("/api/jobs/")
}
