//! An entry from outside (job-archive.md 16): checked, completed, stored like one of ours.

use cc_model::footprint::{FootprintKeys, energy, footprint};
use cc_model::job::{Job, MonitoringStatus};
use cc_model::series::JobData;

use crate::clusters::Snapshot;
use crate::error::Error;
use crate::layout::Layout;

/// Stores a job with its data. Work for the processor. Returns the job as the table shall have it.
///
/// # Errors
/// [`Error::ImportMeta`], [`Error::ImportData`], [`Error::Assign`], [`Error::Start`]: nothing was written;
/// [`Error::Write`].
pub fn import(layout: &Layout, clusters: &Snapshot, meta: &[u8], data: &[u8]) -> Result<Job, Error> {
    let mut job = Job::from_import_json(meta).map_err(Error::ImportMeta)?;
    let data = JobData::from_json(data).map_err(Error::ImportData)?;
    job.sub_cluster = clusters.clusters.assign(&job.cluster, &job.sub_cluster, &job.resources)?;
    job.validate_start()?;
    job.monitoring_status = MonitoringStatus::Archived;
    let statistics = job.statistics.clone().unwrap_or_default();
    let sub_cluster =
        clusters.clusters.get(&job.cluster).and_then(|cluster| cluster.sub_cluster(&job.sub_cluster));
    if let Some(sub_cluster) = sub_cluster {
        job.footprint = Some(footprint(sub_cluster, &statistics, FootprintKeys::Average));
        let energy = energy(sub_cluster, &statistics, job.num_nodes, job.duration);
        job.energy = energy.total;
        job.energy_footprint = Some(energy.metrics);
    }
    layout.store(&job, &data)?;
    Ok(job)
}
