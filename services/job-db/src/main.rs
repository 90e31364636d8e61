//! `cc-job-db`: jobs, tags and nodes as a process of its own, of the same code as in `cc-backend`.

use std::process::ExitCode;
use std::sync::Arc;

use cc_database::Database;
use cc_job_db::{Deps, start};
use cc_proto::access::Peer;
use cc_runtime::files::lock::Purpose;
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::BoxError;
use cc_runtime::wiring::Wiring;

/// One server of this service per database.
const PURPOSE: Purpose = Purpose::Serve { auth: false, job_db: true };

fn main() -> ExitCode {
    Program::service(Peer::JobDb).run(run)
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let Process { config, clock, tasks, health, .. } = process.clone();
    let mut wires = Wiring::new(Arc::clone(&config), clock.clone(), tasks.clone(), &[Peer::JobDb])?;
    let readiness = health.part(Peer::JobDb.name());
    let routes = start(Deps {
        readiness: readiness.clone(),
        database: Database::of_process(&config, &tasks, PURPOSE).await?,
        archive: wires.to(Peer::JobDb, Peer::Archive)?,
        metric_store: wires.to(Peer::JobDb, Peer::MetricStore)?,
        config,
        clock,
        tasks,
    });
    let routes = wires.add(Peer::JobDb, routes.await?, &readiness);
    let address = wires.serve(Peer::JobDb, routes).await?;
    process.announce(Peer::JobDb.name(), &address.to_string())?;
    Ok(Next::Serve)
}
