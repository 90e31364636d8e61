//! From the command line to the runtime: everything that happens while the process has one thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Hooks, Next, Prepared, Process, Program, Role, Shared, check, life, ports, version};
use crate::clock::Clock;
use crate::config::{Config, Severity};
use crate::env::{Env, Note, ProcessEnv, ProgramEnv};
use crate::flags::{self, Flags, Stop};
use crate::logging::{self, Level, LogFormat, Options, Stderr};
use crate::privileges::{self, Machine};
use crate::tasks::{BoxError, chain};

/// Exit code of a wrong command line, as Go's.
const WRONG_USAGE: u8 = 2;
/// Exit code of everything else that fails.
const FAILED: u8 = 1;

/// Runs the program; the result is the exit code.
pub(super) fn run<M, F>(program: &Program, words: impl IntoIterator<Item = String>, main: M) -> u8
where
    M: FnOnce(Process) -> F,
    F: Future<Output = Result<Next, BoxError>>,
{
    let flags = match Flags::parse(program.flags, words) {
        Ok(flags) => flags,
        Err(Stop::Help) => {
            complain(&flags::usage(program.name, program.flags));
            return 0;
        }
        Err(Stop::Wrong(text)) => {
            complain(&format!("{text}\n{}", flags::usage(program.name, program.flags)));
            return WRONG_USAGE;
        }
    };
    if flags.on("version") {
        // Nobody is left to tell when standard output is closed.
        let _written =
            std::io::stdout().lock().write_all(version::version_text(program.name).as_bytes()).is_ok();
        return 0;
    }
    match prepare(program, flags) {
        Ok(prepared) => life::run(program, *prepared, main),
        Err(code) => code,
    }
}

/// Reads everything, binds, drops privileges. An error is the exit code; its text is in the log.
fn prepare(program: &Program, flags: Flags) -> Result<Box<Prepared>, u8> {
    let clock = Clock::system();
    let level = Level::from_name(flags.text("loglevel")).unwrap_or_else(|| {
        let name = flags.text("loglevel");
        complain(&format!("<3>[ERROR]    invalid loglevel {name:?}, using 'debug' (all levels enabled)\n"));
        Level::Debug
    });
    // The form of lines is in the configuration, so until that is read lines have the reference's form.
    let options = Options { format: LogFormat::Reference, date: flags.on("logdate") };
    let (subscriber, _control) = logging::subscriber(level, options, clock.clone(), None, Stderr);
    let _logging = tracing::subscriber::set_default(subscriber);

    let directory = flags.text("chdir");
    if !directory.is_empty() {
        std::env::set_current_dir(directory).map_err(|error| {
            crate::critical!("-chdir: cannot change to {directory}: {error}");
            FAILED
        })?;
    }
    if let Some(code) = (program.early)(&flags, &clock) {
        return Err(code);
    }
    let env = load_env(program, &flags)?;
    let loaded = Config::load(flags.text("config"), program.dialect(), &env);
    if flags.on("check-config") {
        return Err(check::report(program, &flags, &env, loaded));
    }
    let config = match loaded {
        Ok(loaded) => {
            loaded.warnings.iter().for_each(|problem| tracing::warn!("{problem}"));
            if faces_the_site(program.role, &flags) {
                for problem in loaded.config.unserved(flags.text("config"), &env) {
                    tracing::error!("{problem}");
                }
            }
            Arc::new(loaded.config)
        }
        Err(problems) => {
            for problem in problems.0 {
                match problem.severity {
                    Severity::Warning => tracing::warn!("{problem}"),
                    Severity::Error => crate::critical!("{problem}"),
                }
            }
            return Err(FAILED);
        }
    };
    let shared = open(program.role, &flags, &config, &env).map_err(|error| {
        crate::critical!("{}", chain(&*error));
        FAILED
    })?;
    let env = Arc::new(env);
    Ok(Box::new(Prepared { config, env, flags, clock, level, shared }))
}

/// Whether this process is the one of a site that says what the site as a whole does not serve.
fn faces_the_site(role: Role, flags: &Flags) -> bool {
    matches!(role, Role::Backend | Role::Service(cc_proto::access::Peer::Gateway))
        && ports::serves(role, flags)
}

fn load_env(program: &Program, flags: &Flags) -> Result<ProgramEnv, u8> {
    let path = Path::new(flags.text("env-file"));
    let env = ProgramEnv::load(Arc::new(ProcessEnv), path).map_err(|error| {
        tracing::error!("{}", chain(&error));
        FAILED
    })?;
    for note in &env.notes {
        match note {
            // The stand-alone store of the reference has no such file.
            Note::NoFile(_) if program.role == Role::Store => {}
            Note::NoFile(_) => tracing::info!("{note}"),
            Note::WorldReadable(_) => tracing::warn!("{note}"),
        }
    }
    Ok(env)
}

/// Ports, certificates, privileges: what needs root, and then root no more.
fn open(role: Role, flags: &Flags, config: &Config, env: &dyn Env) -> Result<Shared, BoxError> {
    let serves = ports::serves(role, flags);
    let mut bound = super::Ports::default();
    let (mut web_certificate, mut grpc_certificate) = (None, None);
    if serves {
        if faces_the_site(role, flags)
            && let Some(problem) = config.server_problem()
        {
            return Err(problem.into());
        }
        bound = ports::bind_all(role, config, env)?;
        (web_certificate, grpc_certificate) = ports::certificates(role, config)?;
        let plan = privileges::plan(&config.main.user, &config.main.group, &Machine)?;
        privileges::drop_to(&plan)?;
        privileges::check_writable(ports::written(role, config))?;
    }
    let listen_file = flags.given("listen-file").map(str::to_owned).or_else(|| env.get("CC_LISTEN_FILE"));
    let announced: BTreeMap<_, _> = [&bound.web, &bound.redirect, &bound.grpc, &bound.private]
        .into_iter()
        .flatten()
        .map(|bound| (bound.name().to_owned(), bound.address().to_string()))
        .collect();
    let shared = Shared {
        serves,
        web_certificate,
        grpc_certificate,
        ports: Mutex::new(bound),
        hooks: Hooks::default(),
        listen_file: listen_file.map(PathBuf::from),
        announced: Mutex::new(announced),
    };
    ports::write_announced(&shared)?;
    Ok(shared)
}

/// To standard error, before there is a log.
fn complain(text: &str) {
    // There is nobody to tell.
    let _written = std::io::stderr().lock().write_all(text.as_bytes()).is_ok();
}
