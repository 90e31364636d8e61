//! Between protobuf and the types of the rules. Everything that comes from outside is checked here or refused.

mod event;
mod filter;

pub(crate) use event::{EVENTS_MAX, batch, decode_parked, event_results};
pub(crate) use filter::{filters, node_filters, query};

use std::collections::BTreeMap;

use cc_model::job::JobStatistics;
use cc_model::{Job, MonitoringStatus, Resource, Tag, Unit};
use cc_proto::common::v1 as common;

use crate::error::Error;

/// A job as answers carry it.
pub(crate) fn job_to_proto(job: &Job) -> common::Job {
    common::Job {
        id: job.id.unwrap_or_default(),
        job_id: job.job_id,
        cluster: job.cluster.clone(),
        sub_cluster: job.sub_cluster.clone(),
        partition: job.partition.clone(),
        project: job.project.clone(),
        user: job.user.clone(),
        shared: job.shared.as_str().to_owned(),
        state: job.state.as_str().to_owned(),
        submit_time: job.submit_time,
        start_time: job.start_time,
        duration_s: i64::from(job.duration),
        walltime_s: job.walltime,
        num_nodes: job.num_nodes,
        num_hwthreads: job.num_hwthreads,
        num_acc: job.num_acc,
        smt: job.smt,
        array_job_id: job.array_job_id,
        requested_memory_mb: job.requested_memory,
        monitoring_status: job.monitoring_status.code(),
        resources: job.resources.iter().map(resource_to_proto).collect(),
        energy_kwh: job.energy,
        footprint: numbers_to_proto(job.footprint.as_ref()),
        has_footprint: job.footprint.is_some(),
        energy_footprint: numbers_to_proto(job.energy_footprint.as_ref()),
        has_energy_footprint: job.energy_footprint.is_some(),
        metadata: texts_to_proto(job.meta_data.as_ref()),
        has_metadata: job.meta_data.is_some(),
        tags: job.tags.iter().map(tag_to_proto).collect(),
        statistics: job.statistics.iter().flatten().map(statistics_to_proto).collect(),
    }
}

fn resource_to_proto(resource: &Resource) -> common::Resource {
    common::Resource {
        hostname: resource.hostname.clone(),
        hwthreads: resource.hwthreads.clone(),
        accelerators: resource.accelerators.clone(),
        configuration: resource.configuration.clone(),
    }
}

/// A tag as answers carry it.
pub(crate) fn tag_to_proto(tag: &Tag) -> common::Tag {
    common::Tag { id: tag.id, r#type: tag.kind.clone(), name: tag.name.clone(), scope: tag.scope.clone() }
}

fn numbers_to_proto(values: Option<&BTreeMap<String, f64>>) -> Vec<common::NumberPair> {
    let pair = |(key, value): (&String, &f64)| common::NumberPair { key: key.clone(), value: *value };
    values.into_iter().flatten().map(pair).collect()
}

/// Texts by key as answers carry them.
pub(crate) fn texts_to_proto(values: Option<&BTreeMap<String, String>>) -> Vec<common::StringPair> {
    let pair =
        |(key, value): (&String, &String)| common::StringPair { key: key.clone(), value: value.clone() };
    values.into_iter().flatten().map(pair).collect()
}

fn statistics_to_proto((metric, statistics): (&String, &JobStatistics)) -> common::MetricStatistics {
    common::MetricStatistics {
        metric: metric.clone(),
        unit_base: statistics.unit.base.clone(),
        unit_prefix: statistics.unit.prefix.clone(),
        avg: statistics.avg,
        min: statistics.min,
        max: statistics.max,
    }
}

/// Statistics by metric.
pub(crate) fn statistics_from_proto(
    statistics: Vec<common::MetricStatistics>,
) -> BTreeMap<String, JobStatistics> {
    let one = |statistics: common::MetricStatistics| {
        let unit = Unit { base: statistics.unit_base, prefix: statistics.unit_prefix };
        let (avg, min, max) = (statistics.avg, statistics.min, statistics.max);
        (statistics.metric, JobStatistics { unit, avg, min, max })
    };
    statistics.into_iter().map(one).collect()
}

/// A job as requests carry it.
///
/// # Errors
/// [`Error::InvalidJob`] for words outside their vocabulary and numbers outside their columns.
pub(crate) fn job_from_proto(job: common::Job) -> Result<Job, Error> {
    let invalid = |field: &'static str, problem: String| Error::InvalidJob { field, problem };
    let duration = i32::try_from(job.duration_s)
        .map_err(|_| invalid("duration", format!("{} s is more than the table can hold", job.duration_s)))?;
    Ok(Job {
        cluster: job.cluster,
        sub_cluster: job.sub_cluster,
        partition: job.partition,
        project: job.project,
        user: job.user,
        shared: match job.shared.as_str() {
            "" => cc_model::Sharing::None,
            word => word.parse().map_err(|error| invalid("shared", format!("{error}")))?,
        },
        state: match job.state.as_str() {
            "" => cc_model::JobState::Running,
            word => word.parse().map_err(|error| invalid("jobState", format!("{error}")))?,
        },
        tags: job.tags.into_iter().map(tag_from_proto).collect(),
        resources: job.resources.into_iter().map(resource_from_proto).collect(),
        energy_footprint: numbers_from_proto(job.energy_footprint, job.has_energy_footprint),
        footprint: numbers_from_proto(job.footprint, job.has_footprint),
        meta_data: job
            .has_metadata
            .then(|| job.metadata.into_iter().map(|pair| (pair.key, pair.value)).collect()),
        energy: job.energy_kwh,
        array_job_id: job.array_job_id,
        walltime: job.walltime_s,
        requested_memory: job.requested_memory_mb,
        job_id: job.job_id,
        duration,
        smt: job.smt,
        monitoring_status: MonitoringStatus::try_from(job.monitoring_status)
            .map_err(|error| invalid("monitoringStatus", error.to_string()))?,
        num_acc: job.num_acc,
        num_hwthreads: job.num_hwthreads,
        num_nodes: job.num_nodes,
        statistics: (!job.statistics.is_empty()).then(|| statistics_from_proto(job.statistics)),
        id: None,
        submit_time: job.submit_time,
        start_time: job.start_time,
    })
}

fn resource_from_proto(resource: common::Resource) -> Resource {
    Resource {
        hostname: resource.hostname,
        configuration: resource.configuration,
        hwthreads: resource.hwthreads,
        accelerators: resource.accelerators,
    }
}

fn tag_from_proto(tag: common::Tag) -> Tag {
    Tag { kind: tag.r#type, name: tag.name, scope: tag.scope, id: 0 }
}

fn numbers_from_proto(values: Vec<common::NumberPair>, present: bool) -> Option<BTreeMap<String, f64>> {
    present.then(|| values.into_iter().map(|pair| (pair.key, pair.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_survive_the_way_there_and_back() {
        let job = Job {
            cluster: "fritz".to_owned(),
            sub_cluster: "main".to_owned(),
            partition: "p".to_owned(),
            project: "pa01".to_owned(),
            user: "alice".to_owned(),
            shared: cc_model::Sharing::MultiUser,
            state: cc_model::JobState::OutOfMemory,
            resources: vec![Resource {
                hostname: "f1".to_owned(),
                configuration: "x".to_owned(),
                hwthreads: vec![0, 72],
                accelerators: vec!["00:1".to_owned()],
            }],
            energy_footprint: Some(BTreeMap::new()),
            footprint: Some(BTreeMap::from([("cpu_load_avg".to_owned(), 1.5)])),
            meta_data: Some(BTreeMap::from([("jobName".to_owned(), "x".to_owned())])),
            energy: 0.5,
            array_job_id: 3,
            walltime: 60,
            requested_memory: 7,
            job_id: 1 << 62,
            duration: 9,
            smt: 1,
            monitoring_status: MonitoringStatus::Archived,
            num_acc: 1,
            num_hwthreads: 2,
            num_nodes: 1,
            start_time: 1_700_000_000,
            ..Job::default()
        };
        assert_eq!(job_from_proto(job_to_proto(&job)).unwrap(), job);
    }

    #[test]
    fn words_outside_the_vocabulary_are_named() {
        for (change, field) in [
            (common::Job { shared: "exclusive".to_owned(), ..Default::default() }, "shared"),
            (common::Job { state: "done".to_owned(), ..Default::default() }, "jobState"),
            (common::Job { monitoring_status: 7, ..Default::default() }, "monitoringStatus"),
            (common::Job { duration_s: 1 << 40, ..Default::default() }, "duration"),
        ] {
            let Err(Error::InvalidJob { field: found, .. }) = job_from_proto(change) else {
                panic!("{field}")
            };
            assert_eq!(found, field);
        }
    }
}
