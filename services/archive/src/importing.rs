//! An entry from outside (job-archive.md 16): checked, completed, stored like one of ours.

use cc_model::footprint::{FootprintKeys, energy, footprint};
use cc_model::job::{Job, MonitoringStatus};
use cc_model::series::JobData;

use crate::clusters::Snapshot;
use crate::error::Error;
use crate::layout::Layout;

/// A job from outside, checked and completed, not yet written.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// As the table shall have it.
    pub job: Job,
    data: JobData,
}

impl Prepared {
    /// Writes the entry.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn store(&self, layout: &Layout) -> Result<(), Error> {
        layout.store(&self.job, &self.data).map(|_bytes| ())
    }
}

/// Checks and completes a job with its data. Work for the processor.
///
/// # Errors
/// [`Error::ImportMeta`], [`Error::ImportData`], [`Error::Assign`], [`Error::Start`].
pub fn prepare(clusters: &Snapshot, meta: &[u8], data: &[u8]) -> Result<Prepared, Error> {
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
    Ok(Prepared { job, data })
}
