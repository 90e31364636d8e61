//! `GET /api/jobs/` (rest-api.md 6.7): the job list, sent as it is read, however long it is.

use axum::body::Body;
use axum::extract::{Query, State as Extract};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::header;
use tonic::Status;

use super::jobs_query::ListQuery;
use super::jobs_stream::JobPages;
use crate::auth::gate::Passed;
use crate::json;
use crate::problem::Problem;
use crate::state::State;

/// The jobs that the caller may see. The first page is read before the answer begins, so that what usually goes wrong has its status. A failure later on
/// cuts the connection: half a list must not look like a whole one, the Slurm adapter would take every job that is
/// missing for lost.
pub async fn list<G: Passed>(
    gate: G,
    Extract(state): Extract<State>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let caller = gate.caller();
    let query = ListQuery::read(pairs)?;
    let end = format!("],\"items\":{},\"page\":{}}}\n", query.items, query.page);
    let mut pages = JobPages::new(state, caller, query);
    let begin = match pages.next().await? {
        Some(first) => [b"{\"jobs\":[".as_slice(), &first].concat(),
        None => b"{\"jobs\":[".to_vec(),
    };
    let rest = futures::stream::try_unfold(pages, async |mut pages| {
        let page = pages.next().await.inspect_err(|status| {
            tracing::warn!("a job list was cut off: {:?} {}", status.code(), status.message());
        })?;
        Ok::<_, Status>(page.map(|page| (Bytes::from([b",".as_slice(), &page].concat()), pages)))
    });
    let all = futures::stream::iter([Ok(Bytes::from(begin))])
        .chain(rest)
        .chain(futures::stream::iter([Ok(end.into())]));
    Ok(([(header::CONTENT_TYPE, json::CONTENT_TYPE)], Body::from_stream(all)).into_response())
}
