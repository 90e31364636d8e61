//! Starts, stops and node states.

use async_nats::jetstream;
use cc_integration_tests::{broker::Broker, recording::now, server::Deployment, wait};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::house::{CLUSTER, House, JOBS, LIMIT, NODES, STEP, line, minute, send, site, start, stop};

const PAIRS: i64 = 200;

pub async fn every_job_that_started_and_stopped_is_stopped(deployment: Deployment) {
    let broker = Broker::start(&[]);
    let house = House::listening(&broker.url(), deployment).await;
    let nats = broker.client().await;
    let began = now() - 3600;
    for id in 1..=PAIRS {
        let both = [
            line("job,function=start_job,hostname=adapter", &start(id, began)),
            line("job,function=stop_job,partition=main", &stop(id, began + id)),
        ];
        // Some in one message, some in two, and some told twice as adapters do.
        if id % 3 == 0 {
            send(&nats, JOBS, both.concat()).await;
        } else {
            for text in both.iter().chain(if id % 5 == 0 { &both[..] } else { &[] }) {
                send(&nats, JOBS, text.clone()).await;
            }
        }
    }
    // A stop that comes before its start waits for it; the start has a long script.
    let early = PAIRS + 1;
    let mut long = start(early, began);
    long["metaData"]["jobScript"] = json!("#!/bin/sh\n".repeat(20_000));
    send(&nats, JOBS, line("job,function=stop_job", &stop(early, began + early))).await;
    send(&nats, JOBS, line("job,function=start_job", &long)).await;
    nats.flush().await.expect("sent");
    let jobs = house.all_stopped(usize::try_from(early).expect("few")).await;
    let expected: Vec<_> = (1..=early).map(|id| (id, "completed".to_owned(), id)).collect();
    assert_eq!(jobs, expected);
    house.close();
}

pub async fn what_is_wrong_costs_only_itself(deployment: Deployment) {
    let broker = Broker::start(&[]);
    let house = House::listening(&broker.url(), deployment).await;
    // In their place, as in the reference: REST start and stop are gone.
    house.scheduler.post("/api/jobs/start_job/", &start(1, now())).await.expect(404);
    house.scheduler.post("/api/jobs/stop_job/", &stop(1, now())).await.expect(404);
    let nats = broker.client().await;
    let mut unknown_key = start(2, now() - 60);
    unknown_key["foo"] = json!(1);
    let mut no_cluster = start(3, now() - 60);
    no_cluster["cluster"] = json!("nowhere");
    for bad in [
        "garbage".to_owned(),
        "job,function=start_job event=\"{broken\" 5".to_owned(),
        "job,function=start_job event=\"{}\"".to_owned(),
        "job,function=pause_job event=\"{}\" 5".to_owned(),
        "job event=\"{}\" 5".to_owned(),
        line("job,function=start_job", &unknown_key),
        line("job,function=start_job", &no_cluster),
    ] {
        send(&nats, JOBS, bad).await;
    }
    nats.publish(JOBS, vec![0xFF, 0x00, b'\n'].into()).await.expect("published");
    send(&nats, JOBS, line("job,function=start_job", &start(4, now() - 60))).await;
    let report = json!({"cluster": CLUSTER, "nodes": [{"hostname": "s02", "states": ["DOWN"]}, {"hostname": "nowhere", "states": ["IDLE"]}]});
    send(&nats, NODES, "nodestate event=\"{\" 5".to_owned()).await;
    send(&nats, NODES, line("nodestate", &report)).await;
    nats.flush().await.expect("sent");
    wait::until("the good events are applied", LIMIT, || async {
        let jobs: Vec<i64> = house.jobs().await.into_iter().map(|job| job.0).collect();
        let query = "{nodes(filter:[]){items{hostname schedulerState}}}";
        let nodes = house.operator.graphql(query, json!({})).await["nodes"]["items"].clone();
        if jobs == [4] && nodes == json!([{"hostname": "s02", "schedulerState": "down"}]) {
            Ok(())
        } else {
            Err(format!("{jobs:?} {nodes}\n{}", house.server.log_tail()))
        }
    })
    .await;
    let log = std::fs::read_to_string(house.site.file("server.log")).expect("a log");
    for reason in ["no line protocol", "pause_job", "foo", "nowhere", "no UTF-8"] {
        assert!(log.contains(reason), "{reason} is not told:\n{log}");
    }
    house.close();
}

/// Each reader gets all of a subject that several of them listen to, however they name it.
pub async fn one_subject_for_everything(deployment: Deployment) {
    one_subject(&Broker::start(&[]), json!({}), deployment).await;
}

/// The same where a stream keeps it.
pub async fn one_durable_subject_for_everything(deployment: Deployment) {
    let broker = Broker::start(&["-js"]);
    let context = jetstream::new(broker.client().await);
    let subjects = vec!["site.>".to_owned()];
    let config = jetstream::stream::Config { name: "cc".to_owned(), subjects, ..Default::default() };
    context.create_stream(config).await.expect("a stream");
    one_subject(&broker, json!({"durable": "hub"}), deployment).await;
}

async fn one_subject(broker: &Broker, nats_client: Value, deployment: Deployment) {
    const SUBJECT: &str = "site.all";
    const COUNT: i64 = 30;
    let site = site(&broker.url(), &json!([{"subscribe-to": SUBJECT, "cluster-tag": CLUSTER}]));
    site.configure(|config| {
        config["main"]["api-subjects"] =
            json!({"subject-job-event": SUBJECT, "subject-node-state": "site.*"});
        config["nats-client"] = nats_client;
    });
    let house = House::of(site, deployment).await;
    let taken = ["job events from", "node states from", "samples from"];
    wait::until("the hub listens", LIMIT, || async {
        let log = std::fs::read_to_string(house.site.file("server.log")).unwrap_or_default();
        let missing = taken.iter().find(|what| !log.contains(&format!("taking {what}")));
        missing.map_or(Ok(()), |missing| Err(format!("no {missing}\n{}", house.server.log_tail())))
    })
    .await;
    let nats = broker.client().await;
    let (began, from) = (now() - 3600, minute() - 3600);
    for id in 1..=COUNT {
        let host = format!("s{id:02}");
        let report = json!({"cluster": CLUSTER, "nodes": [{"hostname": host, "states": ["DOWN"]}]});
        send(&nats, SUBJECT, line("job,function=start_job", &start(id, began))).await;
        send(&nats, SUBJECT, line("nodestate", &report)).await;
        send(&nats, SUBJECT, line("job,function=stop_job", &stop(id, began + id))).await;
        send(&nats, SUBJECT, format!("load,hostname={host},type=node value={id} {from}\n")).await;
    }
    nats.flush().await.expect("sent");
    house.all_stopped(usize::try_from(COUNT).expect("few")).await;
    wait::until("the node states and the samples are there", LIMIT, || async {
        let query = "{nodes(filter:[]){items{hostname schedulerState}}}";
        let nodes = house.operator.graphql(query, json!({})).await["nodes"]["items"].clone();
        let nodes = nodes.as_array().map_or(0, Vec::len);
        let mut samples = 0;
        for id in 1..=COUNT {
            let values = house.values(CLUSTER, &format!("s{id:02}"), from, from + STEP).await;
            samples += i64::from(values.first() == Some(&Some(id as f64)));
        }
        if (nodes, samples) == (30, COUNT) {
            Ok(())
        } else {
            Err(format!("{nodes} nodes, {samples} samples\n{}", house.server.log_tail()))
        }
    })
    .await;
    house.close();
}

pub async fn gateways_of_a_site_share_the_events(deployment: Deployment) {
    const EVENTS: usize = 60;
    let broker = Broker::start(&[]);
    let house = House::listening(&broker.url(), deployment).await;
    let nats = broker.client().await;
    // Stands for another gateway: it is in the same group.
    let other = broker.client().await;
    let mut others = other.queue_subscribe(JOBS, "cc-backend-job".to_owned()).await.expect("subscribed");
    other.flush().await.expect("known to the broker");
    for id in 1..=EVENTS {
        let id = i64::try_from(id).expect("few");
        send(&nats, JOBS, line("job,function=start_job", &start(id, now() - 60))).await;
    }
    nats.flush().await.expect("sent");
    let mut elsewhere = 0;
    let mut here = 0;
    let began = std::time::Instant::now();
    while here + elsewhere < EVENTS {
        assert!(began.elapsed() < LIMIT, "{here} here, {elsewhere} elsewhere\n{}", house.server.log_tail());
        let next = tokio::time::timeout(LIMIT / 600, others.next()).await;
        elsewhere += usize::from(matches!(next, Ok(Some(_))));
        here = house.jobs().await.len();
    }
    assert_eq!(here + elsewhere, EVENTS, "{here} here, {elsewhere} elsewhere: some were taken twice");
    assert!(here > 0 && elsewhere > 0, "{here} here, {elsewhere} elsewhere");
    house.close();
}
