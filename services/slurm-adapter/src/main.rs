//! `cc-slurm-adapter`: see [`cc_slurm_adapter::command`].

use std::process::ExitCode;
use std::sync::Arc;

use cc_runtime::clock::Clock;
use cc_runtime::env::ProcessEnv;
use cc_runtime::logging::{self, Level, LogFormat, Options, Stderr};

#[tokio::main]
async fn main() -> ExitCode {
    let clock = Clock::system();
    let options = Options { format: LogFormat::Reference, date: false };
    let (subscriber, _level) = logging::subscriber(Level::Warn, options, clock.clone(), None, Stderr);
    // fails only where one is installed already, which nobody did
    let _installed = tracing::subscriber::set_global_default(subscriber).is_ok();
    let words = std::env::args().skip(1).collect();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let exit = cc_slurm_adapter::command::run(words, Arc::new(ProcessEnv), &clock, &mut out, &mut err).await;
    ExitCode::from(exit.code())
}
