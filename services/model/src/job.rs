//! A job: what schedulers report, what the database and `meta.json` hold, what the interfaces show.
//!
//! `Serialize` emits the 28 keys of rest-api.md 5.1 in their order (= job-archive.md 4); use [`crate::json::to_vec`]
//! for the very bytes of the reference. Reading is either strict ([`Job::from_start_request`],
//! [`Job::from_import_json`]) or tolerant ([`Job::from_meta_json`]).

mod check;
mod decode;
mod encode;
mod words;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

pub use check::StartError;
pub use decode::JobDecodeError;
pub use words::{JobState, MonitoringStatus, Sharing, UnknownWord};

use crate::unit::Unit;

/// A job. Times are Unix seconds, durations seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Job {
    /// Cluster the job ran on.
    pub cluster: String,
    /// Sub-cluster of its first host; empty until assigned.
    pub sub_cluster: String,
    /// Partition or queue; empty if unknown.
    pub partition: String,
    /// Project (account).
    pub project: String,
    /// Login name of the owner.
    pub user: String,
    /// Whether its nodes are shared with other jobs.
    pub shared: Sharing,
    /// Scheduler state.
    pub state: JobState,
    /// Tags, as far as loaded.
    pub tags: Vec<Tag>,
    /// One entry per host, in the scheduler's order.
    pub resources: Vec<Resource>,
    /// Energy per metric in kWh; nothing if not loaded.
    pub energy_footprint: Option<BTreeMap<String, f64>>,
    /// Footprint: `<metric>_<avg|min|max>` → value; nothing if there is none.
    pub footprint: Option<BTreeMap<String, f64>>,
    /// Free text by key (`jobName`, `jobScript`, `slurmInfo`, …); nothing if not loaded.
    pub meta_data: Option<BTreeMap<String, String>>,
    /// Total energy in kWh.
    pub energy: f64,
    /// Id of the array the job belongs to; 0 if none.
    pub array_job_id: i64,
    /// Requested run time in seconds; 0 if unknown.
    pub walltime: i64,
    /// Requested memory in MB; 0 if unknown.
    pub requested_memory: i64,
    /// The scheduler's id.
    pub job_id: i64,
    /// Run time in seconds.
    pub duration: i32,
    /// Hardware threads per core in use: 0 or 1 (unknown or off, on).
    pub smt: i32,
    /// Whether and how far the job is monitored.
    pub monitoring_status: MonitoringStatus,
    /// Accelerators in use over all hosts.
    pub num_acc: i32,
    /// Hardware threads in use over all hosts.
    pub num_hwthreads: i32,
    /// Nodes in use; equals the number of resources.
    pub num_nodes: i32,
    /// Statistics per metric (archived jobs); nothing if not loaded.
    pub statistics: Option<BTreeMap<String, JobStatistics>>,
    /// Database id (table `job`); nothing if the job is not stored.
    pub id: Option<i64>,
    /// When it was submitted; 0 if unknown.
    pub submit_time: i64,
    /// When it started.
    pub start_time: i64,
}

impl Job {
    /// What identifies the job.
    pub fn key(&self) -> JobKey {
        JobKey { cluster: self.cluster.clone(), job_id: self.job_id, start_time: self.start_time }
    }
}

/// What identifies a job: a scheduler may use an id again, but not at the same start time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// Cluster.
    pub cluster: String,
    /// The scheduler's id.
    pub job_id: i64,
    /// Start in Unix seconds.
    pub start_time: i64,
}

impl JobKey {
    /// The job's folder below the archive's root (job-archive.md 2), with `/`: `large/1034/871/1768978339`.
    ///
    /// The cluster name is used as it is: check it with [`crate::names::ClusterName`] first.
    pub fn archive_path(&self) -> String {
        let Self { cluster, job_id, start_time } = self;
        format!("{cluster}/{}/{:03}/{start_time}", job_id / 1000, job_id % 1000)
    }
}

/// `fritz/123000@1700000000`, for messages and logs.
impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.cluster, self.job_id, self.start_time)
    }
}

/// The share of one host that a job uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// The host.
    pub hostname: String,
    /// Free text about its configuration; empty if none.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "decode::null_as_default")]
    pub configuration: String,
    /// Hardware threads (OS processor ids) of the job; empty for the whole node.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "decode::null_as_default")]
    pub hwthreads: Vec<u32>,
    /// Accelerator ids of the job as in the topology; empty for none.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "decode::null_as_default")]
    pub accelerators: Vec<String>,
}

impl Resource {
    /// A whole node.
    pub fn node(hostname: impl Into<String>) -> Self {
        Self { hostname: hostname.into(), ..Self::default() }
    }
}

/// A tag of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Tag {
    /// Type, e.g. `app`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name, e.g. `GROMACS`.
    pub name: String,
    /// `global`, `admin` or the login name of the only user who sees it; empty in requests means `global`.
    pub scope: String,
    /// Database id; 0 in archived files.
    pub id: i64,
}

/// Statistics of one metric over a whole job (`statistics` in `meta.json`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStatistics {
    /// Unit of the three numbers.
    pub unit: Unit,
    /// Mean over the nodes.
    pub avg: f64,
    /// Smallest value of any node.
    pub min: f64,
    /// Largest value of any node.
    pub max: f64,
}

#[cfg(test)]
mod tests;
