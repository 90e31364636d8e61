//! The store as a whole: shards, registry, pins, and its directory `<checkpoint directory>.ccx`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cc_runtime::clock::Clock;
use cc_runtime::files;
use tokio::sync::watch;

use crate::disk::{Disk, RealDisk};
use crate::error::Error;
use crate::host::{Host, HostKey};
use crate::load::LoadReport;
use crate::log::record::{Sample, TIME_MAX};
use crate::log::{Durability, ShardLog, segment};
use crate::metrics::Counters;
use crate::names::MetricNames;
use crate::reference::HostDirectory;
use crate::registry::Registry;
use crate::shard::{SHARDS, Shard};

mod background;
mod maintain;
mod pins;
mod reference;
mod state;

pub use self::background::start;
pub use self::maintain::Cleaned;
pub use self::pins::Pin;
pub use self::reference::{Exported, Format, Reference, clean_reference};
pub use crate::reference::cleanup::{CleanedFiles, Cleanup};

use self::pins::Pins;

/// Whether somebody tells which hosts must be kept beyond the retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// Nobody does: the retention holds for every host.
    None,
    /// job-db does ([`Store::pin`]); until its first word of this process twice the retention is kept.
    Expected,
}

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of log, checkpoints and state; made if it is absent.
    pub directory: PathBuf,
    /// How long samples are kept; zero: without end.
    pub retention: Duration,
    /// Bytes of memory for samples and their index; zero: without limit.
    pub memory_cap: u64,
    /// Longest time between two checkpoints of a shard.
    pub checkpoint_interval: Duration,
    /// Threads that read history back.
    pub workers: usize,
    /// When samples are made durable.
    pub durability: Durability,
    /// Whether hosts can be pinned.
    pub pinning: Pinning,
    /// The reference's checkpoint directory; `None`: there is none.
    pub reference: Option<Reference>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Store {
    options: Options,
    clock: Clock,
    names: MetricNames,
    registry: RwLock<Arc<Registry>>,
    pins: RwLock<Arc<Pins>>,
    shards: Vec<Shard>,
    /// One bit per shard whose history is loaded.
    loaded: watch::Sender<u32>,
    /// The next shard to be loaded.
    next_load: AtomicUsize,
    /// Whether the metrics are known.
    configured: watch::Sender<bool>,
    /// Whether this process was told them; the registry of the last one may be out of date.
    told: watch::Sender<bool>,
    counters: Counters,
    instance: u64,
    /// A number that the store keeps for ever; our files in the reference's directory carry it.
    id: u64,
    /// The hosts in the reference's directory as of the start, by shard.
    reference: Vec<Vec<HostDirectory>>,
    exports: Mutex<reference::Exports>,
    /// Held until the end.
    _lock: File,
}

/// Every shard's bit.
const ALL_LOADED: u32 = if SHARDS == 32 { u32::MAX } else { (1 << SHARDS) - 1 };

impl Store {
    /// Opens the directory, with the registry and the pins kept there. History is not in memory yet: see [`Store::load`].
    ///
    /// # Errors
    /// The directory cannot be used, or another process uses it, or a state file is damaged.
    pub fn open(options: Options, clock: Clock) -> Result<Arc<Self>, Error> {
        Self::open_on(options, clock, &(Arc::new(RealDisk) as Arc<dyn Disk>))
    }

    pub(crate) fn open_on(options: Options, clock: Clock, disk: &Arc<dyn Disk>) -> Result<Arc<Self>, Error> {
        files::create_directory(&options.directory)?;
        let lock = lock(&options.directory.join("lock"))?;
        files::sweep(&options.directory)?;
        let reference = reference::hosts(&options)?;
        let mut shards = Vec::new();
        let mut loaded = 0;
        for (number, foreign) in (0..SHARDS).zip(&reference) {
            let shard = open_shard(&options, number, disk, foreign.is_empty())?;
            loaded |= u32::from(shard.is_loaded()) << number;
            shards.push(shard);
        }
        let registry = state::read_registry(&options.directory)?;
        let store = Self {
            configured: watch::Sender::new(!registry.is_empty()),
            told: watch::Sender::new(false),
            registry: RwLock::new(Arc::new(registry)),
            pins: RwLock::new(Arc::new(state::read_pins(&options.directory)?)),
            id: state::read_id(&options.directory)?,
            reference,
            exports: Mutex::default(),
            instance: u64::try_from(clock.now().as_nanosecond()).unwrap_or(0).max(1),
            counters: Counters::new(),
            names: MetricNames::default(),
            loaded: watch::Sender::new(loaded),
            next_load: AtomicUsize::new(0),
            options,
            clock,
            shards,
            _lock: lock,
        };
        Ok(Arc::new(store))
    }

    /// What time it is.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A number of this start of the store: whoever configured another one has to do it again.
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// The directory of log, checkpoints and state.
    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn names(&self) -> &MetricNames {
        &self.names
    }

    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it is known which metrics are taken.
    pub fn is_configured(&self) -> bool {
        !self.registry().is_empty()
    }

    /// Waits until it is known which metrics are taken, at most `limit`: a fresh store hears it within moments, and whoever sends
    /// samples meanwhile is better kept waiting than refused.
    pub async fn wait_configured(&self, limit: Duration) {
        let mut configured = self.configured.subscribe();
        // What is not known in time is refused by the caller's own check.
        let _ = tokio::time::timeout(limit, configured.wait_for(|known| *known)).await;
    }

    /// The host of that name, if it ever had a line.
    pub(crate) fn host(&self, cluster: &str, host: &str) -> Option<Arc<Host>> {
        self.shards.get(crate::shard::shard_of(cluster, host) as usize)?.host(cluster, host)
    }

    /// The host of that name, made if there is none; `None` if there is none and memory is at its cap.
    pub(crate) fn host_or_new(&self, cluster: &str, host: &str) -> Option<Arc<Host>> {
        let shard = self.shards.get(crate::shard::shard_of(cluster, host) as usize)?;
        shard
            .host(cluster, host)
            .or_else(|| self.takes_new_series().then(|| shard.host_or_new(cluster, host)))
    }

    /// The hosts of a cluster that hold samples, by name.
    pub(crate) fn hosts_of(&self, cluster: &str) -> Vec<Arc<Host>> {
        let mut hosts: Vec<Arc<Host>> =
            self.shards.iter().flat_map(|shard| shard.hosts(Some(cluster))).collect();
        hosts.retain(|host| host.data().has_samples());
        hosts.sort_unstable_by(|a, b| a.key.host.cmp(&b.key.host));
        hosts
    }

    pub(crate) fn commit<'a>(
        &self,
        shard: u32,
        batches: impl Iterator<Item = (&'a Arc<Host>, &'a [Sample])> + Clone,
        now: i64,
    ) -> Result<(), Error> {
        let Some(shard) = self.shards.get(shard as usize) else { return Ok(()) };
        shard.commit(batches, &self.names, now).map_err(|source| {
            self.counters.log_failure();
            Error::Log { path: shard.directory.clone(), source }
        })
    }

    /// The oldest time of which samples of a host are taken.
    pub(crate) fn oldest_taken(&self, host: &HostKey, now: i64) -> i64 {
        let retention = i64::try_from(self.options.retention.as_secs()).unwrap_or(i64::MAX);
        if retention == 0 {
            return -TIME_MAX;
        }
        let pins = Arc::clone(&self.pins.read().unwrap_or_else(PoisonError::into_inner));
        let kept = now.saturating_sub(retention);
        pins.from(&host.cluster, &host.host).map_or(kept, |pinned| pinned.min(kept)).max(-TIME_MAX)
    }

    /// Bytes of memory that samples and their index take.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes() as u64).sum()
    }

    /// Whether memory is below its cap, so that series may begin.
    pub(crate) fn takes_new_series(&self) -> bool {
        self.options.memory_cap == 0 || self.bytes() < self.options.memory_cap
    }

    /// Whether all history is in memory.
    pub fn is_loaded(&self) -> bool {
        *self.loaded.borrow() == ALL_LOADED
    }

    /// Reads the history of every shard back, one after the other; blocks. Batches are taken meanwhile. Several threads may call it
    /// at once: each shard is read by one of them.
    ///
    /// # Errors
    /// A file cannot be read; that shard stays unloaded, the others are loaded.
    pub fn load(&self) -> Result<(), Error> {
        let mut first_error = Ok(());
        while let Some(shard) = self.shards.get(self.next_load.fetch_add(1, Ordering::Relaxed)) {
            if shard.is_loaded() {
                continue;
            }
            match self.load_shard(shard) {
                Ok(report) => self.loaded_shard(shard, &report),
                Err(error) => {
                    let text = cc_runtime::error::chain(&error);
                    tracing::error!(shard = shard.number, error = %text, "samples cannot be loaded: {text}");
                    let path = shard.directory.clone();
                    first_error = first_error.and(Err(Error::BrokenState { path, problem: text }));
                }
            }
        }
        first_error
    }

    fn loaded_shard(&self, shard: &Shard, report: &LoadReport) {
        self.loaded.send_modify(|loaded| *loaded |= 1 << shard.number);
        self.counters.loaded(report);
        for (path, bytes) in &report.cut {
            let path = path.display();
            tracing::warn!(
                log.segment = %path,
                lost_bytes = bytes,
                "log segment {path} ends within a record: its last {bytes} bytes were never acknowledged or are damaged, and are left out"
            );
        }
        Self::tell_imported(&report.imported);
        for path in &report.damaged {
            let path = path.display();
            tracing::error!(checkpoint = %path, "checkpoint is damaged and left out, see {path}; older samples may be missing");
        }
        tracing::info!(
            shard = shard.number,
            hosts = report.hosts,
            samples = report.replayed,
            "loaded {} hosts, {} samples from the log",
            report.hosts,
            report.replayed
        );
    }

    /// How many parts of the history are in memory, and how many there are.
    pub fn loaded_parts(&self) -> (u32, u32) {
        (self.loaded.borrow().count_ones(), SHARDS)
    }

    /// Waits until the history of these hosts is in memory.
    ///
    /// # Errors
    /// [`Error::Loading`] if that takes longer than `limit`.
    pub async fn wait_loaded(&self, hosts: Needed, limit: Duration) -> Result<(), Error> {
        let mut loaded = self.loaded.subscribe();
        let wait = loaded.wait_for(|loaded| loaded & hosts.0 == hosts.0);
        match tokio::time::timeout(limit, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Loading),
        }
    }
}

/// The hosts that a query needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needed(u32);

impl Needed {
    /// Every host.
    pub const ALL: Self = Self(ALL_LOADED);

    /// Adds a host.
    pub fn add(&mut self, cluster: &str, host: &str) {
        self.0 |= 1 << crate::shard::shard_of(cluster, host);
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// A shard with its directory; loaded at once if there is nothing in it, nor (`alone`) anything of its hosts in the reference's.
fn open_shard(options: &Options, number: u32, disk: &Arc<dyn Disk>, alone: bool) -> Result<Shard, Error> {
    let directory = options.directory.join(format!("shard-{number:02}"));
    files::create_directory(&directory)?;
    files::sweep(&directory)?;
    let failed = |source| Error::Open { path: directory.clone(), source };
    let listing = segment::list(&directory).map_err(failed)?;
    let highest = listing.segments.iter().chain(&listing.checkpoints).max().copied().unwrap_or(0);
    let log = ShardLog::new(&directory, number, highest + 1, Arc::clone(disk), options.durability);
    Ok(Shard::new(number, &directory, log, highest == 0 && alone))
}

#[cfg(test)]
mod tests;
