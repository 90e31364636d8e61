//! `cc-backend`: every service and the gateway in one process, and the actions of the command line.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use cc_backend::actions;
use cc_backend::compose::{self, Parts};
use cc_runtime::clock::Clock;
use cc_runtime::flags::Flags;
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::BoxError;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Program::backend().early(early).run(run)
}

/// `-init` and `-init-tls` read no file.
fn early(flags: &Flags, clock: &Clock) -> Option<u8> {
    if flags.on("init") {
        return Some(actions::early(actions::init(&mut io::stdout())));
    }
    flags
        .given("init-tls")
        .map(|directory| actions::early(actions::init_tls(directory, clock, &mut io::stdout())))
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let outcome = serve(process).await;
    // A database of another version is told as the reference tells it, with the way out.
    let told = outcome.as_ref().err().and_then(|error| {
        let database = match error.downcast_ref::<actions::Error>() {
            Some(actions::Error::Database(database)) => Some(database),
            _ => match error.downcast_ref::<compose::Error>() {
                Some(compose::Error::Database(database)) => Some(database),
                _ => None,
            },
        };
        database.filter(|database| database.way_out().is_some()).map(cc_database::Error::abort_text)
    });
    match told {
        Some(text) => {
            io::stdout().write_all(text.as_bytes())?;
            Ok(Next::Exit(1))
        }
        None => outcome,
    }
}

async fn serve(process: Process) -> Result<Next, BoxError> {
    let mut out = io::stdout();
    if actions::on_the_file(&process.config, &process.flags, &mut out).await? {
        return Ok(Next::Exit(0));
    }
    if actions::checkpoints(&process.config, &process.flags, &process.clock, &mut out).await? {
        return Ok(Next::Exit(0));
    }
    let parts = Parts {
        config: Arc::clone(&process.config),
        env: Arc::clone(&process.env),
        clock: process.clock.clone(),
        tasks: process.tasks.clone(),
        health: process.health.clone(),
    };
    if actions::wanted(&process.flags) || !process.serves() {
        actions::run(&parts, &process.flags, &mut io::stdin(), &mut out).await?;
    }
    if !process.serves() {
        actions::say_nothing_served(&mut out)?;
        return Ok(Next::Exit(0));
    }
    let gateway = compose::compose(&parts).await?;
    process.settle(&[gateway.state.readiness().clone()]).await;
    process.serve_web(gateway.http)?;
    if let Some(routes) = gateway.grpc {
        process.serve_grpc(routes.prepare().into_axum_router())?;
    }
    Ok(Next::Serve)
}
