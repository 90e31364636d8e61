//! Load from outside, for `integration-tests/bench`: prints figures, asserts nothing.
//!
//!     load starts URL TOKEN CLUSTER HOST COUNT CONNECTIONS    start_job requests, each acknowledged as durable
//!     load list URL TOKEN ROUNDS                               one page of the job list over GraphQL (a session token of any role)

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cc_integration_tests::client::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["starts", url, token, cluster, host, count, connections] => {
            match (count.parse(), connections.parse()) {
                (Ok(count), Ok(connections)) => {
                    starts(&Client::new(url).with_token(token), cluster, host, count, connections).await;
                    Ok(())
                }
                _ => Err("COUNT and CONNECTIONS are numbers"),
            }
        }
        ["list", url, token, rounds] => match rounds.parse() {
            Ok(rounds) => {
                list(&Client::new(url).with_token(token), rounds).await;
                Ok(())
            }
            Err(_) => Err("ROUNDS is a number"),
        },
        _ => Err("usage: load starts URL TOKEN CLUSTER HOST COUNT CONNECTIONS | load list URL TOKEN ROUNDS"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("load: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn starts(client: &Client, cluster: &str, host: &str, count: u64, connections: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            let (cluster, host) = (cluster.to_owned(), host.to_owned());
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return times;
                    }
                    let body = json!({
                        "jobId": 10_000_000 + number, "cluster": cluster, "user": format!("user{:02}", number % 50), "project": "bench",
                        "numNodes": 1, "numHwthreads": 32, "walltime": 3600, "startTime": 1_700_000_000 + number, "shared": "none", "smt": 1,
                        "resources": [{"hostname": host}], "metaData": {"jobName": "bench"}
                    });
                    let sent = Instant::now();
                    let answer = client.post("/api/jobs/start_job/", &body).await;
                    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
                    times.push(sent.elapsed());
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.expect("a worker ends"));
    }
    let took = began.elapsed();
    println!(
        "{count} starts over {connections} connections: {:.0} per second, {}",
        count as f64 / took.as_secs_f64(),
        percentiles(times)
    );
}

async fn list(client: &Client, rounds: u32) {
    let query = "query($p:Int!){jobs(page:{itemsPerPage:50,page:$p},order:{field:\"startTime\",type:\"col\",order:DESC}){count hasNextPage \
        items{id jobId jobName user project cluster subCluster partition startTime duration numNodes state shared footprint{name value} tags{name}}}}";
    let mut times = Vec::new();
    for round in 0..rounds {
        let sent = Instant::now();
        let answer = client.try_graphql(query, json!({"p": 1 + round % 20})).await;
        times.push(sent.elapsed());
        assert!(answer["data"]["jobs"]["items"].is_array(), "{answer}");
    }
    println!("job list, 50 rows with count, {rounds} pages: {}", percentiles(times));
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| {
        times
            .get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    };
    format!("p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", ms(at(0.5)), ms(at(0.99)), ms(at(1.0)))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
