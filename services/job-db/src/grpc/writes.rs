//! REST start and stop, import, node states. Work that was begun is finished even if the caller goes away: it is in
//! the writer's queue, which nobody but the writer takes from.

use cc_proto::job_db::v1 as proto;
use cc_runtime::caller;
use tonic::{Request, Response};

use super::{Answer, Service};
use crate::app::nodes::{self, PutNodes, Report};
use crate::app::rest::{ImportJob, StartJob, StopJob};
use crate::convert;
use crate::error::Error;
use crate::store::Store;
use crate::store::query::{Page, Query};
use crate::store::visible::{TagScopes, Visible};

impl<S: Store> Service<S> {
    pub(super) async fn start_job_impl(
        &self,
        request: Request<proto::StartJobRequest>,
    ) -> Answer<proto::StartJobResponse> {
        let caller = caller::of(&request)?;
        let job = request.into_inner().job.ok_or(Error::Missing("job"))?;
        let job = convert::job_from_proto(job)?;
        let start = match StartJob::new(job.clone(), &caller, self.clusters()?.as_ref()) {
            Ok(start) => start,
            // what is known already needs no valid description: adapters go on after 422 (integrations.md 1.1)
            Err(refusal) => return Err(self.known_start(&job).await?.unwrap_or(refusal).into()),
        };
        let id = self.writer.run(start).await??;
        tracing::info!(
            "new job (id: {id}): cluster={}, jobId={}, user={}, startTime={}",
            job.cluster,
            job.job_id,
            job.user,
            job.start_time
        );
        Ok(Response::new(proto::StartJobResponse { id }))
    }

    /// The refusal of a start whose very key is known.
    async fn known_start(&self, job: &cc_model::Job) -> Result<Option<Error>, Error> {
        let key = job.key();
        let filter = proto::JobFilter {
            job_id: Some(proto::StringFilter { eq: Some(key.job_id.to_string()), ..Default::default() }),
            cluster: Some(proto::StringFilter { eq: Some(key.cluster.clone()), ..Default::default() }),
            start_time: Some(proto::TimeRange { from: Some(key.start_time), to: Some(key.start_time) }),
            ..Default::default()
        };
        let query = Query {
            filters: convert::filters(vec![filter])?,
            order: None,
            page: Page::Rows { offset: 0, limit: 1 },
            count: false,
        };
        let everything = Visible::to(&caller::Caller::service("job-db"))?;
        let found = self
            .store
            .list(&everything, &TagScopes::Every, &query, crate::store::Load::default(), self.clock.unix())
            .await?;
        Ok(found.jobs.first().and_then(|known| known.id).map(|id| Error::exists(id, &key)))
    }

    pub(super) async fn stop_job_impl(
        &self,
        request: Request<proto::StopJobRequest>,
    ) -> Answer<proto::StopJobResponse> {
        let proto::StopJobRequest { job_id, cluster, start_time, stop_time, state } = request.into_inner();
        let job = self.writer.run(StopJob { job_id, cluster, start_time, stop_time, state }).await??;
        let monitored = job.monitoring_status != cc_model::MonitoringStatus::Disabled;
        if let Some(id) = job.id.filter(|_| monitored) {
            tracing::info!(
                "archiving job... (dbid: {id}): cluster={}, jobId={}, user={}, startTime={}",
                job.cluster,
                job.job_id,
                job.user,
                job.start_time
            );
        }
        Ok(Response::new(proto::StopJobResponse { job: Some(convert::job_to_proto(&job)) }))
    }

    pub(super) async fn import_job_impl(
        &self,
        request: Request<proto::ImportJobRequest>,
    ) -> Answer<proto::ImportJobResponse> {
        let caller = caller::of(&request)?;
        let job = request.into_inner().job.ok_or(Error::Missing("job"))?;
        let import = ImportJob::new(convert::job_from_proto(job)?, &caller, self.clusters()?.as_ref())?;
        let id = self.writer.run(import).await??;
        Ok(Response::new(proto::ImportJobResponse { id }))
    }

    pub(super) async fn report_nodes_impl(
        &self,
        request: Request<proto::ReportNodesRequest>,
    ) -> Answer<proto::ReportNodesResponse> {
        let proto::ReportNodesRequest { cluster, nodes } = request.into_inner();
        let reports: Vec<Report> = nodes.into_iter().map(report).collect();
        let clusters = self.clusters()?;
        let config = clusters
            .get(&cluster)
            .ok_or_else(|| Error::from(cc_model::cluster::AssignError::UnknownCluster(cluster.clone())))?;
        let health = self.metric_store.health(&cluster, nodes::hosts_to_check(&reports, config)).await;
        let (rows, skipped) = nodes::rows(&reports, config, &health);
        if !skipped.is_empty() {
            tracing::warn!(
                "{} nodes of {cluster} are in no sub-cluster, e.g. {:?}",
                skipped.len(),
                skipped.first()
            );
        }
        let updated = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        if updated > 0 {
            let time_stamp = self.report_times.stamp(&cluster, self.clock.now().as_millisecond());
            self.writer.run(PutNodes { rows, time_stamp }).await?;
        }
        Ok(Response::new(proto::ReportNodesResponse { updated, skipped }))
    }
}

fn report(node: proto::NodeReport) -> Report {
    Report {
        hostname: node.hostname,
        states: node.states,
        cpus_allocated: node.cpus_allocated,
        memory_allocated_mb: node.memory_allocated_mb,
        gpus_allocated: node.gpus_allocated,
        jobs_running: node.jobs_running,
    }
}
