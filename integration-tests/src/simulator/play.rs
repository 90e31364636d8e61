//! Telling the server: the past once, then the present.

use std::{
    collections::HashSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use reqwest::Method;
use serde_json::Value;

use super::{
    clusters::{AURORA, Cluster, NOVA, STEP},
    jobs::Plan,
    shapes::{Moment, lines},
};
use crate::client::Client;

/// Finished jobs of the demo, unless asked for another number.
pub const FINISHED: u64 = 500;
/// Jobs that run at any time.
pub const RUNNING: usize = 20;
/// Id of the first job.
const FIRST_ID: u64 = 380_000;
/// How far back the history reaches.
const HISTORY_SECONDS: i64 = 6 * 86_400;
/// A batch of line protocol is sent when it is this long.
const BATCH_BYTES: usize = 4 << 20;

/// The archive works on what waits for it; if nothing more is done for so long, it does not.
const ARCHIVE_STANDS: Duration = Duration::from_mins(10);

/// Unix seconds.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A job that the server knows to run.
#[derive(Clone, Debug)]
struct Running {
    plan: Plan,
    start: i64,
    hosts: Vec<String>,
}

/// Sends the past of `finished` jobs: each job's samples, its start and its stop, in time order; then waits until all are archived.
pub async fn history(client: &Client, finished: u64, say: impl Fn(&str)) -> Result<(), String> {
    let known = known_ids(client).await?;
    let end = now() - 1_800;
    let mut missing: Vec<u64> = (0..finished).filter(|index| !known.contains(&(FIRST_ID + index))).collect();
    missing.sort_unstable();
    if missing.is_empty() {
        return Ok(());
    }
    say(&format!("telling the history of {} jobs", missing.len()));
    for (count, index) in missing.iter().enumerate() {
        let plan = Plan::of(FIRST_ID + index);
        let latest = end - plan.duration;
        let start = (end - HISTORY_SECONDS
            + HISTORY_SECONDS * i64::try_from(*index).unwrap_or(0) / i64::try_from(finished).unwrap_or(1))
        .min(latest);
        let hosts = hosts_of(&plan, *index);
        feed(
            client,
            &[Running { plan: plan.clone(), start, hosts: hosts.clone() }],
            start,
            start + plan.duration,
        )
        .await?;
        post(client, "/api/jobs/start_job/", &plan.start(&hosts, start), &[201, 422]).await?;
        post(client, "/api/jobs/stop_job/", &plan.stop(start), &[200, 422]).await?;
        if (count + 1) % 50 == 0 {
            say(&format!("{} of {} jobs told", count + 1, missing.len()));
        }
    }
    say("waiting for the archive");
    archived(async || waiting(client).await, ARCHIVE_STANDS).await
}

/// Waits until no job waits for the archive; an error with their number once it has not become smaller for `limit`.
async fn archived(
    mut waiting: impl AsyncFnMut() -> Result<usize, String>,
    limit: Duration,
) -> Result<(), String> {
    let (mut least, mut since) = (usize::MAX, Instant::now());
    loop {
        let now = waiting().await?;
        if now == 0 {
            return Ok(());
        }
        if now < least {
            (least, since) = (now, Instant::now());
        } else if since.elapsed() >= limit {
            return Err(format!("{now} jobs wait for the archive, none was archived for {limit:?}"));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// How many stopped jobs are not archived yet.
async fn waiting(client: &Client) -> Result<usize, String> {
    let path = "/api/jobs/?items-per-page=100000&page=1&with-metadata=false";
    let answer = Client::try_send(client.request(Method::GET, path)).await?;
    let jobs = answer.expect(200).json();
    let waits = |job: &&Value| job["jobState"] != "running" && job["monitoringStatus"] == 1;
    Ok(jobs["jobs"].as_array().map_or(0, |jobs| jobs.iter().filter(waits).count()))
}

/// Keeps the present going until the process ends: samples of running jobs, jobs that end, jobs that start.
pub async fn live(client: &Client, say: impl Fn(&str)) -> Result<(), String> {
    let mut told = now().div_euclid(STEP) * STEP - STEP;
    let mut first = true;
    loop {
        let mut running = running(client).await?;
        let time = now();
        let mut ended = Vec::new();
        running.retain(|job| {
            let over = job.start + job.plan.duration <= time;
            if over {
                ended.push(job.clone());
            }
            !over
        });
        for job in ended {
            feed(client, std::slice::from_ref(&job), told, job.start + job.plan.duration).await?;
            post(client, "/api/jobs/stop_job/", &job.plan.stop(job.start), &[200, 422]).await?;
        }
        let mut next_id = known_ids(client)
            .await?
            .into_iter()
            .max()
            .unwrap_or(FIRST_ID + FINISHED)
            .max(FIRST_ID + FINISHED)
            + 1;
        while running.len() < RUNNING {
            let plan = Plan::of(next_id);
            next_id += 1;
            // At the very first start jobs are found in the middle of their life, later ones begin now.
            let start = if first {
                time - plan.duration * i64::try_from(next_id % 7 + 1).unwrap_or(1) / 9
            } else {
                time
            };
            let taken: HashSet<&str> =
                running.iter().flat_map(|job| job.hosts.iter().map(String::as_str)).collect();
            let hosts: Vec<String> = (0..plan.cluster.nodes)
                .map(|index| plan.cluster.host(index))
                .filter(|host| !taken.contains(host.as_str()))
                .take(plan.nodes)
                .collect();
            let job = Running { plan, start, hosts };
            feed(client, std::slice::from_ref(&job), start, told).await?;
            post(client, "/api/jobs/start_job/", &job.plan.start(&job.hosts, start), &[201, 422]).await?;
            running.push(job);
        }
        if first {
            say(&format!("{} jobs are running", running.len()));
            first = false;
        }
        let upto = now().div_euclid(STEP) * STEP;
        feed(client, &running, told + STEP, upto).await?;
        node_states(client, &running).await?;
        told = upto;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Hosts of a finished job: spread over the machine, so that neighbours in time do not share nodes.
fn hosts_of(plan: &Plan, index: u64) -> Vec<String> {
    let first = usize::try_from(index).unwrap_or(0) * 37;
    (0..plan.nodes).map(|node| plan.cluster.host((first + node) % plan.cluster.nodes)).collect()
}

async fn known_ids(client: &Client) -> Result<HashSet<u64>, String> {
    let answer = Client::try_send(
        client.request(Method::GET, "/api/jobs/?items-per-page=1000000&page=1&with-metadata=false"),
    )
    .await?;
    let jobs = answer.expect(200).json();
    Ok(jobs["jobs"]
        .as_array()
        .map(|jobs| jobs.iter().filter_map(|job| job["jobId"].as_u64()).collect())
        .unwrap_or_default())
}

async fn running(client: &Client) -> Result<Vec<Running>, String> {
    let answer = Client::try_send(
        client.request(Method::GET, "/api/jobs/?state=running&items-per-page=1000000&page=1"),
    )
    .await?;
    let jobs = answer.expect(200).json();
    let running = jobs["jobs"].as_array().into_iter().flatten().filter_map(|job| {
        let hosts = job["resources"]
            .as_array()?
            .iter()
            .filter_map(|resource| resource["hostname"].as_str().map(str::to_owned))
            .collect();
        Some(Running { plan: Plan::of(job["jobId"].as_u64()?), start: job["startTime"].as_i64()?, hosts })
    });
    Ok(running.collect())
}

/// Samples of these jobs from `from` to `to`, both included where they lie on the grid.
async fn feed(client: &Client, jobs: &[Running], from: i64, to: i64) -> Result<(), String> {
    let mut text = String::new();
    let mut time = from.div_euclid(STEP) * STEP;
    while time <= to {
        for job in jobs
            .iter()
            .filter(|job| time >= job.start.div_euclid(STEP) * STEP && time <= job.start + job.plan.duration)
        {
            for (host, name) in job.hosts.iter().enumerate() {
                let moment = Moment {
                    since: (time - job.start).max(0),
                    length: job.plan.duration,
                    host,
                    hosts: job.hosts.len(),
                };
                lines(&mut text, &job.plan.cluster, job.plan.shape, moment, name, job.plan.id, time);
                if text.len() > BATCH_BYTES {
                    write(client, std::mem::take(&mut text)).await?;
                }
            }
        }
        time += STEP;
    }
    if text.is_empty() { Ok(()) } else { write(client, text).await }
}

async fn write(client: &Client, text: String) -> Result<(), String> {
    let answer = Client::try_send(client.request(Method::POST, "/api/write/").body(text)).await?;
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(format!("write: {}: {}", answer.status, answer.text))
    }
}

async fn post(client: &Client, path: &str, body: &Value, expected: &[u16]) -> Result<(), String> {
    let answer = client.try_post(path, body).await?;
    if expected.contains(&answer.status.as_u16()) {
        Ok(())
    } else {
        Err(format!("{path}: {}: {}", answer.status, answer.text))
    }
}

/// Reports every node: allocated where a job runs, a few down, the rest idle.
async fn node_states(client: &Client, running: &[Running]) -> Result<(), String> {
    let busy: HashSet<&str> = running.iter().flat_map(|job| job.hosts.iter().map(String::as_str)).collect();
    for cluster in [AURORA, NOVA] {
        let nodes: Vec<Value> = (0..cluster.nodes).map(|index| node_state(&cluster, index, &busy)).collect();
        post(
            client,
            "/api/nodestate/",
            &serde_json::json!({"cluster": cluster.name, "nodes": nodes}),
            &[200],
        )
        .await?;
    }
    Ok(())
}

fn node_state(cluster: &Cluster, index: usize, busy: &HashSet<&str>) -> Value {
    let host = cluster.host(index);
    let (state, share) = if busy.contains(host.as_str()) {
        ("allocated", 1)
    } else if index % 97 == 96 {
        ("down", 0)
    } else {
        ("idle", 0)
    };
    serde_json::json!({
        "hostname": host, "states": [state], "cpusAllocated": share * cluster.hwthreads, "memoryAllocated": 0,
        "gpusAllocated": share * cluster.gpus, "jobsRunning": share
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_that_stands_is_an_error_with_the_number_of_jobs() {
        let error = archived(async || Ok(3), Duration::ZERO).await.unwrap_err();
        assert!(error.starts_with("3 jobs wait for the archive"), "{error}");
    }

    #[tokio::test]
    async fn an_archive_that_works_is_waited_for() {
        let mut left = 3;
        let waiting = async || {
            left -= 1;
            Ok(left)
        };
        assert_eq!(archived(waiting, Duration::ZERO).await, Ok(()));
        assert_eq!(archived(async || Err("gone".to_owned()), Duration::ZERO).await, Err("gone".to_owned()));
    }
}
