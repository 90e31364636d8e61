//! The recorded jobs over gRPC: `cc-slurm-adapter replay` into a fresh site, each event's outcome as the committed table has it.
//!
//! The table (`replay-outcomes.json`) follows from spec/integrations.md 9.6: a start without a row is applied, a stop of a running job is
//! applied, a stop with the state `pending` (a requeue, which REST accepts) is rejected.

use std::{
    path::Path,
    process::{Command, Output},
};

use cc_integration_tests::{
    recording::{Exchange, shift},
    server::{Deployment, Server},
    shared::{binary, shared_or_skip},
    site::Site,
    sse::Events,
};
use serde_json::{Value, json};

use crate::{ONE_AT_A_TIME, adapter, house};

/// The job that was requeued: over gRPC it runs on, because `pending` ends no job.
const REQUEUED: i64 = 14;

fn table() -> Vec<Value> {
    let table: Value = serde_json::from_str(include_str!("replay-outcomes.json")).expect("the table is JSON");
    table["events"].as_array().expect("events").clone()
}

pub async fn recorded_events_get_the_outcomes_of_the_table(deployment: Deployment) {
    let Some(shared) = shared_or_skip("recorded jobs over gRPC") else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let site = house::site(&shared);
    let server = Server::start(&site, deployment).await;
    let operator = server.client().signed_in("operator", "operator").await;
    let page = Events::open(&operator).await;
    let (exchanges, seconds) = adapter::recording(&shared);
    let events: Vec<&Exchange> = exchanges.iter().filter(|exchange| adapter::is_event(exchange)).collect();

    let table = table();
    let told = replay(&site, &server, &shared, seconds, "first");
    assert_eq!((told.len(), table.len()), (events.len(), events.len()));
    for ((told, want), event) in told.iter().zip(&table).zip(&events) {
        for key in ["kind", "outcome", "code"] {
            assert_eq!(told[key], want[key], "event {want}: {told}");
        }
        assert_eq!(
            (&told["key"]["job_id"], &want["job"]),
            (&event.request["jobId"], &event.request["jobId"])
        );
    }

    every_job_is_as_reported(&operator, &events, seconds).await;
    let pushed =
        |kind: &str| page.told().iter().filter(|told| told.contains(&format!("\"kind\":\"{kind}\""))).count();
    let applied = |kind: &str| {
        table.iter().filter(|event| event["kind"] == kind && event["outcome"] == "APPLIED").count()
    };
    for kind in ["started", "stopped"] {
        assert_eq!(pushed(kind), applied(kind), "{kind} on an open page");
    }

    // An adapter that lost its memory reports everything again: nothing happens twice.
    let again = replay(&site, &server, &shared, seconds, "second");
    for (told, want) in again.iter().zip(&table) {
        let applied = want["outcome"] == "APPLIED";
        assert!(
            told["outcome"] == if applied { "DUPLICATE" } else { "REJECTED" } || told["outcome"] == "STALE",
            "{told}"
        );
        assert!(told["outcome"] != "STALE" || want["kind"] == "started", "{told}");
    }
    every_job_is_as_reported(&operator, &events, seconds).await;
    for kind in ["started", "stopped"] {
        assert_eq!(pushed(kind), applied(kind), "{kind} on an open page, after the second report");
    }
    server.stop();
    site.database_is_whole();
}

/// Runs the adapter; one JSON object per event.
fn replay(site: &Site, server: &Server, shared: &Path, seconds: i64, adapter: &str) -> Vec<Value> {
    let output: Output = Command::new(binary("cc-slurm-adapter"))
        .arg("replay")
        .arg(shared.join("fixtures/clients/slurm-adapter/poll.jsonl"))
        .args([
            "-server",
            server.grpc(),
            "-adapter-id",
            adapter,
            "-shift",
            &seconds.to_string(),
            "-patience",
            "30",
            "-json",
        ])
        .env("CC_TOKEN", house::scheduler_token(site))
        .current_dir(site.path())
        .output()
        .expect("cc-slurm-adapter runs");
    assert!(output.status.success(), "{output:?}\n{}", server.log_tail());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("an object per line")).collect()
}

/// The same jobs as over REST, but for the requeued one, which runs on.
async fn every_job_is_as_reported(
    operator: &cc_integration_tests::client::Client,
    events: &[&Exchange],
    seconds: i64,
) {
    let query = "{jobs(page:{itemsPerPage:100,page:1}){count items{jobId user project state startTime duration numNodes numAcc walltime \
        shared resources{hostname hwthreads accelerators} metaData}}}";
    let answer = operator.graphql(query, json!({})).await;
    let (starts, stops): (Vec<&Exchange>, Vec<&Exchange>) =
        events.iter().copied().partition(|event| event.path.contains("start_job"));
    assert_eq!(answer["jobs"]["count"], starts.len());
    let items = answer["jobs"]["items"].as_array().expect("items");
    for start in starts {
        let id = &start.request["jobId"];
        let mut want = start.request.clone();
        shift(&mut want, seconds);
        let got =
            items.iter().find(|item| item["jobId"] == *id).unwrap_or_else(|| panic!("job {id} is missing"));
        for key in ["user", "project", "numNodes", "shared"] {
            assert_eq!(got[key], want[key], "job {id}: {key}");
        }
        for key in ["numAcc", "walltime"] {
            assert_eq!(got[key].as_i64(), Some(want[key].as_i64().unwrap_or(0)), "job {id}: {key}");
        }
        for (got, want) in got["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(want["resources"].as_array().expect("hosts"))
        {
            for key in ["hostname", "hwthreads", "accelerators"] {
                assert_eq!(got[key], want[key], "job {id}: {key}");
            }
        }
        for key in ["jobName", "jobScript", "slurmInfo"] {
            assert_eq!(got["metaData"][key], want["metaData"][key], "job {id}: {key}");
        }
        let stop = &stops.iter().find(|stop| stop.request["jobId"] == *id).expect("each was stopped").request;
        if *id == REQUEUED {
            assert_eq!(got["state"], "running", "job {id}");
        } else {
            let duration = stop["stopTime"].as_i64().expect("a time")
                - start.request["startTime"].as_i64().expect("a time");
            assert_eq!((&got["state"], &got["duration"]), (&stop["jobState"], &json!(duration)), "job {id}");
        }
    }
}
