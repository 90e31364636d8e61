//! Sections `metric-store` and `metric-store-external` (config-and-cli.md 3.6, 3.7; metric-store.md 2.2).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
