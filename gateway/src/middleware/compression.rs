//! Which answers are worth compressing: the types that the reference compresses (rest-api.md 2.4).

use http::{Extensions, HeaderMap, StatusCode, Version, header};

const LISTED: [&str; 11] = [
    "text/html",
    "text/css",
    "text/plain",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "application/json",
    "application/atom+xml",
    "application/rss+xml",
    "application/graphql-response+json",
    "image/svg+xml",
];

/// Only the types of the list; event streams and pictures are not on it.
pub fn listed(_status: StatusCode, _version: Version, headers: &HeaderMap, _extensions: &Extensions) -> bool {
    is_listed(headers)
}

fn is_listed(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    LISTED.iter().any(|listed| listed.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn text_is_compressed_and_streams_and_pictures_are_not() {
        for (kind, listed) in [
            ("text/html; charset=utf-8", true),
            ("application/json", true),
            ("image/svg+xml", true),
            ("text/event-stream", false),
            ("image/png", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_listed(&headers), listed, "{kind}");
        }
    }
}
