//! A request for every method, as bytes: what it is about is known to this file only, how it is sent is the same for all.

use cc_proto::{
    archive::v1 as archive, auth::v1 as auth, common::v1 as common, job_db::v1 as job_db,
    metric_store::v1 as metric_store, scheduler::v1 as scheduler,
};
use http::uri::PathAndQuery;
use prost::{
    Message,
    bytes::{Buf, BufMut, Bytes},
};
use tokio_stream::Once;
use tonic::{
    Code, Request, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_types::StatusExt as _;

/// A request and how the service may answer it when nothing stands in the way.
#[derive(Debug)]
pub(crate) struct Call {
    message: Bytes,
    expected: Vec<Code>,
}

impl Call {
    /// Whether a service answers so when nothing stands in the way. A method that is not known here may find its empty message wrong in
    /// whatever way, but it is there and does not break.
    pub(crate) fn fits(&self, code: Code) -> bool {
        const BROKEN: [Code; 5] =
            [Code::Unimplemented, Code::Internal, Code::Unknown, Code::Unavailable, Code::DeadlineExceeded];
        if self.expected.is_empty() { !BROKEN.contains(&code) } else { self.expected.contains(&code) }
    }

    /// The only message of a stream, which is what every kind of method is on the wire.
    pub(crate) fn request(&self) -> Request<Once<Bytes>> {
        Request::new(tokio_stream::once(self.message.clone()))
    }
}

/// Sends it; the code and the reason of what comes first: an item, the end, or an error.
pub(crate) async fn send<T>(path: &'static str, way: T, request: Request<Once<Bytes>>) -> (Code, String)
where
    T: GrpcService<Body>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut grpc = Grpc::new(way);
    if grpc.ready().await.is_err() {
        return (Code::Unavailable, "NO_WAY".to_owned());
    }
    let answer = grpc.streaming(request, PathAndQuery::from_static(path), Raw).await;
    let first = match answer {
        Ok(answer) => answer.into_inner().message().await.map(drop),
        Err(status) => Err(status),
    };
    match first {
        Ok(()) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status)),
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

fn good(message: &impl Message) -> Call {
    answered(message, &[Code::Ok])
}

fn answered(message: &impl Message, expected: &[Code]) -> Call {
    Call { message: message.encode_to_vec().into(), expected: expected.to_vec() }
}

fn hello(adapter: &str) -> scheduler::HelloRequest {
    scheduler::HelloRequest {
        adapter_id: adapter.to_owned(),
        clusters: vec!["p".to_owned()],
        revision_min: 1,
        revision_max: 1,
        ..Default::default()
    }
}

/// The request for a method: `operator` is a token of the user of that name, `cluster` the file of cluster `p`. A method that is not
/// known here is called with an empty message, which may be refused for what it lacks.
pub(crate) fn of(path: &str, operator: &str, cluster: &str) -> Call {
    let nobody = common::JobKey { cluster: "p".to_owned(), job_id: 1, start_time: 1 };
    let host = || common::Resource { hostname: "p1".to_owned(), ..Default::default() };
    let method = path.trim_start_matches("/clustercockpit.");
    match method {
        "auth.v1.Auth/Login" => good(&auth::LoginRequest {
            username: "operator".to_owned(),
            password: "operator".to_owned(),
            client_address: "127.0.0.1".to_owned(),
        }),
        "auth.v1.Auth/Logout" => good(&auth::LogoutRequest { session: "unknown".to_owned() }),
        "auth.v1.Auth/Authenticate" => {
            let credential = auth::authenticate_request::Credential::Bearer(operator.to_owned());
            good(&auth::AuthenticateRequest { credential: Some(credential) })
        }
        "auth.v1.Auth/GetUser" => good(&auth::GetUserRequest { username: "operator".to_owned() }),
        "auth.v1.Auth/LookupUsers" => {
            good(&auth::LookupUsersRequest { usernames: vec!["operator".to_owned()] })
        }
        "archive.v1.Archive/ReadMeta" => {
            answered(&archive::ReadMetaRequest { key: Some(nobody) }, &[Code::NotFound])
        }
        "archive.v1.Archive/ReadSeries" => answered(
            &archive::ReadSeriesRequest { key: Some(nobody), ..Default::default() },
            &[Code::NotFound],
        ),
        "metric_store.v1.MetricStore/Configure" => {
            let json = cluster.as_bytes().to_vec().into();
            good(&metric_store::ConfigureRequest {
                clusters: vec![metric_store::ClusterFile { name: "p".to_owned(), json }],
            })
        }
        "metric_store.v1.MetricStore/Write" => good(&metric_store::WriteRequest {
            default_cluster: "p".to_owned(),
            lines: "load,hostname=p1,type=node value=1".into(),
        }),
        "metric_store.v1.MetricStore/QueryJob" => good(&metric_store::QueryJobRequest {
            cluster: "p".to_owned(),
            sub_cluster: "main".to_owned(),
            resources: vec![host()],
            metrics: vec!["load".to_owned()],
            scopes: vec![common::MetricScope::Node.into()],
            from: 1_700_000_000,
            to: 1_700_000_100,
            ..Default::default()
        }),
        "metric_store.v1.MetricStore/RawQuery" => {
            good(&metric_store::RawQueryRequest {
                json: br#"{"cluster":"p","from":1,"to":100,"queries":[{"metric":"load","host":"p1"}]}"#
                    .as_slice()
                    .into(),
            })
        }
        "metric_store.v1.MetricStore/CheckHealth" => good(&metric_store::CheckHealthRequest {
            cluster: "p".to_owned(),
            hostnames: vec!["p1".to_owned()],
        }),
        "job_db.v1.JobDb/StopJob" => answered(
            &job_db::StopJobRequest {
                job_id: 999,
                stop_time: 1,
                state: "completed".to_owned(),
                ..Default::default()
            },
            &[Code::NotFound, Code::FailedPrecondition],
        ),
        // An adapter belongs to who used it first, so all others are refused: by the handler, not by the table.
        "job_db.v1.JobDb/Hello" => answered(&hello("inside"), &[Code::Ok, Code::PermissionDenied]),
        "scheduler.v1.SchedulerIngest/Hello" => good(&hello("outside")),
        "job_db.v1.JobDb/GetJob" => answered(&job_db::GetJobRequest { id: 999 }, &[Code::NotFound]),
        "job_db.v1.JobDb/ConcurrentJobs" => {
            answered(&job_db::ConcurrentJobsRequest { id: 999 }, &[Code::NotFound])
        }
        "job_db.v1.JobDb/GetNode" => answered(&job_db::GetNodeRequest { id: 999 }, &[Code::NotFound]),
        "job_db.v1.JobDb/ReportNodes" => {
            good(&job_db::ReportNodesRequest { cluster: "p".to_owned(), ..Default::default() })
        }
        "job_db.v1.JobDb/ListPartitions" => good(&job_db::ListPartitionsRequest { cluster: "p".to_owned() }),
        "job_db.v1.JobDb/AllocatedNodes" => good(&job_db::AllocatedNodesRequest { cluster: "p".to_owned() }),
        _ => Call { message: Bytes::new(), expected: Vec::new() },
    }
}

/// Messages as they are on the wire.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
