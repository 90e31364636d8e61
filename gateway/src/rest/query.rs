//! `GET|POST /api/query` (metric-store.md 3.2, 9): the reference's query language over samples, as its stand-alone store
//! speaks it. The answer is passed on piece by piece.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use cc_proto::metric_store::v1::{RawQueryRequest, RawQueryResponse};
use cc_runtime::caller;
use futures::StreamExt as _;
use http::{HeaderMap, header};
use tonic::{Status, Streaming};

use crate::auth::gate::Api;
use crate::problem::Problem;
use crate::state::State;
use crate::{body, json};

/// Answers the query in the body, also of a GET, as clients of the reference send it.
pub async fn run(
    Api(caller): Api,
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    let json = body::whole(body, &headers, limits.json, limits).await?;
    let answer = state.metric_store().raw_query(caller::request(RawQueryRequest { json }, &caller)).await?;
    pass_on(answer.into_inner()).await
}

/// The pieces as one JSON body. A failure before the first piece has its own status; a later one cuts the connection, so
/// that nobody takes the part for the whole.
pub(super) async fn pass_on(mut pieces: Streaming<RawQueryResponse>) -> Result<Response, Problem> {
    let first = pieces.message().await?.map(|piece| piece.json).unwrap_or_default();
    let rest = pieces.map(|piece| piece.map(|piece| piece.json).inspect_err(log));
    let all = futures::stream::iter([Ok::<Bytes, Status>(first)]).chain(rest);
    Ok(([(header::CONTENT_TYPE, json::CONTENT_TYPE)], Body::from_stream(all)).into_response())
}

fn log(status: &Status) {
    tracing::warn!("an answer was cut off: {:?} {}", status.code(), status.message());
}
