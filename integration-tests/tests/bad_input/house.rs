//! A small site, and looking at answers.

use cc_integration_tests::{
    client::{Answer, Client},
    recording::now,
    samples::{self, Metric},
    server::{Deployment, Server},
    site::Site,
    small,
};
use serde_json::{Value, json};

/// The cluster of this suite: hosts `s01` to `s08`.
pub const CLUSTER: &str = "small";
/// Interval of its metrics.
pub const STEP: i64 = 10;

/// A running site.
#[derive(Debug)]
pub struct House {
    pub site: Site,
    pub server: Server,
    pub scheduler: Client,
    pub operator: Client,
}

/// A site that is not started yet.
pub fn site() -> Site {
    let site = Site::init();
    site.configure_for_tests();
    site.add_cluster(CLUSTER, small::cluster(CLUSTER, "s[01-08]", STEP).as_bytes());
    site.add_user("scheduler", "api", "scheduler");
    site.add_user("operator", "admin", "operator");
    site.add_user("alice", "user", "alice");
    site
}

impl House {
    pub async fn open(deployment: Deployment) -> Self {
        Self::of(site(), deployment).await
    }

    pub async fn of(site: Site, deployment: Deployment) -> Self {
        let server = Server::start(&site, deployment).await;
        let scheduler = server.client().with_token(&site.token("scheduler"));
        let operator = server.client().signed_in("operator", "operator").await;
        Self { site, server, scheduler, operator }
    }

    /// Stops in order; the database is whole.
    pub fn close(self) {
        self.server.stop();
        self.site.database_is_whole();
    }

    /// All jobs: job id, state, duration, monitoring status.
    pub async fn jobs(&self) -> Vec<(i64, String, i64, i64)> {
        let query = "{jobs(page:{itemsPerPage:1000,page:1},order:{field:\"startTime\",type:\"col\",order:ASC}){items{jobId state duration \
            monitoringStatus}}}";
        let answer = self.operator.graphql(query, json!({})).await;
        let number = |value: &Value| value.as_i64().expect("a number");
        let items = answer["jobs"]["items"].as_array().expect("items");
        items
            .iter()
            .map(|job| {
                let state = job["state"].as_str().expect("a state").to_owned();
                (number(&job["jobId"]), state, number(&job["duration"]), number(&job["monitoringStatus"]))
            })
            .collect()
    }

    /// Values of a metric of a host as the store has them.
    pub async fn values(&self, metric: &str, host: &str, from: i64, to: i64) -> Vec<Option<f64>> {
        let body = json!({"cluster": CLUSTER, "from": from, "to": to, "with-data": true, "queries": [{"metric": metric, "host": host}]});
        let answer = self.scheduler.post("/api/query", &body).await.expect(200).json();
        let data = answer["results"][0][0]["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(Value::as_f64).collect()
    }
}

/// A good start.
pub fn start(id: i64, host: &str, start_time: i64) -> Value {
    json!({
        "jobId": id, "cluster": CLUSTER, "user": "alice", "project": "p", "partition": "main", "shared": "none", "numNodes": 1,
        "numHwthreads": 4, "walltime": 3600, "startTime": start_time, "resources": [{"hostname": host}]
    })
}

/// A good stop.
pub fn stop(id: i64, stop_time: i64) -> Value {
    json!({"jobId": id, "cluster": CLUSTER, "jobState": "completed", "stopTime": stop_time})
}

/// The metrics of the cluster.
pub fn metrics() -> [Metric; 2] {
    [Metric::node("load", 3.0, 2.0), Metric::per("bw", "socket", 2, 50.0, 30.0)]
}

/// Good samples of a host.
pub fn lines(host: &str, from: i64, to: i64) -> String {
    samples::lines(CLUSTER, host, &metrics(), from, to, STEP)
}

/// The last full interval.
pub fn minute() -> i64 {
    now().div_euclid(STEP) * STEP
}

/// An error answer: its status, and all of these words in its text.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    let body = answer.json();
    let error = body["error"].as_str().unwrap_or_else(|| panic!("no error in {body}"));
    for word in words {
        assert!(error.to_lowercase().contains(&word.to_lowercase()), "{word:?} is not in {error:?}");
    }
    assert!(body["status"].as_str().is_some_and(|status| !status.is_empty()), "{body}");
}
