//! Bodies beyond their limits.

use std::time::Duration;

use cc_integration_tests::{client::Client, recording::now, server::Deployment};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::house::{CLUSTER, House, lines, minute, refused, start};

const MIB: usize = 1 << 20;

/// Announces a body and waits, as curl does with a large one, for leave to send it; answers status and text of the refusal.
async fn announce(house: &House, path: &str, bytes: usize) -> (u16, Value) {
    let address = house.server.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nX-Auth-Token: {}\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n",
        house.site.token("scheduler")
    );
    stream.write_all(head.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8(answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

pub async fn what_is_too_large_is_refused_whole(deployment: Deployment) {
    let house = House::open(deployment).await;
    for (path, bytes, limit) in [
        ("/api/jobs/start_job/", 17 * MIB, "16384 KiB"),
        ("/api/jobs/stop_job/", 2 * MIB, "1024 KiB"),
        ("/api/nodestate/", 20 * MIB, "KiB"),
        ("/api/write/?cluster=small", 65 * MIB, "65536 KiB"),
        ("/query", 2 * MIB, "1024 KiB"),
    ] {
        let (status, answer) = announce(&house, path, bytes).await;
        assert_eq!(status, 413, "{path}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| text.contains(limit)), "{path}: {answer}");
    }

    // A script of 4 MiB is fine, and comes back.
    let mut body = start(1, "s01", now() - 60);
    let script = "x".repeat(4 * MIB);
    body["metaData"] = json!({"jobScript": script});
    house.scheduler.post("/api/jobs/start_job/", &body).await.expect(201);
    let jobs = house.scheduler.get("/api/jobs/?with-metadata=true").await.expect(200).json();
    assert!(jobs["jobs"][0]["metaData"]["jobScript"] == script.as_str(), "the script comes back");

    // Who does not wait is told all the same, if there is not too much on the way.
    let ballast = json!({"query": "{me{username}}", "variables": {"ballast": "x".repeat(2 * MIB)}});
    let answer = house.operator.post("/query", &ballast).await;
    assert_eq!(answer.status.as_u16(), 413, "{}", answer.text);
    let text = lines("s01", minute() - 60, minute());
    let long = text.repeat(65 * MIB / text.len() + 1);
    // With so much on the way the connection may break before the answer is read.
    if let Ok(answer) = house.scheduler.try_write(CLUSTER, long).await {
        refused(&answer, 413, &["65536 KiB"]);
    }
    assert!(
        house.values("load", "s01", minute() - 60, minute()).await.is_empty(),
        "nothing of it was stored"
    );
    house.scheduler.write(CLUSTER, text).await.expect(200);

    // A header of that size ends the request early, whatever it says.
    let request = house.scheduler.request(Method::GET, "/api/jobs/").header("x-ballast", "x".repeat(2 * MIB));
    if let Ok(answer) = Client::try_send(request.timeout(Duration::from_secs(10))).await {
        assert_eq!(answer.status.as_u16(), 431, "{}", answer.text);
    }
    assert_eq!(house.jobs().await.len(), 1, "the server goes on");
    house.close();
}
