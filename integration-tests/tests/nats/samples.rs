//! Samples, for the hub and for the stand-alone store.

use std::process::{Command, Stdio};

use cc_integration_tests::{
    broker::Broker,
    client::Client,
    server::{Deployment, free_port},
    shared::binary,
    wait,
};
use serde_json::json;

use crate::house::{CLUSTER, House, LIMIT, OTHER, STEP, minute, send, site, values};

const BATCHES: i64 = 100;

/// Untagged lines of one host; every slot of an hour, in batches.
fn batch(number: i64, from: i64, value: i64) -> String {
    let slots = number * 3..number * 3 + 3;
    slots
        .map(|slot| format!("load,hostname=s01,type=node value={} {}\n", value + slot, from + slot * STEP))
        .collect()
}

fn expected(value: i64) -> Vec<Option<f64>> {
    (0..BATCHES * 3).map(|slot| Some((value + slot) as f64)).collect()
}

pub async fn two_subjects_do_not_mix(deployment: Deployment) {
    let broker = Broker::start(&[]);
    let subscriptions = json!([
        {"subscribe-to": "hpc.small", "cluster-tag": CLUSTER},
        {"subscribe-to": "hpc.other", "cluster-tag": OTHER},
        {"subscribe-to": "hpc.nobody"}
    ]);
    let house = House::of(site(&broker.url(), &subscriptions), deployment).await;
    let nats = broker.client().await;
    listens(&nats, CLUSTER, "hpc.small", |at| house.values(CLUSTER, "s99", at, at + STEP)).await;
    listens(&nats, OTHER, "hpc.other", |at| house.values(OTHER, "s99", at, at + STEP)).await;
    let from = minute() - 3600;
    for number in 0..BATCHES {
        send(&nats, "hpc.small", batch(number, from, 1000)).await;
        send(&nats, "hpc.other", format!("this is no line\nload value=\n{}", batch(number, from, 2000)))
            .await;
        // No cluster at all: refused, and harms nobody.
        send(&nats, "hpc.nobody", batch(number, from, 3000)).await;
    }
    nats.flush().await.expect("sent");
    let to = from + BATCHES * 3 * STEP;
    for (cluster, value) in [(CLUSTER, 1000), (OTHER, 2000)] {
        wait::until("all samples are there", LIMIT, || async {
            let found = house.values(cluster, "s01", from, to).await;
            if found == expected(value) {
                Ok(())
            } else {
                Err(format!("{cluster}: {found:?}\n{}", house.server.log_tail()))
            }
        })
        .await;
    }
    house.close();
}

/// Sends a sample until it is there: core NATS keeps nothing for those who come late.
async fn listens<F, Fut>(nats: &async_nats::Client, cluster: &str, subject: &'static str, look: F)
where
    F: Fn(i64) -> Fut,
    Fut: Future<Output = Vec<Option<f64>>>,
{
    let at = minute() - 600;
    wait::until("the store listens", LIMIT, || async {
        send(nats, subject, format!("load,cluster={cluster},hostname=s99,type=node value=1 {at}\n")).await;
        nats.flush().await.expect("sent");
        let found = look(at).await;
        if found.first() == Some(&Some(1.0)) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

pub async fn the_stand_alone_store_listens_too() {
    let broker = Broker::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = json!({
        "main": {"addr": format!("127.0.0.1:{port}")},
        "metrics": {"load": {"frequency": STEP, "aggregation": "avg"}},
        "metric-store": {
            "checkpoints": {"directory": "./checkpoints"}, "retention-in-memory": "48h", "memory-cap": 1,
            "nats-subscriptions": [{"subscribe-to": "hpc.>", "cluster-tag": "alone"}]
        },
        "nats": {"address": broker.url()}
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    let mut child = Command::new(binary("cc-metric-store"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let client = Client::new(&format!("http://127.0.0.1:{port}"));
    wait::until("the store answers", LIMIT, || async {
        Client::try_send(client.request(reqwest::Method::GET, "/api/debug")).await.map(drop)
    })
    .await;
    let nats = broker.client().await;
    listens(&nats, "alone", "hpc.any.where", |at| values(&client, "alone", "s99", at, at + STEP)).await;
    let from = minute() - 3600;
    for number in 0..BATCHES {
        send(&nats, "hpc.metrics", batch(number, from, 1)).await;
    }
    nats.flush().await.expect("sent");
    wait::until("all samples are there", LIMIT, || async {
        let found = values(&client, "alone", "s01", from, from + BATCHES * 3 * STEP).await;
        if found == expected(1) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    child.kill().expect("it runs");
    child.wait().expect("it ended");
}
