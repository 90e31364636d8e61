//! `cc-metric-store`: with a section `metrics` in its configuration the stand-alone server, with the reference's routes on `main.addr`;
//! without it the metric store of a split deployment, of the same code as in `cc-backend`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use cc_metric_store::{Deps, cleanup_checkpoints, export_checkpoints, start, start_standalone};
use cc_proto::access::Peer;
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::BoxError;
use cc_runtime::wiring::Wiring;

/// Gives memory of dropped blocks back to the system, and is fast with many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Program::store().run(run)
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let mut out = io::stdout();
    if process.flags.on("cleanup-checkpoints") {
        write!(out, "{}", cleanup_checkpoints(&process.config, &process.clock).await?)?;
        return Ok(Next::Exit(0));
    }
    if process.flags.on("export-checkpoints") {
        writeln!(out, "{}", export_checkpoints(&process.config, &process.clock).await?)?;
        return Ok(Next::Exit(0));
    }
    let Process { config, clock, tasks, health, .. } = process.clone();
    let readiness = health.part(Peer::MetricStore.name());
    let deps = Deps { config, clock, tasks, readiness, health };
    if deps.config.standalone.is_some() {
        process.serve_web(start_standalone(deps).await?)?;
    } else {
        split(&process, deps).await?;
    }
    Ok(Next::Serve)
}

async fn split(process: &Process, deps: Deps) -> Result<(), BoxError> {
    let Process { config, clock, tasks, .. } = process.clone();
    let mut wires = Wiring::new(Arc::clone(&config), clock, tasks, &[Peer::MetricStore])?;
    let readiness = deps.readiness.clone();
    let routes = wires.add(Peer::MetricStore, start(deps).await?, &readiness);
    let address = wires.serve(Peer::MetricStore, routes).await?;
    process.announce(Peer::MetricStore.name(), &address.to_string())?;
    Ok(())
}
