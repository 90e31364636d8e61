//! The command line: `cc-slurm-adapter replay FILE [flags]` and `-version`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cc_runtime::clock::Clock;
use cc_runtime::env::Env;
use cc_runtime::error::chain;
use cc_runtime::flags::{self, Flag, Flags, Kind, Stop};
use cc_runtime::process::version_text;

use crate::publish::{self, channel};
use crate::replay::Replay;
use crate::token::Source;

const REPLAY: &[Flag] = &[
    text(
        "server",
        "https://localhost:9443",
        "The server: https://HOST:PORT, or http://127.0.0.1:PORT or unix:PATH on the same machine.",
    ),
    text("token-file", "", "File with the API token; without it the environment variable CC_TOKEN."),
    text(
        "ca-file",
        "",
        "Certificates (PEM) of the authority of the server; without it those of the machine.",
    ),
    text("cluster", "", "Report the jobs under this cluster instead of the recorded one."),
    text("shift", "0", "Seconds that are added to all times of jobs."),
    text("adapter-id", "replay", "Name of the adapter."),
    text("spool", "", "Directory of the durable spool; without it events wait in memory."),
    text("patience", "300", "Seconds without any acknowledgement after which to give up."),
    Flag { name: "json", kind: Kind::Bool, help: "Print one JSON object per event." },
];

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, kind: Kind::Text(default), help }
}

/// What the process ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// Something was not; it is told on standard error.
    Failed,
    /// The command line is not understood.
    Usage,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
        }
    }
}

/// What the words ask for.
#[derive(Debug)]
enum Asked {
    Version,
    Replay(Box<Replay>, Flags),
}

/// Does what the words after the program's name say. `out` and `err` are standard output and standard error.
pub async fn run(
    words: Vec<String>,
    env: Arc<dyn Env>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> Exit {
    let (exit, text) = match parse(words) {
        Ok(Asked::Version) => match out.write_all(version_text("cc-slurm-adapter").as_bytes()) {
            Ok(()) => (Exit::Done, None),
            Err(error) => (Exit::Failed, Some(error.to_string())),
        },
        Ok(Asked::Replay(replay, flags)) => match run_replay(&replay, &flags, env, clock, out).await {
            Ok(()) => (Exit::Done, None),
            Err(text) => (Exit::Failed, Some(text)),
        },
        Err(Stop::Help) => (Exit::Done, Some(usage())),
        Err(Stop::Wrong(text)) => (Exit::Usage, Some(format!("{text}\n{}", usage()))),
    };
    match text {
        // nobody is left to tell when standard error is closed
        Some(text) if writeln!(err, "{text}").is_err() => Exit::Failed,
        _ => exit,
    }
}

fn usage() -> String {
    format!(
        "cc-slurm-adapter -version\ncc-slurm-adapter replay FILE [flags]\n\n{}",
        flags::usage("replay", REPLAY)
    )
}

fn parse(words: Vec<String>) -> Result<Asked, Stop> {
    let mut words = words.into_iter();
    match words.next().as_deref() {
        Some("-version" | "--version") => return Ok(Asked::Version),
        Some("-h" | "-help" | "--help") => return Err(Stop::Help),
        Some("replay") => {}
        Some(other) => return Err(Stop::Wrong(format!("'{other}' is no command"))),
        None => return Err(Stop::Wrong("no command".to_owned())),
    }
    let file = match words.next() {
        Some(file) if file == "-h" || file == "-help" || file == "--help" => return Err(Stop::Help),
        Some(file) if !file.starts_with('-') && !file.is_empty() => file,
        _ => return Err(Stop::Wrong("replay needs a recording: replay FILE [flags]".to_owned())),
    };
    let flags = Flags::parse(REPLAY, words)?;
    let replay = Replay {
        file: file.into(),
        shift_s: number(&flags, "shift")?,
        cluster: flags.given("cluster").map(str::to_owned),
        spool: flags.given("spool").map(PathBuf::from),
        json: flags.on("json"),
        adapter_id: flags.text("adapter-id").to_owned(),
        patience: Duration::from_secs(number(&flags, "patience")?),
    };
    Ok(Asked::Replay(Box::new(replay), flags))
}

fn number<T: std::str::FromStr>(flags: &Flags, name: &str) -> Result<T, Stop> {
    let text = flags.text(name);
    text.parse().map_err(|_| Stop::Wrong(format!("invalid value {text:?} for -{name}: seconds wanted")))
}

async fn run_replay(
    replay: &Replay,
    flags: &Flags,
    env: Arc<dyn Env>,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> Result<(), String> {
    let server: publish::Server = flags.text("server").parse().map_err(|error| chain(&error))?;
    let ca_file = flags.given("ca-file").map(PathBuf::from);
    let transport = channel(&server, ca_file.as_deref()).map_err(|error| chain(&error))?;
    let token = Source::new(flags.given("token-file").map(PathBuf::from), env);
    replay.run(transport, &token, clock, out).await.map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests;
