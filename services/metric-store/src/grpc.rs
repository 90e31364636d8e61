//! The service of the contract `clustercockpit.metric_store.v1`: decode, call, encode.
//!
//! Samples belong to hardware, not to people: which jobs a caller may see is decided where jobs are (job-db), before a query comes here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cc_model::Resource;
use cc_proto::common::v1::{self as common, series_chunk::Part};
use cc_proto::convert;
use cc_proto::metric_store::v1::metric_store_server::MetricStore;
use cc_proto::metric_store::v1::{
    CheckHealthRequest, CheckHealthResponse, ConfigureRequest, ConfigureResponse, DebugRequest, FreeRequest,
    FreeResponse, NodeHealth, PinRunningRequest, PinRunningResponse, QueryJobRequest, RawQueryRequest,
    RawQueryResponse, Refused, WriteRequest, WriteResponse,
};
use cc_runtime::cpu;
use futures::Stream;
use futures::stream::{self, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use crate::error::Error;
use crate::ingest::Ingest;
use crate::ingest::report::Report;
use crate::job_query::{JobAnswer, JobPart, JobQuery, JobSeries, Missing};
use crate::raw_query::{RawQuery, pieces};
use crate::store::{Needed, Pin, Store};

/// Bytes of one message of a stream.
const MESSAGE_BYTES: usize = 256 << 10;

/// Points of one message.
const MESSAGE_POINTS: usize = MESSAGE_BYTES / 8;

/// Bytes of lines that are taken before other work gets its turn.
const LINES_AT_ONCE: usize = 64 << 10;

/// How long a query waits for history that is still loading, at most; its deadline may end it earlier.
pub(crate) const LOADING_WAIT: Duration = Duration::from_secs(10);

/// Points of a job's series below which it is not thinned, unless configured.
pub(crate) const MINIMUM_POINTS: usize = 1000;

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Grpc {
    store: Arc<Store>,
    minimum_points: usize,
}

type Answer<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

impl Grpc {
    /// Serves `store`; job series with fewer than `minimum_points` points are not thinned.
    pub(crate) fn new(store: Arc<Store>, minimum_points: usize) -> Self {
        Self { store, minimum_points }
    }

    async fn wait(&self, needed: Needed) -> Result<(), Status> {
        self.store.wait_configured(LOADING_WAIT).await;
        Ok(self.store.wait_loaded(needed, LOADING_WAIT).await?)
    }
}

#[tonic::async_trait]
impl MetricStore for Grpc {
    type QueryJobStream = Answer<common::SeriesChunk>;
    type RawQueryStream = Answer<RawQueryResponse>;
    type DebugStream = Answer<RawQueryResponse>;

    async fn configure(
        &self,
        request: Request<ConfigureRequest>,
    ) -> Result<Response<ConfigureResponse>, Status> {
        let (store, clusters) = (Arc::clone(&self.store), request.into_inner().clusters);
        let configure =
            move || store.configure(clusters.iter().map(|file| (file.name.as_str(), file.json.as_ref())));
        let problems = cpu::run(configure).await??;
        for problem in &problems {
            tracing::warn!("{problem}");
        }
        Ok(Response::new(ConfigureResponse { problems, instance: self.store.instance() }))
    }

    async fn pin_running(
        &self,
        request: Request<PinRunningRequest>,
    ) -> Result<Response<PinRunningResponse>, Status> {
        let (store, pins) = (Arc::clone(&self.store), request.into_inner().pins);
        let pins =
            pins.into_iter().map(|pin| Pin { cluster: pin.cluster, host: pin.hostname, from: pin.from });
        let pins: Vec<Pin> = pins.collect();
        cpu::run(move || store.pin(&pins)).await??;
        let (instance, configured) = (self.store.instance(), self.store.is_configured());
        Ok(Response::new(PinRunningResponse { instance, configured }))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let mut messages = request.into_inner();
        let Some(first) = messages.message().await? else {
            return Err(Error::Invalid(
                "the first message names the default cluster; there was none".to_owned(),
            )
            .into());
        };
        self.store.wait_configured(LOADING_WAIT).await;
        let mut ingest = Ingest::new(&self.store, &first.default_cluster)?;
        let mut lines = first.lines;
        loop {
            take(&mut ingest, &lines).await?;
            // A sender that breaks off drops `ingest`, which keeps its whole lines.
            match messages.message().await? {
                Some(message) => lines = message.lines,
                None => return Ok(Response::new(written(&ingest.finish()?))),
            }
        }
    }

    async fn query_job(
        &self,
        request: Request<QueryJobRequest>,
    ) -> Result<Response<Self::QueryJobStream>, Status> {
        let query = job_query(request.into_inner(), self.minimum_points)?;
        self.wait(query.needed()).await?;
        let answer = query.prepare(&self.store)?;
        Ok(Response::new(Box::pin(series(Arc::clone(&self.store), answer))))
    }

    async fn raw_query(
        &self,
        request: Request<RawQueryRequest>,
    ) -> Result<Response<Self::RawQueryStream>, Status> {
        let query = RawQuery::parse(&request.into_inner().json)?;
        self.wait(query.needed()).await?;
        let answer = query.answer_on_all(Arc::clone(&self.store)).await?;
        Ok(Response::new(json_pieces(answer)))
    }

    async fn debug(&self, request: Request<DebugRequest>) -> Result<Response<Self::DebugStream>, Status> {
        self.wait(Needed::ALL).await?;
        let (store, selector) = (Arc::clone(&self.store), request.into_inner().selector);
        let answer = cpu::run(move || store.debug(&selector)).await??;
        Ok(Response::new(json_pieces(answer)))
    }

    async fn free(&self, request: Request<FreeRequest>) -> Result<Response<FreeResponse>, Status> {
        self.wait(Needed::ALL).await?;
        let FreeRequest { selectors, to } = request.into_inner();
        let selectors: Vec<Vec<String>> = selectors.into_iter().map(|selector| selector.names).collect();
        let store = Arc::clone(&self.store);
        let buffers = cpu::run(move || store.free(&selectors, to)).await??;
        Ok(Response::new(FreeResponse { buffers }))
    }

    async fn check_health(
        &self,
        request: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        let CheckHealthRequest { cluster, hostnames } = request.into_inner();
        let mut needed = Needed::default();
        for host in &hostnames {
            needed.add(&cluster, host);
        }
        self.wait(needed).await?;
        let store = Arc::clone(&self.store);
        let nodes = cpu::run(move || store.health_of_cluster(&cluster, &hostnames)).await?;
        let nodes = nodes.into_iter().map(|node| NodeHealth {
            hostname: node.host,
            state: node.state.as_str().to_owned(),
            missing: node.missing,
            degraded: node.degraded,
        });
        Ok(Response::new(CheckHealthResponse { nodes: nodes.collect() }))
    }
}

/// Takes lines piece by piece, so that a large message does not hold up its thread.
pub(crate) async fn take(ingest: &mut Ingest, lines: &[u8]) -> Result<(), Error> {
    let mut pieces = lines.chunks(LINES_AT_ONCE);
    if let Some(first) = pieces.next() {
        ingest.push(first)?;
    }
    for piece in pieces {
        tokio::task::yield_now().await;
        ingest.push(piece)?;
    }
    Ok(())
}

fn written(report: &Report) -> WriteResponse {
    let refused = report.all_refused().map(|(reason, refused)| Refused {
        reason: reason.as_str().to_owned(),
        lines: refused.lines,
        example: refused.example.clone(),
    });
    WriteResponse {
        samples: report.samples,
        refused: refused.collect(),
        first_error: report.first_error.clone().unwrap_or_default(),
    }
}

pub(crate) fn job_query(request: QueryJobRequest, minimum_points: usize) -> Result<JobQuery, Error> {
    let scope = |scope: common::MetricScope| {
        convert::scope_from_proto(scope).ok_or_else(|| Error::Invalid("scopes: unspecified scope".to_owned()))
    };
    let scopes = request.scopes().map(scope).collect::<Result<_, _>>()?;
    let resource = |resource: common::Resource| Resource {
        hostname: resource.hostname,
        hwthreads: resource.hwthreads,
        accelerators: resource.accelerators,
        configuration: resource.configuration,
    };
    Ok(JobQuery {
        cluster: request.cluster,
        sub_cluster: request.sub_cluster,
        resources: request.resources.into_iter().map(resource).collect(),
        metrics: request.metrics,
        scopes,
        from: request.from,
        to: request.to,
        resolution: request.resolution_s.into(),
        minimum_points,
        with_data: request.with_data,
        from_first_sample: request.from_first_sample,
    })
}

/// Steps of one answer that are worked on at a time, at most: the processors are there for others, too.
const STEPS_AT_ONCE: usize = 4;

/// Answers step by step, some at a time, as fast as the messages are taken; dropped, it stops. A busy store refuses the first
/// step; an answer that has begun is slow then, but whole.
fn series(store: Arc<Store>, answer: JobAnswer) -> impl Stream<Item = Result<common::SeriesChunk, Status>> {
    let steps = answer.steps();
    let answer = Arc::new(answer);
    let step = move |number| {
        let (store, answer) = (Arc::clone(&store), Arc::clone(&answer));
        async move {
            let step = move || answer.step(number, &store);
            if number == 0 { cpu::run(step).await } else { cpu::wait(step).await }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut next = 0;
    stream::iter((0..steps).map(step)).buffered(threads.min(STEPS_AT_ONCE)).flat_map(move |parts| match parts
    {
        Ok(parts) => stream::iter(messages(parts, &mut next)).map(Ok).left_stream(),
        Err(failure) => stream::iter([Err(Status::from(failure))]).right_stream(),
    })
}

/// The messages of some parts; series are numbered from `next` on.
pub(crate) fn messages(parts: Vec<JobPart>, next: &mut u32) -> VecDeque<common::SeriesChunk> {
    let mut out = VecDeque::new();
    for part in parts {
        match part {
            JobPart::Missing(missing) => out.push_back(chunk(Part::Missing(missing_message(missing)))),
            JobPart::Series(series) => {
                let number = *next;
                *next += 1;
                let values = header_message(number, series, &mut out);
                for (index, points) in values.chunks(MESSAGE_POINTS).enumerate() {
                    let values_f64le: Vec<u8> = points.iter().flat_map(|value| value.to_le_bytes()).collect();
                    let first_point = u32::try_from(index * MESSAGE_POINTS).unwrap_or(u32::MAX);
                    let data =
                        common::SeriesData { series: number, first_point, values_f64le: values_f64le.into() };
                    out.push_back(chunk(Part::Data(data)));
                }
            }
        }
    }
    out
}

fn chunk(part: Part) -> common::SeriesChunk {
    common::SeriesChunk { part: Some(part) }
}

/// Appends the header of a series and returns its values.
fn header_message(number: u32, series: JobSeries, out: &mut VecDeque<common::SeriesChunk>) -> Vec<f64> {
    let seconds = |seconds: i64| u32::try_from(seconds).unwrap_or(u32::MAX);
    let (avg, min, max) = series.statistics;
    let header = common::SeriesHeader {
        series: number,
        metric: series.metric,
        scope: convert::scope_to_proto(series.scope).into(),
        hostname: series.host,
        id: series.id,
        first_time: series.from,
        timestep_s: seconds(series.timestep),
        points: u32::try_from(series.points).unwrap_or(u32::MAX),
        unit_base: series.unit.base,
        unit_prefix: series.unit.prefix,
        statistics: Some(common::Statistics { avg, min, max }),
        native_timestep_s: seconds(series.native_timestep),
    };
    out.push_back(chunk(Part::Header(header)));
    series.values
}

fn missing_message(missing: Missing) -> common::MissingMetric {
    let scope = missing.scope.map_or(common::MetricScope::Unspecified, convert::scope_to_proto);
    common::MissingMetric {
        metric: missing.metric,
        scope: scope.into(),
        hostname: missing.host,
        reason: missing.reason.as_str().to_owned(),
        detail: missing.detail,
    }
}

pub(crate) fn json_pieces(answer: Vec<u8>) -> Answer<RawQueryResponse> {
    let message = |json: Bytes| Ok(RawQueryResponse { json });
    Box::pin(stream::iter(pieces(answer, MESSAGE_BYTES)).map(message))
}
