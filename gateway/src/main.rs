//! `cc-gateway`: the outward face as a process of its own, of the same code as in `cc-backend`.

use std::process::ExitCode;
use std::sync::Arc;

use cc_gateway::{Deps, start};
use cc_proto::access::Peer;
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::BoxError;
use cc_runtime::wiring::Wiring;

fn main() -> ExitCode {
    Program::service(Peer::Gateway).run(run)
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let Process { config, clock, tasks, health, env, .. } = process.clone();
    let wires = Wiring::new(Arc::clone(&config), clock.clone(), tasks.clone(), &[Peer::Gateway])?;
    let gateway = start(Deps {
        config,
        env,
        clock,
        tasks,
        readiness: health.part(Peer::Gateway.name()),
        health,
        auth: wires.to(Peer::Gateway, Peer::Auth)?,
        job_db: wires.to(Peer::Gateway, Peer::JobDb)?,
        archive: wires.to(Peer::Gateway, Peer::Archive)?,
        metric_store: wires.to(Peer::Gateway, Peer::MetricStore)?,
    })?;
    process.settle(&[gateway.state.readiness().clone()]).await;
    process.serve_web(gateway.http)?;
    if let Some(routes) = gateway.grpc {
        process.serve_grpc(routes.prepare().into_axum_router())?;
    }
    Ok(Next::Serve)
}
