//! Samples in a metric store elsewhere (`metric-store-external`): our own stand-alone server is the other one.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cc_integration_tests::{
    client::Client,
    recording::now,
    server::{Deployment, Server, free_port},
    shared::binary,
    site::Site,
    small, wait,
};
use serde_json::{Value, json};

/// One cluster has its samples here, the other elsewhere.
const HERE: &str = "small";
const THERE: &str = "other";
const STEP: i64 = 10;
const SLOTS: i64 = 60;
const LIMIT: Duration = Duration::from_secs(90);

/// A stand-alone store; killed when dropped.
struct Store {
    child: Child,
    port: u16,
}

impl Store {
    fn start(folder: &Path, port: u16) -> Self {
        let child = Command::new(binary("cc-metric-store"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the store starts");
        Self { child, port }
    }

    /// A client that the store answers.
    async fn client(&self, token: &str) -> Client {
        let client = Client::new(&format!("http://127.0.0.1:{}", self.port)).with_token(token);
        wait::until("the store answers", LIMIT, || async {
            Client::try_send(client.request(reqwest::Method::GET, "/api/debug")).await.map(drop)
        })
        .await;
        client
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A value of the node and one per socket, at every slot.
fn lines(host: &str, from: i64) -> String {
    let slot = |slot: i64| {
        let time = from + slot * STEP;
        let socket = |id: i64| {
            format!("bw,hostname={host},type=socket,type-id={id} value={} {time}\n", 100 * id + slot)
        };
        format!("load,hostname={host},type=node value={slot} {time}\n{}{}", socket(0), socket(1))
    };
    (0..SLOTS).map(slot).collect()
}

fn start(id: i64, cluster: &str, start_time: i64) -> Value {
    json!({
        "jobId": id, "cluster": cluster, "user": "alice", "project": "p", "partition": "main", "shared": "none", "numNodes": 2,
        "numHwthreads": 8, "walltime": 3600, "startTime": start_time,
        "resources": [{"hostname": "s01"}, {"hostname": "s02"}]
    })
}

/// All series of a job as metric, scope, host, id and data.
async fn series(operator: &Client, id: i64) -> Value {
    let query = "query($id:ID!){jobMetrics(id:$id,scopes:[node,socket],resolution:0){name scope metric{timestep unit{prefix base} \
        series{hostname id data statistics{avg min max}}}}}";
    let jobs = format!("{{jobs(filter:[{{jobId:{{eq:\"{id}\"}}}}]){{items{{id}}}}}}");
    let id = operator.graphql(&jobs, json!({})).await["jobs"]["items"][0]["id"].clone();
    let mut answer = operator.try_graphql(query, json!({"id": id})).await;
    if let Some(metrics) = answer["data"]["jobMetrics"].as_array_mut() {
        metrics.sort_by_key(|metric| format!("{} {}", metric["name"], metric["scope"]));
    }
    answer
}

async fn archived(operator: &Client, server: &Server, id: i64) {
    let query = format!(
        "{{jobs(filter:[{{jobId:{{eq:\"{id}\"}}}}]){{items{{monitoringStatus footprint{{name stat value}}}}}}}}"
    );
    wait::until("the job is archived", LIMIT, || async {
        let job = operator.graphql(&query, json!({})).await["jobs"]["items"][0].clone();
        if job["monitoringStatus"] == json!(3) {
            Ok(())
        } else {
            Err(format!("{job}\n{}", server.log_tail()))
        }
    })
    .await;
}

async fn jobs_are_shown_and_archived_wherever_their_samples_are(deployment: Deployment) {
    let site = Site::init();
    site.configure_for_tests();
    for name in [HERE, THERE] {
        site.add_cluster(name, small::cluster(name, "s[01-08]", STEP).as_bytes());
    }
    site.add_user("scheduler", "api", "scheduler");
    site.add_user("operator", "admin", "operator");
    let token = site.token("scheduler");
    let env = std::fs::read_to_string(site.file(".env")).expect(".env");
    let key =
        env.lines().find_map(|line| line.strip_prefix("JWT_PUBLIC_KEY=")).expect("a key").trim_matches('"');

    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let config = json!({
        "main": {"addr": format!("127.0.0.1:{port}"), "jwt-public-key": key},
        "metrics": {"load": {"frequency": STEP, "aggregation": "avg"}, "bw": {"frequency": STEP, "aggregation": "sum"}},
        "metric-store": {"checkpoints": {"directory": "./checkpoints"}, "retention-in-memory": "48h", "memory-cap": 1}
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    let store = Store::start(folder.path(), port);
    let elsewhere = store.client(&token).await;
    let url = format!("http://127.0.0.1:{port}");
    site.configure(|config| {
        config["metric-store-external"] =
            json!([{"scope": format!("{THERE}-main"), "url": url, "token": token}]);
    });
    let server = Server::start(&site, deployment).await;
    let scheduler = server.client().with_token(&token);
    let operator = server.client().signed_in("operator", "operator").await;

    let from = now().div_euclid(STEP) * STEP - 3600;
    for host in ["s01", "s02"] {
        scheduler.write(HERE, lines(host, from)).await.expect(200);
        let sent = elsewhere
            .request(reqwest::Method::POST, &format!("/api/write?cluster={THERE}"))
            .body(lines(host, from));
        Client::send(sent.bearer_auth(&token)).await.expect(200);
    }
    let end = from + SLOTS * STEP;
    for (id, cluster) in [(1, HERE), (2, THERE)] {
        scheduler.post("/api/jobs/start_job/", &start(id, cluster, from)).await.expect(201);
    }
    // Both are shown alike.
    let here = series(&operator, 1).await;
    let first = &here["data"]["jobMetrics"][0]["metric"]["series"][0]["data"];
    assert!(first.as_array().is_some_and(|data| data.len() >= SLOTS as usize), "{here}");
    let there = series(&operator, 2).await;
    assert_eq!(without_tail(&there), without_tail(&here), "{}", server.log_tail());
    // Both are archived alike.
    for id in [1, 2] {
        let cluster = if id == 1 { HERE } else { THERE };
        let stop = json!({"jobId": id, "cluster": cluster, "jobState": "completed", "stopTime": end});
        scheduler.post("/api/jobs/stop_job/", &stop).await.expect(200);
        archived(&operator, &server, id).await;
    }
    assert_eq!(series(&operator, 2).await, series(&operator, 1).await);

    // Nobody there: a clear error, and the job waits.
    scheduler.post("/api/jobs/start_job/", &start(3, THERE, from + 1)).await.expect(201);
    store.kill();
    let failed = series(&operator, 3).await;
    assert!(failed["errors"][0]["message"].is_string(), "{failed}");
    let stop = json!({"jobId": 3, "cluster": THERE, "jobState": "completed", "stopTime": end});
    scheduler.post("/api/jobs/stop_job/", &stop).await.expect(200);
    wait::until("the log names the store", LIMIT, || async {
        let log = std::fs::read_to_string(site.file("server.log")).expect("a log");
        let told = log.contains(&format!("the metric store at '{url}' (scope \"{THERE}-main\")"));
        if told && log.contains("archiving job") { Ok(()) } else { Err(server.log_tail()) }
    })
    .await;
    let store = Store::start(folder.path(), port);
    store.client(&token).await;
    archived(&operator, &server, 3).await;
    server.stop();
    site.database_is_whole();
}

/// Both answers begin alike; a running job's series end where each store's last sample is, which may differ by nothing.
fn without_tail(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for metric in answer["data"]["jobMetrics"].as_array_mut().expect("metrics") {
        for series in metric["metric"]["series"].as_array_mut().expect("series") {
            // rounded by the other store's interface
            series["statistics"] = Value::Null;
            let data = series["data"].as_array_mut().expect("data");
            while data.last() == Some(&Value::Null) {
                data.pop();
            }
        }
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() {
    jobs_are_shown_and_archived_wherever_their_samples_are(Deployment::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn split() {
    jobs_are_shown_and_archived_wherever_their_samples_are(Deployment::Split).await;
}
