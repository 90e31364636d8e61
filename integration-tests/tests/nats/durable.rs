//! Streams: what nobody listens to is kept.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{PullConsumer, pull},
    stream,
};
use cc_integration_tests::{broker::Broker, recording::now, server::Deployment, site::Site, wait};
use futures::StreamExt as _;
use serde_json::json;

use crate::house::{CLUSTER, House, JOBS, LIMIT, NODES, STEP, line, minute, send, site, start, stop};

const SAMPLES: &str = "hpc.small";
const JOB_CONSUMER: &str = "hub-job-cc_job_event";

pub async fn what_was_sent_while_the_hub_was_down_arrives(deployment: Deployment) {
    let mut broker = Broker::start(&["-js"]);
    let context = jetstream::new(broker.client().await);
    let subjects = vec![JOBS.to_owned(), NODES.to_owned(), SAMPLES.to_owned()];
    let config = stream::Config { name: "cc".to_owned(), subjects, ..stream::Config::default() };
    context.create_stream(config).await.expect("a stream");
    let site = site(&broker.url(), &json!([{"subscribe-to": SAMPLES, "cluster-tag": CLUSTER}]));
    site.configure(|config| config["nats-client"] = json!({"durable": "hub"}));
    let house = House::of(site, deployment).await;
    // The consumers are there as soon as the hub listens; from then on nothing is lost.
    for consumer in ["hub-job-cc_job_event", "hub-node-cc_node_state", "hub-samples-hpc_small"] {
        acknowledged(&context, consumer, 0).await;
    }
    let House { site, server, .. } = house;
    server.stop();

    let began = now() - 3600;
    let from = minute() - 3600;
    let texts = [
        (JOBS, line("job,function=start_job", &start(1, began))),
        (JOBS, line("job,function=stop_job", &stop(1, began + 5))),
        (JOBS, "garbage".to_owned()),
        (
            NODES,
            line(
                "nodestate",
                &json!({"cluster": CLUSTER, "nodes": [{"hostname": "s02", "states": ["DOWN"]}]}),
            ),
        ),
        (SAMPLES, format!("load,hostname=s01,type=node value=7 {from}\nload value=\n")),
    ];
    for (subject, text) in texts {
        // Acknowledged by the broker, so even its end loses nothing.
        context.publish(subject, text.into()).await.expect("sent").await.expect("kept");
    }
    broker.restart();

    let house = House::of(site, deployment).await;
    assert_eq!(house.all_stopped(1).await, [(1, "completed".to_owned(), 5)]);
    wait::until("the sample is there", LIMIT, || async {
        let found = house.values(CLUSTER, "s01", from, from + STEP).await;
        if found.first() == Some(&Some(7.0)) {
            Ok(())
        } else {
            Err(format!("{found:?}\n{}", house.server.log_tail()))
        }
    })
    .await;
    let context = jetstream::new(broker.client().await);
    let all = [("hub-job-cc_job_event", 3), ("hub-node-cc_node_state", 1), ("hub-samples-hpc_small", 1)];
    for (consumer, messages) in all {
        acknowledged(&context, consumer, messages).await;
    }
    house.close();
}

/// The consumer of job events of a hub with `durable` "hub", and that hub, stopped; a stream keeps what comes for it.
async fn stopped_hub(
    context: &jetstream::Context,
    site: Site,
    deployment: Deployment,
) -> (PullConsumer, Site) {
    let house = House::of(site, deployment).await;
    acknowledged(context, JOB_CONSUMER, 0).await;
    let House { site, server, .. } = house;
    server.stop();
    let stream = context.get_stream("cc").await.expect("the stream");
    (stream.get_consumer(JOB_CONSUMER).await.expect("the consumer"), site)
}

fn durable_site(broker: &Broker) -> Site {
    let site = site(&broker.url(), &json!([]));
    site.configure(|config| config["nats-client"] = json!({"durable": "hub"}));
    site
}

async fn stream(context: &jetstream::Context) -> stream::Stream {
    let subjects = vec![JOBS.to_owned(), NODES.to_owned()];
    let config = stream::Config { name: "cc".to_owned(), subjects, ..stream::Config::default() };
    context.create_stream(config).await.expect("a stream")
}

async fn keep(context: &jetstream::Context, text: String) {
    context.publish(JOBS, text.into()).await.expect("sent").await.expect("kept");
}

/// A hub that took the start and died before it was applied: the start comes again, and the stop has waited for it.
pub async fn a_stop_waits_for_the_start_that_a_lost_hub_had(deployment: Deployment) {
    let broker = Broker::start(&["-js"]);
    let context = jetstream::new(broker.client().await);
    stream(&context).await;
    let (consumer, site) = stopped_hub(&context, durable_site(&broker), deployment).await;
    let began = now() - 3600;
    keep(&context, line("job,function=start_job", &start(1, began))).await;
    let mut lost = consumer.fetch().max_messages(1).messages().await.expect("asked");
    let taken = lost.next().await.expect("a message").expect("whole");
    keep(&context, line("job,function=stop_job", &stop(1, began + 5))).await;
    let house = House::of(site, deployment).await;
    assert_eq!(house.all_stopped(1).await, [(1, "completed".to_owned(), 5)]);
    drop(taken);
    acknowledged(&context, JOB_CONSUMER, 3).await;
    house.close();
}

/// While an event waits here, the broker does not take it for lost.
pub async fn what_waits_is_not_sent_again(deployment: Deployment) {
    const AGAIN: Duration = Duration::from_secs(3);
    let broker = Broker::start(&["-js"]);
    let context = jetstream::new(broker.client().await);
    let config = pull::Config {
        durable_name: Some(JOB_CONSUMER.to_owned()),
        filter_subject: JOBS.to_owned(),
        ack_wait: AGAIN,
        ..pull::Config::default()
    };
    stream(&context).await.create_consumer(config).await.expect("a consumer of the site's own");
    let house = House::of(durable_site(&broker), deployment).await;
    let began = now() - 3600;
    keep(&context, line("job,function=stop_job", &stop(1, began + 5))).await;
    tokio::time::sleep(AGAIN * 3).await;
    keep(&context, line("job,function=start_job", &start(1, began))).await;
    assert_eq!(house.all_stopped(1).await, [(1, "completed".to_owned(), 5)]);
    acknowledged(&context, JOB_CONSUMER, 2).await;
    house.close();
}

/// A message of which something was left undone at the end is not acknowledged, though the rest of it was done.
pub async fn what_is_left_undone_comes_again(deployment: Deployment) {
    let broker = Broker::start(&["-js"]);
    let context = jetstream::new(broker.client().await);
    stream(&context).await;
    let house = House::of(durable_site(&broker), deployment).await;
    acknowledged(&context, JOB_CONSUMER, 0).await;
    let began = now() - 3600;
    let both = [
        line("job,function=stop_job", &stop(1, began + 5)),
        line("job,function=start_job", &start(2, began)),
        line("job,function=stop_job", &stop(2, began + 6)),
    ];
    keep(&context, both.concat()).await;
    house.all_stopped(1).await;
    let House { site, server, .. } = house;
    server.stop();
    keep(&context, line("job,function=start_job", &start(1, began))).await;
    let house = House::of(site, deployment).await;
    let expected = [(1, "completed".to_owned(), 5), (2, "completed".to_owned(), 6)];
    assert_eq!(house.all_stopped(2).await, expected);
    house.close();
}

pub async fn a_stream_that_is_made_later_is_found(deployment: Deployment) {
    let broker = Broker::start(&["-js"]);
    let context = jetstream::new(broker.client().await);
    let house = House::of(durable_site(&broker), deployment).await;
    let log = house.site.file("server.log");
    wait::until("it listens without a stream", LIMIT, || async {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let listens = log.contains("no stream holds") && log.contains("taking job events");
        if listens { Ok(()) } else { Err(log) }
    })
    .await;
    let began = now() - 3600;
    let nats = broker.client().await;
    send(&nats, JOBS, line("job,function=start_job", &start(1, began))).await;
    send(&nats, JOBS, line("job,function=stop_job", &stop(1, began + 5))).await;
    nats.flush().await.expect("sent");
    house.all_stopped(1).await;
    stream(&context).await;
    acknowledged(&context, JOB_CONSUMER, 0).await;
    let House { site, server, .. } = house;
    server.stop();
    keep(&context, line("job,function=start_job", &start(2, began))).await;
    keep(&context, line("job,function=stop_job", &stop(2, began + 6))).await;
    let house = House::of(site, deployment).await;
    house.all_stopped(2).await;
    acknowledged(&context, JOB_CONSUMER, 2).await;
    house.close();
}

/// Waits until the consumer is there and so many messages of it are acknowledged, none waiting.
async fn acknowledged(context: &jetstream::Context, consumer: &str, messages: u64) {
    wait::until("all is acknowledged", LIMIT, || async {
        let stream = context.get_stream("cc").await.map_err(|error| error.to_string())?;
        let info = stream.consumer_info(consumer).await.map_err(|error| format!("{consumer}: {error}"))?;
        let state = (info.ack_floor.consumer_sequence, info.num_ack_pending, info.num_pending);
        if state == (messages, 0, 0) { Ok(()) } else { Err(format!("{consumer}: {state:?}")) }
    })
    .await;
}
