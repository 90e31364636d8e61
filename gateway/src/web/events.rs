//! `/events`: the stream of changes that keeps open pages current (architecture.md 5).
//!
//! | Event | Data | When |
//! |---|---|---|
//! | `hello` | `{"position","serverTime"}` | first, and after each `resync` |
//! | `job` | `{"position","kind","id","cluster","jobId","startTime","user","state"}` | a job that the viewer may see changed |
//! | `resync` | `{}` | changes were missed: load again |
//! | `ping` | `{"serverTime"}` | every 15 s |
//!
//! `id` is the position; a client that comes back with `Last-Event-ID` (or `?after=`) goes on there. The rights are those
//! of the viewer, enforced by the owner of the rows.

mod limit;
mod live;

use std::convert::Infallible;

use axum::extract::{Query, State as Extract};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use self::limit::Streams;
use self::live::Live;
use crate::auth::credential::Credential;
use crate::auth::gate::Web;
use crate::problem::Problem;
use crate::state::State;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass each event on at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Opens a stream.
pub async fn open(
    Web(viewer): Web,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let place = state.streams().enter(&viewer.caller.name)?;
    let last = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok().map(str::to_owned));
    let last = last.or_else(|| query.into_iter().find(|(key, _)| key == "after").map(|(_, value)| value));
    let after = last.and_then(|text| text.trim().parse().ok());
    let credential = Credential::any(&headers);
    let live = Live::open(state, viewer, credential, after, place).await?;
    let mut response = Sse::new(events(live)).into_response();
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn events(live: Live) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    futures::stream::unfold(live, async |mut live| {
        let event = live.next().await?;
        Some((Ok(event), live))
    })
}
