//! A part of all hosts, with its own log and lock.
//!
//! The log's lock is the commit lock: a batch is written and then applied while it is held, so the order in the log is the order in
//! memory, and a checkpoint that closes the segment finds everything applied that is in it. Locks are taken in this order: log, list
//! of hosts, one host.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::host::{Host, HostKey};
use crate::log::ShardLog;
use crate::log::record::{Freed, Sample};
use crate::names::MetricNames;
use crate::reference::imported::Imported;

/// Number of shards; part of the layout on disk.
pub(crate) const SHARDS: u32 = 16;

/// The shard of a host.
pub(crate) fn shard_of(cluster: &str, host: &str) -> u32 {
    // a remainder below SHARDS
    u32::try_from(HostKey::stable_hash(cluster, host) % u64::from(SHARDS)).unwrap_or(0)
}

type Hosts = HashMap<Arc<str>, HashMap<Arc<str>, Arc<Host>>>;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Shard {
    /// From 0 on.
    pub(crate) number: u32,
    /// Where its files lie.
    pub(crate) directory: PathBuf,
    hosts: RwLock<Hosts>,
    log: Mutex<ShardLog>,
    /// Whether all history is in memory. Until then batches are only logged.
    loaded: AtomicBool,
    bytes: AtomicUsize,
    imported: Mutex<Imported>,
}

impl Shard {
    /// A shard without hosts.
    pub(crate) fn new(number: u32, directory: &Path, log: ShardLog, loaded: bool) -> Self {
        Self {
            number,
            directory: directory.to_owned(),
            hosts: RwLock::default(),
            log: Mutex::new(log),
            loaded: AtomicBool::new(loaded),
            bytes: AtomicUsize::new(0),
            imported: Mutex::new(Imported::read(directory)),
        }
    }

    /// The log, and with it the right to commit.
    pub(crate) fn log(&self) -> MutexGuard<'_, ShardLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all history is in memory.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Declares all history in memory; by the holder of the log's lock.
    pub(crate) fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    /// What the shard holds of the reference's files.
    pub(crate) fn imported(&self) -> MutexGuard<'_, Imported> {
        self.imported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes in memory, as of the last commit or clean-up of each host.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The host of that name.
    pub(crate) fn host(&self, cluster: &str, host: &str) -> Option<Arc<Host>> {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        hosts.get(cluster)?.get(host).map(Arc::clone)
    }

    /// The host of that name, made if there is none.
    pub(crate) fn host_or_new(&self, cluster: &str, host: &str) -> Arc<Host> {
        if let Some(found) = self.host(cluster, host) {
            return found;
        }
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        let cluster: Arc<str> =
            hosts.get_key_value(cluster).map_or_else(|| cluster.into(), |(name, _)| Arc::clone(name));
        let name: Arc<str> = host.into();
        let of_cluster = hosts.entry(Arc::clone(&cluster)).or_default();
        let new = of_cluster.entry(Arc::clone(&name)).or_insert_with(|| {
            let host = Host::new(HostKey { cluster, host: name }, self.number);
            self.account(&mut host.data());
            Arc::new(host)
        });
        Arc::clone(new)
    }

    /// All hosts, of one cluster or of all.
    pub(crate) fn hosts(&self, cluster: Option<&str>) -> Vec<Arc<Host>> {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = hosts.iter().filter(|(name, _)| cluster.is_none_or(|cluster| cluster == &***name));
        wanted.flat_map(|(_, hosts)| hosts.values().map(Arc::clone)).collect()
    }

    /// Writes batches of samples to the log and, then, to memory. On an error nothing was taken.
    pub(crate) fn commit<'a>(
        &self,
        batches: impl Iterator<Item = (&'a Arc<Host>, &'a [Sample])> + Clone,
        names: &MetricNames,
        now: i64,
    ) -> io::Result<()> {
        let mut log = self.log();
        log.begin()?;
        for (host, samples) in batches.clone() {
            log.add(&host.key, &mut host.data(), names, samples);
        }
        log.write()?;
        if self.is_loaded() {
            for (host, samples) in batches {
                let mut data = host.data();
                for sample in samples {
                    data.write(sample.column, sample.time, sample.value, now);
                }
                self.account(&mut data);
            }
        }
        Ok(())
    }

    /// Frees samples of a host, in the log and in memory; returns the number of blocks.
    pub(crate) fn free(&self, host: &Host, freed: Freed<'_>, names: &MetricNames) -> io::Result<u64> {
        let mut log = self.log();
        log.begin()?;
        log.add_freed(&host.key, &mut host.data(), names, freed);
        log.write()?;
        if !self.is_loaded() {
            return Ok(0);
        }
        let mut data = host.data();
        let gone = data.free(freed);
        self.account(&mut data);
        Ok(gone)
    }

    /// Notes how much memory a host takes now.
    pub(crate) fn account(&self, data: &mut crate::host::HostData) {
        let now = data.bytes();
        let before = std::mem::replace(&mut data.accounted, now);
        // Wrapping: one of the two differences is negative as a whole number.
        self.bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Forgets hosts without a single sample that nobody holds; by the holder of the log's lock.
    pub(crate) fn forget_empty_hosts(&self) -> usize {
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        let mut forgotten = 0;
        for of_cluster in hosts.values_mut() {
            of_cluster.retain(|_, host| {
                // A batch on its way holds the host: it is not empty for long.
                let keep = Arc::strong_count(host) > 1 || host.data().has_samples();
                if !keep {
                    self.bytes.fetch_sub(host.data().accounted, Ordering::Relaxed);
                    forgotten += 1;
                }
                keep
            });
        }
        hosts.retain(|_, of_cluster| !of_cluster.is_empty());
        forgotten
    }
}
