//! What a real cc-metric-collector sent, verbatim but for the times.

use std::{fs, time::Instant};

use cc_integration_tests::recording::{now, shift_lines};
use serde_json::json;

use crate::{house::House, tracked::Tracked};

/// Recorded batches of the `http` sink.
const BATCHES: usize = 6;

pub async fn recorded_batches_are_read_back_by_a_job(house: &mut House) -> Vec<Tracked> {
    let batches: Vec<String> = (1..=BATCHES)
        .map(|number| {
            let path = house.shared.join(format!("fixtures/clients/metric-collector/http-{number:02}.lp"));
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect();
    let time = |batch: &str| -> i64 {
        batch.trim_end().rsplit_once(' ').expect("a time").1.parse().expect("seconds")
    };
    let (first, last) = (time(&batches[0]), time(&batches[BATCHES - 1]));
    // The last event, which is the stop, is now.
    let stop = now();
    let shift = stop - 3 - last;
    let body = json!({
        "jobId": 77, "cluster": "here", "user": "alice", "project": "hpc", "partition": "main", "shared": "none", "numNodes": 1,
        "numHwthreads": 2, "walltime": 600, "startTime": first + shift - 1, "resources": [{"hostname": "vm", "hwthreads": [0, 1]}],
        "metaData": {"jobName": "reads what the collector sent"}
    });
    house.scheduler.post("/api/jobs/start_job/", &body).await.expect(201);
    let mut job = Tracked::started(house, body, "main", Instant::now()).await;
    for batch in &batches {
        let before = house.fed.len();
        house.write("here", shift_lines(batch, shift)).await;
        // Two lines of a batch have a text for value; they spoil nothing.
        assert_eq!(house.fed.len() - before, batch.lines().count() - batch.matches("value=\"").count());
    }
    let live = job.shows_samples(house).await;
    let body = json!({"jobId": 77, "cluster": "here", "jobState": "completed", "stopTime": stop});
    house.scheduler.post("/api/jobs/stop_job/", &body).await.expect(200);
    job.stopped(house, "completed", stop, Instant::now()).await;
    let archived = job.is_archived(house).await;
    // Twelve metrics were sent, six values each, some at two or three scopes.
    assert!(live >= 2 * 12 * 6 && archived > live, "{live} and {archived} values");
    vec![job]
}
