//! Jobs between the services' form and the outward one.

use cc_model::job::Job;
use cc_proto::common::v1 as proto;
use cc_proto::convert;
use tonic::Status;

/// The outward form of a job from a service. Its energy by metric is never part of a REST answer (rest-api.md 5.1).
///
/// # Errors
/// INTERNAL when the service sent a word that no job can have.
pub(super) fn from_proto(job: proto::Job) -> Result<Job, Status> {
    let id = job.id;
    let job = convert::job_from_proto(job)
        .map_err(|problem| Status::internal(format!("job {id} from the job database: {problem}")))?;
    Ok(Job { energy_footprint: None, ..job })
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
        assert_eq!(from_proto(convert::job_to_proto(&job)).unwrap(), job);
    }

    #[test]
    fn broken_words_are_errors_not_guesses() {
        let good = convert::job_to_proto(&Job { cluster: "fritz".to_owned(), ..Job::default() });
        assert!(from_proto(proto::Job { state: "gone".to_owned(), ..good.clone() }).is_err());
        assert!(from_proto(proto::Job { shared: "perhaps".to_owned(), ..good.clone() }).is_err());
        assert!(from_proto(proto::Job { monitoring_status: 9, ..good }).is_err());
    }
}
