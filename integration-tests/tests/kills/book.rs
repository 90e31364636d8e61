//! What was acknowledged.

use std::{collections::BTreeMap, fmt};

use cc_integration_tests::{
    client::Client,
    oracle::Fed,
    samples::{self, Metric},
};
use serde_json::{Value, json};

/// The cluster of this suite.
pub const CLUSTER: &str = "k";
/// Its hosts.
const HOSTS: u64 = 64;
/// Interval of its metrics.
pub const STEP: i64 = 2;
/// A job's share of its host's time.
const SHARE: i64 = 400;

/// A job of this suite: everything follows from its number, and no two jobs share a host at a time.
#[derive(Clone, Debug)]
pub struct Plan {
    pub id: i64,
    pub host: String,
    pub start: i64,
    pub stop: i64,
    pub state: &'static str,
    pub body: Value,
}

impl Plan {
    /// The job of a number; `base` is when the first jobs began.
    pub fn of(number: u64, base: i64) -> Self {
        let id = 10_000 + i64::try_from(number).expect("small");
        let host = format!("k{:02}", number % HOSTS + 1);
        let start = base + i64::try_from(number / HOSTS).expect("small") * SHARE + id % 7;
        let duration = 120 + id % 170;
        let body = json!({
            "jobId": id, "cluster": CLUSTER, "user": format!("user{}", id % 5), "project": "p", "partition": "main", "shared": "none",
            "numNodes": 1, "numHwthreads": 4, "walltime": 3600, "startTime": start, "resources": [{"hostname": host}],
            "metaData": {"jobName": format!("kill {id}")}
        });
        let state = ["completed", "failed", "timeout"][usize::try_from(id % 3).expect("small")];
        Self { id, host, start, stop: start + duration, state, body }
    }

    /// The samples of its host, a little longer than the job.
    pub fn lines(&self) -> String {
        let metrics = [Metric::node("load", 3.0, 2.0), Metric::per("bw", "socket", 2, 50.0, 30.0)];
        let from = (self.start - STEP).div_euclid(STEP) * STEP;
        samples::lines(CLUSTER, &self.host, &metrics, from, self.stop + STEP, STEP)
    }

    pub fn stop_body(&self) -> Value {
        json!({"jobId": self.id, "cluster": CLUSTER, "startTime": self.start, "jobState": self.state, "stopTime": self.stop})
    }
}

/// How far the acknowledgements of a job go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Started,
    Fed,
    Stopped,
}

/// Everything that was acknowledged.
#[derive(Debug, Default)]
pub struct Book {
    pub jobs: BTreeMap<i64, (Plan, Stage)>,
    pub fed: Fed,
    /// Sessions, by their cookies.
    pub sessions: Vec<Client>,
    counts: Counts,
}

/// How many acknowledgements there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    starts: usize,
    stops: usize,
    samples: usize,
    logins: usize,
}

impl Counts {
    pub fn since(&self, before: &Self) -> Self {
        Self {
            starts: self.starts - before.starts,
            stops: self.stops - before.stops,
            samples: self.samples - before.samples,
            logins: self.logins - before.logins,
        }
    }

    /// Whether events and samples are among them.
    pub fn any(&self) -> bool {
        self.starts > 0 && self.stops > 0 && self.samples > 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { starts, stops, samples, logins } = self;
        write!(formatter, "{starts} starts, {stops} stops, {samples} samples, {logins} logins")
    }
}

impl Book {
    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn started(&mut self, plan: &Plan) {
        self.counts.starts += 1;
        assert!(self.jobs.insert(plan.id, (plan.clone(), Stage::Started)).is_none(), "each job starts once");
    }

    pub fn fed(&mut self, plan: &Plan, lines: &str) {
        let before = self.fed.len();
        self.fed.take(CLUSTER, lines);
        self.counts.samples += self.fed.len() - before;
        self.reached(plan, Stage::Fed);
    }

    pub fn stopped(&mut self, plan: &Plan) {
        self.counts.stops += 1;
        self.reached(plan, Stage::Stopped);
    }

    pub fn signed_in(&mut self, session: Client) {
        self.counts.logins += 1;
        self.sessions.push(session);
    }

    fn reached(&mut self, plan: &Plan, stage: Stage) {
        self.jobs.get_mut(&plan.id).expect("it was started").1 = stage;
    }
}
