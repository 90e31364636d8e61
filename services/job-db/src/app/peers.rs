//! The services this one calls: cluster files and archiving at the archive, registry, pins and health at the metric
//! store (architecture.md 8).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cc_model::job::JobStatistics;
use cc_model::{Job, JobKey};
use cc_proto::archive::v1 as archive_v1;
use cc_proto::archive::v1::archive_client::ArchiveClient;
use cc_proto::common::v1 as common_v1;
use cc_proto::metric_store::v1 as store_v1;
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::transport::Transport;
use tokio::sync::mpsc;
use tonic::Status;

use super::archiver::{Archive, Failed};
use super::clusters::{ClusterFiles, ClusterState};
use super::copies::{self, Copied};
use super::nodes::Health;
use super::tagging::ArchivedStatistics;
use crate::convert;
use crate::store::nodes::HealthState;
use crate::store::{Needed, Store};

/// First and longest pause before a broken connection is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the pins are pushed when nothing changes; this is also how a restart of the store is noticed.
const PIN_EVERY: Duration = Duration::from_secs(10);
/// Shortest time between two pushes of pins.
const PIN_PAUSE: Duration = Duration::from_secs(1);

/// The archive behind a transport.
#[derive(Debug, Clone)]
pub(crate) struct RemoteArchive(ArchiveClient<Transport>);

impl RemoteArchive {
    pub(crate) fn new(transport: Transport) -> Self {
        Self(ArchiveClient::new(transport))
    }
}

impl ArchivedStatistics for RemoteArchive {
    async fn statistics(
        &self,
        keys: Vec<JobKey>,
    ) -> Result<HashMap<JobKey, BTreeMap<String, JobStatistics>>, Failed> {
        let keys = keys.iter().map(cc_proto::convert::key_to_proto).collect();
        let request = archive_v1::ReadStatisticsRequest { keys };
        let answer = self.0.clone().read_statistics(request).await.map_err(|status| Failed::of(&status))?;
        let jobs = answer.into_inner().jobs.into_iter();
        let jobs = jobs.filter_map(|job| {
            let key = cc_proto::convert::key_from_proto(job.key?);
            Some((key, convert::statistics_from_proto(job.statistics)))
        });
        Ok(jobs.collect())
    }
}

impl Archive for RemoteArchive {
    async fn archive(&self, job: &Job) -> Result<BTreeMap<String, JobStatistics>, Failed> {
        let request = archive_v1::ArchiveJobRequest { job: Some(convert::job_to_proto(job)) };
        let answer = self.0.clone().archive_job(request).await.map_err(|status| Failed::of(&status))?;
        let answer = answer.into_inner();
        for missing in &answer.missing {
            tracing::debug!(
                "no data of metric {} for job {}: {} {}",
                missing.metric,
                job.key(),
                missing.reason,
                missing.detail
            );
        }
        Ok(convert::statistics_from_proto(answer.statistics))
    }

    async fn update_meta(&self, job: &Job) -> Result<Copied, Failed> {
        let request = archive_v1::UpdateMetaRequest {
            key: Some(cc_proto::convert::key_to_proto(&job.key())),
            metadata: convert::texts_to_proto(job.meta_data.as_ref()),
            has_metadata: job.meta_data.is_some(),
            tags: job.tags.iter().map(convert::tag_to_proto).collect(),
        };
        copies::outcome(self.0.clone().update_meta(request).await.map(|_| ()), job)
    }
}

/// Follows the cluster files; ends never, reconnects by itself.
pub(crate) async fn follow_clusters(transport: Transport, clusters: ClusterState) {
    let mut client = ArchiveClient::new(transport);
    let mut pause = PAUSES.0;
    loop {
        match client.watch_clusters(archive_v1::WatchClustersRequest {}).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(report)) => {
                            pause = PAUSES.0;
                            let files = report.clusters.into_iter().map(|file| (file.name, file.json));
                            if clusters.report(files) {
                                let count = clusters.clusters().len();
                                tracing::info!("cluster configuration of {count} clusters is in use");
                            }
                        }
                        Ok(None) => break,
                        Err(status) => {
                            tracing::debug!(%status, "the archive broke off its reports of cluster files");
                            break;
                        }
                    }
                }
            }
            Err(status) => tracing::debug!(%status, "the archive does not report cluster files yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Of each metric, one entry per node that has samples: average, smallest, largest.
pub(crate) type NodeStatistics = BTreeMap<String, Vec<(f64, f64, f64)>>;

/// The metric store behind a transport.
#[derive(Debug, Clone)]
pub(crate) struct RemoteStore(MetricStoreClient<Transport>);

impl RemoteStore {
    pub(crate) fn new(transport: Transport) -> Self {
        Self(MetricStoreClient::new(transport))
    }

    /// Statistics so far of a running job, per metric and node.
    pub(crate) async fn node_statistics(
        &self,
        job: &Job,
        metrics: Vec<String>,
    ) -> Result<NodeStatistics, Status> {
        let request = store_v1::QueryJobRequest {
            cluster: job.cluster.clone(),
            sub_cluster: job.sub_cluster.clone(),
            resources: convert::job_to_proto(job).resources,
            metrics,
            scopes: vec![common_v1::MetricScope::Node.into()],
            from: job.start_time,
            to: job.start_time + i64::from(job.duration),
            resolution_s: 0,
            with_data: false,
            from_first_sample: false,
        };
        let mut chunks = self.0.clone().query_job(request).await?.into_inner();
        let mut found = NodeStatistics::new();
        while let Some(chunk) = chunks.message().await? {
            if let Some(common_v1::series_chunk::Part::Header(header)) = chunk.part
                && let Some(statistics) = header.statistics
            {
                let values = (statistics.avg, statistics.min, statistics.max);
                found.entry(header.metric).or_default().push(values);
            }
        }
        Ok(found)
    }

    /// Which of a cluster's hosts send samples; nothing about hosts that the store does not answer for.
    pub(crate) async fn health(&self, cluster: &str, hosts: Vec<String>) -> BTreeMap<String, Health> {
        if hosts.is_empty() {
            return BTreeMap::new();
        }
        let request = store_v1::CheckHealthRequest { cluster: cluster.to_owned(), hostnames: hosts };
        match self.0.clone().check_health(request).await {
            Ok(answer) => answer.into_inner().nodes.into_iter().map(health).collect(),
            Err(status) => {
                tracing::warn!(%status, "the metric store does not tell the health of nodes of {cluster}");
                BTreeMap::new()
            }
        }
    }
}

fn health(node: store_v1::NodeHealth) -> (String, Health) {
    let state = HealthState::of(&node.state);
    (node.hostname, Health { state, missing: node.missing, degraded: node.degraded })
}

/// Keeps the metric store's registry and pins up to date.
#[derive(Debug)]
pub(crate) struct StoreSync<S: Store> {
    pub(crate) store: S,
    pub(crate) remote: RemoteStore,
    pub(crate) clusters: ClusterState,
}

/// What the metric store has, as far as is known.
#[derive(Debug, Default)]
struct Pushed {
    /// Start of the store that has it.
    instance: Option<u64>,
    files: Option<ClusterFiles>,
}

impl<S: Store> StoreSync<S> {
    /// Pushes on changes of cluster files, of running jobs (`wake`), of the store's start, and periodically.
    pub(crate) async fn run(self, mut wake: mpsc::Receiver<()>) {
        let mut news = self.clusters.subscribe();
        let mut pushed = Pushed::default();
        let mut pause = PAUSES.0;
        loop {
            let wait = match self.push(&mut pushed).await {
                Ok(()) => {
                    pause = PAUSES.0;
                    PIN_EVERY
                }
                Err(status) => {
                    tracing::debug!(%status, "the metric store takes no registry or pins yet");
                    pushed = Pushed::default();
                    let wait = pause;
                    pause = (pause * 2).min(PAUSES.1);
                    wait
                }
            };
            let quiet = wait == PIN_EVERY;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = news.changed() => if changed.is_err() { return },
                Some(()) = wake.recv(), if quiet => {
                    // jobs come in bursts
                    tokio::time::sleep(PIN_PAUSE).await;
                    while wake.try_recv().is_ok() {}
                }
            }
        }
    }

    async fn push(&self, pushed: &mut Pushed) -> Result<(), Status> {
        let Some(files) = self.clusters.current() else { return Ok(()) };
        if pushed.files.as_ref().is_none_or(|known| known.files != files.files) {
            self.configure(&files, pushed).await?;
        }
        let answer = self.pin().await?;
        let restarted = pushed.instance != Some(answer.instance);
        if restarted || !answer.configured {
            self.configure(&files, pushed).await?;
            self.pin().await?;
        }
        Ok(())
    }

    async fn configure(&self, files: &ClusterFiles, pushed: &mut Pushed) -> Result<(), Status> {
        let clusters = files
            .files
            .iter()
            .map(|(name, json)| store_v1::ClusterFile { name: name.clone(), json: json.clone() })
            .collect();
        let answer =
            self.remote.0.clone().configure(store_v1::ConfigureRequest { clusters }).await?.into_inner();
        for problem in &answer.problems {
            tracing::warn!("metric store: {problem}");
        }
        *pushed = Pushed { instance: Some(answer.instance), files: Some(files.clone()) };
        Ok(())
    }

    async fn pin(&self) -> Result<store_v1::PinRunningResponse, Status> {
        let needed = self.store.needed().await.map_err(crate::Error::from)?;
        let request = store_v1::PinRunningRequest { pins: pins(needed) };
        Ok(self.remote.0.clone().pin_running(request).await?.into_inner())
    }
}

/// One pin per host: from the earliest job that needs it.
fn pins(needed: Vec<Needed>) -> Vec<store_v1::Pin> {
    let mut earliest: BTreeMap<(String, String), i64> = BTreeMap::new();
    for Needed { cluster, hosts, from } in needed {
        for hostname in hosts {
            let known = earliest.entry((cluster.clone(), hostname)).or_insert(from);
            *known = from.min(*known);
        }
    }
    earliest
        .into_iter()
        .map(|((cluster, hostname), from)| store_v1::Pin { cluster, hostname, from })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_pinned_once_from_its_earliest_job() {
        let needed = |hosts: &[&str], from| Needed {
            cluster: "c".to_owned(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            from,
        };
        let pins = pins(vec![needed(&["a", "b"], 20), needed(&["b", "c"], 10)]);
        let found: Vec<_> = pins.iter().map(|pin| (pin.hostname.as_str(), pin.from)).collect();
        assert_eq!(found, [("a", 20), ("b", 10), ("c", 10)]);
    }
}
