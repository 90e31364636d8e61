//! What the service counts.

use metrics::{counter, describe_counter, describe_histogram, histogram};

const ARCHIVED: &str = "archive_jobs_total";
const BYTES: &str = "archive_data_bytes_total";
const SECONDS: &str = "archive_job_seconds";
const BROKEN: &str = "archive_broken_entries_total";

/// Names, units and help.
pub(crate) fn describe() {
    describe_counter!(ARCHIVED, "jobs written to the archive, by outcome");
    describe_counter!(BYTES, metrics::Unit::Bytes, "bytes of data files written");
    describe_histogram!(SECONDS, metrics::Unit::Seconds, "time to archive one job");
    describe_counter!(BROKEN, "entries that could not be read");
}

/// One job was archived, or not.
pub(crate) fn archived(bytes: Option<u64>, seconds: f64) {
    counter!(ARCHIVED, "outcome" => if bytes.is_some() { "ok" } else { "error" }).increment(1);
    counter!(BYTES).increment(bytes.unwrap_or_default());
    histogram!(SECONDS).record(seconds);
}

/// An entry was damaged.
pub(crate) fn broken() {
    counter!(BROKEN).increment(1);
}
