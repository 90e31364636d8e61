//! The REST bodies of the Go adapter (spec integrations.md 2.4) and what they are as events.
//!
//! What the Go adapter calls hwthreads goes on as operating-system hwthreads, "as is": that is what the reference stores of
//! them, so both ways give the same job.

use std::collections::{BTreeMap, HashMap};

use cc_proto::scheduler::v1::{
    CoreNumbering, IdRange, JobKey, JobSpec, JobStarted, JobState, JobStopped, NodeAllocation, Sharing, Tag,
    event::Body,
};
use serde::Deserialize;

/// Body of `start_job`. Keys that carry nothing (`energy`, `statistics`, …) are not read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartJob {
    job_id: i64,
    cluster: String,
    start_time: i64,
    #[serde(default, deserialize_with = "or_default")]
    user: String,
    #[serde(default, deserialize_with = "or_default")]
    project: String,
    #[serde(default, deserialize_with = "or_default")]
    partition: String,
    #[serde(default, deserialize_with = "or_default")]
    shared: String,
    #[serde(default, deserialize_with = "or_default")]
    array_job_id: i64,
    #[serde(default, deserialize_with = "or_default")]
    walltime: i64,
    #[serde(default, deserialize_with = "or_default")]
    requested_memory: i64,
    #[serde(default, deserialize_with = "or_default")]
    num_nodes: u32,
    #[serde(default, deserialize_with = "or_default")]
    num_hwthreads: u32,
    #[serde(default, deserialize_with = "or_default")]
    num_acc: u32,
    #[serde(default)]
    smt: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    submit_time: i64,
    #[serde(default, deserialize_with = "or_default")]
    resources: Vec<Resource>,
    #[serde(default, deserialize_with = "or_default")]
    meta_data: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<RestTag>,
}

/// One host of a job.
#[derive(Debug, Clone, Deserialize)]
struct Resource {
    hostname: String,
    #[serde(default, deserialize_with = "or_default")]
    hwthreads: Vec<u32>,
    #[serde(default, deserialize_with = "or_default")]
    accelerators: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct RestTag {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    scope: String,
}

/// Body of `stop_job`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopJob {
    job_id: i64,
    #[serde(default, deserialize_with = "or_default")]
    cluster: String,
    #[serde(default, deserialize_with = "or_default")]
    start_time: i64,
    #[serde(default, deserialize_with = "or_default")]
    job_state: String,
    stop_time: i64,
}

/// An explicit `null` means "nothing", as Go reads it.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Turns bodies into events, in order: a stop names no start time, so the starts before it are remembered.
#[derive(Debug, Default)]
pub struct Mapper {
    /// Added to all times of jobs, seconds.
    shift_s: i64,
    /// Jobs are reported under this name instead of their own.
    cluster: Option<String>,
    /// Starts so far by cluster and job id.
    starts: HashMap<(String, i64), Vec<JobSpec>>,
}

impl Mapper {
    /// A mapper that moves all times of jobs by `shift_s` seconds and reports them under `cluster`, if given.
    pub fn new(shift_s: i64, cluster: Option<String>) -> Self {
        Self { shift_s, cluster, starts: HashMap::new() }
    }

    /// The event of a start.
    pub fn start(&mut self, body: StartJob) -> Body {
        let job = self.job(body);
        if let Some(key) = &job.key {
            self.starts.entry((key.cluster.clone(), key.job_id)).or_default().push(job.clone());
        }
        Body::Started(JobStarted { job: Some(job) })
    }

    /// The event of a stop: self-contained, with a copy of the job, when its start was seen. A stop whose start is unknown
    /// goes out with the start time it names, or 0, and the server says what it thinks of it.
    pub fn stop(&self, body: &StopJob) -> Body {
        let cluster = self.cluster.clone().unwrap_or_else(|| body.cluster.clone());
        let stop_time = self.shifted(body.stop_time);
        let named = self.shifted(body.start_time);
        let starts = self.starts.get(&(cluster.clone(), body.job_id));
        let job = starts.into_iter().flatten().rev().find(|job| {
            job.key.as_ref().is_some_and(|key| {
                if named == 0 { key.start_time <= stop_time } else { key.start_time == named }
            })
        });
        let key = job.and_then(|job| job.key.clone());
        Body::Stopped(JobStopped {
            key: Some(key.unwrap_or(JobKey { cluster, job_id: body.job_id, start_time: named })),
            stop_time,
            state: state(&body.job_state).into(),
            scheduler_state: body.job_state.clone(),
            exit_code: None,
            job: job.cloned(),
        })
    }

    /// Zero means "not given" and stays.
    fn shifted(&self, time: i64) -> i64 {
        if time == 0 { 0 } else { time.saturating_add(self.shift_s) }
    }

    fn job(&self, body: StartJob) -> JobSpec {
        let cluster = self.cluster.clone().unwrap_or(body.cluster);
        let mut metadata = body.meta_data;
        let mut take = |name: &str| metadata.remove(name).unwrap_or_default();
        let (job_name, job_script, scheduler_info) = (take("jobName"), take("jobScript"), take("slurmInfo"));
        let submitted = take("submitTime").parse().unwrap_or(body.submit_time);
        // Slurm forgets which cores a job had: then there are hosts without hwthreads
        let incomplete =
            body.resources.is_empty() || body.resources.iter().any(|host| host.hwthreads.is_empty());
        JobSpec {
            key: Some(JobKey { cluster, job_id: body.job_id, start_time: self.shifted(body.start_time) }),
            user: body.user,
            project: body.project,
            partition: body.partition,
            sharing: sharing(&body.shared).into(),
            submit_time: self.shifted(submitted),
            walltime_s: body.walltime,
            requested_memory_mb: body.requested_memory,
            num_nodes: body.num_nodes,
            num_hwthreads: body.num_hwthreads,
            num_acc: body.num_acc,
            smt: body.smt,
            nodes: body.resources.into_iter().map(node).collect(),
            resources_incomplete: incomplete,
            array_job_id: body.array_job_id,
            job_name,
            job_script,
            scheduler_info,
            metadata: metadata.into_iter().collect(),
            tags: body
                .tags
                .into_iter()
                .map(|tag| Tag { r#type: tag.kind, name: tag.name, scope: tag.scope })
                .collect(),
            ..JobSpec::default()
        }
    }
}

fn node(host: Resource) -> NodeAllocation {
    let numbering =
        if host.hwthreads.is_empty() { CoreNumbering::Unspecified } else { CoreNumbering::OsHwthread };
    NodeAllocation {
        hostname: host.hostname,
        numbering: numbering.into(),
        hwthreads: ranges(&host.hwthreads),
        accelerator_ids: host.accelerators,
        ..NodeAllocation::default()
    }
}

/// Runs of consecutive ids in the order given.
fn ranges(ids: &[u32]) -> Vec<IdRange> {
    let mut ranges: Vec<IdRange> = Vec::new();
    for &id in ids {
        match ranges.last_mut() {
            Some(range) if range.last.checked_add(1) == Some(id) => range.last = id,
            _ => ranges.push(IdRange { first: id, last: id }),
        }
    }
    ranges
}

fn sharing(shared: &str) -> Sharing {
    match shared {
        "none" => Sharing::None,
        "single_user" => Sharing::SingleUser,
        "multi_user" => Sharing::MultiUser,
        _ => Sharing::Unspecified,
    }
}

/// The state of that name; an empty one is `completed`, as at the REST interface. Unknown ones travel as text only.
fn state(name: &str) -> JobState {
    if name.is_empty() {
        return JobState::Completed;
    }
    JobState::from_str_name(&format!("JOB_STATE_{}", name.to_ascii_uppercase()))
        .unwrap_or(JobState::Unspecified)
}

#[cfg(test)]
mod tests;
