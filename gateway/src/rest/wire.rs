//! Jobs between the services' form and the outward one.

use std::collections::BTreeMap;

use cc_model::job::{Job, JobStatistics, MonitoringStatus, Resource, Tag};
use cc_model::unit::Unit;
use cc_proto::common::v1 as proto;
use tonic::Status;

/// The outward form of a job from a service.
///
/// # Errors
/// INTERNAL when the service sent a word that no job can have.
pub(super) fn from_proto(job: proto::Job) -> Result<Job, Status> {
    let broken = |what: &str, word: &str| Status::internal(format!("job {} has the {what} {word:?}", job.id));
    let shared = job.shared.parse().map_err(|_| broken("sharing", &job.shared))?;
    let state = job.state.parse().map_err(|_| broken("state", &job.state))?;
    let monitoring_status = MonitoringStatus::try_from(job.monitoring_status)
        .map_err(|_| broken("monitoring status", &job.monitoring_status.to_string()))?;
    let statistics = (!job.statistics.is_empty()).then(|| statistics(job.statistics));
    Ok(Job {
        cluster: job.cluster,
        sub_cluster: job.sub_cluster,
        partition: job.partition,
        project: job.project,
        user: job.user,
        shared,
        state,
        tags: job.tags.into_iter().map(tag_from_proto).collect(),
        resources: job.resources.into_iter().map(resource_from_proto).collect(),
        energy_footprint: job.has_energy_footprint.then(|| numbers(job.energy_footprint)),
        footprint: job.has_footprint.then(|| numbers(job.footprint)),
        meta_data: job
            .has_metadata
            .then(|| job.metadata.into_iter().map(|pair| (pair.key, pair.value)).collect()),
        energy: job.energy_kwh,
        array_job_id: job.array_job_id,
        walltime: job.walltime_s,
        requested_memory: job.requested_memory_mb,
        job_id: job.job_id,
        duration: i32::try_from(job.duration_s).unwrap_or(if job.duration_s < 0 { 0 } else { i32::MAX }),
        smt: job.smt,
        monitoring_status,
        num_acc: job.num_acc,
        num_hwthreads: job.num_hwthreads,
        num_nodes: job.num_nodes,
        statistics,
        id: (job.id != 0).then_some(job.id),
        submit_time: job.submit_time,
        start_time: job.start_time,
    })
}

/// The services' form of a job from a request.
pub(super) fn to_proto(job: Job) -> proto::Job {
    let pairs = |map: Option<BTreeMap<String, f64>>| {
        map.unwrap_or_default().into_iter().map(|(key, value)| proto::NumberPair { key, value }).collect()
    };
    let (has_footprint, has_energy_footprint) = (job.footprint.is_some(), job.energy_footprint.is_some());
    let has_metadata = job.meta_data.is_some();
    let metadata = job.meta_data.unwrap_or_default();
    proto::Job {
        id: job.id.unwrap_or_default(),
        job_id: job.job_id,
        cluster: job.cluster,
        sub_cluster: job.sub_cluster,
        partition: job.partition,
        project: job.project,
        user: job.user,
        shared: job.shared.to_string(),
        state: job.state.to_string(),
        submit_time: job.submit_time,
        start_time: job.start_time,
        duration_s: job.duration.into(),
        walltime_s: job.walltime,
        num_nodes: job.num_nodes,
        num_hwthreads: job.num_hwthreads,
        num_acc: job.num_acc,
        smt: job.smt,
        array_job_id: job.array_job_id,
        requested_memory_mb: job.requested_memory,
        monitoring_status: job.monitoring_status.code(),
        resources: job.resources.into_iter().map(resource_to_proto).collect(),
        energy_kwh: job.energy,
        footprint: pairs(job.footprint),
        has_footprint,
        energy_footprint: pairs(job.energy_footprint),
        has_energy_footprint,
        metadata: metadata.into_iter().map(|(key, value)| proto::StringPair { key, value }).collect(),
        has_metadata,
        tags: job.tags.into_iter().map(tag_to_proto).collect(),
        statistics: Vec::new(),
    }
}

/// Statistics by metric.
pub(super) fn statistics(list: Vec<proto::MetricStatistics>) -> BTreeMap<String, JobStatistics> {
    let entry = |found: proto::MetricStatistics| {
        let unit = Unit::new(found.unit_base, found.unit_prefix);
        (found.metric, JobStatistics { unit, avg: found.avg, min: found.min, max: found.max })
    };
    list.into_iter().map(entry).collect()
}

fn numbers(list: Vec<proto::NumberPair>) -> BTreeMap<String, f64> {
    list.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

fn tag_from_proto(tag: proto::Tag) -> Tag {
    Tag { kind: tag.r#type, name: tag.name, scope: tag.scope, id: tag.id }
}

fn tag_to_proto(tag: Tag) -> proto::Tag {
    proto::Tag { id: tag.id, r#type: tag.kind, name: tag.name, scope: tag.scope }
}

fn resource_from_proto(resource: proto::Resource) -> Resource {
    Resource {
        hostname: resource.hostname,
        configuration: resource.configuration,
        hwthreads: resource.hwthreads,
        accelerators: resource.accelerators,
    }
}

fn resource_to_proto(resource: Resource) -> proto::Resource {
    proto::Resource {
        hostname: resource.hostname,
        hwthreads: resource.hwthreads,
        accelerators: resource.accelerators,
        configuration: resource.configuration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_way_to_the_service_and_back() {
        let body = br##"{"jobId": 500002, "cluster": "fritz", "user": "alice", "project": "pa01",
            "partition": "singlenode", "numNodes": 2, "numHwthreads": 8, "walltime": 7200, "arrayJobId": 500000,
            "resources": [{"hostname": "f0302", "hwthreads": [0, 1]}, {"hostname": "f0303", "configuration": "x",
            "accelerators": ["00000000:25:00.0"]}], "startTime": 1700000000, "smt": 1, "shared": "multi_user",
            "monitoringStatus": 0, "subCluster": "main", "duration": 99, "metaData": {"jobScript": "#!\n<&>"},
            "submitTime": 1699999999, "requestedMemory": 5, "footprint": {"cpu_load_avg": 1.5}, "energy": 0.5,
            "tags": [{"type": "app", "name": "vasp", "scope": "global"}]}"##;
        let job = Job::from_start_request(body).unwrap();
        assert_eq!(from_proto(to_proto(job.clone())).unwrap(), job);
    }

    #[test]
    fn broken_words_are_errors_not_guesses() {
        let good = to_proto(Job { cluster: "fritz".to_owned(), ..Job::default() });
        assert!(from_proto(proto::Job { state: "gone".to_owned(), ..good.clone() }).is_err());
        assert!(from_proto(proto::Job { shared: "perhaps".to_owned(), ..good.clone() }).is_err());
        assert!(from_proto(proto::Job { monitoring_status: 9, ..good }).is_err());
    }
}
