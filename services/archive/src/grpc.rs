//! Decode, call, encode; no logic.

use std::pin::Pin;

use cc_model::{JobKey, Tag};
use cc_proto::archive::v1 as proto;
use cc_proto::archive::v1::archive_server::Archive;
use cc_proto::common::v1::SeriesChunk;
use cc_proto::convert::{
    job_from_proto, job_to_proto, key_from_proto, key_to_proto, scope_from_proto, tag_from_proto,
};
use cc_proto::metric_store::v1::metric_store_client::MetricStoreClient;
use cc_runtime::clock::Clock;
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::Transport;
use cc_runtime::{cpu, rpc};
use futures::{Stream, StreamExt as _, stream};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use crate::archiving::{Archived, archive};
use crate::clusters::ClusterFiles;
use crate::error::Error;
use crate::importing::prepare;
use crate::layout::Layout;
use crate::metrics;
use crate::reading::{self, Wanted};

/// Keys of one request for statistics.
const KEYS_MAX: usize = 1000;

/// The service behind the contract.
pub(crate) struct Grpc {
    pub(crate) layout: Layout,
    pub(crate) clusters: ClusterFiles,
    pub(crate) metric_store: MetricStoreClient<Transport>,
    pub(crate) tasks: Tasks,
    pub(crate) clock: Clock,
    pub(crate) minimum_points: usize,
}

fn key(key: Option<cc_proto::common::v1::JobKey>) -> Result<JobKey, Error> {
    key.map(key_from_proto).ok_or(Error::Missing("key"))
}

impl Grpc {
    /// Runs what reads files away from the async threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Status> {
        let layout = self.layout.clone();
        let result = cpu::run(move || work(&layout)).await.map_err(Status::from)?;
        if matches!(
            result,
            Err(Error::BrokenMeta { .. } | Error::BrokenData { .. } | Error::ReadEntry { .. })
        ) {
            metrics::broken();
        }
        result.map_err(Status::from)
    }
}

#[tonic::async_trait]
impl Archive for Grpc {
    async fn list_clusters(
        &self,
        _: Request<proto::ListClustersRequest>,
    ) -> Result<Response<proto::ListClustersResponse>, Status> {
        Ok(Response::new(self.clusters.snapshot().to_proto()))
    }

    type WatchClustersStream =
        Pin<Box<dyn Stream<Item = Result<proto::ListClustersResponse, Status>> + Send>>;

    async fn watch_clusters(
        &self,
        _: Request<proto::WatchClustersRequest>,
    ) -> Result<Response<Self::WatchClustersStream>, Status> {
        let changes = WatchStream::new(self.clusters.watch()).map(|snapshot| Ok(snapshot.to_proto()));
        // Readers live as long as the process lets them: an open stream must not hold up its end.
        let stop = self.tasks.token();
        Ok(Response::new(Box::pin(changes.take_until(async move { stop.cancelled().await }))))
    }

    async fn archive_job(
        &self,
        request: Request<proto::ArchiveJobRequest>,
    ) -> Result<Response<proto::ArchiveJobResponse>, Status> {
        let job = request.into_inner().job.ok_or(Error::Missing("job"))?;
        let job = job_from_proto(job).map_err(Error::from)?;
        let (layout, clusters) = (self.layout.clone(), self.clusters.snapshot());
        let (store, clock) = (self.metric_store.clone(), self.clock.clone());
        // Not cut in the middle when the caller goes away; an entry is whole in any case, this saves the work.
        let work = async move {
            let began = clock.now();
            let result = archive(&layout, &clusters, store, job).await;
            let seconds = clock.now().duration_since(began).as_secs_f64();
            metrics::archived(result.as_ref().ok().map(|archived| archived.data_bytes), seconds);
            result.map_err(Status::from)
        };
        let Archived { job, missing, data_bytes } = rpc::detached(&self.tasks, "archive.job", work).await?;
        tracing::info!(job.id = %job.key(), archive.bytes = data_bytes, "archived job {}", job.key());
        let statistics = job_to_proto(&job).statistics;
        Ok(Response::new(proto::ArchiveJobResponse { statistics, missing, data_bytes }))
    }

    async fn import_job(
        &self,
        request: Request<proto::ImportJobRequest>,
    ) -> Result<Response<proto::ImportJobResponse>, Status> {
        let request = request.into_inner();
        let clusters = self.clusters.snapshot();
        let prepared = self.read(move |layout| {
            let prepared = prepare(&clusters, &request.meta_json, &request.data_json)?;
            prepared.store(layout)?;
            Ok(prepared)
        });
        Ok(Response::new(proto::ImportJobResponse { job: Some(job_to_proto(&prepared.await?.job)) }))
    }

    async fn update_meta(
        &self,
        request: Request<proto::UpdateMetaRequest>,
    ) -> Result<Response<proto::UpdateMetaResponse>, Status> {
        let request = request.into_inner();
        let key = key(request.key)?;
        let metadata = request.metadata.into_iter().map(|pair| (pair.key, pair.value));
        let metadata = request.has_metadata.then(|| metadata.collect());
        // Ids belong to a database, entries do not.
        let tags = request.tags.into_iter().map(|tag| Tag { id: 0, ..tag_from_proto(tag) }).collect();
        let change = self
            .read(move |layout| layout.change_meta(&key, |job| (job.meta_data, job.tags) = (metadata, tags)));
        change.await?;
        Ok(Response::new(proto::UpdateMetaResponse {}))
    }

    async fn read_meta(
        &self,
        request: Request<proto::ReadMetaRequest>,
    ) -> Result<Response<proto::ReadMetaResponse>, Status> {
        let key = key(request.into_inner().key)?;
        let job = self.read(move |layout| layout.meta(&key)).await?;
        Ok(Response::new(proto::ReadMetaResponse { job: Some(job_to_proto(&job)) }))
    }

    async fn read_statistics(
        &self,
        request: Request<proto::ReadStatisticsRequest>,
    ) -> Result<Response<proto::ReadStatisticsResponse>, Status> {
        let keys = request.into_inner().keys;
        if keys.len() > KEYS_MAX {
            return Err(Error::TooMany { field: "keys", most: KEYS_MAX }.into());
        }
        let jobs = self.read(move |layout| {
            let jobs = keys.into_iter().map(key_from_proto).filter_map(|key| match layout.meta(&key) {
                Ok(job) => Some(Ok(proto::JobStatistics {
                    key: Some(key_to_proto(&key)),
                    statistics: job_to_proto(&job).statistics,
                })),
                Err(Error::NoEntry(_)) => None,
                // the disk or its server is away: that says nothing about the entry
                Err(error @ Error::ReadEntry { .. }) if !error.is_damage() => Some(Err(error)),
                Err(error) => {
                    // One damaged entry does not take the list.
                    metrics::broken();
                    tracing::error!(error = %cc_runtime::error::chain(&error), "statistics of job {key} cannot be read");
                    None
                }
            });
            jobs.collect()
        });
        Ok(Response::new(proto::ReadStatisticsResponse { jobs: jobs.await? }))
    }

    type ReadSeriesStream = Pin<Box<dyn Stream<Item = Result<SeriesChunk, Status>> + Send>>;

    async fn read_series(
        &self,
        request: Request<proto::ReadSeriesRequest>,
    ) -> Result<Response<Self::ReadSeriesStream>, Status> {
        let request = request.into_inner();
        let scopes = request.scopes().filter_map(scope_from_proto).collect();
        let key = key(request.key)?;
        let wanted = Wanted {
            metrics: request.metrics,
            scopes,
            resolution: request.resolution_s,
            minimum_points: self.minimum_points,
            with_data: request.with_data,
        };
        let chunks = self.read(move |layout| reading::read(layout, &key, &wanted)).await?;
        Ok(Response::new(Box::pin(stream::iter(chunks.into_iter().map(Ok)))))
    }
}
