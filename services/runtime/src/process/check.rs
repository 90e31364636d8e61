//! `-check-config`: everything that can be said about a configuration without doing anything.

use std::io::Write as _;

use serde_json::json;

use super::Program;
use crate::config::{Config, Loaded, Problem, Problems, Severity};
use crate::env::{Env, ProgramEnv};
use crate::flags::Flags;

/// Prints the report and gives the exit code.
pub(super) fn report(
    program: &Program,
    flags: &Flags,
    env: &ProgramEnv,
    loaded: Result<Loaded, Problems>,
) -> u8 {
    let mut problems = match loaded {
        Ok(loaded) => {
            let mut problems = loaded.warnings;
            problems.extend(secrets(&loaded.config, env));
            problems.extend(server(&loaded.config, flags));
            problems.extend(loaded.config.unserved(flags.text("config"), env));
            problems.extend((program.check)(&loaded.config, env));
            problems
        }
        Err(problems) => problems.0,
    };
    let notes = env.notes.iter().map(|note| (Severity::Warning, ".env", note.to_string()));
    problems.extend(notes.map(|(severity, file, text)| Problem {
        severity,
        file: file.to_owned(),
        path: String::new(),
        text,
    }));
    let good = problems.iter().all(|problem| problem.severity == Severity::Warning);
    let text =
        if flags.text("format") == "json" { json_text(&problems, good) } else { plain_text(&problems, good) };
    // A closed pipe leaves the exit code as the answer.
    let _written = std::io::stdout().lock().write_all(text.as_bytes()).is_ok();
    u8::from(!good)
}

fn secrets(config: &Config, env: &ProgramEnv) -> Option<Problem> {
    let missing = !config.main.disable_authentication
        && config.standalone.is_none()
        && env.get("SESSION_KEY").is_none();
    missing.then(|| Problem {
        severity: Severity::Error,
        file: ".env".to_owned(),
        path: "SESSION_KEY".to_owned(),
        text: "missing; authentication needs it".to_owned(),
    })
}

fn server(config: &Config, flags: &Flags) -> Option<Problem> {
    config.server_problem().map(|text| Problem {
        // Actions without a server work.
        severity: if flags.on("server") { Severity::Error } else { Severity::Warning },
        file: flags.text("config").to_owned(),
        path: String::new(),
        text: text.to_owned(),
    })
}

fn plain_text(problems: &[Problem], good: bool) -> String {
    let line = |problem: &Problem| {
        let word = if problem.severity == Severity::Error { "error" } else { "warning" };
        format!("{word}: {problem}\n")
    };
    let mut text: String = problems.iter().map(line).collect();
    text.push_str(if good {
        "The configuration can be used.\n"
    } else {
        "The configuration cannot be used.\n"
    });
    text
}

fn json_text(problems: &[Problem], good: bool) -> String {
    let each = problems.iter().map(|problem| {
        json!({
            "severity": if problem.severity == Severity::Error { "error" } else { "warning" },
            "file": problem.file, "path": problem.path, "text": problem.text,
        })
    });
    format!("{}\n", json!({"usable": good, "problems": each.collect::<Vec<_>>()}))
}
