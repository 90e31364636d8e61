//! `grpc.health.v1` for the names `""` and that of the service: `NOT_SERVING` until the gateway is ready, and while the
//! process ends.

use cc_proto::scheduler::v1::scheduler_ingest_server::SERVICE_NAME;
use cc_runtime::health::Readiness;
use cc_runtime::tasks::{OnError, OnShutdown};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::state::State;

/// The service, following the gateway's readiness.
pub(super) fn server(state: &State) -> HealthServer<HealthService> {
    let reporter = HealthReporter::new();
    let service = HealthService::from_health_reporter(reporter.clone());
    let readiness = state.readiness().clone();
    let stopping = state.tasks().token();
    state.tasks().spawn("grpc health", OnError::Log, OnShutdown::Drain, async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = follow(&readiness, &reporter) => {}
        }
        report(&reporter, ServingStatus::NotServing).await;
    });
    HealthServer::new(service)
}

async fn follow(readiness: &Readiness, reporter: &HealthReporter) {
    let mut changes = readiness.watch();
    loop {
        let ready = changes.borrow_and_update().ready;
        report(reporter, if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in ["", SERVICE_NAME] {
        reporter.set_service_status(name, status).await;
    }
}
