//! The service as the others call it: decode, call a use case, encode. No rule stands here.

mod edits;
mod ingest;
mod reads;
mod taggers;
mod writes;

use std::sync::Arc;

use cc_model::Clusters;
use cc_proto::job_db::v1 as proto;
use cc_proto::job_db::v1::job_db_server::JobDb;
use cc_proto::scheduler::v1 as scheduler;
use cc_runtime::clock::Clock;
use cc_runtime::config::services::Ingest as IngestLimits;
use cc_runtime::tasks::Tasks;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use crate::app::clusters::ClusterState;
use crate::app::copies::Copies;
use crate::app::nodes::ReportTimes;
use crate::app::peers::{RemoteArchive, RemoteStore};
use crate::app::tagging::Tagging;
use crate::app::watch::Hub;
use crate::app::writer::Writer;
use crate::error::Error;
use crate::store::{NodeStore, Store};

/// The service.
pub(crate) struct Service<S: Store> {
    pub(crate) store: S,
    pub(crate) writer: Writer<S>,
    pub(crate) hub: Hub,
    pub(crate) clusters: ClusterState,
    pub(crate) metric_store: RemoteStore,
    pub(crate) clock: Clock,
    pub(crate) report_times: ReportTimes,
    pub(crate) tasks: Tasks,
    pub(crate) limits: IngestLimits,
    pub(crate) copies: Copies<S, RemoteArchive>,
    pub(crate) tagging: Tagging<S, RemoteArchive>,
}

impl<S: Store> std::fmt::Debug for Service<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Service").finish_non_exhaustive()
    }
}

impl<S: Store> Service<S> {
    /// The clusters, or `Unavailable` while none were reported: refusing events for want of them would lose some.
    fn clusters(&self) -> Result<Arc<Clusters>, Error> {
        self.clusters.current().map(|files| files.clusters).ok_or(Error::NoClusters)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<S: NodeStore> JobDb for Service<S> {
    type WatchStream = BoxStream<'static, Result<proto::WatchResponse, Status>>;

    async fn start_job(&self, request: Request<proto::StartJobRequest>) -> Answer<proto::StartJobResponse> {
        self.start_job_impl(request).await
    }

    async fn stop_job(&self, request: Request<proto::StopJobRequest>) -> Answer<proto::StopJobResponse> {
        self.stop_job_impl(request).await
    }

    async fn import_job(
        &self,
        request: Request<proto::ImportJobRequest>,
    ) -> Answer<proto::ImportJobResponse> {
        self.import_job_impl(request).await
    }

    async fn report_nodes(
        &self,
        request: Request<proto::ReportNodesRequest>,
    ) -> Answer<proto::ReportNodesResponse> {
        self.report_nodes_impl(request).await
    }

    async fn hello(&self, request: Request<scheduler::HelloRequest>) -> Answer<scheduler::HelloResponse> {
        self.hello_impl(request).await
    }

    async fn ingest(&self, request: Request<proto::IngestRequest>) -> Answer<proto::IngestResponse> {
        self.ingest_impl(request).await
    }

    async fn list_jobs(&self, request: Request<proto::ListJobsRequest>) -> Answer<proto::ListJobsResponse> {
        self.list_jobs_impl(request).await
    }

    async fn count_jobs(
        &self,
        request: Request<proto::CountJobsRequest>,
    ) -> Answer<proto::CountJobsResponse> {
        self.count_jobs_impl(request).await
    }

    async fn get_job(&self, request: Request<proto::GetJobRequest>) -> Answer<proto::GetJobResponse> {
        self.get_job_impl(request).await
    }

    async fn list_tags(&self, request: Request<proto::ListTagsRequest>) -> Answer<proto::ListTagsResponse> {
        self.list_tags_impl(request).await
    }

    async fn change_tags(
        &self,
        request: Request<proto::ChangeTagsRequest>,
    ) -> Answer<proto::ChangeTagsResponse> {
        self.change_tags_impl(request).await
    }

    async fn create_tag(
        &self,
        request: Request<proto::CreateTagRequest>,
    ) -> Answer<proto::CreateTagResponse> {
        self.create_tag_impl(request).await
    }

    async fn delete_tags(
        &self,
        request: Request<proto::DeleteTagsRequest>,
    ) -> Answer<proto::DeleteTagsResponse> {
        self.delete_tags_impl(request).await
    }

    async fn edit_meta(&self, request: Request<proto::EditMetaRequest>) -> Answer<proto::EditMetaResponse> {
        self.edit_meta_impl(request).await
    }

    async fn delete_jobs(
        &self,
        request: Request<proto::DeleteJobsRequest>,
    ) -> Answer<proto::DeleteJobsResponse> {
        self.delete_jobs_impl(request).await
    }

    async fn list_partitions(
        &self,
        request: Request<proto::ListPartitionsRequest>,
    ) -> Answer<proto::ListPartitionsResponse> {
        let partitions = self.store.partitions(&request.into_inner().cluster).await.map_err(Error::from)?;
        Ok(Response::new(proto::ListPartitionsResponse { partitions }))
    }

    async fn list_nodes(
        &self,
        request: Request<proto::ListNodesRequest>,
    ) -> Answer<proto::ListNodesResponse> {
        self.list_nodes_impl(request).await
    }

    async fn get_node(&self, request: Request<proto::GetNodeRequest>) -> Answer<proto::GetNodeResponse> {
        self.get_node_impl(request).await
    }

    async fn count_node_states(
        &self,
        request: Request<proto::CountNodeStatesRequest>,
    ) -> Answer<proto::CountNodeStatesResponse> {
        self.count_node_states_impl(request).await
    }

    async fn time_node_states(
        &self,
        request: Request<proto::TimeNodeStatesRequest>,
    ) -> Answer<proto::TimeNodeStatesResponse> {
        self.time_node_states_impl(request).await
    }

    async fn allocated_nodes(
        &self,
        request: Request<proto::AllocatedNodesRequest>,
    ) -> Answer<proto::AllocatedNodesResponse> {
        self.allocated_nodes_impl(request).await
    }

    async fn used_nodes(
        &self,
        request: Request<proto::UsedNodesRequest>,
    ) -> Answer<proto::UsedNodesResponse> {
        self.used_nodes_impl(request).await
    }

    async fn concurrent_jobs(
        &self,
        request: Request<proto::ConcurrentJobsRequest>,
    ) -> Answer<proto::ConcurrentJobsResponse> {
        self.concurrent_jobs_impl(request).await
    }

    async fn list_taggers(
        &self,
        request: Request<proto::ListTaggersRequest>,
    ) -> Answer<proto::ListTaggersResponse> {
        self.list_taggers_impl(request).await
    }

    async fn run_tagger(
        &self,
        request: Request<proto::RunTaggerRequest>,
    ) -> Answer<proto::RunTaggerResponse> {
        self.run_tagger_impl(request)
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answer<Self::WatchStream> {
        self.watch_impl(request).await
    }
}
