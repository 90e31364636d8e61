//! Node states as schedulers report them (spec/rest-api.md 6.4, job-db.md 12).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cc_model::Cluster;

use super::writer::{Context, Mutation};
use crate::store::nodes::{HealthState, NodeRow, NodeState};
use crate::store::{self, Unit};

/// What a scheduler says of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) hostname: String,
    /// The scheduler's words.
    pub(crate) states: Vec<String>,
    pub(crate) cpus_allocated: i64,
    pub(crate) memory_allocated_mb: i64,
    pub(crate) gpus_allocated: i64,
    pub(crate) jobs_running: i64,
}

impl Report {
    /// The state of the words.
    pub(crate) fn state(&self) -> NodeState {
        NodeState::of_words(&self.states)
    }
}

/// Whether a host's samples arrive, as the metric store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: HealthState,
    pub(crate) missing: Vec<String>,
    pub(crate) degraded: Vec<String>,
}

/// Hosts whose health has to be asked for: those of the cluster that are not down.
pub(crate) fn hosts_to_check(reports: &[Report], cluster: &Cluster) -> Vec<String> {
    reports
        .iter()
        .filter(|report| report.state() != NodeState::Down)
        .filter(|report| cluster.sub_cluster_of(&report.hostname).is_some())
        .map(|report| report.hostname.clone())
        .collect()
}

/// Rows of the reports, and the hosts that belong to no sub-cluster. A node that is down is in full health; one of
/// which the store says nothing has failed.
pub(crate) fn rows(
    reports: &[Report],
    cluster: &Cluster,
    health: &BTreeMap<String, Health>,
) -> (Vec<NodeRow>, Vec<String>) {
    let mut rows = Vec::with_capacity(reports.len());
    let mut skipped = Vec::new();
    for report in reports {
        let Some(sub_cluster) = cluster.sub_cluster_of(&report.hostname) else {
            skipped.push(report.hostname.clone());
            continue;
        };
        let state = report.state();
        let (health_state, health_metrics) = match health.get(&report.hostname) {
            _ if state == NodeState::Down => (HealthState::Full, String::new()),
            Some(health) => (health.state, health.json()),
            None => (HealthState::Failed, String::new()),
        };
        rows.push(NodeRow {
            hostname: report.hostname.clone(),
            cluster: cluster.name.clone(),
            sub_cluster: sub_cluster.name.clone(),
            state,
            health: health_state,
            health_metrics,
            cpus_allocated: report.cpus_allocated,
            memory_allocated_mb: report.memory_allocated_mb,
            gpus_allocated: report.gpus_allocated,
            jobs_running: report.jobs_running,
        });
    }
    (rows, skipped)
}

impl Health {
    fn json(&self) -> String {
        serde_json::json!({"missing": self.missing, "degraded": self.degraded}).to_string()
    }
}

/// Time stamps of reports, by cluster.
///
/// Of several reports about a node with one time stamp the first counts, as recorded from the reference. Whether two reports that
/// follow each other at once share a stamp must not depend on where the second happens to turn: all within one second from
/// the first on do.
#[derive(Debug, Default)]
pub(crate) struct ReportTimes(Mutex<BTreeMap<String, i64>>);

impl ReportTimes {
    /// The stamp (Unix seconds) of a report of `cluster` that came at `now_ms` (Unix milliseconds).
    pub(crate) fn stamp(&self, cluster: &str, now_ms: i64) -> i64 {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = first.entry(cluster.to_owned()).or_insert(now_ms);
        if !(0..1000).contains(&(now_ms - *first)) {
            *first = now_ms;
        }
        first.div_euclid(1000)
    }
}

/// Stores the rows of one request, all with the same time stamp.
#[derive(Debug, Clone)]
pub(crate) struct PutNodes {
    pub(crate) rows: Vec<NodeRow>,
    /// Unix seconds, of [`ReportTimes`].
    pub(crate) time_stamp: i64,
}

impl Mutation for PutNodes {
    type Answer = ();

    fn weight(&self) -> usize {
        self.rows.len()
    }

    async fn apply<U: Unit>(&self, unit: &mut U, _context: &mut Context) -> store::Result<()> {
        for row in &self.rows {
            unit.put_node(row, self.time_stamp).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_that_follow_at_once_share_a_stamp_wherever_the_second_turns() {
        for start in (0..1000).step_by(100) {
            let times = ReportTimes::default();
            let first = 7_000 + start;
            let stamps: Vec<i64> =
                [0, 1, 999, 1000, 1500, 2000].map(|later| times.stamp("fritz", first + later)).to_vec();
            assert_eq!(stamps, [7, 7, 7, 8, 8, 9], "from {first} ms on");
            assert_eq!(times.stamp("alex", first + 500), (first + 500) / 1000, "clusters have their own");
            assert_eq!(times.stamp("fritz", 3_000), 3, "a clock that was set back");
        }
    }
}
