//! A file system that is full, filled after the start; apart for database, log and archive.
//!
//! Each is a small tmpfs, which only root can mount: elsewhere these tests say aloud that they are skipped.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cc_integration_tests::{client::Answer, oracle, recording::now, server::Deployment, site::Site, wait};
use serde_json::json;

use crate::house::{CLUSTER, House, STEP, lines, minute, site, start, stop};

/// A small file system; taken away when dropped.
#[derive(Debug)]
struct Small {
    path: PathBuf,
}

impl Small {
    /// Mounts one of so many KiB over a directory; says aloud where that cannot be done.
    fn mount(path: &Path, kib: usize, test: &str) -> Option<Self> {
        fs::create_dir_all(path).expect("a directory");
        let size = format!("size={kib}k,mode=0755");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self { path: path.to_owned() });
        }
        println!("skipped: {test}: a small file system cannot be mounted here: {output:?}");
        None
    }

    /// Takes all that is left.
    fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("a file");
        for size in [64 * 1024, 4096, 512, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        let _ = file.sync_all();
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).expect("the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join(".ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Not taken, for a reason that an operator understands and a sender repeats.
#[track_caller]
fn not_taken(answer: &Answer) {
    assert!([500, 503, 507].contains(&answer.status.as_u16()), "{}: {}", answer.status, answer.text);
    let text = answer.text.to_lowercase();
    assert!(text.contains("full") || text.contains("space"), "{}", answer.text);
}

fn logged(site: &Site, words: &[&str]) {
    let log = fs::read_to_string(site.file("server.log")).expect("the log");
    let found = log.lines().any(|line| words.iter().all(|word| line.to_lowercase().contains(word)));
    assert!(found, "no line with {words:?} in the log:\n{log}");
}

pub async fn a_full_database_acknowledges_nothing_and_recovers(deployment: Deployment) {
    let site = site();
    let Some(small) = Small::mount(&site.file("db"), 8192, "a full database") else { return };
    site.configure(|config| config["main"]["db"] = json!("./db/job.db"));
    site.cli_ok(&["-migrate-db"]);
    for (name, roles) in [("scheduler", "api"), ("operator", "admin"), ("alice", "user")] {
        site.add_user(name, roles, name);
    }
    let house = House::of(site, deployment).await;
    let mut acknowledged = Vec::new();
    house.scheduler.post("/api/jobs/start_job/", &start(1, "s01", now() - 60)).await.expect(201);
    acknowledged.push(1);
    small.fill();
    // Some may still find room in pages that are there; at some point there is none.
    let mut refusals = 0;
    for id in 2..200 {
        let mut body = start(id, "s01", now() - 60 + id);
        body["metaData"] = json!({"jobScript": "x".repeat(20_000)});
        let answer = house.scheduler.post("/api/jobs/start_job/", &body).await;
        if answer.status.as_u16() == 201 {
            assert_eq!(refusals, 0, "full means full");
            acknowledged.push(id);
            continue;
        }
        not_taken(&answer);
        refusals += 1;
        if refusals == 3 {
            break;
        }
    }
    assert_eq!(refusals, 3, "{} starts fitted into a full file system", acknowledged.len());
    logged(&house.site, &["error", "full"]);
    let listed = |jobs: Vec<(i64, String, i64, i64)>| jobs.into_iter().map(|job| job.0).collect::<Vec<_>>();
    let mut ids = listed(house.jobs().await);
    ids.sort_unstable();
    assert_eq!(ids, acknowledged, "reading goes on, and shows what was acknowledged");
    small.free();
    wait::until("it goes on", Duration::from_secs(20), || async {
        let answer = house.scheduler.post("/api/jobs/start_job/", &start(500, "s02", now() - 60)).await;
        if answer.status.as_u16() == 201 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    acknowledged.push(500);
    let mut ids = listed(house.jobs().await);
    ids.sort_unstable();
    assert_eq!(ids, acknowledged);
    house.server.stop();
    house.site.database_at_is_whole("db/job.db");
    drop(small);
}

pub async fn a_full_log_acknowledges_nothing_and_recovers(deployment: Deployment) {
    let site = site();
    let Some(small) = Small::mount(&site.file("var/checkpoints.ccx"), 4096, "a full log") else { return };
    let house = House::of(site, deployment).await;
    let first = minute() - 20_000;
    let batch = |number: i64| lines("s01", first + number * 1_000, first + number * 1_000 + 990);
    house.scheduler.write(CLUSTER, batch(0)).await.expect(200);
    small.fill();
    let (mut taken, mut refusals) = (1, 0);
    while refusals < 3 {
        let answer = house.scheduler.write(CLUSTER, batch(taken)).await;
        if answer.status.as_u16() == 200 {
            assert_eq!(refusals, 0, "full means full");
            taken += 1;
            assert!(taken < 19, "so much cannot fit");
            continue;
        }
        not_taken(&answer);
        refusals += 1;
    }
    logged(&house.site, &["error", "space"]);
    small.free();
    wait::until("it goes on", Duration::from_secs(20), || async {
        let answer = house.scheduler.write(CLUSTER, batch(taken)).await;
        if answer.status.as_u16() == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    // All that was acknowledged is there, also after a kill, which leaves only what is in the log.
    let House { site, mut server, .. } = house;
    let house = match deployment {
        Deployment::OneProcess => {
            server.kill("cc-backend");
            House::of(site, deployment).await
        }
        Deployment::Split | Deployment::SplitTls => {
            server.kill("metric-store");
            server.ready().await;
            let scheduler = server.client().with_token(&site.token("scheduler"));
            let operator = server.client().signed_in("operator", "operator").await;
            House { site, server, scheduler, operator }
        }
    };
    for number in 0..=taken {
        let from = first + number * 1_000;
        let values = house.values("load", "s01", from, from + 1_000).await;
        assert_eq!(values.len(), 100, "batch {number}");
        for (slot, value) in values.iter().enumerate() {
            let time = from + slot as i64 * STEP;
            let want =
                cc_integration_tests::samples::value(CLUSTER, "s01", &crate::house::metrics()[0], "", time);
            assert!(
                value.is_some_and(|value| (value - want).abs() < 0.001),
                "{value:?} instead of {want} at {time}"
            );
        }
    }
    house.close();
    drop(small);
}

pub async fn a_full_archive_waits_and_recovers(deployment: Deployment) {
    let site = site();
    let cluster = fs::read(site.file("var/job-archive/small/cluster.json")).expect("the cluster file");
    let Some(small) = Small::mount(&site.file("var/job-archive"), 1024, "a full archive") else { return };
    site.add_cluster(CLUSTER, &cluster);
    fs::write(site.file("var/job-archive/version.txt"), "3\n").expect("a file");
    let house = House::of(site, deployment).await;
    let (begin, end) = (minute() - 4_000, minute() - 10);
    house.scheduler.write(CLUSTER, lines("s01", begin, end)).await.expect(200);
    house.scheduler.post("/api/jobs/start_job/", &start(1, "s01", begin)).await.expect(201);
    small.fill();
    // The stop is acknowledged all the same: it is in the database, and so is the task to archive the job.
    house.scheduler.post("/api/jobs/stop_job/", &stop(1, end)).await.expect(200);
    wait::until("the log tells it", Duration::from_secs(20), || async {
        let log = fs::read_to_string(house.site.file("server.log")).expect("the log");
        let told = log.lines().any(|line| line.contains("data.json.gz") && line.contains("No space left"));
        if told { Ok(()) } else { Err(log) }
    })
    .await;
    let jobs = house.jobs().await;
    assert_eq!((jobs[0].1.as_str(), jobs[0].3), ("completed", 1), "it waits for the archive");
    let folder = house.site.file("var/job-archive").join(oracle::folder(CLUSTER, 1, begin));
    assert!(!folder.join("meta.json").exists(), "no half entry is visible");
    // Its plots are still there, from the store.
    let answer = house.operator.graphql("{jobs{items{id}}}", json!({})).await;
    let id = &answer["jobs"]["items"][0]["id"];
    let answer = house
        .operator
        .graphql("query($id:ID!){jobMetrics(id:$id,metrics:[\"load\"]){name}}", json!({"id": id}))
        .await;
    assert_eq!(answer["jobMetrics"], json!([{"name": "load"}]));
    small.free();
    wait::until("it is archived", Duration::from_secs(60), || async {
        let jobs = house.jobs().await;
        if jobs[0].3 == 3 { Ok(()) } else { Err(format!("{jobs:?}")) }
    })
    .await;
    let entry = oracle::entry(&house.site.file("var/job-archive"), CLUSTER, 1, begin)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(entry.data["load"]["node"]["series"][0]["data"].as_array().map(Vec::len), Some(399));
    house.close();
    drop(small);
}
