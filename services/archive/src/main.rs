//! `cc-archive`: the job archive and the cluster files as a process of its own, of the same code as in `cc-backend`.

use std::process::ExitCode;
use std::sync::Arc;

use cc_archive::{Deps, start};

use cc_proto::access::Peer;
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::BoxError;
use cc_runtime::wiring::Wiring;

fn main() -> ExitCode {
    Program::service(Peer::Archive).run(run)
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let Process { config, clock, tasks, health, .. } = process.clone();
    let mut wires = Wiring::new(Arc::clone(&config), clock.clone(), tasks.clone(), &[Peer::Archive])?;
    let readiness = health.part(Peer::Archive.name());
    let routes = start(Deps {
        readiness: readiness.clone(),
        metric_store: wires.to(Peer::Archive, Peer::MetricStore)?,
        config,
        clock,
        tasks,
    });
    let routes = wires.add(Peer::Archive, routes.await?, &readiness);
    let address = wires.serve(Peer::Archive, routes).await?;
    process.announce(Peer::Archive.name(), &address.to_string())?;
    Ok(Next::Serve)
}
