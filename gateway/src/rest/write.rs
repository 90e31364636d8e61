//! `POST /api/write` (rest-api.md 8, metric-store.md 3.1): samples as line protocol, passed on to the store as they come.
//!
//! Nothing is buffered but the last, incomplete line: when an upload breaks off, half a line must not become a wrong
//! sample.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Extension, Query, State as Extract};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use cc_proto::metric_store::v1::{WriteRequest, WriteResponse};
use cc_runtime::caller;
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::auth::gate::Store;
use crate::body::{self, Pieces};
use crate::json;
use crate::middleware::announced::LengthKnown;
use crate::problem::Problem;
use crate::state::State;

/// Longer ends of pieces are passed on even without a line end: no sample is that long.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// How many lines were refused, for senders that look.
const REJECTED_LINES: HeaderName = HeaderName::from_static("x-cc-rejected-lines");

/// 200 with an empty body when every line is in the store's log; 400 with the first error when lines were refused, the
/// others being stored all the same.
pub async fn take(
    Store(caller): Store,
    Extract(state): Extract<State>,
    Query(query): Query<Vec<(String, String)>>,
    known: Option<Extension<LengthKnown>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let limits = state.settings().bodies;
    body::announced(&headers, limits.write)?;
    let default_cluster = query.into_iter().find(|(key, _)| key == "cluster").map(|(_, name)| name);
    let fault = Arc::new(Fault::default());
    // Dropped before its end, this says so to the upload, which goes on without it.
    let here = Here { fault: Arc::clone(&fault), length_known: known.is_some() };
    let lines = lines(
        Pieces::new(body, limits.write, limits),
        default_cluster.unwrap_or_default(),
        Arc::clone(&fault),
    );
    let mut request = tonic::Request::new(lines);
    caller::set(&mut request, &caller);
    let mut store = state.metric_store();
    // Also when the sender goes away: its whole lines are on their way and arrive all or, if the store fails, told so.
    let written = state.detached("write samples", async move { store.write(request).await }).await;
    drop(here);
    if let Some(problem) = fault.take() {
        return Err(problem);
    }
    Ok(answer(&written?.into_inner()))
}

fn answer(written: &WriteResponse) -> Response {
    let refused: u64 = written.refused.iter().map(|refused| refused.lines).sum();
    let mut response = if written.first_error.is_empty() {
        (StatusCode::OK, [(header::CONTENT_TYPE, json::CONTENT_TYPE)]).into_response()
    } else {
        Problem::bad(written.first_error.clone()).into_response()
    };
    if refused > 0 {
        response.headers_mut().insert(REJECTED_LINES, HeaderValue::from(refused));
    }
    response
}

/// Why an upload ended early; gRPC has no place for it in a stream of requests.
#[derive(Default)]
struct Fault {
    problem: Mutex<Option<Problem>>,
    /// Nobody can tell any more whether the end that is seen is the upload's: its connection is gone.
    no_end: AtomicBool,
}

impl Fault {
    fn tell(&self, problem: Problem) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }

    fn take(&self) -> Option<Problem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The handler, as long as there is one. It goes before its connection does, so before an end that is none is seen.
struct Here {
    fault: Arc<Fault>,
    /// A body that ends early is an error then.
    length_known: bool,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.fault.no_end.store(!self.length_known, Ordering::Release);
    }
}

struct Upload {
    pieces: Pieces,
    default_cluster: Option<String>,
    tail: BytesMut,
    fault: Arc<Fault>,
    ended: bool,
}

/// The messages of the call: the default cluster first, then whole lines.
fn lines(
    pieces: Pieces,
    default_cluster: String,
    fault: Arc<Fault>,
) -> impl Stream<Item = WriteRequest> + Send + 'static {
    let upload =
        Upload { pieces, default_cluster: Some(default_cluster), tail: BytesMut::new(), fault, ended: false };
    futures::stream::unfold(upload, async |mut upload| {
        if let Some(default_cluster) = upload.default_cluster.take() {
            return Some((WriteRequest { default_cluster, lines: Bytes::new() }, upload));
        }
        let lines = upload.next().await?;
        Some((WriteRequest { default_cluster: String::new(), lines }, upload))
    })
}

impl Upload {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            match self.pieces.next().await {
                Ok(Some(piece)) => {
                    if let Some(whole) = whole_lines(&mut self.tail, piece) {
                        return Some(whole);
                    }
                }
                Ok(None) => {
                    self.ended = true;
                    let last = std::mem::take(&mut self.tail).freeze();
                    // Without an end it may be half a line. No sender is left who was told that it is stored.
                    let whole = !self.fault.no_end.load(Ordering::Acquire);
                    return (whole && !last.is_empty()).then_some(last);
                }
                Err(problem) => {
                    // The call ends in order after the lines that came whole: a call that is dropped would take those
                    // along that are still on their way to the store. Half a line stays here.
                    self.fault.tell(problem);
                    self.ended = true;
                }
            }
        }
        None
    }
}

/// Everything up to the last line end; what follows waits in `tail`. `None` while there is no whole line.
fn whole_lines(tail: &mut BytesMut, mut piece: Bytes) -> Option<Bytes> {
    let end = piece.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    let end = end.or_else(|| (tail.len() + piece.len() > LINE_BYTES_MAX).then_some(piece.len()));
    let Some(end) = end else {
        tail.extend_from_slice(&piece);
        return None;
    };
    let whole = piece.split_to(end);
    let whole = if tail.is_empty() {
        whole
    } else {
        tail.extend_from_slice(&whole);
        std::mem::take(tail).freeze()
    };
    tail.extend_from_slice(&piece);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cc_proto::metric_store::v1::Refused;
    use futures::StreamExt as _;

    use super::*;
    use crate::settings::BodyLimits;

    const LIMITS: BodyLimits =
        BodyLimits { json: 8, start_job: 8, write: 1024, idle: Duration::from_secs(5) };

    fn upload(
        pieces: Vec<Result<&'static str, std::io::Error>>,
        fault: &Arc<Fault>,
    ) -> impl Stream<Item = WriteRequest> {
        let body = Body::from_stream(futures::stream::iter(pieces));
        lines(Pieces::new(body, LIMITS.write, LIMITS), "fritz".to_owned(), Arc::clone(fault))
    }

    #[tokio::test]
    async fn lines_are_passed_on_whole_and_nothing_is_lost() {
        let fault = Arc::new(Fault::default());
        let sent: Vec<WriteRequest> =
            upload(vec![Ok("a v"), Ok("alue=1 5\nb value=2 6\nc va"), Ok("lue=3"), Ok(" 7")], &fault)
                .collect()
                .await;
        let texts: Vec<&[u8]> = sent.iter().map(|message| message.lines.as_ref()).collect();
        assert_eq!(texts, [b"".as_slice(), b"a value=1 5\nb value=2 6\n", b"c value=3 7"]);
        assert_eq!(sent[0].default_cluster, "fritz");
    }

    #[tokio::test]
    async fn half_a_line_of_a_broken_upload_is_not_passed_on() {
        let fault = Arc::new(Fault::default());
        let cut = std::io::Error::other("connection reset");
        let mut sent = Box::pin(upload(vec![Ok("a value=1 5\nb value=12"), Err(cut)], &fault));
        assert_eq!(sent.next().await.unwrap().default_cluster, "fritz");
        assert_eq!(sent.next().await.unwrap().lines, "a value=1 5\n");
        assert_eq!(sent.next().await, None, "the call ends in order");
        assert_eq!(fault.take().unwrap().status, 400);
    }

    #[test]
    fn endless_lines_do_not_pile_up() {
        let mut tail = BytesMut::new();
        assert_eq!(whole_lines(&mut tail, Bytes::from(vec![b'x'; LINE_BYTES_MAX])), None);
        let passed = whole_lines(&mut tail, Bytes::from_static(b"y")).unwrap();
        assert_eq!((passed.len(), tail.len()), (LINE_BYTES_MAX + 1, 0));
    }

    #[test]
    fn the_first_error_is_the_answer_and_refusals_are_counted() {
        let refused = vec![Refused { reason: "SYNTAX".to_owned(), lines: 2, example: String::new() }];
        let written = WriteResponse { samples: 5, refused, first_error: "at line 1:1: x".to_owned() };
        let response = answer(&written);
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[REJECTED_LINES], "2");
        let good = answer(&WriteResponse::default());
        assert_eq!((good.status(), good.headers().contains_key(REJECTED_LINES)), (StatusCode::OK, false));
    }
}
