//! Jobs and nodes.

use cc_integration_tests::{client::Client, recording::now, server::Deployment};
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{House, refused, start, stop};

fn with(mut body: Value, key: &str, value: Value) -> Value {
    body[key] = value;
    body
}

fn without(mut body: Value, key: &str) -> Value {
    body.as_object_mut().expect("an object").remove(key);
    body
}

/// POST of text that may be no JSON.
async fn text(client: &Client, path: &str, body: &str) -> cc_integration_tests::client::Answer {
    let request = client.request(Method::POST, path).header("content-type", "application/json");
    Client::send(request.body(body.to_owned())).await
}

pub async fn a_bad_start_names_what_is_wrong_and_starts_nothing(deployment: Deployment) {
    let house = House::open(deployment).await;
    let good = start(1, "s01", now() - 60);
    let bad = [
        (with(good.clone(), "cluster", json!("nosuch")), vec!["cluster", "nosuch"]),
        (with(good.clone(), "subCluster", json!("nosuch")), vec!["subcluster", "nosuch"]),
        (with(good.clone(), "resources", json!([{"hostname": "x99"}])), vec!["host", "x99"]),
        (with(good.clone(), "resources", json!([])), vec!["resources"]),
        (with(good.clone(), "user", json!("")), vec!["user"]),
        (with(good.clone(), "numNodes", json!(2)), vec!["numNodes", "resources"]),
        (with(good.clone(), "numNodes", json!(-1)), vec!["numNodes"]),
        (with(good.clone(), "numAcc", json!(-1)), vec!["numAcc"]),
        (with(good.clone(), "shared", json!("perhaps")), vec!["shared", "perhaps"]),
        (with(good.clone(), "smt", json!(4)), vec!["smt"]),
        (with(good.clone(), "jobId", json!("one")), vec!["jobId"]),
        (with(good.clone(), "startTime", json!(1.5)), vec!["startTime"]),
        (with(good.clone(), "colour", json!("blue")), vec!["colour"]),
    ];
    for (body, words) in &bad {
        refused(&house.scheduler.post("/api/jobs/start_job/", body).await, 400, words);
    }
    let whole = good.to_string();
    refused(&text(&house.scheduler, "/api/jobs/start_job/", "").await, 400, &["parsing request body failed"]);
    let half = &whole[..whole.len() / 2];
    refused(
        &text(&house.scheduler, "/api/jobs/start_job/", half).await,
        400,
        &["parsing request body failed", "EOF"],
    );
    refused(
        &text(&house.scheduler, "/api/jobs/start_job/", "{\"jobId\": nonsense}").await,
        400,
        &["parsing request body failed"],
    );
    assert!(house.jobs().await.is_empty(), "nothing was started");

    house.scheduler.post("/api/jobs/start_job/", &good).await.expect(201);
    refused(&house.scheduler.post("/api/jobs/start_job/", &good).await, 422, &["already exists"]);
    assert_eq!(house.jobs().await.len(), 1);
    house.close();
}

pub async fn a_bad_stop_names_what_is_wrong_and_stops_nothing(deployment: Deployment) {
    let house = House::open(deployment).await;
    let begin = now() - 60;
    house.scheduler.post("/api/jobs/start_job/", &start(1, "s01", begin)).await.expect(201);
    let good = stop(1, now());
    let bad = [
        (without(good.clone(), "jobId"), 400, vec!["jobId"]),
        (without(good.clone(), "stopTime"), 400, vec!["stopTime"]),
        (with(good.clone(), "jobId", json!(2)), 404, vec!["finding job failed"]),
        (with(good.clone(), "cluster", json!("nosuch")), 404, vec!["finding job failed"]),
        (with(good.clone(), "stopTime", json!(begin - 1)), 400, vec!["stopTime", "startTime"]),
        (with(good.clone(), "jobState", json!("vanished")), 400, vec!["state", "vanished"]),
        (with(good.clone(), "jobState", json!("running")), 400, vec!["state", "running"]),
        (with(good.clone(), "colour", json!("blue")), 400, vec!["colour"]),
        (with(good.clone(), "stopTime", json!(begin + (1_i64 << 33))), 400, vec!["stopTime"]),
    ];
    for (body, status, words) in &bad {
        refused(&house.scheduler.post("/api/jobs/stop_job/", body).await, *status, words);
    }
    refused(
        &text(&house.scheduler, "/api/jobs/stop_job/", "[1]").await,
        400,
        &["parsing request body failed"],
    );
    let jobs = house.jobs().await;
    assert_eq!((jobs.len(), jobs[0].1.as_str()), (1, "running"), "nothing was stopped");

    house.scheduler.post("/api/jobs/stop_job/", &good).await.expect(200);
    refused(&house.scheduler.post("/api/jobs/stop_job/", &good).await, 422, &["already been stopped"]);
    house.close();
}

pub async fn a_bad_node_report_changes_no_node(deployment: Deployment) {
    let house = House::open(deployment).await;
    let node = json!({"hostname": "s01", "states": ["idle"], "cpusAllocated": 0, "memoryAllocated": 0, "gpusAllocated": 0, "jobsRunning": 0});
    let nodes = |list: Value| json!({"cluster": "small", "nodes": list});
    for (body, words) in [
        (with(nodes(json!([node])), "colour", json!(1)), vec!["colour"]),
        (nodes(json!([{"hostname": "s01", "states": "idle"}])), vec!["states"]),
    ] {
        refused(&house.scheduler.post("/api/nodestate/", &body).await, 400, &words);
    }
    refused(
        &text(&house.scheduler, "/api/nodestate/", "{\"cluster\":").await,
        400,
        &["parsing request body failed"],
    );
    // As recorded: hosts and clusters that are not configured are passed over, the rest counts.
    let stranger = with(node.clone(), "hostname", json!("x99"));
    house.scheduler.post("/api/nodestate/", &nodes(json!([stranger, node]))).await.expect(200);
    let answer = house.operator.graphql("{nodes{items{hostname schedulerState}}}", json!({})).await;
    assert_eq!(answer["nodes"]["items"], json!([{"hostname": "s01", "schedulerState": "idle"}]));
    house.close();
}
