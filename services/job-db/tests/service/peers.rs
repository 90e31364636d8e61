//! The archive and the metric store as far as this service calls them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cc_proto::archive::v1 as archive;
use cc_proto::archive::v1::archive_server::Archive;
use cc_proto::common::v1 as common;
use cc_proto::metric_store::v1 as store;
use cc_proto::metric_store::v1::metric_store_server::MetricStore;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;
type Chunks<T> = BoxStream<'static, Result<T, Status>>;

/// What the neighbours know and were told.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    /// Cluster files by name.
    pub(crate) files: Arc<watch::Sender<BTreeMap<String, Bytes>>>,
    pub(crate) state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Answered before anything else.
    pub(crate) archive_failures: Vec<Status>,
    pub(crate) archived: Vec<common::Job>,
    pub(crate) updated: Vec<archive::UpdateMetaRequest>,
    pub(crate) configured: Vec<Vec<String>>,
    pub(crate) pins: Vec<(String, i64)>,
    /// Start of the store.
    pub(crate) instance: u64,
    pub(crate) health: BTreeMap<String, &'static str>,
}

impl Peers {
    pub(crate) fn new(files: BTreeMap<String, Bytes>) -> Self {
        let state = State { instance: 1, ..State::default() };
        Self { files: Arc::new(watch::Sender::new(files)), state: Arc::new(Mutex::new(state)) }
    }

    /// What was told so far.
    pub(crate) fn told<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }
}

fn report(files: &BTreeMap<String, Bytes>) -> archive::ListClustersResponse {
    let file =
        |(name, json): (&String, &Bytes)| archive::ClusterFile { name: name.clone(), json: json.clone() };
    archive::ListClustersResponse { version: 1, clusters: files.iter().map(file).collect() }
}

fn not_played<T>() -> Answer<T> {
    Err(Status::unimplemented("this neighbour does not play that"))
}

#[tonic::async_trait]
impl Archive for Peers {
    type WatchClustersStream = Chunks<archive::ListClustersResponse>;
    type ReadSeriesStream = Chunks<common::SeriesChunk>;

    async fn list_clusters(
        &self,
        _: Request<archive::ListClustersRequest>,
    ) -> Answer<archive::ListClustersResponse> {
        Ok(Response::new(report(&self.files.borrow())))
    }

    async fn watch_clusters(
        &self,
        _: Request<archive::WatchClustersRequest>,
    ) -> Answer<Self::WatchClustersStream> {
        let news = self.files.subscribe();
        let reports = stream::unfold((news, true), |(mut news, first)| async move {
            if !first {
                news.changed().await.ok()?;
            }
            let report = report(&news.borrow_and_update());
            Some((Ok(report), (news, false)))
        });
        Ok(Response::new(reports.boxed()))
    }

    async fn archive_job(
        &self,
        request: Request<archive::ArchiveJobRequest>,
    ) -> Answer<archive::ArchiveJobResponse> {
        let job = request.into_inner().job.unwrap();
        let failure =
            self.told(|state| (!state.archive_failures.is_empty()).then(|| state.archive_failures.remove(0)));
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.told(|state| state.archived.push(job));
        let statistics = common::MetricStatistics {
            metric: "cpu_load".to_owned(),
            avg: 59.9,
            min: 54.0,
            max: 66.0,
            ..Default::default()
        };
        let missing = common::MissingMetric { metric: "mem_used".to_owned(), ..Default::default() };
        Ok(Response::new(archive::ArchiveJobResponse {
            statistics: vec![statistics],
            missing: vec![missing],
            data_bytes: 1,
        }))
    }

    async fn import_job(&self, _: Request<archive::ImportJobRequest>) -> Answer<archive::ImportJobResponse> {
        not_played()
    }

    async fn update_meta(
        &self,
        request: Request<archive::UpdateMetaRequest>,
    ) -> Answer<archive::UpdateMetaResponse> {
        let failure =
            self.told(|state| (!state.archive_failures.is_empty()).then(|| state.archive_failures.remove(0)));
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.told(|state| state.updated.push(request.into_inner()));
        Ok(Response::new(archive::UpdateMetaResponse {}))
    }

    async fn read_meta(&self, _: Request<archive::ReadMetaRequest>) -> Answer<archive::ReadMetaResponse> {
        not_played()
    }

    async fn read_statistics(
        &self,
        _: Request<archive::ReadStatisticsRequest>,
    ) -> Answer<archive::ReadStatisticsResponse> {
        not_played()
    }

    async fn read_series(&self, _: Request<archive::ReadSeriesRequest>) -> Answer<Self::ReadSeriesStream> {
        not_played()
    }
}

#[tonic::async_trait]
impl MetricStore for Peers {
    type QueryJobStream = Chunks<common::SeriesChunk>;
    type RawQueryStream = Chunks<store::RawQueryResponse>;
    type DebugStream = Chunks<store::RawQueryResponse>;

    async fn configure(&self, request: Request<store::ConfigureRequest>) -> Answer<store::ConfigureResponse> {
        let names = request.into_inner().clusters.into_iter().map(|file| file.name).collect();
        let instance = self.told(|state| {
            state.configured.push(names);
            state.instance
        });
        Ok(Response::new(store::ConfigureResponse { problems: Vec::new(), instance }))
    }

    async fn pin_running(
        &self,
        request: Request<store::PinRunningRequest>,
    ) -> Answer<store::PinRunningResponse> {
        let pins = request.into_inner().pins.into_iter().map(|pin| (pin.hostname, pin.from)).collect();
        let instance = self.told(|state| {
            state.pins = pins;
            state.instance
        });
        Ok(Response::new(store::PinRunningResponse { instance, configured: true }))
    }

    async fn check_health(
        &self,
        request: Request<store::CheckHealthRequest>,
    ) -> Answer<store::CheckHealthResponse> {
        let request = request.into_inner();
        let nodes = self.told(|state| {
            let known = |host: &String| {
                let word = state.health.get(host)?;
                Some(store::NodeHealth {
                    hostname: host.clone(),
                    state: (*word).to_owned(),
                    missing: vec!["mem_bw".to_owned()],
                    degraded: Vec::new(),
                })
            };
            request.hostnames.iter().filter_map(known).collect()
        });
        Ok(Response::new(store::CheckHealthResponse { nodes }))
    }

    async fn write(&self, _: Request<Streaming<store::WriteRequest>>) -> Answer<store::WriteResponse> {
        not_played()
    }

    async fn query_job(&self, _: Request<store::QueryJobRequest>) -> Answer<Self::QueryJobStream> {
        not_played()
    }

    async fn raw_query(&self, _: Request<store::RawQueryRequest>) -> Answer<Self::RawQueryStream> {
        not_played()
    }

    async fn free(&self, _: Request<store::FreeRequest>) -> Answer<store::FreeResponse> {
        not_played()
    }

    async fn debug(&self, _: Request<store::DebugRequest>) -> Answer<Self::DebugStream> {
        not_played()
    }
}
