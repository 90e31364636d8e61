//! `cc-auth`: users, tokens and sessions as a process of its own, of the same code as in `cc-backend`.

use std::process::ExitCode;
use std::sync::Arc;

use cc_auth::{Deps, start};
use cc_database::Database;
use cc_proto::access::Peer;
use cc_runtime::files::lock::Purpose;
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::BoxError;
use cc_runtime::wiring::Wiring;

/// One server of this service per database.
const PURPOSE: Purpose = Purpose::Serve { auth: true, job_db: false };

fn main() -> ExitCode {
    Program::service(Peer::Auth).run(run)
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let Process { config, clock, tasks, health, .. } = process.clone();
    let mut wires = Wiring::new(Arc::clone(&config), clock.clone(), tasks.clone(), &[Peer::Auth])?;
    let readiness = health.part(Peer::Auth.name());
    let routes = start(Deps {
        readiness: readiness.clone(),
        env: Arc::clone(&process.env),
        database: Database::of_process(&config, &tasks, PURPOSE).await?,
        config,
        clock,
        tasks,
    });
    let routes = wires.add(Peer::Auth, routes.await?, &readiness);
    let address = wires.serve(Peer::Auth, routes).await?;
    process.announce(Peer::Auth.name(), &address.to_string())?;
    Ok(Next::Serve)
}
