//! Two clusters, and statistics of every job that is asked for except number 13.

use cc_proto::archive::v1::archive_server::Archive;
use cc_proto::archive::v1::{
    ArchiveJobRequest, ArchiveJobResponse, ClusterFile, ImportJobRequest, ImportJobResponse, JobStatistics,
    ListClustersRequest, ListClustersResponse, ReadMetaRequest, ReadMetaResponse, ReadSeriesRequest,
    ReadStatisticsRequest, ReadStatisticsResponse, UpdateMetaRequest, UpdateMetaResponse,
    WatchClustersRequest,
};
use cc_proto::common::v1::{MetricStatistics, SeriesChunk};
use futures::StreamExt as _;
use tonic::{Request, Response, Status};

use super::Answers;

pub(crate) struct FakeArchive;

fn clusters() -> ListClustersResponse {
    let file = |name: &str| {
        ClusterFile {
        name: name.to_owned(),
        json: format!(
            r#"{{"name":"{name}","metricConfig":[{{"name":"cpu_load","unit":{{"base":""}},"scope":"node",
            "aggregation":"avg","timestep":60,"peak":72,"normal":72,"caution":36,"alert":20}}],
            "subClusters":[{{"name":"main","nodes":"f[0101-0188]","processorType":"Intel","socketsPerNode":1,
            "coresPerSocket":2,"threadsPerCore":1,"flopRateScalar":{{"unit":{{"base":"F/s"}},"value":1}},
            "flopRateSimd":{{"unit":{{"base":"F/s"}},"value":1}},"memoryBandwidth":{{"unit":{{"base":"B/s"}},"value":1}},
            "topology":{{"node":[0,1],"socket":[[0,1]],"memoryDomain":[[0,1]],"core":[[0],[1]]}}}}]}}"#
        )
        .into(),
    }
    };
    ListClustersResponse { version: 1, clusters: vec![file("fritz"), file("alex")] }
}

#[tonic::async_trait]
impl Archive for FakeArchive {
    async fn list_clusters(
        &self,
        _request: Request<ListClustersRequest>,
    ) -> Result<Response<ListClustersResponse>, Status> {
        Ok(Response::new(clusters()))
    }

    type WatchClustersStream = Answers<ListClustersResponse>;

    async fn watch_clusters(
        &self,
        _request: Request<WatchClustersRequest>,
    ) -> Result<Response<Self::WatchClustersStream>, Status> {
        let first = futures::stream::iter([Ok(clusters())]);
        Ok(Response::new(Box::pin(first.chain(futures::stream::pending()))))
    }

    async fn archive_job(
        &self,
        _request: Request<ArchiveJobRequest>,
    ) -> Result<Response<ArchiveJobResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn import_job(
        &self,
        _request: Request<ImportJobRequest>,
    ) -> Result<Response<ImportJobResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn update_meta(
        &self,
        _request: Request<UpdateMetaRequest>,
    ) -> Result<Response<UpdateMetaResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn read_meta(
        &self,
        _request: Request<ReadMetaRequest>,
    ) -> Result<Response<ReadMetaResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn read_statistics(
        &self,
        request: Request<ReadStatisticsRequest>,
    ) -> Result<Response<ReadStatisticsResponse>, Status> {
        let keys = request.into_inner().keys;
        assert!(keys.len() <= 1000, "the contract allows no more");
        let statistics = |avg: f64| MetricStatistics {
            metric: "cpu_load".to_owned(),
            avg,
            min: 0.0,
            max: 72.0,
            ..MetricStatistics::default()
        };
        let found = keys
            .into_iter()
            .filter(|key| key.job_id != 13)
            .map(|key| JobStatistics { statistics: vec![statistics(1.5)], key: Some(key) });
        Ok(Response::new(ReadStatisticsResponse { jobs: found.collect() }))
    }

    type ReadSeriesStream = Answers<SeriesChunk>;

    async fn read_series(
        &self,
        _request: Request<ReadSeriesRequest>,
    ) -> Result<Response<Self::ReadSeriesStream>, Status> {
        Err(Status::unimplemented("not played"))
    }
}
