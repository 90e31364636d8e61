//! A small site that listens to a broker.

use std::time::Duration;

use async_nats::Client as Nats;
use cc_integration_tests::{
    client::Client,
    recording::now,
    server::{Deployment, Server},
    site::Site,
    small, wait,
};
use serde_json::{Value, json};

/// The clusters of this suite; both have hosts of the same names, `s01` to `s99`.
pub const CLUSTER: &str = "small";
pub const OTHER: &str = "other";
/// Interval of their metrics, seconds.
pub const STEP: i64 = 10;
/// How long anything may take to show.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const JOBS: &str = "cc.job.event";
pub const NODES: &str = "cc.node.state";

/// A running site.
#[derive(Debug)]
pub struct House {
    pub site: Site,
    pub server: Server,
    pub operator: Client,
    pub scheduler: Client,
}

/// A site that is not started yet and listens at `url`; `samples` are its subscriptions.
pub fn site(url: &str, samples: &Value) -> Site {
    let site = Site::init();
    site.configure_for_tests();
    site.configure(|config| {
        config["main"]["api-subjects"] = json!({"subject-job-event": JOBS, "subject-node-state": NODES});
        config["nats"] = json!({"address": url});
        config["metric-store"]["nats-subscriptions"] = samples.clone();
    });
    for name in [CLUSTER, OTHER] {
        site.add_cluster(name, small::cluster(name, "s[01-99]", STEP).as_bytes());
    }
    site.add_user("scheduler", "api", "scheduler");
    site.add_user("operator", "admin", "operator");
    site
}

impl House {
    pub async fn of(site: Site, deployment: Deployment) -> Self {
        let server = Server::start(&site, deployment).await;
        let operator = server.client().signed_in("operator", "operator").await;
        let scheduler = server.client().with_token(&site.token("scheduler"));
        Self { site, server, operator, scheduler }
    }

    /// A site at `url` whose events arrive.
    pub async fn listening(url: &str, deployment: Deployment) -> Self {
        let house = Self::of(site(url, &json!([])), deployment).await;
        house.connected("gateway-nats").await;
        house
    }

    /// Stops in order; the database is whole.
    pub fn close(self) {
        self.server.stop();
        self.site.database_is_whole();
    }

    /// What `/readyz` says about a part of the process that serves the web, and whether the whole is ready.
    pub async fn part(&self, name: &str) -> (bool, String) {
        let page = self.server.client().get("/readyz").await;
        let reason = page.json()["parts"][name]["reason"].as_str().unwrap_or_default().to_owned();
        (page.status.is_success(), reason)
    }

    /// Waits until a connection is there.
    pub async fn connected(&self, part: &str) {
        wait::until("the hub is connected", LIMIT, || async {
            match self.part(part).await {
                (true, reason) if reason.is_empty() => Ok(()),
                (ready, reason) => Err(format!("ready: {ready}, {reason:?}\n{}", self.server.log_tail())),
            }
        })
        .await;
    }

    /// Waits until `/readyz` answers 200 and says all of these words about a part.
    pub async fn says(&self, part: &str, words: &[&str]) {
        wait::until("the hub says so", LIMIT, || async {
            match self.part(part).await {
                (true, reason) if words.iter().all(|word| reason.contains(word)) => Ok(()),
                (ready, reason) => Err(format!("ready: {ready}, {reason:?}\n{}", self.server.log_tail())),
            }
        })
        .await;
    }

    /// All jobs by id: state and duration.
    pub async fn jobs(&self) -> Vec<(i64, String, i64)> {
        let query = "{jobs(page:{itemsPerPage:1000,page:1}){items{jobId state duration}}}";
        let answer = self.operator.graphql(query, json!({})).await;
        let number = |value: &Value| value.as_i64().expect("a number");
        let items = answer["jobs"]["items"].as_array().expect("items");
        let state = |job: &Value| job["state"].as_str().expect("a state").to_owned();
        let mut jobs: Vec<_> =
            items.iter().map(|job| (number(&job["jobId"]), state(job), number(&job["duration"]))).collect();
        jobs.sort();
        jobs
    }

    /// Waits until `count` jobs are there and none of them runs.
    pub async fn all_stopped(&self, count: usize) -> Vec<(i64, String, i64)> {
        wait::until("all jobs are stopped", LIMIT, || async {
            let jobs = self.jobs().await;
            let running = jobs.iter().filter(|(_, state, _)| state == "running").count();
            if jobs.len() == count && running == 0 {
                Ok(jobs)
            } else {
                Err(format!("{} jobs, {running} running\n{}", jobs.len(), self.server.log_tail()))
            }
        })
        .await
    }

    /// Values of a metric of a host as the store has them.
    pub async fn values(&self, cluster: &str, host: &str, from: i64, to: i64) -> Vec<Option<f64>> {
        values(&self.scheduler, cluster, host, from, to).await
    }
}

/// Values of metric `load` of a host.
pub async fn values(client: &Client, cluster: &str, host: &str, from: i64, to: i64) -> Vec<Option<f64>> {
    let body = json!({"cluster": cluster, "from": from, "to": to, "with-data": true, "queries": [{"metric": "load", "host": host}]});
    let answer = client.post("/api/query", &body).await.expect(200).json();
    let data = answer["results"][0][0]["data"].as_array().cloned().unwrap_or_default();
    data.iter().map(Value::as_f64).collect()
}

/// A good start.
pub fn start(id: i64, start_time: i64) -> Value {
    json!({
        "jobId": id, "cluster": CLUSTER, "user": "alice", "project": "p", "partition": "main", "shared": "none", "numNodes": 1,
        "numHwthreads": 4, "walltime": 3600, "startTime": start_time, "resources": [{"hostname": "s01"}],
        "metaData": {"jobScript": "#!/bin/sh\necho \"a \\ b\"\n"}
    })
}

/// A good stop.
pub fn stop(id: i64, stop_time: i64) -> Value {
    json!({"jobId": id, "cluster": CLUSTER, "jobState": "completed", "stopTime": stop_time})
}

/// A line as the adapters write it.
pub fn line(head: &str, event: &Value) -> String {
    let event = event.to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("{head} event=\"{event}\" {}\n", now() * 1_000_000_000)
}

/// Sends a line and does not wait for more than the broker.
pub async fn send(nats: &Nats, subject: &'static str, text: String) {
    nats.publish(subject, text.into()).await.expect("published");
}

/// The last full interval.
pub fn minute() -> i64 {
    now().div_euclid(STEP) * STEP
}
