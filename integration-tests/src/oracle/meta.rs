//! The other file of an entry, and the row of a finished job.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    check::{derived, numbers},
    expect::{Data, Job, statistics},
    round2,
    site::Cluster,
};

/// Keys that come as the scheduler sent them.
const AS_SENT: [&str; 14] = [
    "cluster",
    "partition",
    "project",
    "user",
    "shared",
    "resources",
    "arrayJobId",
    "walltime",
    "jobId",
    "smt",
    "numAcc",
    "numHwthreads",
    "numNodes",
    "startTime",
];

/// Compares a `meta.json` with the body of `start_job`, the state and duration of the end, and the job's data. Answers how many members
/// were compared.
pub fn meta(
    got: &Value,
    body: &Value,
    (state, duration): (&str, i64),
    job: &Job,
    cluster: &Cluster,
    data: &Data,
) -> Result<usize, String> {
    let mut compared = 0;
    for key in AS_SENT {
        let (got, want) = (&got[key], &body[key]);
        let absent = |value: &Value| value.is_null() || *value == json!(0) || *value == json!("");
        if got != want && !(absent(got) && absent(want)) {
            return Err(format!("{key}: {got} instead of {want}"));
        }
        compared += 1;
    }
    let fixed = [
        ("subCluster", json!(job.sub_cluster)),
        ("jobState", json!(state)),
        ("duration", json!(duration)),
        ("monitoringStatus", json!(3)),
    ];
    for (key, want) in fixed {
        if got[key] != want {
            return Err(format!("{key}: {} instead of {want}", got[key]));
        }
        compared += 1;
    }
    let sent = body["metaData"].as_object().cloned().unwrap_or_default();
    for (key, want) in
        sent.iter().filter(|(key, _)| ["jobName", "jobScript", "slurmInfo"].contains(&key.as_str()))
    {
        if got["metaData"][key] != *want {
            return Err(format!("metaData.{key}: {}", got["metaData"][key]));
        }
        compared += 1;
    }
    let statistics = statistics(data, job.nodes());
    let file = got["statistics"].as_object().ok_or("no statistics")?;
    if file.len() != statistics.len() {
        return Err(format!("statistics of {:?} instead of {:?}", file.keys(), statistics.keys()));
    }
    for (metric, (min, mean, max)) in &statistics {
        for (key, want) in [("min", min), ("avg", mean), ("max", max)] {
            derived(&file.get(metric).ok_or(metric.as_str())?[key], *want)
                .map_err(|error| format!("statistics.{metric}.{key}: {error}"))?;
            compared += 1;
        }
    }
    let finished = finished(job, duration, cluster, data);
    compared += numbers("footprint", &got["footprint"], &finished.0)?;
    compared += numbers("energyFootprint", &got["energyFootprint"], &finished.1)?;
    derived(&got["energy"], finished.2).map_err(|error| format!("energy: {error}"))?;
    Ok(compared + 1)
}

/// Footprint, energy by metric, and energy of a finished job (job-archive.md 13).
pub fn finished(
    job: &Job,
    duration: i64,
    cluster: &Cluster,
    data: &Data,
) -> (BTreeMap<String, f64>, BTreeMap<String, f64>, f64) {
    let statistics = statistics(data, job.nodes());
    let (mut footprint, mut energy) = (BTreeMap::new(), BTreeMap::new());
    for metric in cluster.metrics(&job.sub_cluster) {
        let (min, mean, max) = statistics.get(&metric.name).copied().unwrap_or_default();
        if let Some(kind) = &metric.footprint {
            let value = match kind.as_str() {
                "avg" => mean,
                "min" => min,
                "max" => max,
                other => panic!("footprint {other}"),
            };
            footprint.insert(format!("{}_{kind}", metric.name), value);
        }
        if metric.energy.as_deref() == Some("power") {
            let hours = job.nodes() as f64 * duration as f64 / 3600.0;
            energy.insert(metric.name.clone(), round2(mean * hours / 1000.0));
        }
    }
    let total = round2(energy.values().sum());
    (footprint, energy, total)
}
