//! A job's series from a store elsewhere: which of its native series are asked for, and what its answers become.

use std::collections::BTreeSet;
use std::sync::Arc;

use cc_model::cluster::MetricConfig;
use cc_model::plan::{Component, Group, Share, plan};
use cc_model::{Cluster, MetricScope, Resource, SubCluster};
use cc_proto::common::v1 as common;
use cc_proto::metric_store::v1::QueryJobRequest;
use cc_runtime::cpu;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::Series;
use super::client::{Answer, Client, Query, Question};
use crate::grpc::{MINIMUM_POINTS, job_query, messages};
use crate::job_query::{JobPart, JobQuery, JobSeries, Missing, MissingReason};
use crate::read::{POINTS_MAX, ReadError};

/// Questions of one request.
const QUESTIONS: usize = 256;
/// Requests to one store at a time, of one query.
const REQUESTS: usize = 4;

/// A question, and what its answer is about.
#[derive(Clone, Debug)]
struct Planned {
    metric: Arc<MetricConfig>,
    scope: MetricScope,
    host: String,
    id: Option<String>,
    question: Question,
}

/// A step of the answer, in the order metric, scope, host, id.
enum Step {
    Missing(Missing),
    Ask(Vec<Planned>),
}

/// The answer, step by step, with at most [`REQUESTS`] requests on their way.
pub(super) fn series(
    client: Arc<Client>,
    cluster: Option<&Cluster>,
    request: QueryJobRequest,
) -> Result<Series, Status> {
    let query = Arc::new(job_query(request, MINIMUM_POINTS)?);
    let steps = match cluster {
        Some(cluster) => steps(&query, cluster),
        None => vec![Step::Missing(not_configured(&query))],
    };
    let parts = stream::iter(steps).map(move |step| {
        let (client, query) = (Arc::clone(&client), Arc::clone(&query));
        async move {
            match step {
                Step::Missing(missing) => Ok(vec![JobPart::Missing(missing)]),
                Step::Ask(planned) => ask(&client, &query, planned).await,
            }
        }
    });
    let mut next = 0;
    let chunks = parts.buffered(REQUESTS).map_ok(move |parts| {
        stream::iter(messages(parts, &mut next).into_iter().map(Ok::<common::SeriesChunk, Status>))
    });
    Ok(chunks.try_flatten().boxed())
}

async fn ask(client: &Client, query: &JobQuery, planned: Vec<Planned>) -> Result<Vec<JobPart>, Status> {
    let asked = Query {
        cluster: &query.cluster,
        from: query.from,
        to: query.to,
        with_stats: true,
        with_data: query.with_data,
        // done here: the reference's store fills up in front without saying from when
        with_padding: false,
        for_all_nodes: None,
        queries: planned.iter().map(|planned| planned.question.clone()).collect(),
    };
    let answers = client.ask(&asked).await?;
    let (from, with_data) = (query.from, query.with_data);
    let parts = cpu::wait(move || {
        let both = planned.into_iter().zip(answers);
        both.map(|(planned, mut answers)| part(planned, answers.drain(..).next(), from, with_data)).collect()
    });
    Ok(parts.await?)
}

fn part(planned: Planned, answer: Option<Answer>, asked_from: i64, with_data: bool) -> JobPart {
    let Planned { metric, scope, host, id, .. } = planned;
    let missing = |reason, detail: String| {
        JobPart::Missing(Missing {
            metric: metric.name.clone(),
            scope: Some(scope),
            host: host.clone(),
            reason,
            detail,
        })
    };
    let Some(answer) = answer else {
        return missing(
            MissingReason::NoSamples,
            "the metric store elsewhere has no sample of it".to_owned(),
        );
    };
    if let Some(error) = answer.error {
        return missing(MissingReason::ScopeNotAvailable, error);
    }
    let (Some(avg), Some(min), Some(max)) = (answer.avg, answer.min, answer.max) else {
        return missing(MissingReason::NoSamples, "no sample in the time asked for".to_owned());
    };
    let timestep = answer.resolution.max(1);
    let Some(Extent { from, in_front, mut points }) = extent(&answer, asked_from, timestep) else {
        let said = format!("from {} to {} every {timestep} s", answer.from, answer.to);
        let detail = format!("{}, its store has it {said}", ReadError::TooMany);
        return missing(MissingReason::ScopeNotAvailable, detail);
    };
    let mut values = Vec::new();
    if with_data {
        values.reserve_exact(in_front + answer.data.len());
        values.resize(in_front, f64::NAN);
        values.extend(answer.data.into_iter().map(|value| value.unwrap_or(f64::NAN)));
        points = values.len();
    }
    JobPart::Series(JobSeries {
        metric: metric.name.clone(),
        scope,
        host,
        id,
        from,
        timestep,
        native_timestep: metric.timestep.max(1),
        unit: metric.unit.clone(),
        statistics: (avg, min, max),
        values,
        points,
    })
}

/// Where a series begins, how many points are missing in front, and how many there are.
struct Extent {
    from: i64,
    in_front: usize,
    points: usize,
}

/// All series of an answer begin at the time asked for. `None` for one that is longer than any answer: the times are the
/// other store's, and whatever it says takes no more memory than an answer of our own.
fn extent(answer: &Answer, asked_from: i64, timestep: i64) -> Option<Extent> {
    let bounded = |points: i64| (points <= POINTS_MAX).then_some(points.max(0));
    let in_front = bounded(answer.from.checked_sub(asked_from)?.div_euclid(timestep))?;
    let from = answer.from.checked_sub(in_front.checked_mul(timestep)?)?;
    let points = bounded(answer.to.checked_sub(from)?.div_euclid(timestep))?;
    bounded(in_front.checked_add(i64::try_from(answer.data.len()).ok()?)?)?;
    Some(Extent { from, in_front: usize::try_from(in_front).ok()?, points: usize::try_from(points).ok()? })
}

/// What is asked, and what cannot be.
fn steps(query: &JobQuery, cluster: &Cluster) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut asked = Vec::new();
    let mut done = BTreeSet::new();
    let flush = |asked: &mut Vec<Planned>, steps: &mut Vec<Step>| {
        if !asked.is_empty() {
            steps.push(Step::Ask(std::mem::take(asked)));
        }
    };
    let missing = |metric: &str, scope, host: &str, reason, detail: String| {
        Step::Missing(Missing { metric: metric.to_owned(), scope, host: host.to_owned(), reason, detail })
    };
    for name in metrics(query, cluster) {
        let of_subs = || cluster.sub_clusters.iter().find_map(|sub| sub.metric(&name));
        let Some(known) = cluster.metric(&name).or_else(of_subs) else {
            flush(&mut asked, &mut steps);
            let detail = format!("cluster {} has no metric {name} in its cluster.json", query.cluster);
            steps.push(missing(&name, None, "", MissingReason::UnknownMetric, detail));
            continue;
        };
        let native = [known.scope];
        let scopes = if query.scopes.is_empty() { &native[..] } else { &query.scopes };
        for scope in scopes.iter().map(|&wanted| known.scope.coarser(wanted)) {
            if !done.insert((name.clone(), scope)) {
                continue;
            }
            for resource in &query.resources {
                let host = &resource.hostname;
                match of_host(query, cluster, &name, scope, resource) {
                    Ok(planned) => asked.extend(planned),
                    Err((reason, detail)) => {
                        flush(&mut asked, &mut steps);
                        steps.push(missing(&name, Some(scope), host, reason, detail));
                    }
                }
                if asked.len() >= QUESTIONS {
                    flush(&mut asked, &mut steps);
                }
            }
        }
    }
    flush(&mut asked, &mut steps);
    steps
}

/// The metrics asked for, or all that any of the hosts has.
fn metrics(query: &JobQuery, cluster: &Cluster) -> Vec<String> {
    if !query.metrics.is_empty() {
        return query.metrics.clone();
    }
    let here = |name: &str| {
        query.resources.iter().any(|resource| {
            sub_cluster(query, cluster, resource).is_some_and(|sub| sub.metric(name).is_some())
        })
    };
    cluster.metric_config.iter().map(|metric| metric.name.clone()).filter(|name| here(name)).collect()
}

fn sub_cluster<'a>(query: &JobQuery, cluster: &'a Cluster, resource: &Resource) -> Option<&'a SubCluster> {
    let named = cluster.sub_clusters.iter().find(|sub| sub.name == query.sub_cluster);
    named.or_else(|| cluster.sub_cluster_of(&resource.hostname))
}

/// The questions for one metric, scope and host.
fn of_host(
    query: &JobQuery,
    cluster: &Cluster,
    name: &str,
    scope: MetricScope,
    resource: &Resource,
) -> Result<Vec<Planned>, (MissingReason, String)> {
    let sub = sub_cluster(query, cluster, resource);
    let Some((sub, metric)) = sub.and_then(|sub| Some((sub, sub.metric(name)?))) else {
        let detail = "the host's subcluster does not have the metric".to_owned();
        return Err((MissingReason::UnknownMetric, detail));
    };
    let plan = plan(&sub.topology, metric, Share::Job(resource), scope);
    if plan.groups.is_empty() {
        let detail = "the resources on this host have no part of that kind".to_owned();
        return Err((MissingReason::ScopeNotAvailable, detail));
    }
    let metric = Arc::new(metric.clone());
    let interval = metric.timestep.max(1);
    let resolution = (query.resolution + interval - 1) / interval * interval;
    let planned = plan.groups.into_iter().map(|group| {
        let question = question(name, &resource.hostname, resolution, plan.aggregate, &group);
        Planned {
            metric: Arc::clone(&metric),
            scope,
            host: resource.hostname.clone(),
            id: group.id,
            question,
        }
    });
    Ok(planned.collect())
}

fn question(metric: &str, host: &str, resolution: i64, aggreg: bool, group: &Group) -> Question {
    let ids = group.series.iter().filter_map(Component::id).collect();
    let kind =
        group.series.first().filter(|first| **first != Component::Node).map(|first| first.scope().as_str());
    Question { metric: metric.to_owned(), host: host.to_owned(), resolution, aggreg, kind, ids }
}

fn not_configured(query: &JobQuery) -> Missing {
    Missing {
        metric: String::new(),
        scope: None,
        host: String::new(),
        reason: MissingReason::NotConfigured,
        detail: format!("there is no cluster file of {}", query.cluster),
    }
}

#[cfg(test)]
mod tests;
