//! Traces by OTLP over gRPC: off unless `observability.otlp-endpoint` is set.

use std::time::Duration;

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

/// Time to hand over one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exporter cannot be made.
    #[error("failed to prepare traces for observability.otlp-endpoint {endpoint:?}")]
    Build {
        /// The receiver.
        endpoint: String,
        /// The library's reason.
        source: Box<ExporterBuildError>,
    },
    /// The last spans did not reach the receiver.
    #[error("failed to send the last traces")]
    Flush(#[source] OTelSdkError),
}

/// The way of spans out of the process.
#[derive(Clone, Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    program: &'static str,
}

impl Telemetry {
    /// Prepares the export of spans of `program` to the receiver; connects with the first batch and again after
    /// losses. Must be called inside the runtime.
    pub fn new(endpoint: &str, program: &'static str) -> Result<Self, Error> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|source| Error::Build { endpoint: endpoint.to_owned(), source: Box::new(source) })?;
        let attributes = [
            KeyValue::new("service.namespace", "clustercockpit"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let resource = Resource::builder().with_service_name(program).with_attributes(attributes).build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { provider, program })
    }

    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, Tracer>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer(self.program))
    }

    /// Sends what is left and ends the export. Blocks for up to five seconds; the runtime must still run.
    pub fn shutdown(&self) -> Result<(), Error> {
        self.provider.shutdown_with_timeout(Duration::from_secs(5)).map_err(Error::Flush)
    }
}

/// The trace the current span belongs to, in hex.
pub fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id().to_string())
}
