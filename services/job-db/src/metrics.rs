//! Figures of this service. Labels come from closed vocabularies only.

/// Events per committed group.
const GROUP_EVENTS: &str = "ingest_group_events";
/// Seconds from the start of a group's transaction until it is durable.
const GROUP_SECONDS: &str = "ingest_commit_seconds";
/// Scheduler events by kind and outcome.
const EVENTS: &str = "ingest_events_total";
/// Archiving attempts by outcome.
const ARCHIVED: &str = "archive_attempts_total";
/// Jobs waiting to be archived, at the last look.
const ARCHIVE_QUEUE: &str = "archive_queue_due";

/// Rules of taggers that could not be decided for a job.
const TAGGER_PROBLEMS: &str = "tagger_rule_problems_total";
/// Events that could not be applied and wait for people.
const DEAD: &str = "ingest_dead_letters";
/// Events that wait for a cluster file.
const PARKED: &str = "ingest_parked";

/// What the ledger keeps.
pub(crate) fn ledger(dead: u64, parked: u64) {
    for (name, entries) in [(DEAD, dead), (PARKED, parked)] {
        metrics::gauge!(name).set(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
    }
}

/// A committed (or failed) group.
pub(crate) fn commit(events: usize, seconds: f64) {
    metrics::histogram!(GROUP_EVENTS).record(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
    metrics::histogram!(GROUP_SECONDS).record(seconds);
}

/// One scheduler event.
pub(crate) fn event(kind: &'static str, outcome: &'static str) {
    metrics::counter!(EVENTS, "kind" => kind, "outcome" => outcome).increment(1);
}

/// One attempt to archive a job.
pub(crate) fn archive_attempt(outcome: &'static str) {
    metrics::counter!(ARCHIVED, "outcome" => outcome).increment(1);
}

/// Entries of the archive queue that were due.
pub(crate) fn archive_queue(entries: usize) {
    metrics::gauge!(ARCHIVE_QUEUE).set(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
}

/// Rules that could not be decided.
pub(crate) fn tagger_problems(rules: usize) {
    metrics::counter!(TAGGER_PROBLEMS).increment(rules as u64);
}

/// Describes every figure for the exporter.
pub(crate) fn describe() {
    use metrics::Unit::{Count, Seconds};
    metrics::describe_histogram!(GROUP_EVENTS, Count, "events committed in one transaction");
    metrics::describe_histogram!(GROUP_SECONDS, Seconds, "time of one transaction until it is durable");
    metrics::describe_counter!(EVENTS, Count, "scheduler events by kind and outcome");
    metrics::describe_counter!(ARCHIVED, Count, "attempts to archive a job by outcome");
    metrics::describe_counter!(TAGGER_PROBLEMS, Count, "tagger rules that could not be decided for a job");
    metrics::describe_gauge!(DEAD, Count, "events that could not be applied");
    metrics::describe_gauge!(PARKED, Count, "events that wait for a cluster file");
    metrics::describe_gauge!(ARCHIVE_QUEUE, Count, "jobs due to be archived");
}
