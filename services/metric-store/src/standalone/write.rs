//! `POST /api/write`: lines in, plain or compressed, taken as they arrive.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::StreamExt as _;
use std::io::Write as _;

use super::{Problem, REJECTED_LINES, Shared, header_text, json};
use crate::grpc;
use crate::ingest::Ingest;
use crate::ingest::report::Report;

/// 200 with an empty body when every line is in the log; 400 with the first error when lines were refused, the others being stored all
/// the same. An upload that breaks off keeps its whole lines and is answered 400, if anybody listens.
pub(super) async fn take(
    State(shared): State<Shared>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let announced =
        header_text(&headers, header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
    if announced.is_some_and(|length: u64| length > shared.body_bytes_max) {
        return Err(too_large(&shared));
    }
    let default_cluster = query.iter().find(|(key, _)| key == "cluster").map_or("", |(_, name)| name);
    let mut ingest = Ingest::new(&shared.store, default_cluster)?;
    let mut encoding = Encoding::of(&headers)?;
    let mut body = body.into_data_stream();
    let mut received = 0;
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else {
            ingest.break_off()?;
            return Err(Problem::bad("the request body ended early"));
        };
        let lines = encoding.decode(piece)?;
        received += lines.len() as u64;
        if received > shared.body_bytes_max {
            return Err(too_large(&shared));
        }
        grpc::take(&mut ingest, &lines).await?;
    }
    let rest = encoding.finish()?;
    grpc::take(&mut ingest, &rest).await?;
    Ok(answer(&ingest.finish()?))
}

fn answer(report: &Report) -> Response {
    let refused: u64 = report.all_refused().map(|(_, refused)| refused.lines).sum();
    let mut response = match &report.first_error {
        None => json(StatusCode::OK, Body::empty()),
        Some(error) => axum::response::IntoResponse::into_response(Problem::bad(error)),
    };
    if refused > 0 {
        response.headers_mut().insert(REJECTED_LINES, HeaderValue::from(refused));
    }
    response
}

fn too_large(shared: &Shared) -> Problem {
    let message =
        format!("the request body is larger than {} bytes (limits.max-body-mb)", shared.body_bytes_max);
    Problem { status: StatusCode::PAYLOAD_TOO_LARGE, message }
}

/// How a body is encoded.
enum Encoding {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match header_text(headers, header::CONTENT_ENCODING.as_str()).map(str::trim) {
            None | Some("" | "identity") => Ok(Self::Plain),
            Some(name) if name.eq_ignore_ascii_case("gzip") => {
                Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))))
            }
            Some(other) => Err(Problem {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                message: format!("Content-Encoding {other:?} is not supported: send plain text or gzip"),
            }),
        }
    }

    /// The text of a piece, as far as it can be told yet.
    fn decode(&mut self, piece: Bytes) -> Result<Bytes, Problem> {
        match self {
            Self::Plain => Ok(piece),
            Self::Gzip(decoder) => {
                decoder.write_all(&piece).map_err(|error| not_gzip(&error))?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }

    /// What is left when the body has ended.
    fn finish(self) -> Result<Bytes, Problem> {
        match self {
            Self::Plain => Ok(Bytes::new()),
            Self::Gzip(decoder) => decoder.finish().map(Bytes::from).map_err(|error| not_gzip(&error)),
        }
    }
}

fn not_gzip(error: &std::io::Error) -> Problem {
    Problem::bad(format!("the request body is not gzip, as its Content-Encoding says: {error}"))
}
