//! Keeps the status of an answer within what an HTTP/2 header list carries (rust-anchors.md 2.3: a longer one breaks
//! the connection remotely and passes locally).

use http::HeaderMap;
use tonic::Status;

use crate::error::{MESSAGE_BYTES_MAX, cut};

/// Longest details in bytes, as they travel (base64).
const DETAILS_BYTES_MAX: usize = 8 * 1024;
const DETAILS: &str = "grpc-status-details-bin";

/// Cuts the text of a status in head or tail of an answer to [`MESSAGE_BYTES_MAX`] bytes and drops oversized details.
pub(super) fn cap(headers: &mut HeaderMap) {
    let long = |name: &str, bytes_max: usize| headers.get(name).is_some_and(|value| value.len() > bytes_max);
    let drop_details = long(DETAILS, DETAILS_BYTES_MAX);
    // percent-encoding only makes it longer, so a short header holds a short text
    let cut_message = long("grpc-message", MESSAGE_BYTES_MAX);
    if drop_details {
        headers.remove(DETAILS);
    }
    if !cut_message {
        return;
    }
    let Some(status) = Status::from_header_map(headers) else { return };
    if status.message().len() <= MESSAGE_BYTES_MAX {
        return;
    }
    let short = Status::new(status.code(), cut(status.message(), MESSAGE_BYTES_MAX));
    let mut text = HeaderMap::new();
    if short.add_header(&mut text).is_ok()
        && let Some(message) = text.remove("grpc-message")
    {
        headers.insert("grpc-message", message);
    } else {
        headers.remove("grpc-message");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tonic::Code;

    use super::*;

    fn capped(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        cap(&mut headers);
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(bytes < 14 * 1024, "{bytes} bytes of headers");
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn long_texts_are_cut_and_short_ones_stay() {
        let long =
            capped(&Status::with_details(Code::NotFound, "ä".repeat(50_000), Bytes::from_static(b"xy")));
        assert_eq!(long.code(), Code::NotFound);
        assert_eq!(long.message(), "ä".repeat(512));
        assert_eq!(long.details(), b"xy");
        // longer than the limit only in its encoded form
        let short = capped(&Status::not_found("ä".repeat(400)));
        assert_eq!(short.message(), "ä".repeat(400));
    }

    #[test]
    fn oversized_details_are_dropped() {
        let status = capped(&Status::with_details(Code::Internal, "x", Bytes::from(vec![1; 50_000])));
        assert_eq!((status.code(), status.message(), status.details().len()), (Code::Internal, "x", 0));
    }
}
