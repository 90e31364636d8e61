//! Reading request bodies: the limit counts before anything is buffered (rest-api.md 2.10).

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};

use crate::problem::Problem;
use crate::settings::BodyLimits;

/// The whole body, at most `limit` bytes of it.
///
/// # Errors
/// 413 beyond the limit, 408 when the client stands still, 400 when the connection ends before the body does.
pub async fn whole(
    body: Body,
    headers: &HeaderMap,
    limit: usize,
    limits: BodyLimits,
) -> Result<Bytes, Problem> {
    announced(headers, limit)?;
    let mut pieces = Pieces::new(body, limit, limits);
    let Some(first) = pieces.next().await? else { return Ok(Bytes::new()) };
    let Some(second) = pieces.next().await? else { return Ok(first) };
    let mut all = Vec::with_capacity(first.len() + second.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(piece) = pieces.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all.into())
}

/// Refuses by the announced length, before a byte is read.
///
/// # Errors
/// 413.
pub fn announced(headers: &HeaderMap, limit: usize) -> Result<(), Problem> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if usize::try_from(length).is_ok_and(|length| length <= limit) => Ok(()),
        Some(_) => Err(Problem::too_large(limit)),
        None => Ok(()),
    }
}

/// A body in pieces, limited in size and patience.
pub(crate) struct Pieces {
    stream: axum::body::BodyDataStream,
    left: usize,
    limit: usize,
    limits: BodyLimits,
}

impl Pieces {
    pub(crate) fn new(body: Body, limit: usize, limits: BodyLimits) -> Self {
        Self { stream: body.into_data_stream(), left: limit, limit, limits }
    }

    /// The next piece; `None` at the regular end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let waited = tokio::time::timeout(self.limits.idle, self.stream.next()).await;
            let Ok(piece) = waited else {
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "the request body did not arrive in time",
                ));
            };
            let piece = match piece {
                None => return Ok(None),
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    let mut problem = Problem::bad("the request body ended early or could not be decoded");
                    problem.detail = Some(cc_runtime::error::chain(&error));
                    return Err(problem);
                }
            };
            self.left = self.left.checked_sub(piece.len()).ok_or_else(|| Problem::too_large(self.limit))?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits { json: 8, start_job: 8, write: 8, idle: Duration::from_secs(5) };

    fn pieces(list: &[&'static str]) -> Body {
        let list: Vec<Result<&'static str, std::io::Error>> = list.iter().map(|text| Ok(*text)).collect();
        Body::from_stream(futures::stream::iter(list))
    }

    #[tokio::test]
    async fn bodies_up_to_the_limit_are_read() {
        let read = async |body| whole(body, &HeaderMap::new(), LIMITS.json, LIMITS).await;
        assert_eq!(read(pieces(&[])).await.unwrap(), "");
        assert_eq!(read(pieces(&["1234", "", "5678"])).await.unwrap(), "12345678");
        assert_eq!(read(pieces(&["1234", "56789"])).await.unwrap_err().status, 413);
    }

    #[tokio::test]
    async fn an_announced_excess_is_refused_unread() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("9"));
        let unread = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(whole(unread, &headers, LIMITS.json, LIMITS).await.unwrap_err().status, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_standstill_is_not_waited_out() {
        let stuck = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(whole(stuck, &HeaderMap::new(), LIMITS.json, LIMITS).await.unwrap_err().status, 408);
    }

    #[tokio::test]
    async fn a_cut_body_is_an_error() {
        let list = vec![Ok(Bytes::from_static(b"12")), Err(std::io::Error::other("connection reset"))];
        let cut = Body::from_stream(futures::stream::iter(list));
        let problem = whole(cut, &HeaderMap::new(), LIMITS.json, LIMITS).await.unwrap_err();
        assert_eq!(problem.status, 400);
        assert!(problem.detail.unwrap().contains("connection reset"));
    }
}
