//! Sections `metric-store` and `metric-store-external` (config-and-cli.md 3.6, 3.7; metric-store.md 2.2).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cc_model::duration::{self, DurationError};

use super::section::Section;

/// The metric store of this product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricStore {
    /// `retention-in-memory`: how long samples stay; zero (also for negative values): no retention runs.
    pub retention_in_memory: Duration,
    /// `memory-cap`: GB of samples; 0: unlimited.
    pub memory_cap_gb: u64,
    /// `num-workers`; absent or ≤ 0 in the file: half of the processors plus one, at most 10.
    pub num_workers: usize,
    /// `checkpoint-interval`. Default 12 h.
    pub checkpoint_interval: Duration,
    /// `checkpoints`.
    pub checkpoints: Checkpoints,
    /// `cleanup`: what happens to checkpoints older than the retention.
    pub cleanup: Cleanup,
    /// `nats-subscriptions`.
    pub nats_subscriptions: Vec<NatsSubscription>,
}

/// `metric-store.checkpoints`: the reference's checkpoint directory (ours is beside it, `<directory>.ccx`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// `file-format`.
    pub file_format: CheckpointFormat,
    /// `directory`. Default `./var/checkpoints`.
    pub directory: PathBuf,
    /// `max-wal-size`: bytes of log per host before it is rotated; 0: unlimited.
    pub max_wal_size: u64,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { file_format: CheckpointFormat::Wal, directory: "./var/checkpoints".into(), max_wal_size: 0 }
    }
}

/// Our section `store-log`: the log of samples, which the store of this product always keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLog {
    /// `durability`: what an answer to samples means. Default `background`.
    pub durability: LogDurability,
}

/// `store-log.durability` (architecture.md 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogDurability {
    /// `background`: written before the answer, on the disk at most a second later; a killed process loses nothing, a power cut
    /// that second.
    #[default]
    Background,
    /// `sync`: on the disk before the answer; a power cut loses nothing either. Each batch then waits for the disk.
    Sync,
}

/// `metric-store.checkpoints.file-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointFormat {
    /// Binary snapshots and a log.
    Wal,
    /// JSON snapshots (any other value in the file means this too).
    Json,
}

/// `metric-store.cleanup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// `mode` `delete`, the default.
    #[default]
    Delete,
    /// `mode` `archive`: into Parquet files.
    Archive {
        /// `directory`.
        directory: PathBuf,
    },
}

/// One element of `metric-store.nats-subscriptions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSubscription {
    /// `subscribe-to`: the subject.
    pub subscribe_to: String,
    /// `cluster-tag`: cluster of lines that name none; empty: such lines are refused.
    pub cluster_tag: String,
}

/// One element of `metric-store-external`.
#[derive(Clone, PartialEq, Eq)]
pub struct External {
    /// `scope`: `<cluster>-<subcluster>`, `<cluster>` or `*`.
    pub scope: String,
    /// `url`: base URL.
    pub url: String,
    /// `token`: JWT.
    pub token: String,
}

impl fmt::Debug for External {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("External")
            .field("scope", &self.scope)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Names of earlier releases and of their documentation.
pub(super) const HINTS: &[(&str, &str)] = &[
    ("archive", "old checkpoints are handled by cleanup {mode, directory}"),
    ("interval", "it is metric-store.checkpoint-interval; cleanup runs every retention-in-memory"),
    ("restore", "checkpoints are always restored as far back as retention-in-memory"),
];

/// Half a day.
const CHECKPOINT_INTERVAL: Duration = Duration::from_hours(12);

/// Reads section `metric-store`.
pub(super) fn read(section: Section<'_>) -> MetricStore {
    let mut store = MetricStore {
        retention_in_memory: section.need("retention-in-memory").unwrap_or_default(),
        memory_cap_gb: section.need("memory-cap").unwrap_or_default(),
        num_workers: default_workers(),
        checkpoint_interval: CHECKPOINT_INTERVAL,
        checkpoints: section.object("checkpoints").map(read_checkpoints).unwrap_or_default(),
        cleanup: section.object("cleanup").map(read_cleanup).unwrap_or_default(),
        nats_subscriptions: section
            .objects("nats-subscriptions")
            .into_iter()
            .filter_map(read_subscription)
            .collect(),
    };
    section.set_positive("num-workers", &mut store.num_workers);
    read_interval(&section, &mut store.checkpoint_interval);
    if let Some(debug) = section.object("debug") {
        // Accepted and unused by the reference.
        debug.get::<String>("dump-to-file");
        debug.get::<bool>("gops");
        debug.finish();
    }
    warn_of_repeated_subjects(&section, &store.nats_subscriptions);
    section.finish();
    store
}

/// Reads section `store-log`.
pub(super) fn read_log(section: Section<'_>) -> StoreLog {
    let choices = [("background", LogDurability::Background), ("sync", LogDurability::Sync)];
    let durability = section.choice("durability", &choices).unwrap_or_default();
    section.finish();
    StoreLog { durability }
}

fn default_workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2 + 1).min(10)
}

fn read_interval(section: &Section<'_>, interval: &mut Duration) {
    let Some(text) = section.get::<String>("checkpoint-interval").filter(|text| !text.is_empty()) else {
        return;
    };
    let at = section.at.key("checkpoint-interval");
    match duration::parse(&text) {
        Ok(Duration::ZERO) | Err(DurationError::Negative(_)) => {
            at.error("expected a duration of more than 0");
        }
        Ok(period) => *interval = period,
        Err(error) => at.warn(format!("{error}: 12h is used")),
    }
}

fn read_checkpoints(section: Section<'_>) -> Checkpoints {
    let section = section.with_hints(HINTS);
    let mut checkpoints = Checkpoints::default();
    if section.get::<String>("file-format").is_some_and(|format| format != "wal") {
        checkpoints.file_format = CheckpointFormat::Json;
    }
    section.set("directory", &mut checkpoints.directory);
    section.set("max-wal-size", &mut checkpoints.max_wal_size);
    section.finish();
    checkpoints
}

/// Without `mode` the reference demands `directory`, and deletes.
fn read_cleanup(section: Section<'_>) -> Cleanup {
    let section = section.with_hints(HINTS);
    let has_mode = section.value("mode").is_some();
    let archive = section.choice("mode", &[("archive", true), ("delete", false)]).unwrap_or(false);
    let directory = section.get::<PathBuf>("directory");
    if directory.is_none() && (archive || !has_mode) {
        let text = if has_mode {
            "missing; mode \"archive\" needs it"
        } else {
            "missing, as is mode; give one of them"
        };
        section.at.key("directory").error(text);
    }
    section.finish();
    match directory {
        Some(directory) if archive => Cleanup::Archive { directory },
        _ => Cleanup::Delete,
    }
}

fn read_subscription(section: Section<'_>) -> Option<NatsSubscription> {
    let subscribe_to = section.need("subscribe-to");
    let cluster_tag = section.get("cluster-tag").unwrap_or_default();
    section.finish();
    Some(NatsSubscription { subscribe_to: subscribe_to?, cluster_tag })
}

/// A message is taken once, with the tag of one subscription (deployment.md D-72).
fn warn_of_repeated_subjects(section: &Section<'_>, subscriptions: &[NatsSubscription]) {
    for (index, later) in subscriptions.iter().enumerate() {
        let same = |earlier: &&NatsSubscription| earlier.subscribe_to == later.subscribe_to;
        if let Some(first) = subscriptions.iter().take(index).find(same) {
            section.at.key("nats-subscriptions").index(index).warn(format!(
                "subject {:?} is there twice, for clusters {:?} and {:?}; a line without tag cluster belongs to the first",
                later.subscribe_to, first.cluster_tag, later.cluster_tag
            ));
        }
    }
}

/// Reads one element of `metric-store-external`.
pub(super) fn read_external(section: Section<'_>) -> Option<External> {
    let scope = section.need("scope");
    let url = section.need("url");
    let token = section.need("token");
    section.finish();
    Some(External { scope: scope?, url: url?, token: token? })
}
