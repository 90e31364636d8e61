//! Invocations that end by themselves.

use std::path::PathBuf;

use cc_runtime::env::{Env as _, ProcessEnv};
use serde_json::Value;

use crate::host::Site;

#[test]
fn version_needs_no_file_and_help_goes_to_standard_error() {
    let site = Site::new();
    std::fs::remove_file(site.path().join("config.json")).unwrap();
    let ended = site.run(&["--version"]);
    assert_eq!(ended.code, 0);
    assert!(
        ended.stdout.contains("\nVersion:\t1.5.4\n") && ended.stdout.contains("SQL db version:\t11"),
        "{ended:?}"
    );
    let ended = site.run(&["-h"]);
    assert_eq!(ended.code, 0);
    assert!(ended.stderr.contains("-add-user") && ended.stderr.contains("-loglevel"), "{ended:?}");
    let ended = site.run(&["-nosuch"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.starts_with("flag provided but not defined: -nosuch\nUsage of cc-backend:\n"),
        "{ended:?}"
    );
}

#[test]
fn without_dotenv_only_a_needed_variable_is_missed() {
    let site = Site::new();
    std::fs::remove_file(site.path().join(".env")).unwrap();
    let ended = site.run(&["-del-user", "x"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("SESSION_KEY is not set: put it into the file .env"), "{ended:?}");
    let output = site.command(&["-del-user", "x"]).env("SESSION_KEY", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn every_mistake_of_the_file_is_shown_and_ends_the_program() {
    let site = Site::new();
    site.configure(
        r#"{"main": {"validate": "yes", "adr": 1}, "limits": {"max-body-mb": "x"}, "grpc": {"x": 1}}"#,
    );
    let ended = site.run(&["-server"]);
    assert_eq!(ended.code, 1);
    for line in [
        "<2>[CRITICAL] start.rs:",
        ": ./config.json: main.validate: \"yes\" is a text, expected true or false\n",
        ": ./config.json: main.adr: unknown key; did you mean \"addr\"?\n",
        ": ./config.json: limits.max-body-mb: \"x\" is a text, expected a whole number\n",
        ": ./config.json: grpc.x: unknown key, ignored\n",
    ] {
        assert!(ended.stderr.contains(line), "{line} is missing in {}", ended.stderr);
    }
}

#[test]
fn check_config_reports_and_does_nothing() {
    let site = Site::new();
    let ended = site.run(&["-check-config", "-server"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("The configuration can be used.\n"), "{ended:?}");
    site.configure(r#"{"main": {"validate": "yes"}}"#);
    let ended = site.run(&["-check-config", "-format", "json"]);
    assert_eq!(ended.code, 1);
    let report = ended.stdout.lines().find(|line| line.starts_with('{')).unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["usable"], false);
    assert_eq!(report["problems"][0]["path"], "main.validate");
}

#[test]
fn chdir_and_env_file_move_the_site() {
    let (site, elsewhere) = (Site::new(), Site::new());
    std::fs::remove_file(site.path().join(".env")).unwrap();
    site.write("secrets", "SESSION_KEY=x\n");
    let directory = site.path().to_str().unwrap();
    let ended = elsewhere.run(&["-chdir", directory, "-env-file", "secrets", "-jwt", "x"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = elsewhere.run(&["-chdir", "/nonexistent", "-jwt", "x"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("-chdir: cannot change to /nonexistent"), "{ended:?}");
}

/// The recorded command lines about configuration, with what the reference answered.
#[test]
fn recorded_command_lines_end_as_recorded() {
    let shared = ProcessEnv
        .get("CC_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let recorded = shared.join("fixtures/scenarios/cli/config.json");
    let Ok(text) = std::fs::read_to_string(&recorded) else {
        println!("skipped: no {}", recorded.display());
        return;
    };
    let scenario: Value = serde_json::from_str(&text).unwrap();
    let site = Site::new();
    for (name, text) in scenario["files"].as_object().unwrap() {
        site.write(name, text.as_str().unwrap());
    }
    // They need an archive or a metric store, which this program does not have.
    let others = ["archive folder is missing", "cleanup without a metric-store section", "cleanup"];
    let mut count = 0;
    for step in scenario["steps"].as_array().unwrap() {
        let name = step["name"].as_str().unwrap();
        if others.contains(&name) {
            continue;
        }
        let words: Vec<_> =
            step["cli"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let ended = site.run(&words);
        assert_eq!(i64::from(ended.code), step["expect"]["exit"].as_i64().unwrap(), "{name}: {ended:?}");
        if step["regex"].is_array() {
            assert!(ended.stdout.contains("No errors, server flag not set"), "{name}: {ended:?}");
        }
        let shown = match name {
            "bad log level" => ended.stderr.contains("invalid loglevel \"loud\""),
            "dates in the log" => ended.stderr.lines().any(is_dated),
            "no dates in the log" => ended.stderr.contains("<6>[INFO]     child.rs:"),
            "quiet" => ended.stderr.is_empty(),
            _ => true,
        };
        assert!(shown, "{name}: {}", ended.stderr);
        count += 1;
    }
    assert!(count > 20, "{count} command lines");
}

/// `<6>[INFO]     2024/01/31 12:00:00 …`
fn is_dated(line: &str) -> bool {
    let date = line.strip_prefix("<6>[INFO]     ").and_then(|rest| rest.get(..20)).unwrap_or_default();
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    shape == "9999/99/99 99:99:99 "
}
