//! A job from start to archive, as a site sees it: told over REST, on an open page by push, plotted while it runs, safe through kills,
//! archived value by value, and visible to its owner only. Each story runs in one process and split over TLS.

use std::{collections::BTreeMap, fs, io::Read as _, time::Duration};

use cc_integration_tests::{
    client::Client,
    samples::{self, Metric},
    server::{Deployment, Server},
    simulator::clusters::{AURORA, STEP},
    site::Site,
    wait,
};
use serde_json::{Value, json};

/// What must come back, computed anew from the function that made the samples.
mod oracle {
    use cc_integration_tests::samples::{Metric, value};
    use serde_json::Value;

    /// How far an archived number may lie from the exact one: files hold two decimals.
    pub(crate) const TOLERANCE: f64 = 0.005_001;

    /// The samples of one series that fall into a job, one per `step` seconds from the first grid point at or after `start`.
    pub(crate) fn series(
        cluster: &str,
        host: &str,
        metric: &Metric,
        id: &str,
        start: i64,
        stop: i64,
        step: i64,
    ) -> Vec<f64> {
        let first = start.div_euclid(step) * step;
        (0..=(stop - first) / step)
            .map(|slot| value(cluster, host, metric, id, first + slot * step))
            .collect()
    }

    /// Sum or mean over the series of a node, slot by slot.
    pub(crate) fn over_ids(
        cluster: &str,
        host: &str,
        metric: &Metric,
        start: i64,
        stop: i64,
        step: i64,
        sum: bool,
    ) -> Vec<f64> {
        let columns: Vec<Vec<f64>> =
            metric.ids.iter().map(|id| series(cluster, host, metric, id, start, stop, step)).collect();
        let slots = columns.first().map_or(0, Vec::len);
        (0..slots)
            .map(|slot| {
                let total: f64 = columns.iter().map(|column| column[slot]).sum();
                if sum { total } else { total / columns.len() as f64 }
            })
            .collect()
    }

    /// The numbers of a JSON array; `null` is NaN.
    pub(crate) fn numbers(array: &Value) -> Vec<f64> {
        array.as_array().expect("an array").iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
    }

    /// Whether two rows of samples agree where both have one, and how many slots were compared.
    pub(crate) fn compare(got: &[f64], want: &[f64]) -> Result<usize, String> {
        let mut compared = 0;
        for (slot, (got, want)) in got.iter().zip(want).enumerate() {
            match (got.is_nan(), want.is_nan()) {
                (true, true) => {}
                (false, false) if (got - want).abs() <= TOLERANCE * want.abs().max(1.0).log10().max(1.0) => {
                    compared += 1
                }
                _ => return Err(format!("slot {slot}: {got} instead of {want}")),
            }
        }
        Ok(compared)
    }
}

use oracle::TOLERANCE;

const LIMIT: Duration = Duration::from_secs(60);
/// What the issue of the house promises for a list and an open page.
const PUSH_LIMIT: Duration = Duration::from_secs(2);
const LENGTH: i64 = 1_200;

/// A site with a cluster, a scheduler's account, an owner and a stranger.
fn site() -> Site {
    let site = Site::init();
    site.configure_for_tests();
    site.add_cluster("aurora", &serde_json::to_vec(&AURORA.json()).expect("JSON"));
    site.add_user("slurm", "api", "");
    site.add_user("olga", "admin", "olga-secret");
    site.add_user("sam", "user", "sam-secret");
    site.add_user("tom", "user", "tom-secret");
    site
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("a time")
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::node("cpu_load", 20.0, 8.0),
        Metric::per("cpu_user", "hwthread", AURORA.hwthreads, 60.0, 30.0),
        Metric::per("mem_bw", "socket", 2, 90.0, 40.0),
    ]
}

/// One job and what was told of it.
struct Job {
    id: i64,
    start: i64,
    hosts: Vec<String>,
}

impl Job {
    fn new(id: i64, first_host: usize, hosts: usize) -> Self {
        // On the grid, so that slot k of every series is the sample at start + k · STEP.
        let start = (now() - LENGTH - 60).div_euclid(STEP) * STEP;
        Self { id, start, hosts: (first_host..first_host + hosts).map(|index| AURORA.host(index)).collect() }
    }

    fn stop(&self) -> i64 {
        self.start + LENGTH
    }

    fn start_body(&self) -> Value {
        let threads: Vec<usize> = (0..AURORA.hwthreads).collect();
        let resources: Vec<Value> =
            self.hosts.iter().map(|host| json!({"hostname": host, "hwthreads": threads})).collect();
        json!({"jobId": self.id, "cluster": "aurora", "user": "sam", "project": "astro", "partition": "standard",
               "numNodes": self.hosts.len(), "numHwthreads": self.hosts.len() * AURORA.hwthreads, "walltime": 3600,
               "startTime": self.start, "shared": "none", "smt": 1, "resources": resources})
    }

    fn stop_body(&self) -> Value {
        json!({"jobId": self.id, "cluster": "aurora", "startTime": self.start, "stopTime": self.stop(),
               "jobState": "completed"})
    }

    /// Told until it is answered: right after a kill the answer may be 503, and whoever gets no yes repeats. A repeated start or stop
    /// that had been taken already is refused with 422.
    async fn tell(slurm: &Client, path: &str, body: &Value, wanted: u16) {
        wait::until(path, LIMIT, || async {
            let answer = slurm.try_post(path, body).await?;
            match answer.status.as_u16() {
                503 => Err(answer.text),
                status => {
                    assert!(status == wanted || status == 422, "{path}: {status} {}", answer.text);
                    Ok(())
                }
            }
        })
        .await;
    }

    /// Sends samples; a batch that is not taken is repeated.
    async fn feed(&self, slurm: &Client, from: i64, to: i64) {
        for host in &self.hosts {
            let lines = samples::lines("aurora", host, &metrics(), from, to, STEP);
            wait::until("samples are taken", LIMIT, || async {
                let answer = slurm.write("aurora", lines.clone()).await;
                match answer.status.as_u16() {
                    503 => Err(answer.text),
                    _ => Ok(answer.expect(200)),
                }
            })
            .await;
        }
    }

    /// Rows of this job in the archive.
    fn folder(&self, site: &Site) -> std::path::PathBuf {
        site.file(&format!("var/job-archive/aurora/{}/{:03}/{}", self.id / 1000, self.id % 1000, self.start))
    }
}

/// The job as its list shows it to `viewer`, if it does.
async fn in_list(viewer: &Client, id: i64) -> Option<Value> {
    let data = viewer
        .graphql(
            "query($f: [JobFilter!]) { jobs(filter: $f) { count items { id jobId state duration monitoringStatus } } }",
            json!({"f": [{"jobId": {"eq": id.to_string()}}]}),
        )
        .await;
    data["jobs"]["items"].as_array().and_then(|items| items.first().cloned())
}

/// The series that a job page shows: metric and scope, then host and id, then values.
async fn plots(viewer: &Client, database_id: &Value) -> BTreeMap<(String, String, String, String), Vec<f64>> {
    let data = viewer
        .graphql(
            "query($id: ID!) { jobMetrics(id: $id, scopes: [node, socket, core, hwthread]) \
             { name scope metric { timestep series { hostname id data } } } }",
            json!({"id": database_id}),
        )
        .await;
    let mut found = BTreeMap::new();
    for metric in data["jobMetrics"].as_array().expect("a list") {
        assert_eq!(metric["metric"]["timestep"], STEP, "{metric}");
        for series in metric["metric"]["series"].as_array().expect("series") {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = (
                text(&metric["name"]),
                text(&metric["scope"]),
                text(&series["hostname"]),
                text(&series["id"]),
            );
            found.insert(key, oracle::numbers(&series["data"]));
        }
    }
    found
}

/// Compares what a page shows with what was sent, `upto` included; counts the compared values.
fn check_plots(
    job: &Job,
    upto: i64,
    scope_of: fn(&'static str) -> &'static str,
    shown: &BTreeMap<(String, String, String, String), Vec<f64>>,
) -> Result<usize, String> {
    let mut compared = 0;
    for host in &job.hosts {
        for metric in metrics() {
            for id in &metric.ids {
                let key = (metric.name.clone(), scope_of(metric.kind).to_owned(), host.clone(), id.clone());
                let got = shown.get(&key).ok_or_else(|| format!("no series {key:?}"))?;
                let want = oracle::series("aurora", host, &metric, id, job.start, upto, STEP);
                let equal = oracle::compare(got, &want).map_err(|error| format!("{key:?}: {error}"))?;
                if equal < want.len() {
                    return Err(format!("{key:?}: {equal} of {} values", want.len()));
                }
                compared += equal;
            }
        }
    }
    Ok(compared)
}

/// At which scope the archive keeps what is measured at `kind`: per core where hardware threads are measured (job-archive.md), which
/// in this cluster have one thread each, so that the values are the same.
fn archived_scope(kind: &'static str) -> &'static str {
    if kind == "hwthread" { "core" } else { kind }
}

/// Compares the files of an archived job with what was sent.
fn check_archive(site: &Site, job: &Job) {
    let folder = job.folder(site);
    let meta: Value =
        serde_json::from_slice(&fs::read(folder.join("meta.json")).expect("meta.json")).expect("JSON");
    assert_eq!(
        (&meta["jobId"], &meta["jobState"], &meta["duration"], &meta["startTime"], &meta["user"]),
        (&json!(job.id), &json!("completed"), &json!(LENGTH), &json!(job.start), &json!("sam"))
    );
    let packed = fs::read(folder.join("data.json.gz")).expect("data.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("gzip");
    let data: Value = serde_json::from_str(&text).expect("JSON");
    let mut compared = 0;
    for metric in metrics() {
        let mut all = Vec::new();
        for host in &job.hosts {
            for id in &metric.ids {
                let series =
                    data[&metric.name][archived_scope(metric.kind)]["series"].as_array().unwrap_or_else(
                        || panic!("no series of {} at {}", metric.name, archived_scope(metric.kind)),
                    );
                let found = series
                    .iter()
                    .find(|series| series["hostname"] == **host && (id.is_empty() || series["id"] == **id))
                    .unwrap_or_else(|| panic!("no series {} {host} {id}", metric.name));
                let want = oracle::series("aurora", host, &metric, id, job.start, job.stop(), STEP);
                let equal = oracle::compare(&oracle::numbers(&found["data"]), &want)
                    .unwrap_or_else(|error| panic!("{} {host} {id}: {error}", metric.name));
                // The last sample may belong to the next grid step.
                assert!(
                    equal >= want.len() - 1,
                    "{} {host} {id}: {equal} of {} values",
                    metric.name,
                    want.len()
                );
                compared += equal;
            }
            if metric.kind != "node" {
                let want = oracle::over_ids(
                    "aurora",
                    host,
                    &metric,
                    job.start,
                    job.stop(),
                    STEP,
                    metric.name == "mem_bw",
                );
                all.extend(want);
            } else {
                all.extend(oracle::series("aurora", host, &metric, "", job.start, job.stop(), STEP));
            }
        }
        let average = all.iter().sum::<f64>() / all.len() as f64;
        let told = meta["statistics"][&metric.name]["avg"].as_f64().expect("an average");
        // One grid step more or less moves an average of 41 values by less than one part in twenty.
        assert!((told - average).abs() <= average.abs() / 20.0, "{}: {told} for {average}", metric.name);
    }
    assert!(compared >= 2 * 34 * 40, "only {compared} values were compared within {TOLERANCE}");
}

/// Reads an open stream of changes until one names the job in this state.
async fn pushed(stream: &mut reqwest::Response, id: i64, state: &str) {
    let mut text = String::new();
    let wanted = format!("\"jobId\":{id},");
    loop {
        let chunk = tokio::time::timeout(PUSH_LIMIT, stream.chunk())
            .await
            .unwrap_or_else(|_| panic!("job {id} is not pushed as {state} within {PUSH_LIMIT:?}: {text}"))
            .expect("the stream goes on")
            .expect("the stream is open");
        text.push_str(&String::from_utf8_lossy(&chunk));
        let found = text
            .lines()
            .filter(|line| line.starts_with("data:"))
            .any(|line| line.contains(&wanted) && line.contains(&format!("\"{state}\"")));
        if found {
            return;
        }
    }
}

async fn archived(olga: &Client, id: i64) -> Value {
    wait::until("the job is archived", LIMIT, || async {
        let job = in_list(olga, id).await.ok_or("not in the list")?;
        // 3 and 4 of the reference's table: archived, or failed.
        if job["monitoringStatus"] == 3 { Ok(job) } else { Err(job.to_string()) }
    })
    .await
}

async fn a_job_lives(deployment: Deployment) {
    let site = site();
    let slurm_token = site.token("slurm");
    let server = Server::start(&site, deployment).await;
    let slurm = server.client().with_token(&slurm_token);
    let olga = server.client().signed_in("olga", "olga-secret").await;
    let sam = server.client().signed_in("sam", "sam-secret").await;
    let tom = server.client().signed_in("tom", "tom-secret").await;
    let mut page = sam.request(reqwest::Method::GET, "/events").send().await.expect("a stream");
    assert_eq!(page.status(), 200);

    let job = Job::new(4_711_001, 10, 2);
    slurm.post("/api/jobs/start_job/", &job.start_body()).await.expect(201);
    pushed(&mut page, job.id, "running").await;
    let seen = wait::until("its owner sees the job", PUSH_LIMIT, || async {
        in_list(&sam, job.id).await.ok_or_else(|| "not yet".to_owned())
    })
    .await;
    assert_eq!(seen["state"], "running");
    assert!(in_list(&tom, job.id).await.is_none(), "a stranger sees the job");

    let half = job.start + LENGTH / 2;
    job.feed(&slurm, job.start, half).await;
    let compared = check_plots(&job, half, |kind| kind, &plots(&sam, &seen["id"]).await)
        .expect("the plots of a running job");
    assert!(compared >= 2 * 35 * 20, "only {compared} values are plotted");
    let denied =
        tom.try_graphql("query($id: ID!) { jobMetrics(id: $id) { name } }", json!({"id": seen["id"]})).await;
    assert!(denied["errors"].is_array(), "a stranger reads the samples: {denied}");

    job.feed(&slurm, half + STEP, job.stop()).await;
    slurm.post("/api/jobs/stop_job/", &job.stop_body()).await.expect(200);
    pushed(&mut page, job.id, "completed").await;
    let done = archived(&olga, job.id).await;
    assert_eq!((&done["state"], &done["duration"]), (&json!("completed"), &json!(LENGTH)));
    check_archive(&site, &job);
    // The page of the finished job reads the archive.
    check_plots(&job, job.stop() - STEP, archived_scope, &plots(&sam, &seen["id"]).await)
        .expect("the plots of a finished job");
    assert!(in_list(&tom, job.id).await.is_none(), "a stranger sees the finished job");
    drop(page);
    server.stop();
}

#[tokio::test]
async fn a_job_lives_in_one_process() {
    a_job_lives(Deployment::OneProcess).await;
}

#[tokio::test]
async fn a_job_lives_split_over_tls() {
    a_job_lives(Deployment::SplitTls).await;
}

/// Each process is killed once with acknowledged work just behind it: a start, samples, a stop.
async fn kills_lose_nothing(deployment: Deployment) {
    let site = site();
    let slurm_token = site.token("slurm");
    let mut server = Server::start(&site, deployment).await;
    let services: Vec<String> = server.pids().into_keys().collect();
    let mut jobs = Vec::new();
    for (round, service) in services.iter().enumerate() {
        let slurm = server.client().with_token(&slurm_token);
        let number = i64::try_from(round).expect("small");
        let ends = Job::new(4_712_000 + number, 20 + 4 * round, 2);
        let stays = Job::new(4_713_000 + number, 22 + 4 * round, 2);
        for job in [&ends, &stays] {
            Job::tell(&slurm, "/api/jobs/start_job/", &job.start_body(), 201).await;
            job.feed(&slurm, job.start, job.stop()).await;
        }
        Job::tell(&slurm, "/api/jobs/stop_job/", &ends.stop_body(), 200).await;
        server.kill(service);
        if deployment == Deployment::OneProcess {
            server = Server::launch(&site, deployment);
        }
        server.ready().await;
        jobs.push((ends, stays));
    }
    assert!(!jobs.is_empty());
    let olga = server.client().signed_in("olga", "olga-secret").await;
    for (ends, stays) in &jobs {
        let done = archived(&olga, ends.id).await;
        assert_eq!(done["state"], "completed");
        check_archive(&site, ends);
        let kept = in_list(&olga, stays.id).await.expect("an acknowledged start is kept");
        assert_eq!(kept["state"], "running");
        check_plots(stays, stays.stop(), |kind| kind, &plots(&olga, &kept["id"]).await)
            .expect("acknowledged samples are kept");
    }
    let total = olga.graphql("{ jobs { count } }", json!({})).await["jobs"]["count"].as_u64();
    assert_eq!(total, Some(2 * jobs.len() as u64), "a job is there twice or missing");
    server.stop();
}

#[tokio::test]
async fn kills_lose_nothing_in_one_process() {
    kills_lose_nothing(Deployment::OneProcess).await;
}

#[tokio::test]
async fn kills_lose_nothing_split_over_tls() {
    kills_lose_nothing(Deployment::SplitTls).await;
}
