//! Counters and gauges of the metric store. Names, units and meaning are here; label values come from closed lists.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use crate::checkpoint::CheckpointReport;
use crate::ingest::report::{Reason, Report};
use crate::load::LoadReport;
use crate::store::{Cleaned, Exported};

/// Samples in log and memory.
pub const SAMPLES: &str = "metric_store_samples_total";
/// Lines refused, by reason.
pub const REFUSED: &str = "metric_store_lines_refused_total";
/// Batches refused because the log cannot be written.
pub const LOG_FAILURES: &str = "metric_store_log_failures_total";
/// Times that logged samples could not be made durable.
pub const SYNC_FAILURES: &str = "metric_store_log_sync_failures_total";
/// Checkpoints written.
pub const CHECKPOINTS: &str = "metric_store_checkpoints_total";
/// Checkpoints that failed.
pub const CHECKPOINT_FAILURES: &str = "metric_store_checkpoint_failures_total";
/// Bytes of checkpoints written.
pub const CHECKPOINT_BYTES: &str = "metric_store_checkpoint_bytes_total";
/// Blocks dropped, by cause.
pub const EVICTED: &str = "metric_store_blocks_dropped_total";
/// Samples replayed from the log at the start.
pub const REPLAYED: &str = "metric_store_replayed_samples_total";
/// Bytes at the ends of log segments that could not be read at the start.
pub const LOG_CUT: &str = "metric_store_log_cut_bytes_total";
/// Samples imported from the reference's checkpoint files.
pub const IMPORTED: &str = "metric_store_imported_samples_total";
/// The reference's checkpoint files that are damaged or do not belong where they lie.
pub const IMPORT_DAMAGED: &str = "metric_store_import_damaged_files_total";
/// Checkpoint files written for the reference.
pub const EXPORTED: &str = "metric_store_exported_files_total";
/// Checkpoint files for the reference that could not be written.
pub const EXPORT_FAILURES: &str = "metric_store_export_failures_total";
/// Memory of samples and their index.
pub const MEMORY: &str = "metric_store_memory_bytes";

/// Handles of the counters.
#[derive(Debug)]
pub(crate) struct Counters {
    samples: Counter,
    refused: [Counter; Reason::ALL.len()],
    log_failures: Counter,
    sync_failures: Counter,
    checkpoints: Counter,
    checkpoint_failures: Counter,
    checkpoint_bytes: Counter,
    expired: Counter,
    pressed: Counter,
    replayed: Counter,
    log_cut: Counter,
    imported: Counter,
    import_damaged: Counter,
    exported: Counter,
    export_failures: Counter,
    memory: Gauge,
}

impl Counters {
    /// Registers everything with the process's recorder, which must be installed already.
    pub(crate) fn new() -> Self {
        describe();
        Self {
            samples: counter!(SAMPLES),
            refused: Reason::ALL.map(|reason| counter!(REFUSED, "reason" => reason.as_str())),
            log_failures: counter!(LOG_FAILURES),
            sync_failures: counter!(SYNC_FAILURES),
            checkpoints: counter!(CHECKPOINTS),
            checkpoint_failures: counter!(CHECKPOINT_FAILURES),
            checkpoint_bytes: counter!(CHECKPOINT_BYTES),
            expired: counter!(EVICTED, "cause" => "retention"),
            pressed: counter!(EVICTED, "cause" => "memory-cap"),
            replayed: counter!(REPLAYED),
            log_cut: counter!(LOG_CUT),
            imported: counter!(IMPORTED),
            import_damaged: counter!(IMPORT_DAMAGED),
            exported: counter!(EXPORTED),
            export_failures: counter!(EXPORT_FAILURES),
            memory: gauge!(MEMORY),
        }
    }

    /// A batch was taken.
    pub(crate) fn batch(&self, report: &Report) {
        self.samples.increment(report.samples);
        for (reason, refused) in report.all_refused() {
            if let Some(counter) = self.refused.get(reason as usize) {
                counter.increment(refused.lines);
            }
        }
    }

    /// The log cannot be written.
    pub(crate) fn log_failure(&self) {
        self.log_failures.increment(1);
    }

    /// The log cannot be made durable.
    pub(crate) fn sync_failure(&self) {
        self.sync_failures.increment(1);
    }

    /// A checkpoint was written.
    pub(crate) fn checkpoint(&self, report: &CheckpointReport) {
        self.checkpoints.increment(1);
        self.checkpoint_bytes.increment(report.bytes);
    }

    /// A checkpoint failed.
    pub(crate) fn checkpoint_failure(&self) {
        self.checkpoint_failures.increment(1);
    }

    /// A shard was loaded.
    pub(crate) fn loaded(&self, report: &LoadReport) {
        self.replayed.increment(report.replayed);
        self.imported.increment(report.imported.samples);
        self.import_damaged.increment(report.imported.damaged.len() as u64);
        self.log_cut.increment(report.cut.iter().map(|(_, bytes)| bytes).sum());
    }

    /// Files were written for the reference, or could not be.
    pub(crate) fn exported(&self, exported: Exported) {
        self.exported.increment(exported.files);
        self.export_failures.increment(exported.failures);
    }

    /// A clean-up ended.
    pub(crate) fn cleaned(&self, cleaned: &Cleaned) {
        self.expired.increment(cleaned.expired);
        self.pressed.increment(cleaned.pressed);
    }

    /// So much memory is in use.
    pub(crate) fn memory(&self, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.memory.set(bytes as f64);
    }
}

fn describe() {
    describe_counter!(SAMPLES, Unit::Count, "samples taken into log and memory");
    describe_counter!(REFUSED, Unit::Count, "lines refused, by reason");
    describe_counter!(LOG_FAILURES, Unit::Count, "batches refused because the log cannot be written");
    describe_counter!(SYNC_FAILURES, Unit::Count, "times that logged samples could not be made durable");
    describe_counter!(CHECKPOINTS, Unit::Count, "checkpoints written");
    describe_counter!(CHECKPOINT_FAILURES, Unit::Count, "checkpoints that failed");
    describe_counter!(CHECKPOINT_BYTES, Unit::Bytes, "bytes of checkpoints written");
    describe_counter!(EVICTED, Unit::Count, "buffers (512 samples) dropped from memory, by cause");
    describe_counter!(REPLAYED, Unit::Count, "samples replayed from the log at the start");
    describe_counter!(
        LOG_CUT,
        Unit::Bytes,
        "bytes at the ends of log segments that could not be read at the start"
    );
    describe_counter!(IMPORTED, Unit::Count, "samples imported from checkpoint files of the reference");
    describe_counter!(
        IMPORT_DAMAGED,
        Unit::Count,
        "checkpoint files of the reference that are damaged or stray"
    );
    describe_counter!(EXPORTED, Unit::Count, "checkpoint files written for the reference");
    describe_counter!(EXPORT_FAILURES, Unit::Count, "checkpoint files for the reference that failed");
    describe_gauge!(MEMORY, Unit::Bytes, "memory of samples and their index");
}
