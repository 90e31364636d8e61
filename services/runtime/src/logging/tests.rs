use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rstest::rstest;

use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<String>>);

impl Sink for Memory {
    fn line(&self, line: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(line);
    }
}

/// What `write` logs.
fn logged(level: Level, format: LogFormat, date: bool, write: impl FnOnce(&Control)) -> String {
    let memory = Memory::default();
    let clock = Clock::fixed(Timestamp::from_second(1_700_000_000).unwrap());
    let (subscriber, control) = subscriber(level, Options { format, date }, clock, None, memory.clone());
    tracing::subscriber::with_default(subscriber, || write(&control));
    memory.0.lock().unwrap().clone()
}

fn every_level(_control: &Control) {
    tracing::debug!(target: "cc_test", "a");
    tracing::info!(target: "cc_test", "b");
    tracing::warn!(target: "cc_test", "c");
    tracing::error!(target: "cc_test", "d");
    crate::critical!("e");
}

/// Prefix and message of each line, without the source.
fn shape(text: &str) -> Vec<String> {
    let short = |line: &str| {
        format!(
            "{}{}",
            line.get(..14).unwrap(),
            line.rsplit(": ").next().unwrap().trim_start_matches(line.get(..14).unwrap())
        )
    };
    text.lines().map(short).collect()
}

#[test]
fn lines_have_the_prefixes_of_the_reference() {
    let text = logged(Level::Debug, LogFormat::Reference, false, every_level);
    assert_eq!(
        shape(&text),
        ["<7>[DEBUG]    a", "<6>[INFO]     b", "<4>[WARNING]  c", "<3>[ERROR]    d", "<2>[CRITICAL] e"]
    );
    assert!(text.contains("<6>[INFO]     tests.rs:"), "{text}");
}

#[rstest]
#[case(Level::Debug, 5)]
#[case(Level::Info, 4)]
#[case(Level::Warn, 3)]
#[case(Level::Error, 2)]
#[case(Level::Critical, 1)]
fn lower_levels_are_hidden(#[case] level: Level, #[case] lines: usize) {
    assert_eq!(logged(level, LogFormat::Reference, false, every_level).lines().count(), lines);
}

#[test]
fn the_level_changes_while_running() {
    let text = logged(Level::Error, LogFormat::Reference, false, |control| {
        tracing::info!(target: "cc_test", "hidden");
        control.set(Level::Info);
        assert_eq!(control.level(), Level::Info);
        tracing::info!(target: "cc_test", "shown");
        control.set(Level::Critical);
        tracing::error!(target: "cc_test", "hidden again");
    });
    assert_eq!(shape(&text), ["<6>[INFO]     shown"]);
}

#[test]
fn dates_are_local_and_as_go_writes_them() {
    let text = logged(Level::Info, LogFormat::Reference, true, |_| tracing::info!(target: "cc_test", "x"));
    let local = Timestamp::from_second(1_700_000_000).unwrap().to_zoned(jiff::tz::TimeZone::system());
    let expected = format!("<6>[INFO]     {} tests.rs:", local.strftime("%Y/%m/%d %H:%M:%S"));
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn a_line_stays_one_line() {
    let text = logged(Level::Info, LogFormat::Reference, false, |_| {
        tracing::info!(target: "cc_test", "user {} is unknown", "x\n<2>[CRITICAL] forged\u{1b}[31m");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.ends_with("user x\\n<2>[CRITICAL] forged\\u{1b}[31m is unknown\n"), "{text}");
}

#[test]
fn fields_show_in_json_and_for_libraries() {
    let write = |_: &Control| {
        tracing::info!(job.id = 7, archive.ratio = 0.5, level = "forged", "archived job {}", 7);
        tracing::warn!(target: "library", size_bytes = 3_u64, "odd");
        tracing::info!(target: "library", "hidden");
        tracing::debug!(target: "sqlx::query", "SELECT 1");
    };
    let text = logged(Level::Debug, LogFormat::Reference, false, write);
    assert_eq!(
        shape(&text),
        ["<6>[INFO]     archived job 7", "<4>[WARNING]  odd size_bytes=3", "<7>[DEBUG]    SELECT 1"]
    );
    let text = logged(Level::Info, LogFormat::Json, false, write);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        serde_json::json!({"time": "2023-11-14T22:13:20Z", "level": "info", "target": "cc_runtime::logging::tests",
            "message": "archived job 7", "job.id": 7, "archive.ratio": 0.5})
    );
    assert_eq!(lines[1]["size_bytes"], 3);
    assert_eq!(lines.len(), 2);
}

#[test]
fn errors_show_their_causes() {
    let error = crate::files::write_atomic("/nonexistent/x", "").unwrap_err();
    let text = logged(Level::Info, LogFormat::Json, false, |_| {
        tracing::error!(target: "cc_test", error = &error as &dyn std::error::Error, "failed");
    });
    assert!(text.contains("failed to create /nonexistent/.x.") && text.contains(": No such file"), "{text}");
}

#[test]
fn a_cause_that_the_message_does_not_tell_follows_it() {
    let text = logged(Level::Info, LogFormat::Reference, false, |_| {
        tracing::error!(target: "cc_test", error = %"no room", job.id = 7, "cannot write");
        tracing::error!(target: "cc_test", error = %"no room", "cannot write, there is no room left");
    });
    let lines: Vec<&str> = text.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(lines, ["cannot write: no room", "cannot write, there is no room left"]);
}

#[rstest]
#[case("debug", Some(Level::Debug))]
#[case("fatal", Some(Level::Error))]
#[case("err", Some(Level::Error))]
#[case("crit", Some(Level::Critical))]
#[case("loud", None)]
#[case("error", None)]
fn names_are_those_of_the_flag(#[case] name: &str, #[case] level: Option<Level>) {
    assert_eq!(Level::from_name(name), level);
}
