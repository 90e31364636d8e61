//! One trace goes through both sides of a call, on every transport. A program of its own: it is the only test here
//! that needs the process's one subscriber.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[path = "../transport/probe.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod probe;
#[path = "../transport/site.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod site;

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{SpanId, SpanKind, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::site::{Via, ask, stacked};

const SERVICE: &str = "clustercockpit.metric_store.v1.MetricStore";

#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[tokio::test]
async fn one_trace_goes_through_both_sides_of_every_transport() {
    let collected = Collected::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(collected.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    for via in [Via::Local, Via::Unix, Via::Tcp] {
        one_trace(via, &collected).await;
    }
}

async fn one_trace(via: Via, collected: &Collected) {
    collected.0.lock().unwrap().clear();
    let mut site = stacked(via).await;
    let page = tracing::info_span!("page");
    site.client.check_health(ask("echo")).instrument(page.clone()).await.unwrap();
    site.client.check_health(ask("panic")).instrument(page.clone()).await.unwrap_err();
    drop(page);
    let done = async {
        while collected.0.lock().unwrap().iter().filter(|span| span.span_kind == SpanKind::Server).count() < 2
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(site::LONG, done).await.unwrap();

    let spans = collected.0.lock().unwrap();
    let named = |name: &str| spans.iter().filter(move |span| span.name == name).collect::<Vec<_>>();
    let root = named("page")[0];
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    let calls = named(&format!("{SERVICE}/CheckHealth"));
    let clients: Vec<_> = calls.iter().filter(|span| span.span_kind == SpanKind::Client).collect();
    let servers: Vec<_> = calls.iter().filter(|span| span.span_kind == SpanKind::Server).collect();
    assert_eq!((clients.len(), servers.len()), (2, 2));
    for (client, server) in clients.iter().zip(&servers) {
        assert_eq!(client.span_context.trace_id(), root.span_context.trace_id());
        assert_eq!(client.parent_span_id, root.span_context.span_id());
        assert_eq!(server.span_context.trace_id(), root.span_context.trace_id());
        assert_eq!(server.parent_span_id, client.span_context.span_id());
    }
    let code = |span: &SpanData| {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == "rpc.code");
        found.map(|attribute| attribute.value.as_str().into_owned())
    };
    for side in [clients, servers] {
        assert_eq!(code(side[0]).as_deref(), Some("ok"));
        assert_eq!(code(side[1]).as_deref(), Some("internal"));
        assert!(matches!(side[1].status, opentelemetry::trace::Status::Error { .. }));
    }
}
