//! Footprints of running jobs (spec/job-db.md 6.5): what lists sort and filter by must not wait for the end of a job.
//! Each period the statistics so far of every job that runs for a while are asked from the metric store.

use std::collections::BTreeMap;
use std::time::Duration;

use cc_model::footprint::{FootprintKeys, footprint};
use cc_model::job::JobStatistics;
use cc_model::{Job, SubCluster, Unit as MetricUnit};
use cc_runtime::clock::Clock;

use super::clusters::ClusterState;
use super::janitor::{report, ticks};
use super::peers::{NodeStatistics, RemoteStore};
use super::writer::{Context, Mutation, Writer};
use crate::error::Error;
use crate::store::visible::TagScopes;
use crate::store::{self, DbId, Store, Unit};

/// Jobs that run shorter have too few samples for a footprint; seconds.
const SHORTEST_S: i32 = 600;
/// Jobs per transaction.
const CHUNK: u32 = 100;

/// What the task needs.
#[derive(Debug, Clone)]
pub(crate) struct Footprints<S: Store> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) remote: RemoteStore,
    pub(crate) clusters: ClusterState,
    pub(crate) clock: Clock,
}

impl<S: Store> Footprints<S> {
    /// Renews them each period.
    pub(crate) async fn run(self, period: Duration) {
        let mut ticks = ticks(period);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            report("renew footprints", self.round().await);
        }
    }

    /// One round. A job whose statistics cannot be had now keeps what it has.
    pub(crate) async fn round(&self) -> Result<(), Error> {
        let clusters = self.clusters.clusters();
        let mut after = 0;
        loop {
            let ids = self.store.running_ids(after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            let mut found = Vec::new();
            for id in ids {
                let Some(job) = self.store.get(&TagScopes::Every, id, self.clock.unix()).await? else {
                    continue;
                };
                let config =
                    clusters.get(&job.cluster).and_then(|cluster| cluster.sub_cluster(&job.sub_cluster));
                let Some(config) = config.filter(|_| job.duration > SHORTEST_S) else { continue };
                if let Some(values) = self.of(&job, config).await {
                    found.push((id, values));
                }
            }
            if !found.is_empty() {
                self.writer.run(PutFootprints { found }).await?;
            }
        }
    }

    async fn of(&self, job: &Job, config: &SubCluster) -> Option<BTreeMap<String, f64>> {
        let metrics: Vec<String> = config
            .metric_config
            .iter()
            .filter(|metric| metric.footprint.is_some())
            .map(|metric| metric.name.clone())
            .collect();
        if metrics.is_empty() {
            return None;
        }
        match self.remote.node_statistics(job, metrics).await {
            Ok(nodes) => {
                Some(footprint(config, &over_nodes(&nodes, job.num_nodes), FootprintKeys::Configured))
            }
            Err(status) => {
                tracing::debug!(%status, "no footprint of running job {}", job.key());
                None
            }
        }
    }
}

/// Of the whole job: the mean over all its nodes, the smallest and the largest; both not below 0, as recorded.
fn over_nodes(nodes: &NodeStatistics, num_nodes: i32) -> BTreeMap<String, JobStatistics> {
    let whole = |values: &Vec<(f64, f64, f64)>| JobStatistics {
        unit: MetricUnit::default(),
        avg: cc_model::number::round2(
            values.iter().map(|value| value.0).sum::<f64>() / f64::from(num_nodes.max(1)),
        ),
        min: values.iter().map(|value| value.1).reduce(f64::min).unwrap_or_default().max(0.0),
        max: values.iter().map(|value| value.2).reduce(f64::max).unwrap_or_default().max(0.0),
    };
    nodes.iter().map(|(metric, values)| (metric.clone(), whole(values))).collect()
}

/// Stores footprints of jobs that still run.
struct PutFootprints {
    found: Vec<(DbId, BTreeMap<String, f64>)>,
}

impl Mutation for PutFootprints {
    type Answer = ();

    fn weight(&self) -> usize {
        self.found.len()
    }

    async fn apply<U: Unit>(&self, unit: &mut U, _: &mut Context) -> store::Result<()> {
        for (id, footprint) in &self.found {
            unit.put_footprint(*id, footprint).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_without_samples_count_in_the_mean() {
        let nodes = BTreeMap::from([("cpu_load".to_owned(), vec![(10.0, -1.0, 12.0), (20.0, 3.0, 25.0)])]);
        let whole = over_nodes(&nodes, 4);
        let JobStatistics { avg, min, max, .. } = whole["cpu_load"].clone();
        assert_eq!(format!("{avg} {min} {max}"), "7.5 0 25");
    }
}
