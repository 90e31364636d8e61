//! The listener on port 80 that sends everybody to HTTPS (`main.redirect-http-to`).

use axum::Router;
use axum::http::Uri;
use axum::response::IntoResponse;
use http::{StatusCode, header};

/// Answers everything with 301 to `target`; where that has no path of its own, to the same path there.
pub fn router(target: &str) -> Router {
    let target = target.to_owned();
    Router::new().fallback(async move |uri: Uri| {
        (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location(&target, &uri))]).into_response()
    })
}

fn location(target: &str, uri: &Uri) -> String {
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // A path such as `//evil` would change the host if the target were cut off wrongly; joined to a host it cannot.
    if host.contains(['/', '?', '#']) || !path.starts_with('/') {
        target.to_owned()
    } else {
        format!("{}{path}", target.strip_suffix('/').unwrap_or(target))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://cc.example", "/monitoring/jobs/?user=a", "https://cc.example/monitoring/jobs/?user=a")]
    #[case("https://cc.example/", "/", "https://cc.example/")]
    #[case("https://cc.example:8443/", "//evil.example/x", "https://cc.example:8443//evil.example/x")]
    #[case("https://cc.example/start", "/x", "https://cc.example/start")]
    #[case("https://cc.example/?x", "/x", "https://cc.example/?x")]
    fn the_path_is_kept_unless_the_target_has_one(
        #[case] target: &str,
        #[case] path: &str,
        #[case] to: &str,
    ) {
        assert_eq!(location(target, &path.parse().unwrap()), to);
    }
}
