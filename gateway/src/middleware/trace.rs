//! The span of a request, a child of the one that the page or another client names in `traceparent`.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// The span of one request.
pub(crate) fn span(method: &Method, route: &str, id: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "http.server",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = route,
        request.id = id,
    );
    if !span.is_disabled() && headers.contains_key("traceparent") {
        // fails only when nobody exports traces, and then nothing is lost
        let _joined = span.set_parent(PROPAGATOR.extract(&Headers(headers))).is_ok();
    }
    span
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
