//! The files of the UI. Names with a hash in them never change and are kept for good; the others are asked for again,
//! with an `ETag`.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// One year, the longest that means anything.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("public, no-cache");

/// The file of that path, compressed as the client likes it best of what there is; `None` when there is no such file.
pub(crate) fn file(path: &str, asked: &HeaderMap) -> Option<Response> {
    let accepted =
        asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asset = cc_web::asset(path, accepted)?;
    let tag = HeaderValue::from_str(&asset.etag).ok()?;
    let cache = if asset.immutable { FOR_GOOD } else { ASK_AGAIN };
    let unchanged = is_known(asked, &tag);
    let status = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let content = if unchanged { Body::empty() } else { Body::from(asset.content) };
    let mut response = (status, content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::ETAG, tag);
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !unchanged {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
        if let Some(encoding) = asset.encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
    }
    Some(response)
}

/// The `ETag` of a content.
pub(crate) fn tag_of(content: &[u8]) -> HeaderValue {
    let hash = blake3::hash(content).to_hex();
    let short = hash.get(..32).unwrap_or_default();
    HeaderValue::from_str(&format!("\"{short}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether the client says that it has this content.
pub(crate) fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let Some(known) = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Ok(tag) = tag.to_str() else { return false };
    // a proxy that compressed it made the tag a weak one
    known.split(',').map(str::trim).any(|word| word == "*" || word.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let tag = tag_of(b"content");
        let with = |value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&value).unwrap());
            is_known(&headers, &tag)
        };
        let text = tag.to_str().unwrap();
        assert!(with(text.to_owned()) && with(format!("\"x\", W/{text}")) && with("*".to_owned()));
        assert!(!with("\"x\"".to_owned()) && !is_known(&HeaderMap::new(), &tag));
    }
}
