//! What became of events, as lines: JSON for programs, words for people.

use std::collections::BTreeMap;
use std::io::{self, Write};

use cc_proto::scheduler::v1::{Command, CommandDone, Event, EventResult, Outcome};
use serde::Serialize;

use crate::event_id;
use crate::publish::Observer;

/// What is said of events whose results were lost with a connection.
const ACKNOWLEDGED: &str = "ACKNOWLEDGED";

/// Writes a line per event and counts outcomes.
pub struct Report<'a> {
    out: &'a mut (dyn Write + Send),
    json: bool,
    counts: BTreeMap<&'static str, usize>,
    failure: Option<io::Error>,
}

impl std::fmt::Debug for Report<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Report").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// The JSON line.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    kind: &'static str,
    key: Key<'a>,
    outcome: &'static str,
    code: &'a str,
    field: &'a str,
    detail: &'a str,
    db_id: i64,
}

#[derive(Serialize)]
struct Key<'a> {
    cluster: &'a str,
    job_id: i64,
    start_time: i64,
}

impl<'a> Report<'a> {
    /// A report to `out`; with `json` one JSON object a line and per event, else only events that were not simply applied.
    pub fn new(out: &'a mut (dyn Write + Send), json: bool) -> Self {
        Self { out, json, counts: BTreeMap::new(), failure: None }
    }

    /// Events told so far.
    pub fn told(&self) -> usize {
        self.counts.values().sum()
    }

    /// Ends the report; for people with a line of numbers.
    ///
    /// # Errors
    /// The first failure of writing.
    pub fn finish(self) -> io::Result<()> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.json {
            let counts: Vec<String> = self
                .counts
                .iter()
                .map(|(outcome, count)| format!("{count} {}", outcome.to_lowercase()))
                .collect();
            let total: usize = self.counts.values().sum();
            writeln!(
                self.out,
                "{total} events: {}",
                if counts.is_empty() { "nothing to send".to_owned() } else { counts.join(", ") }
            )?;
        }
        self.out.flush()
    }

    fn tell(&mut self, cluster: &str, event: &Event, outcome: &'static str, result: &EventResult) {
        *self.counts.entry(outcome).or_default() += 1;
        let key = event.body.as_ref().and_then(event_id::key);
        let line = Line {
            seq: event.seq,
            kind: event.body.as_ref().map_or("", event_id::kind),
            key: Key {
                cluster,
                job_id: key.map_or(0, |key| key.job_id),
                start_time: key.map_or(0, |key| key.start_time),
            },
            outcome,
            code: &result.code,
            field: &result.field,
            detail: &result.detail,
            db_id: result.db_id,
        };
        let written = if self.json { json(self.out, &line) } else { words(self.out, &line) };
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }
}

fn json(out: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    out.write_all(&text)
}

fn words(out: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    if line.outcome == "APPLIED" {
        return Ok(());
    }
    let Key { cluster, job_id, start_time } = line.key;
    write!(out, "{} {cluster} {job_id} (start {start_time}): {}", line.kind, line.outcome.to_lowercase())?;
    for part in [line.code, line.field, line.detail].into_iter().filter(|part| !part.is_empty()) {
        write!(out, " {part}")?;
    }
    writeln!(out)
}

impl Observer for Report<'_> {
    fn result(&mut self, cluster: &str, event: &Event, result: &EventResult) {
        let outcome = match result.outcome() {
            Outcome::Unspecified => "UNSPECIFIED",
            Outcome::Applied => "APPLIED",
            Outcome::Duplicate => "DUPLICATE",
            Outcome::Stale => "STALE",
            Outcome::Parked => "PARKED",
            Outcome::Rejected => "REJECTED",
        };
        self.tell(cluster, event, outcome, result);
    }

    fn acknowledged(&mut self, cluster: &str, event: &Event) {
        let detail = "acknowledged, the result was lost with a connection".to_owned();
        self.tell(cluster, event, ACKNOWLEDGED, &EventResult { detail, ..EventResult::default() });
    }

    fn command(&mut self, command: &Command) -> CommandDone {
        let detail = "a recording is replayed, there is no scheduler to ask".to_owned();
        CommandDone { id: command.id.clone(), ok: false, detail }
    }
}

#[cfg(test)]
mod tests {
    use cc_proto::scheduler::v1::{JobKey, JobRetracted, event::Body};

    use super::*;

    fn event() -> Event {
        let key = JobKey { cluster: "a".to_owned(), job_id: 7, start_time: 9 };
        Event {
            seq: 3,
            body: Some(Body::Retracted(JobRetracted { key: Some(key), ..JobRetracted::default() })),
            ..Event::default()
        }
    }

    fn tell(json: bool) -> String {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, json);
        report.result(
            "a",
            &event(),
            &EventResult { outcome: Outcome::Applied.into(), db_id: 5, ..EventResult::default() },
        );
        let rejected = EventResult {
            outcome: Outcome::Rejected.into(),
            code: "INVALID_FIELD".to_owned(),
            field: "stop_time".to_owned(),
            detail: "before start".to_owned(),
            ..EventResult::default()
        };
        report.result("a", &event(), &rejected);
        report.acknowledged("a", &event());
        assert_eq!(report.told(), 3);
        report.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn programs_get_one_object_per_event() {
        assert_eq!(
            tell(true),
            r#"{"seq":3,"kind":"retracted","key":{"cluster":"a","job_id":7,"start_time":9},"outcome":"APPLIED","code":"","field":"","detail":"","db_id":5}
{"seq":3,"kind":"retracted","key":{"cluster":"a","job_id":7,"start_time":9},"outcome":"REJECTED","code":"INVALID_FIELD","field":"stop_time","detail":"before start","db_id":0}
{"seq":3,"kind":"retracted","key":{"cluster":"a","job_id":7,"start_time":9},"outcome":"ACKNOWLEDGED","code":"","field":"","detail":"acknowledged, the result was lost with a connection","db_id":0}
"#
        );
    }

    #[test]
    fn people_get_what_is_worth_reading_and_the_numbers() {
        assert_eq!(
            tell(false),
            "retracted a 7 (start 9): rejected INVALID_FIELD stop_time before start\n\
             retracted a 7 (start 9): acknowledged acknowledged, the result was lost with a connection\n\
             3 events: 1 acknowledged, 1 applied, 1 rejected\n"
        );
    }

    #[test]
    fn a_closed_output_is_an_error_at_the_end() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Closed;
        let mut report = Report::new(&mut out, true);
        report.acknowledged("a", &event());
        assert!(report.finish().is_err());
    }
}
