//! The cluster files: read at start, looked at again every few seconds, handed on when they changed.
//!
//! Polling instead of notifications: it works on network file systems and bind mounts alike.

use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cc_model::{Cluster, Clusters};
use cc_proto::archive::v1::{ClusterFile, ListClustersResponse};
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use tokio::sync::watch;

use crate::error::Error;
use crate::layout::Layout;

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The files at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts changes since the start, beginning with the start time, so that two starts differ.
    pub version: u64,
    /// As they stand in the archive, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// The same, parsed and merged.
    pub clusters: Clusters,
}

impl Snapshot {
    /// A number that changes with the content of the files.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.files.hash(&mut hasher);
        hasher.finish()
    }

    /// As answers carry it.
    pub(crate) fn to_proto(&self) -> ListClustersResponse {
        let file =
            |(name, json): &(String, Vec<u8>)| ClusterFile { name: name.clone(), json: json.clone().into() };
        ListClustersResponse { version: self.version, clusters: self.files.iter().map(file).collect() }
    }
}

/// The files as they are now, and everybody who waits for a change.
#[derive(Clone, Debug)]
pub struct ClusterFiles {
    layout: Layout,
    now: Arc<watch::Sender<Arc<Snapshot>>>,
}

/// What tells a changed file from the same one.
type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

impl ClusterFiles {
    /// Reads all files; at start each of them must be good. `first_version` is any number that differs between starts.
    ///
    /// # Errors
    /// [`Error::ReadCluster`], [`Error::Cluster`], [`Error::ClusterName`].
    pub fn load(layout: Layout, first_version: u64) -> Result<Self, Error> {
        let mut files = Vec::new();
        let mut clusters = Vec::new();
        for (name, folder) in layout.cluster_folders()? {
            let (bytes, cluster) = read(&name, folder.join("cluster.json"))?;
            tell(&name, &cluster);
            files.push((name, bytes));
            clusters.push(Arc::new(cluster));
        }
        let snapshot = Snapshot { version: first_version, files, clusters: Clusters::new(clusters) };
        Ok(Self { layout, now: Arc::new(watch::Sender::new(Arc::new(snapshot))) })
    }

    /// As they are now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.now.borrow())
    }

    /// The present state first, then each change.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.now.subscribe()
    }

    /// Keeps looking until the process ends.
    pub fn follow(&self, tasks: &Tasks) {
        let files = self.clone();
        let stop = tasks.token();
        tasks.spawn("archive.clusters", OnError::StopProcess, OnShutdown::Abort, async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut seen = files.stamp();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let stamp = files.stamp();
                if stamp != seen {
                    seen = stamp;
                    files.reload();
                }
            }
        });
    }

    fn stamp(&self) -> Stamp {
        let folders = self.layout.cluster_folders().unwrap_or_default();
        folders
            .into_iter()
            .map(|(_, folder)| {
                let path = folder.join("cluster.json");
                let metadata = fs::metadata(&path).ok();
                let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
                (path, modified, metadata.map_or(0, |metadata| metadata.len()))
            })
            .collect()
    }

    /// Takes over what changed. A file that became unusable stays as it was: a typing error must not stop a cluster.
    fn reload(&self) {
        let former = self.snapshot();
        let folders = match self.layout.cluster_folders() {
            Ok(folders) => folders,
            Err(error) => {
                tracing::error!(error = %cc_runtime::error::chain(&error), "the archive's folders cannot be listed");
                return;
            }
        };
        let mut files = Vec::new();
        let mut clusters = Vec::new();
        for (name, folder) in folders {
            match read(&name, folder.join("cluster.json")) {
                Ok((bytes, cluster)) => {
                    files.push((name, bytes));
                    clusters.push(Arc::new(cluster));
                }
                Err(error) => {
                    tracing::error!(error = %cc_runtime::error::chain(&error), "the changed file of cluster {name} is not used");
                    let known = former.files.iter().find(|(known, _)| *known == name);
                    if let (Some(known), Some(cluster)) = (known, former.clusters.get(&name)) {
                        files.push(known.clone());
                        clusters.push(Arc::clone(cluster));
                    }
                }
            }
        }
        if files == former.files {
            return;
        }
        for cluster in &clusters {
            if former.clusters.get(&cluster.name) != Some(cluster) {
                tell(&cluster.name, cluster);
                tracing::info!("took over the changed file of cluster {}", cluster.name);
            }
        }
        let version = former.version.wrapping_add(1);
        self.now.send_replace(Arc::new(Snapshot { version, files, clusters: Clusters::new(clusters) }));
    }
}

fn read(name: &str, path: PathBuf) -> Result<(Vec<u8>, Cluster), Error> {
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(Error::ReadCluster { path, source }),
    };
    let cluster = match Cluster::from_json(&bytes) {
        Ok(cluster) => cluster,
        Err(source) => return Err(Error::Cluster { path, source }),
    };
    if cluster.name != name {
        return Err(Error::ClusterName { path, name: cluster.name });
    }
    Ok((bytes, cluster))
}

/// What is odd but does not stop: said once, when a file is taken over.
fn tell(name: &str, cluster: &Cluster) {
    for problem in cluster.rejected() {
        tracing::error!("cluster.json of {name}: {problem}; this entry is not used");
    }
    for problem in cluster.warnings() {
        tracing::warn!("cluster.json of {name}: {problem}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn cluster_json(name: &str, peak: u32) -> String {
        format!(
            r#"{{"name":"{name}","metricConfig":[{{"name":"cpu_load","unit":{{"base":""}},"scope":"node","timestep":60,
            "aggregation":"avg","peak":{peak},"normal":1,"caution":1,"alert":1}}],"subClusters":[{{"name":"main","nodes":"n[1-4]",
            "processorType":"x","socketsPerNode":1,"coresPerSocket":1,"threadsPerCore":1,
            "flopRateScalar":{{"unit":{{"base":"F/s"}},"value":1}},"flopRateSimd":{{"unit":{{"base":"F/s"}},"value":1}},
            "memoryBandwidth":{{"unit":{{"base":"B/s"}},"value":1}},
            "topology":{{"node":[0],"socket":[[0]],"memoryDomain":[[0]],"core":[[0]]}}}}]}}"#
        )
    }

    fn put(root: &Path, folder: &str, text: &str) {
        fs::create_dir_all(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("cluster.json"), text).unwrap();
    }

    #[test]
    fn all_files_must_be_good_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        put(dir.path(), "c1", &cluster_json("c1", 5));
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        let files = ClusterFiles::load(layout.clone(), 7).unwrap();
        assert_eq!(files.snapshot().clusters.len(), 1);
        assert_eq!(files.snapshot().version, 7);
        put(dir.path(), "c2", &cluster_json("other", 5));
        assert!(matches!(ClusterFiles::load(layout.clone(), 7), Err(Error::ClusterName { .. })));
        put(dir.path(), "c2", "{");
        assert!(matches!(ClusterFiles::load(layout.clone(), 7), Err(Error::Cluster { .. })));
        fs::remove_file(dir.path().join("c2/cluster.json")).unwrap();
        assert!(matches!(ClusterFiles::load(layout, 7), Err(Error::ReadCluster { .. })));
    }

    #[test]
    fn a_change_is_handed_on_and_a_broken_one_leaves_the_former() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        put(dir.path(), "c1", &cluster_json("c1", 5));
        let files = ClusterFiles::load(layout, 1).unwrap();
        let peak = || files.snapshot().clusters.get("c1").unwrap().metric("cpu_load").unwrap().peak;
        put(dir.path(), "c1", &cluster_json("c1", 6));
        files.reload();
        assert_eq!((files.snapshot().version, peak()), (2, 6.0));
        put(dir.path(), "c1", "{\"name\":");
        files.reload();
        assert_eq!((files.snapshot().version, peak()), (2, 6.0));
        put(dir.path(), "c2", &cluster_json("c2", 1));
        files.reload();
        assert_eq!((files.snapshot().version, files.snapshot().clusters.len()), (3, 2));
    }
}
