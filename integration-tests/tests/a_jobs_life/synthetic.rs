//! Invented jobs on the real clusters: metrics of every scope, shared nodes, accelerators, more than eight nodes, a gap.

use std::time::Instant;

use cc_integration_tests::{
    recording::now,
    samples::{self, Metric},
};
use serde_json::{Value, json};

use crate::{house::House, tracked::Tracked};

/// Interval of both clusters.
const STEP: i64 = 60;
/// How long the jobs have been running when they are reported.
const AGE: i64 = 1_500;

fn fritz() -> Vec<Metric> {
    let mut metrics = vec![
        Metric::node("cpu_load", 60.0, 12.0),
        Metric::node("mem_used", 90.0, 40.0),
        Metric::node("ib_recv", 2e9, 1e9),
        Metric::node("nfs4_read", 12.0, 11.0),
        Metric::per("mem_bw", "socket", 2, 90.0, 60.0),
        Metric::per("cpu_power", "socket", 2, 180.0, 40.0),
        Metric::per("mem_power", "socket", 2, 20.0, 4.0),
        Metric::per("flops_any", "hwthread", 72, 8.0, 7.0),
    ];
    metrics.push(Metric::per("clock", "hwthread", 72, 2_300.0, 200.0));
    metrics
}

fn alex(accelerators: &[&str]) -> Vec<Metric> {
    let acc = |name: &str, base, swing| Metric {
        ids: accelerators.iter().map(|id| (*id).to_owned()).collect(),
        ..Metric::per(name, "accelerator", 0, base, swing)
    };
    vec![
        Metric::node("cpu_load", 20.0, 12.0),
        Metric::node("mem_used", 300.0, 40.0),
        Metric::per("mem_bw", "socket", 2, 40.0, 30.0),
        Metric::per("flops_any", "hwthread", 128, 4.0, 3.5),
        Metric::per("core_power", "hwthread", 128, 2.0, 1.0),
        acc("acc_utilization", 60.0, 39.0),
        acc("acc_mem_used", 30.0, 9.0),
        acc("acc_power", 200.0, 90.0),
    ]
}

fn body(id: i64, cluster: &str, user: &str, start: i64, resources: &[Value], more: &Value) -> Value {
    let mut body = json!({
        "jobId": id, "cluster": cluster, "user": user, "project": "physics", "partition": "work", "shared": "none", "walltime": 86_400,
        "numNodes": resources.len(), "startTime": start, "resources": resources, "metaData": {"jobName": format!("invented {id}")}
    });
    for (key, value) in more.as_object().expect("an object") {
        body[key] = value.clone();
    }
    body
}

pub async fn jobs_on_the_big_clusters(house: &mut House) -> Vec<Tracked> {
    let stop = now();
    let minute = stop.div_euclid(STEP) * STEP;
    // One start just before, one just behind the middle of an interval: its first value is another sample.
    let (early, late) = (minute - AGE + 17, minute - AGE + 41);
    let host = |name: &str| json!({"hostname": name});
    let two = [host("f0101"), host("f0102")];
    let nine: Vec<Value> = (201..=209).map(|number| host(&format!("f{number:04}"))).collect();
    let gpus = ["00000000:01:00.0", "00000000:25:00.0", "00000000:41:00.0"];
    let share = |threads: std::ops::Range<u32>, gpus: &[&str]| json!({"hostname": "a0121", "hwthreads": threads.collect::<Vec<_>>(), "accelerators": gpus});
    let shared =
        |threads: u32, gpus: usize| json!({"shared": "multi_user", "numHwthreads": threads, "numAcc": gpus});
    let starts = [
        (body(900_001, "fritz", "alice", early, &two, &json!({"numHwthreads": 144, "smt": 1})), "main"),
        (
            body(900_002, "fritz", "bob", late, &nine, &json!({"numHwthreads": 648, "arrayJobId": 900_000})),
            "main",
        ),
        (body(900_003, "alex", "alice", late, &[share(0..16, &gpus[..1])], &shared(16, 1)), "a40"),
        // Across both sockets.
        (body(900_004, "alex", "bob", early, &[share(56..72, &gpus[1..])], &shared(16, 2)), "a40"),
    ];
    feed(house, minute, &gpus).await;
    let mut jobs = Vec::new();
    for (body, sub_cluster) in starts {
        house.scheduler.post("/api/jobs/start_job/", &body).await.expect(201);
        jobs.push(Tracked::started(house, body, sub_cluster, Instant::now()).await);
    }
    let mut compared = Vec::new();
    for job in &mut jobs {
        let live = job.shows_samples(house).await;
        let body = json!({"jobId": job.job_id(), "cluster": job.cluster(), "startTime": job.job.start, "jobState": "completed", "stopTime": stop});
        house.scheduler.post("/api/jobs/stop_job/", &body).await.expect(200);
        job.stopped(house, "completed", stop, Instant::now()).await;
        let archived = job.is_archived(house).await;
        // Live and in the archive it is seen twice; the files come on top.
        assert!(archived > live && live > 0, "{live} and {archived} values");
        compared.push(live);
    }
    // Two nodes with every core, nine without, sixteen threads each with theirs.
    let points = usize::try_from(AGE / STEP).expect("small");
    assert!(compared[0] > 2 * 2 * 2 * 72 * points, "{compared:?}");
    assert!(compared[1] > 2 * 9 * 8 * points, "{compared:?}");
    assert!(compared[2] > 2 * 2 * 2 * 16 * points, "{compared:?}");
    jobs
}

/// Samples of every node up to the last full minute.
async fn feed(house: &mut House, minute: i64, gpus: &[&str]) {
    let from = minute - AGE - STEP;
    for number in (101..=102).chain(201..=209) {
        let name = format!("f{number:04}");
        let lines = samples::lines("fritz", &name, &fritz(), from, minute, STEP);
        // One node of the large job was silent for two minutes.
        let silent = minute - 600..minute - 480;
        let lines = if number == 205 { without(&lines, &silent) } else { lines };
        house.write("fritz", lines).await;
    }
    house.write("alex", samples::lines("alex", "a0121", &alex(gpus), from, minute, STEP)).await;
}

fn without(lines: &str, silent: &std::ops::Range<i64>) -> String {
    let time = |line: &str| -> i64 { line.rsplit_once(' ').expect("a time").1.parse().expect("seconds") };
    lines.lines().filter(|line| !silent.contains(&time(line))).map(|line| format!("{line}\n")).collect()
}
