//! Keeps what is written; a line with the word `bad` in it is refused.

use cc_proto::common::v1::series_chunk::Part;
use cc_proto::common::v1::{MetricScope, SeriesChunk, SeriesData, SeriesHeader, Statistics};
use cc_proto::metric_store::v1::metric_store_server::MetricStore;
use cc_proto::metric_store::v1::{
    CheckHealthRequest, CheckHealthResponse, ConfigureRequest, ConfigureResponse, DebugRequest, FreeRequest,
    FreeResponse, PinRunningRequest, PinRunningResponse, QueryJobRequest, RawQueryRequest, RawQueryResponse,
    Refused, WriteRequest, WriteResponse,
};
use cc_runtime::error::{Failure, Kind};
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, Shared};

#[derive(Debug, Default)]
pub(crate) struct StoreState {
    /// What came, and the default cluster of each upload.
    pub(crate) lines: Vec<u8>,
    pub(crate) clusters: Vec<String>,
    /// Uploads that were seen to their end.
    pub(crate) ended: usize,
    /// Nothing is taken or told.
    pub(crate) full: bool,
    /// Queries for series.
    pub(crate) queries: Vec<QueryJobRequest>,
}

pub(crate) struct FakeStore {
    pub(crate) state: Shared<StoreState>,
}

fn pieces(texts: &[&str]) -> Answers<RawQueryResponse> {
    let pieces: Vec<_> =
        texts.iter().map(|text| Ok(RawQueryResponse { json: (*text).to_owned().into() })).collect();
    Box::pin(futures::stream::iter(pieces))
}

#[tonic::async_trait]
impl MetricStore for FakeStore {
    async fn configure(
        &self,
        _request: Request<ConfigureRequest>,
    ) -> Result<Response<ConfigureResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn pin_running(
        &self,
        _request: Request<PinRunningRequest>,
    ) -> Result<Response<PinRunningResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        if self.state.get().full {
            return Err(Failure::new(Kind::Unavailable, "LOG_FULL", "no space on /var/log").into());
        }
        let mut messages = request.into_inner();
        let mut first = true;
        while let Some(message) = messages.message().await? {
            let mut state = self.state.get();
            if std::mem::take(&mut first) {
                state.clusters.push(message.default_cluster);
            }
            state.lines.extend_from_slice(&message.lines);
        }
        let mut state = self.state.get();
        state.ended += 1;
        let text = String::from_utf8_lossy(&state.lines).into_owned();
        let bad = text.lines().filter(|line| line.contains("bad")).count() as u64;
        let refused = Refused { reason: "SYNTAX".to_owned(), lines: bad, example: String::new() };
        let first_error = if bad > 0 { "at line 1:1: bad".to_owned() } else { String::new() };
        let answer =
            WriteResponse { samples: text.lines().count() as u64 - bad, refused: vec![refused], first_error };
        Ok(Response::new(answer))
    }

    type QueryJobStream = Answers<SeriesChunk>;

    async fn query_job(
        &self,
        request: Request<QueryJobRequest>,
    ) -> Result<Response<Self::QueryJobStream>, Status> {
        let request = request.into_inner();
        self.state.get().queries.push(request.clone());
        if self.state.get().full {
            return Err(Failure::new(Kind::Unavailable, "LOADING", "the history of f0101 loads").into());
        }
        let header = SeriesHeader {
            metric: "cpu_load".to_owned(),
            scope: MetricScope::Node.into(),
            hostname: "f0101".to_owned(),
            timestep_s: 60,
            points: 2,
            statistics: Some(Statistics { avg: 1.5, min: 1.0, max: 2.0 }),
            ..SeriesHeader::default()
        };
        let values = [1.0_f64, f64::NAN].iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let data = SeriesData { values_f64le: values.into(), ..SeriesData::default() };
        let parts = [Part::Header(header), Part::Data(data)];
        let chunks = parts.map(|part| Ok(SeriesChunk { part: Some(part) }));
        let wanted = request.metrics.is_empty() || request.metrics.iter().any(|name| name == "cpu_load");
        let chunks = if wanted { chunks.to_vec() } else { Vec::new() };
        Ok(Response::new(Box::pin(futures::stream::iter(chunks))))
    }

    type RawQueryStream = Answers<RawQueryResponse>;

    async fn raw_query(
        &self,
        request: Request<RawQueryRequest>,
    ) -> Result<Response<Self::RawQueryStream>, Status> {
        match request.into_inner().json.as_ref() {
            b"" => Err(Failure::new(Kind::Invalid, "JSON", "EOF").into()),
            b"{\"broken\":1}" => {
                let cut = Status::from(Failure::new(Kind::Unavailable, "LOADING", "x"));
                let piece = RawQueryResponse { json: "{\"results\":[".into() };
                Ok(Response::new(Box::pin(futures::stream::iter([Ok(piece), Err(cut)]))))
            }
            _ => Ok(Response::new(pieces(&["{\"results\":", "[]}\n"]))),
        }
    }

    type DebugStream = Answers<RawQueryResponse>;

    async fn debug(&self, request: Request<DebugRequest>) -> Result<Response<Self::DebugStream>, Status> {
        let selector = request.into_inner().selector;
        if selector.iter().any(|name| name == "nothing") {
            let text = "[METRICSTORE]> not found: []string{\"nothing\"}";
            return Err(Failure::new(Kind::NotFound, "SELECTOR_NOT_FOUND", text).into());
        }
        Ok(Response::new(pieces(&[&serde_json::to_string(&selector).unwrap()])))
    }

    async fn free(&self, request: Request<FreeRequest>) -> Result<Response<FreeResponse>, Status> {
        let FreeRequest { selectors, to } = request.into_inner();
        let names = selectors.iter().map(|selector| selector.names.len() as u64).sum::<u64>();
        Ok(Response::new(FreeResponse { buffers: names * 1000 + to.unsigned_abs() }))
    }

    async fn check_health(
        &self,
        _request: Request<CheckHealthRequest>,
    ) -> Result<Response<CheckHealthResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
}
