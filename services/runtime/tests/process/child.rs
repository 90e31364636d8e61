//! The program under test: a thin `main` with one web page and a few ways to behave.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cc_proto::access::Peer;
use cc_runtime::env::{Env as _, ProcessEnv};
use cc_runtime::process::{Next, Process, Program};
use cc_runtime::tasks::{BoxError, OnError, OnShutdown, Stage};

/// Runs the program when the parent asks for it, and is an empty test otherwise.
#[test]
fn child() {
    let Some(words) = ProcessEnv.get("CC_TEST_WORDS") else { return };
    let words: Vec<String> = serde_json::from_str(&words).unwrap();
    let program = match ProcessEnv.get("CC_TEST_PROGRAM").as_deref() {
        Some("store") => Program::store(),
        Some("auth") => Program::service(Peer::Auth),
        _ => Program::backend(),
    };
    let code = program.run_with(words, run);
    let code = if code == ExitCode::SUCCESS {
        0
    } else if code == ExitCode::from(2) {
        2
    } else {
        1
    };
    std::process::exit(code);
}

async fn run(process: Process) -> Result<Next, BoxError> {
    let behave = process.env.get("CC_TEST_BEHAVE").unwrap_or_default();
    if !process.serves() {
        cc_runtime::env::require(&*process.env, "SESSION_KEY")?;
        tracing::info!(target: "cc_test", "acting on {}", process.config.main.db.display());
        std::io::stdout().write_all(b"No errors, server flag not set. Exiting cc-backend.\n")?;
        return Ok(Next::Exit(0));
    }
    let loading = process.health.part("store");
    match behave.as_str() {
        "hang" => {
            println!("starting");
            std::future::pending::<()>().await;
        }
        "fail" => return Err(Box::new(std::io::Error::other("cannot open ./var/job.db"))),
        "break" => {
            let broken = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Err::<(), _>(std::io::Error::other("disk is gone"))
            };
            process.tasks.spawn("writer", OnError::StopProcess, OnShutdown::Drain, broken);
        }
        "stuck" => {
            process.tasks.spawn(
                "stuck writer",
                OnError::Log,
                OnShutdown::Drain,
                std::future::pending::<()>(),
            );
        }
        _ => {}
    }
    process.tasks.at(Stage::Flush).on_shutdown("checkpoint", async { println!("checkpoint written") });
    let reloads = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&reloads);
    process.on_reload("counter", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    process.on_checkpoint("print", || async {
        println!("checkpoint asked for");
        Ok(())
    });
    loading.ready();
    let identity = process.clone();
    let router = Router::new()
        .route("/", get(async || "hello"))
        .route("/reloads", get(async move || reloads.load(Ordering::SeqCst).to_string()))
        .route("/uid", get(async || std::fs::read_to_string("/proc/self/status").unwrap_or_default()))
        .route(
            "/traced",
            get(async || {
                let span = tracing::info_span!(target: "cc_test", "a page was opened");
                let _inside = span.enter();
                tracing::warn!(target: "cc_test", "inside");
                "traced"
            }),
        )
        .route("/secure", get(async move || identity.is_secure().to_string()));
    if process.config.main.addr != "none" && process.name != "cc-auth" {
        process.serve_web(router)?;
    }
    if process.has_grpc() {
        process.serve_grpc(Router::new().route("/", get(async || "grpc")))?;
    }
    Ok(Next::Serve)
}
