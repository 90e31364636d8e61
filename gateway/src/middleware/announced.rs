//! Bodies that are shorter than announced. When a connection is dropped by this side, at the end of the process, what reads
//! its body meanwhile sees a regular end there; the length tells that it is none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http::{Request, header};

/// Of a request whose body is as long as announced, or ends with an error.
#[derive(Clone, Copy, Debug)]
pub struct LengthKnown;

/// Holds a body to its announced length. To be done before it is unpacked.
pub fn check(request: Request<Body>) -> Request<Body> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let Some(left) = announced.and_then(|value| value.to_str().ok()?.parse().ok()) else { return request };
    let mut request = request.map(|body| Body::new(Announced { body, left }));
    request.extensions_mut().insert(LengthKnown);
    request
}

struct Announced {
    body: Body,
    left: u64,
}

impl HttpBody for Announced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        // the server cuts what is longer
        this.left = this.left.saturating_sub(data.map_or(0, |data| data.len() as u64));
        if frame.is_none() && this.left > 0 {
            let text = format!("{} bytes before the announced length", std::mem::take(&mut this.left));
            let error = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, text);
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn request(length: Option<&str>, pieces: &[&'static str]) -> Request<Body> {
        let pieces: Vec<Result<&'static str, std::io::Error>> =
            pieces.iter().map(|piece| Ok(*piece)).collect();
        let mut request = Request::new(Body::from_stream(futures::stream::iter(pieces)));
        if let Some(length) = length {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.parse().unwrap());
        }
        request
    }

    #[tokio::test]
    async fn a_body_shorter_than_announced_ends_with_an_error() {
        let whole = check(request(Some("6"), &["123", "456"]));
        assert!(whole.extensions().get::<LengthKnown>().is_some());
        assert_eq!(whole.into_body().collect().await.unwrap().to_bytes(), "123456");
        let cut = check(request(Some("7"), &["123", "456"])).into_body().collect().await.unwrap_err();
        assert!(cut.to_string().contains("1 bytes before"), "{cut}");
        assert!(check(request(Some("1"), &[])).into_body().collect().await.is_err());
        assert!(check(request(Some("0"), &[])).into_body().collect().await.is_ok());
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_passes() {
        let unknown = check(request(None, &["123"]));
        assert!(unknown.extensions().get::<LengthKnown>().is_none());
        assert_eq!(unknown.into_body().collect().await.unwrap().to_bytes(), "123");
    }
}
