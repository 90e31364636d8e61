//! A scheduler's description of a job, and the job it becomes (spec/integrations.md 9.4, 9.6, 9.7).

use std::collections::BTreeMap;

use cc_model::names::{HostName, UserName};
use cc_model::{Clusters, Job, JobKey, JobState, MonitoringStatus, Resource, Sharing, Tag};

use super::mapping::{self, Allocation};

/// Metadata key that marks a job of which only the hosts are known for sure.
pub(crate) const INCOMPLETE: &str = "resourcesIncomplete";
/// Metadata key of the number of earlier runs.
pub(crate) const RESTART_COUNT: &str = "restartCount";

/// What a scheduler says of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub(crate) key: JobKey,
    pub(crate) user: String,
    pub(crate) project: String,
    pub(crate) partition: String,
    pub(crate) sharing: Sharing,
    pub(crate) walltime: i64,
    pub(crate) num_nodes: u32,
    pub(crate) num_hwthreads: u32,
    pub(crate) num_acc: u32,
    pub(crate) smt: u32,
    pub(crate) allocations: Vec<Allocation>,
    /// Only host names are known.
    pub(crate) incomplete: bool,
    pub(crate) array_job_id: i64,
    pub(crate) restart_count: u32,
    /// Ready for `metaData`, script included.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: Vec<Tag>,
}

/// Why an event cannot be applied now. The codes are part of the public contract (9.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) field: String,
    pub(crate) detail: String,
    /// It may become applicable when cluster files change.
    pub(crate) park: bool,
}

impl Problem {
    /// A member that is wrong and stays wrong.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: "INVALID_FIELD", field: field.into(), detail: detail.into(), park: false }
    }

    /// A cluster or host that no cluster file knows (yet).
    fn unknown(code: &'static str, field: impl Into<String>, detail: String) -> Self {
        Self { code, field: field.into(), detail, park: true }
    }
}

/// Checks the key of a job against the stream it came in.
pub(crate) fn check_key(key: &JobKey, cluster: &str, field: &str) -> Result<(), Problem> {
    if key.cluster != cluster {
        let detail = format!("the batch is for cluster {cluster:?}, the job is on {:?}", key.cluster);
        return Err(Problem::field(format!("{field}.cluster"), detail));
    }
    if key.job_id <= 0 {
        return Err(Problem::field(format!("{field}.job_id"), "expected a number above 0"));
    }
    if key.start_time <= 0 {
        return Err(Problem::field(format!("{field}.start_time"), "expected Unix seconds above 0"));
    }
    Ok(())
}

impl Spec {
    /// What does not depend on cluster files: without it the event is refused for good.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        UserName::check(&self.user).map_err(|error| Problem::field("job.user", error.to_string()))?;
        if self.num_nodes == 0 || usize::try_from(self.num_nodes) != Ok(self.allocations.len()) {
            let detail =
                format!("num_nodes is {}, nodes has {} entries", self.num_nodes, self.allocations.len());
            return Err(Problem::field("job.num_nodes", detail));
        }
        for (index, allocation) in self.allocations.iter().enumerate() {
            HostName::check(&allocation.hostname)
                .map_err(|error| Problem::field(format!("job.nodes[{index}].hostname"), error.to_string()))?;
        }
        if self.walltime < 0 {
            return Err(Problem::field("job.walltime_s", "expected 0 or more"));
        }
        if self.smt > 1 {
            return Err(Problem::field("job.smt", format!("expected 0 or 1, found {}", self.smt)));
        }
        for (field, value) in [
            ("job.num_nodes", self.num_nodes),
            ("job.num_hwthreads", self.num_hwthreads),
            ("job.num_acc", self.num_acc),
        ] {
            if i32::try_from(value).is_err() {
                return Err(Problem::field(field, format!("{value} is more than the table can hold")));
            }
        }
        Ok(())
    }

    /// The job, running, with resources mapped by the topologies of its hosts.
    pub(crate) fn job(&self, clusters: &Clusters) -> Result<Job, Problem> {
        self.check()?;
        let Some(cluster) = clusters.get(&self.key.cluster) else {
            let detail = format!("no cluster file for {:?}", self.key.cluster);
            return Err(Problem::unknown("UNKNOWN_CLUSTER", "key.cluster", detail));
        };
        let mut incomplete = self.incomplete;
        let mut resources = Vec::with_capacity(self.allocations.len());
        let mut sub_cluster = String::new();
        for (index, allocation) in self.allocations.iter().enumerate() {
            let host = &allocation.hostname;
            let Some(sub) = cluster.sub_cluster_of(host) else {
                let detail = format!("no sub-cluster of {:?} has the host {host:?}", self.key.cluster);
                return Err(Problem::unknown("UNKNOWN_HOST", format!("job.nodes[{index}].hostname"), detail));
            };
            if index == 0 {
                sub_cluster.clone_from(&sub.name);
            }
            resources.push(mapping::resource(allocation, &sub.topology).unwrap_or_else(|| {
                incomplete = true;
                Resource::node(host)
            }));
        }
        let mut metadata = self.metadata.clone();
        if incomplete {
            metadata.insert(INCOMPLETE.to_owned(), "true".to_owned());
        }
        Ok(Job {
            cluster: self.key.cluster.clone(),
            sub_cluster,
            partition: self.partition.clone(),
            project: self.project.clone(),
            user: self.user.clone(),
            shared: self.sharing,
            state: JobState::Running,
            tags: self.tags.clone(),
            resources,
            meta_data: (!metadata.is_empty()).then_some(metadata),
            array_job_id: self.array_job_id,
            walltime: self.walltime,
            job_id: self.key.job_id,
            smt: narrow(self.smt),
            monitoring_status: MonitoringStatus::RunningOrArchiving,
            num_acc: narrow(self.num_acc),
            num_hwthreads: narrow(self.num_hwthreads),
            num_nodes: narrow(self.num_nodes),
            start_time: self.key.start_time,
            ..Job::default()
        })
    }
}

fn narrow(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// What `newer` knows that `known` lacks; nothing when it lacks nothing. User, key and what is known never change.
pub(crate) fn fill(known: &Job, newer: &Job) -> Option<Job> {
    fn number<N: Default + PartialEq + Copy>(known: &mut N, newer: N) {
        if *known == N::default() {
            *known = newer;
        }
    }
    fn text(known: &mut String, newer: &str) {
        if known.is_empty() {
            newer.clone_into(known);
        }
    }
    let mut filled = known.clone();
    text(&mut filled.partition, &newer.partition);
    text(&mut filled.project, &newer.project);
    number(&mut filled.walltime, newer.walltime);
    number(&mut filled.array_job_id, newer.array_job_id);
    number(&mut filled.num_hwthreads, newer.num_hwthreads);
    number(&mut filled.num_acc, newer.num_acc);
    let incomplete = |job: &Job| job.meta_data.as_ref().is_some_and(|map| map.contains_key(INCOMPLETE));
    if incomplete(known) && !incomplete(newer) {
        filled.resources.clone_from(&newer.resources);
        filled.num_nodes = newer.num_nodes;
        if let Some(map) = &mut filled.meta_data {
            map.remove(INCOMPLETE);
        }
    }
    for (key, value) in newer.meta_data.iter().flatten().filter(|(key, _)| *key != INCOMPLETE) {
        filled.meta_data.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
    }
    (filled != *known).then_some(filled)
}
