//! Streams: what nobody listens to is kept.

use async_nats::jetstream::{self, stream};
use cc_integration_tests::{broker::Broker, recording::now, server::Deployment, wait};
use serde_json::json;

use crate::house::{CLUSTER, House, JOBS, LIMIT, NODES, STEP, line, minute, site, start, stop};

const SAMPLES: &str = "hpc.small";

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
    for consumer in ["hub-cc_job_event", "hub-cc_node_state", "hub-hpc_small"] {
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
    for (consumer, messages) in [("hub-cc_job_event", 3), ("hub-cc_node_state", 1), ("hub-hpc_small", 1)] {
        acknowledged(&context, consumer, messages).await;
    }
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
