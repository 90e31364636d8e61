//! From the runtime to the end: start, serve, signals, ordered shutdown.

use std::future::Future;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Hook, Next, Prepared, Process, Program};
use crate::health::Health;
use crate::logging::{self, Options, Stderr};
use crate::systemd::Notifier;
use crate::tasks::{BoxError, OnError, OnShutdown, Stage, Tasks, chain};
use crate::telemetry::Telemetry;

/// Threads for files and for the processor.
const BLOCKING_THREADS: usize = 64;
/// The pulse of the process: lateness of the runtime, signs of life, status line.
const PULSE: Duration = Duration::from_secs(1);
/// A runtime that answers later than this is overloaded (rust-anchors.md rule 20).
const LATE: Duration = Duration::from_millis(100);
/// What the service manager is told to grant while the process starts or ends, again and again.
const EXTENSION: Duration = Duration::from_secs(30);
/// Blocking work that outlives the shutdown is left behind after this.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Signal,
    Failure,
    Done(u8),
}

pub(super) fn run<M, F>(program: &Program, prepared: Prepared, main: M) -> u8
where
    M: FnOnce(Process) -> F,
    F: Future<Output = Result<Next, BoxError>>,
{
    match ready_to_live(program, prepared) {
        Ok((runtime, process, telemetry)) => {
            let code = runtime.block_on(live(process, main));
            if let Some(telemetry) = telemetry
                && let Err(error) = telemetry.shutdown()
            {
                tracing::warn!("{}", chain(&error));
            }
            runtime.shutdown_timeout(LEFT_BEHIND);
            code
        }
        Err(error) => {
            let text = format!("<2>[CRITICAL] {}\n", chain(&*error));
            // There is nobody to tell.
            let _written = std::io::stderr().lock().write_all(text.as_bytes()).is_ok();
            1
        }
    }
}

/// Runtime, final log, metrics.
fn ready_to_live(
    program: &Program,
    prepared: Prepared,
) -> Result<(Runtime, Process, Option<Telemetry>), BoxError> {
    let Prepared { config, env, flags, clock, level, shared } = prepared;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name(program.name)
        .build()?;
    let inside = runtime.enter();
    let endpoint = config.observability.otlp_endpoint.as_deref().filter(|_| shared.serves);
    let telemetry = endpoint.map(|endpoint| Telemetry::new(endpoint, program.name)).transpose()?;
    let options = Options { format: config.observability.log_format, date: flags.on("logdate") };
    let (subscriber, log) = logging::subscriber(level, options, clock.clone(), telemetry.as_ref(), Stderr);
    tracing::subscriber::set_global_default(subscriber)?;
    crate::metrics::install()?;
    crate::metrics::build_info(program.name);
    drop(inside);
    let process = Process {
        flags,
        config,
        env,
        clock,
        tasks: Tasks::new(),
        health: Health::new(),
        log,
        name: program.name,
        shared: Arc::new(shared),
    };
    Ok((runtime, process, telemetry))
}

async fn live<M, F>(process: Process, main: M) -> u8
where
    M: FnOnce(Process) -> F,
    F: Future<Output = Result<Next, BoxError>>,
{
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            crate::critical!("cannot listen to signals: {error}");
            return 1;
        }
    };
    let serves = process.serves();
    let notifier = if serves { Notifier::from_env(&*process.env) } else { Notifier::default() };
    let busy = Arc::new(AtomicBool::new(true));
    if serves {
        let pulse = pulse(notifier.clone(), process.health.clone(), Arc::clone(&busy));
        process.tasks.at(Stage::Telemetry).spawn("pulse", OnError::Log, OnShutdown::Abort, pulse);
    }
    let end = match begin(&process, main, &mut signals).await {
        Ok(Next::Exit(code)) => End::Done(code),
        Ok(Next::Serve) => {
            busy.store(false, Ordering::Relaxed);
            notifier.ready(&process.health.summary());
            tracing::info!("{} serves", process.name);
            serve(&process, &mut signals, &notifier).await
        }
        Err(end) => end,
    };
    busy.store(true, Ordering::Relaxed);
    notifier.stopping();
    finish(&process, end, &mut signals).await
}

/// Runs `main`, unless a signal or a failing task ends it.
async fn begin<M, F>(process: &Process, main: M, signals: &mut Signals) -> Result<Next, End>
where
    M: FnOnce(Process) -> F,
    F: Future<Output = Result<Next, BoxError>>,
{
    if process.serves()
        && let Err(error) = process.background()
    {
        crate::critical!("{}", chain(&error));
        return Err(End::Failure);
    }
    let main = main(process.clone());
    tokio::select! {
        result = main => result.map_err(|error| {
            tracing::error!("{}", chain(&*error));
            End::Failure
        }),
        name = signals.stop.next() => {
            tracing::warn!("{name} while starting");
            Err(End::Signal)
        }
        task = process.tasks.failed() => {
            crate::critical!("task {task} failed while starting");
            Err(End::Failure)
        }
    }
}

async fn serve(process: &Process, signals: &mut Signals, notifier: &Notifier) -> End {
    loop {
        tokio::select! {
            name = signals.stop.next() => {
                tracing::info!("{name}: shutting down");
                return End::Signal;
            }
            task = process.tasks.failed() => {
                crate::critical!("task {task} failed: shutting down");
                return End::Failure;
            }
            Some(()) = signals.hangup.recv() => {
                tracing::info!("SIGHUP: reading files again");
                notifier.reloading();
                run_hooks(&process.shared.hooks.reload).await;
                notifier.ready(&process.health.summary());
            }
            Some(()) = signals.checkpoint.recv() => {
                tracing::info!("SIGUSR1: writing checkpoints");
                run_hooks(&process.shared.hooks.checkpoint).await;
            }
        }
    }
}

async fn run_hooks(hooks: &Mutex<Vec<(&'static str, Arc<Hook>)>>) {
    let hooks = hooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (name, hook) in hooks {
        if let Err(error) = hook().await {
            tracing::error!("{name}: {}", chain(&*error));
        }
    }
}

/// The ordered end; a second signal cuts it short.
async fn finish(process: &Process, end: End, signals: &mut Signals) -> u8 {
    let budget = process.config.limits.shutdown_timeout;
    let late = tokio::select! {
        late = process.tasks.shutdown(budget) => late,
        name = signals.stop.next() => {
            let running = process.tasks.running().join(", ");
            crate::critical!("{name} again: ending at once, unfinished: {running}");
            return 1;
        }
    };
    if !late.is_empty() {
        let names: Vec<_> = late.iter().map(|late| late.name.as_ref()).collect();
        crate::critical!("not finished at shutdown: {}", names.join(", "));
    }
    let code = match end {
        End::Done(code) => code,
        End::Failure => 1,
        End::Signal => u8::from(!late.is_empty()),
    };
    if process.serves() && late.is_empty() {
        // Nobody is left to tell when standard output is closed.
        let _written = std::io::stdout().lock().write_all(b"Graceful shutdown completed!\n").is_ok();
    }
    code
}

/// Beats for ever: measures how late the runtime is, and keeps the service manager patient and informed.
async fn pulse(notifier: Notifier, health: Health, busy: Arc<AtomicBool>) {
    // Three signs of life in the watchdog's period: one may be late, and one lost.
    let watchdog = notifier.watchdog_period().map(|period| (period / 3).max(Duration::from_millis(1)));
    let beat = watchdog.map_or(PULSE, |period| period.min(PULSE));
    let mut ticks = interval(beat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut expected, mut status) = (Instant::now(), String::new());
    let (mut alive, mut extended) = (None::<Instant>, None::<Instant>);
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let late = now.saturating_duration_since(expected);
        expected = now + beat;
        ::metrics::histogram!("runtime_late_seconds").record(late.as_secs_f64());
        if late > LATE {
            tracing::warn!("the process is overloaded: it answers {} ms late", late.as_millis());
        }
        if !notifier.is_active() {
            continue;
        }
        let due = |last: Option<Instant>, period: Duration| {
            last.is_none_or(|last| now.duration_since(last) >= period)
        };
        if let Some(period) = watchdog
            && due(alive, period)
        {
            notifier.alive();
            alive = Some(now);
        }
        if busy.load(Ordering::Relaxed) {
            if due(extended, EXTENSION / 3) {
                notifier.extend(EXTENSION);
                extended = Some(now);
            }
        } else {
            let summary = health.summary();
            if summary != status {
                notifier.status(&summary);
                status = summary;
            }
        }
    }
}

/// Signals that ask for the end.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

struct Signals {
    stop: Stop,
    hangup: Signal,
    checkpoint: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            stop: Stop {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            hangup: signal(SignalKind::hangup())?,
            checkpoint: signal(SignalKind::user_defined1())?,
        })
    }
}

impl Stop {
    /// The next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
