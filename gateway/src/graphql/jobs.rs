//! Jobs (graphql-api.md 4.1, 7).

use async_graphql::{Context, Object, SimpleObject};
use cc_proto::auth::v1 as auth;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1::ConcurrentJobsRequest;
use serde_json::{Map, Value};

use super::context::{self, Viewing, refused};
use super::scalars::{Any, JobState, NumericId, Time};

/// One job.
pub(super) struct Job(pub(super) common::Job);

#[Object]
impl Job {
    /// Database id; a JSON number on the wire.
    async fn id(&self) -> NumericId {
        NumericId(self.0.id)
    }

    /// Id given by the scheduler.
    async fn job_id(&self) -> i64 {
        self.0.job_id
    }

    /// Additive: `jobName` of the metadata, so that a list need not carry job scripts; null when none.
    async fn job_name(&self) -> Option<&str> {
        self.0.metadata.iter().find(|pair| pair.key == "jobName").map(|pair| pair.value.as_str())
    }

    /// Owner.
    async fn user(&self) -> &str {
        &self.0.user
    }

    /// Account that pays.
    async fn project(&self) -> &str {
        &self.0.project
    }

    /// Cluster.
    async fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// Part of the cluster.
    async fn sub_cluster(&self) -> &str {
        &self.0.sub_cluster
    }

    /// Queue.
    async fn partition(&self) -> &str {
        &self.0.partition
    }

    /// When it began.
    async fn start_time(&self) -> Time {
        Time(self.0.start_time)
    }

    /// Additive: when the job was handed to the scheduler; null when that is not known.
    async fn submit_time(&self) -> Option<Time> {
        (self.0.submit_time != 0).then_some(Time(self.0.submit_time))
    }

    /// Seconds; of a running job: until now.
    async fn duration(&self) -> i64 {
        self.0.duration_s
    }

    /// Seconds requested.
    async fn walltime(&self) -> i64 {
        self.0.walltime_s
    }

    /// Number of nodes.
    async fn num_nodes(&self) -> i32 {
        self.0.num_nodes
    }

    /// Number of hardware threads.
    #[graphql(name = "numHWThreads")]
    async fn num_hwthreads(&self) -> i32 {
        self.0.num_hwthreads
    }

    /// Number of accelerators.
    async fn num_acc(&self) -> i32 {
        self.0.num_acc
    }

    /// Additive: memory asked for, MB over all nodes; null when not given.
    async fn requested_memory(&self) -> Option<i64> {
        (self.0.requested_memory_mb > 0).then_some(self.0.requested_memory_mb)
    }

    /// kWh; 0 while running.
    async fn energy(&self) -> f64 {
        self.0.energy_kwh
    }

    /// Threads per core in use.
    #[graphql(name = "SMT")]
    async fn smt(&self) -> i32 {
        self.0.smt
    }

    /// `none`, `single_user` or `multi_user`.
    async fn shared(&self) -> &str {
        &self.0.shared
    }

    /// 0 when the job is not part of an array.
    async fn array_job_id(&self) -> i64 {
        self.0.array_job_id
    }

    /// 0 disabled, 1 running or archiving, 2 archiving failed, 3 archived.
    async fn monitoring_status(&self) -> i32 {
        self.0.monitoring_status
    }

    /// State.
    async fn state(&self) -> JobState {
        JobState(self.0.state.clone())
    }

    /// Tags the caller may see.
    async fn tags(&self) -> Vec<Tag> {
        self.0.tags.iter().map(Tag::from).collect()
    }

    /// What each host gives.
    async fn resources(&self) -> Vec<Resource> {
        self.0.resources.iter().map(Resource::from).collect()
    }

    /// Visible jobs on the first node of a shared job that ran at the same time; null for an exclusive or short job.
    async fn concurrent_jobs(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<JobLinkResultList>> {
        let found = async { concurrent(context::of(ctx)?, self.0.id).await };
        found.await.transpose()
    }

    /// Numbers that sum the job up.
    async fn footprint(&self) -> Option<Vec<Option<FootprintValue>>> {
        Some(self.0.footprint.iter().map(|pair| Some(FootprintValue::from(pair))).collect())
    }

    /// Energy by metric.
    async fn energy_footprint(&self) -> Option<Vec<Option<EnergyFootprintValue>>> {
        Some(self.0.energy_footprint.iter().map(|pair| Some(EnergyFootprintValue::from(pair))).collect())
    }

    /// Object of texts, e.g. `jobName`, `jobScript`, `slurmInfo`, `message`; or null.
    async fn meta_data(&self) -> Option<Any> {
        if !self.0.has_metadata {
            return None;
        }
        let texts: Map<String, Value> =
            self.0.metadata.iter().map(|pair| (pair.key.clone(), pair.value.clone().into())).collect();
        Some(Any(Value::Object(texts)))
    }

    /// The owner as a person; null when the name is not in the user table.
    async fn user_data(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<User>> {
        let found = async { Ok(context::of(ctx)?.user(&self.0.user).await?.map(User::from)) };
        found.await.transpose()
    }
}

async fn concurrent(viewing: &Viewing, id: i64) -> async_graphql::Result<Option<JobLinkResultList>> {
    let request = viewing.request(ConcurrentJobsRequest { id });
    let answer = viewing.state.job_db().concurrent_jobs(request).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let items: Vec<JobLink> =
        answer.items.iter().map(|link| JobLink { id: link.id.into(), job_id: link.job_id }).collect();
    Ok(answer.applicable.then_some(JobLinkResultList {
        list_query: Some(answer.list_query),
        count: Some(items.len()),
        items,
    }))
}

/// A list of jobs.
#[derive(SimpleObject)]
pub(super) struct JobResultList {
    pub(super) items: Vec<Job>,
    pub(super) offset: Option<i64>,
    pub(super) limit: Option<i64>,
    /// Number of matching jobs, whatever the page.
    pub(super) count: Option<u64>,
    pub(super) has_next_page: Option<bool>,
}

/// A tag.
#[derive(SimpleObject)]
pub(super) struct Tag {
    id: NumericId,
    r#type: String,
    name: String,
    /// `global`, `admin`, or the name of the user whose private tag it is.
    scope: String,
}

impl From<&common::Tag> for Tag {
    fn from(tag: &common::Tag) -> Self {
        Self {
            id: NumericId(tag.id),
            r#type: tag.r#type.clone(),
            name: tag.name.clone(),
            scope: tag.scope.clone(),
        }
    }
}

/// What one host gives to a job.
#[derive(SimpleObject)]
pub(super) struct Resource {
    hostname: String,
    hwthreads: Option<Vec<u32>>,
    accelerators: Option<Vec<String>>,
    configuration: Option<String>,
}

impl From<&common::Resource> for Resource {
    fn from(resource: &common::Resource) -> Self {
        Self {
            hostname: resource.hostname.clone(),
            hwthreads: (!resource.hwthreads.is_empty()).then(|| resource.hwthreads.clone()),
            accelerators: (!resource.accelerators.is_empty()).then(|| resource.accelerators.clone()),
            configuration: Some(resource.configuration.clone()),
        }
    }
}

/// A reference to a job.
#[derive(SimpleObject)]
pub(super) struct JobLink {
    id: async_graphql::ID,
    job_id: i64,
}

/// References to jobs.
#[derive(SimpleObject)]
pub(super) struct JobLinkResultList {
    /// Query string for the job list page.
    list_query: Option<String>,
    items: Vec<JobLink>,
    count: Option<usize>,
}

/// One number of a footprint.
#[derive(SimpleObject)]
pub(super) struct FootprintValue {
    name: String,
    /// `avg`, `min` or `max`.
    stat: String,
    value: f64,
}

impl From<&common::NumberPair> for FootprintValue {
    fn from(pair: &common::NumberPair) -> Self {
        let (name, stat) = pair.key.rsplit_once('_').unwrap_or((pair.key.as_str(), ""));
        Self { name: name.to_owned(), stat: stat.to_owned(), value: pair.value }
    }
}

/// Energy of one metric.
#[derive(SimpleObject)]
pub(super) struct EnergyFootprintValue {
    hardware: String,
    metric: String,
    /// kWh.
    value: f64,
}

impl From<&common::NumberPair> for EnergyFootprintValue {
    fn from(pair: &common::NumberPair) -> Self {
        Self { hardware: hardware_of(&pair.key).to_owned(), metric: pair.key.clone(), value: pair.value }
    }
}

/// The first word that a metric's name contains decides (graphql-api.md 7.5).
fn hardware_of(metric: &str) -> &'static str {
    const WORDS: [(&str, &str); 4] =
        [("cpu", "CPU"), ("acc", "Accelerator"), ("mem", "Memory"), ("core", "Core")];
    let has = |word: &str| {
        let capital = format!(
            "{}{}",
            word.get(..1).unwrap_or_default().to_uppercase(),
            word.get(1..).unwrap_or_default()
        );
        [word.to_owned(), capital, word.to_uppercase()].iter().any(|form| metric.contains(form.as_str()))
    };
    WORDS.into_iter().find(|(word, _)| has(word)).map_or("Other", |(_, hardware)| hardware)
}

/// A person.
#[derive(SimpleObject)]
pub(super) struct User {
    username: String,
    name: String,
    email: String,
}

impl From<auth::User> for User {
    fn from(user: auth::User) -> Self {
        Self { username: user.username, name: user.name, email: user.email }
    }
}

/// Additive: who asks, as the session or token says.
#[derive(SimpleObject)]
pub(super) struct Me {
    pub(super) username: String,
    /// Real name; empty when unknown.
    pub(super) name: String,
    /// `api`, `user`, `manager`, `support`, `admin`.
    pub(super) roles: Vec<String>,
    /// Projects a manager is responsible for.
    pub(super) projects: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footprint_key_splits_at_its_last_underscore() {
        let value = FootprintValue::from(&common::NumberPair { key: "mem_used_max".to_owned(), value: 1.0 });
        assert_eq!((value.name.as_str(), value.stat.as_str()), ("mem_used", "max"));
    }

    #[test]
    fn hardware_follows_from_the_metric_name() {
        for (metric, hardware) in [
            ("cpu_power", "CPU"),
            ("acc_power", "Accelerator"),
            ("MEM_power", "Memory"),
            ("Core_power", "Core"),
            ("node_power", "Other"),
        ] {
            assert_eq!(hardware_of(metric), hardware, "{metric}");
        }
    }
}
