//! One span per call and side, joined by the W3C header `traceparent`.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::Code;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::rpc::methods;
use crate::rpc::metrics::code_name;

static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// The span of a call on the calling side; its context goes into the headers.
pub(crate) fn client(path: &str, headers: &mut HeaderMap) -> Span {
    let (service, method) = methods::split(path).unwrap_or(("", path));
    let span = tracing::info_span!(
        "rpc.client",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.code = field::Empty,
    );
    if !span.is_disabled() {
        PROPAGATOR.inject_context(&span.context(), &mut Inject(headers));
    }
    span
}

/// The span of a call on the answering side, a child of the one named in the headers.
pub(crate) fn server(path: &str, headers: &HeaderMap) -> Span {
    let (service, method) = methods::split(path).unwrap_or(("", path));
    let span = tracing::info_span!(
        "rpc.server",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.code = field::Empty,
    );
    if !span.is_disabled() && headers.contains_key("traceparent") {
        // fails only when nobody exports traces, and then nothing is lost
        let _joined = span.set_parent(PROPAGATOR.extract(&Extract(headers))).is_ok();
    }
    span
}

/// Notes how the call ended.
pub(crate) fn ended(span: &Span, code: Code) {
    if span.is_disabled() {
        return;
    }
    span.record("rpc.code", code_name(code));
    if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable) {
        span.record("otel.status_code", "ERROR");
    }
}

struct Inject<'a>(&'a mut HeaderMap);

impl Injector for Inject<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

struct Extract<'a>(&'a HeaderMap);

impl Extractor for Extract<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
