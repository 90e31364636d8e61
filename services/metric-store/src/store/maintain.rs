//! Retention and the memory cap (spec metric-store.md 11).

use std::sync::{Arc, PoisonError};

use super::{Pinning, Store};
use crate::error::Error;
use crate::host::{Host, HostKey};
use crate::log::record::{Freed, TIME_MAX};
use crate::shard::Shard;

/// Steps in which memory pressure takes the oldest blocks.
const PRESSURE_STEPS: i64 = 16;

/// Memory pressure never takes samples younger than this share of the retention, nor of the last hour.
const FLOOR_SHARE: i64 = 8;
const FLOOR_SECONDS: i64 = 3600;

/// What a clean-up took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Blocks older than the retention.
    pub expired: u64,
    /// Blocks taken because memory was over its cap.
    pub pressed: u64,
    /// Hosts without any sample, forgotten.
    pub hosts: usize,
}

impl Store {
    /// Drops what is older than the retention, and more, oldest first, while memory is over its cap. Does nothing before all history
    /// is loaded.
    pub fn clean(&self) -> Cleaned {
        let mut cleaned = Cleaned::default();
        if !self.is_loaded() {
            return cleaned;
        }
        let now = self.clock().unix();
        if let Some(kept) = self.kept(now) {
            let pins = Arc::clone(&self.pins.read().unwrap_or_else(PoisonError::into_inner));
            cleaned.expired = self
                .evict(|host| pins.from(&host.cluster, &host.host).map_or(kept, |pinned| pinned.min(kept)));
        }
        if self.options.memory_cap > 0 && self.bytes() > self.options.memory_cap {
            cleaned.pressed = self.relieve(now);
        }
        for shard in self.shards() {
            let log = shard.log();
            cleaned.hosts += shard.forget_empty_hosts();
            drop(log);
        }
        self.counters().cleaned(&cleaned);
        cleaned
    }

    /// Frees what ends before `to` below each selector (cluster, host, component, part of the component; empty: everything), durably.
    /// Returns the number of buffers. A selector that names nothing frees nothing. Blocks.
    ///
    /// # Errors
    /// The log cannot be written; some selectors may be done.
    pub fn free(&self, selectors: &[Vec<String>], to: i64) -> Result<u64, Error> {
        // What came from the reference's files must be in our own by then: read again it would be back.
        self.keep_imported();
        let mut selectors: Vec<&[String]> = selectors.iter().map(Vec::as_slice).collect();
        selectors.sort_unstable();
        // What lies below another one is freed with it; sorted, it stands behind it.
        selectors.dedup_by(|below, above| below.starts_with(above));
        let mut gone = 0;
        for selector in selectors {
            let name = |place: usize| selector.get(place).map_or("", String::as_str);
            let hosts: Vec<Arc<Host>> = match selector {
                [] => self.shards().iter().flat_map(|shard| shard.hosts(None)).collect(),
                [cluster] => self.shards().iter().flat_map(|shard| shard.hosts(Some(cluster))).collect(),
                [cluster, host, ..] => self.host(cluster, host).into_iter().collect(),
            };
            let cut = to.clamp(-TIME_MAX, TIME_MAX);
            let freed = Freed { component: name(2), sub_component: name(3), cut };
            for host in hosts {
                let Some(shard) = self.shards().get(host.shard() as usize) else { continue };
                let result = shard.free(&host, freed, self.names());
                gone += result.map_err(|source| Error::Log { path: shard.directory.clone(), source })?;
            }
        }
        Ok(gone)
    }

    /// Samples from here on stay on every host; `None`: all stay.
    pub(super) fn kept(&self, now: i64) -> Option<i64> {
        let retention =
            i64::try_from(self.options.retention.as_secs()).ok().filter(|seconds| *seconds > 0)?;
        let word = self.pins.read().unwrap_or_else(PoisonError::into_inner).fresh;
        let factor = if self.options.pinning == Pinning::Expected && !word { 2 } else { 1 };
        Some(now.saturating_sub(retention.saturating_mul(factor)))
    }

    fn evict(&self, cut: impl Fn(&HostKey) -> i64) -> u64 {
        let of_shard = |shard: &Shard| -> u64 {
            let hosts = shard.hosts(None);
            let evict = |host: Arc<Host>| {
                let mut data = host.data();
                let gone = data.evict(cut(&host.key));
                shard.account(&mut data);
                gone
            };
            hosts.into_iter().map(evict).sum()
        };
        self.shards().iter().map(of_shard).sum()
    }

    /// Takes the oldest blocks of all hosts, pinned or not, until memory is below its cap or only the youngest samples are left.
    fn relieve(&self, now: i64) -> u64 {
        let retention = i64::try_from(self.options.retention.as_secs()).unwrap_or(0);
        let floor = now - (retention / FLOOR_SHARE).max(FLOOR_SECONDS);
        let all = self.shards().iter().flat_map(|shard| shard.hosts(None));
        let Some(oldest) = all.filter_map(|host| host.data().oldest_block_end()).min() else { return 0 };
        let step = ((floor - oldest) / PRESSURE_STEPS).max(1);
        let (mut cut, mut gone) = (oldest, 0);
        while cut < floor && self.bytes() > self.options.memory_cap {
            cut = (cut + step).min(floor);
            gone += self.evict(|_| cut);
        }
        let over = self.bytes() > self.options.memory_cap;
        tracing::warn!(
            evicted_buffers = gone,
            memory_bytes = self.bytes(),
            over_cap = over,
            "memory was over metric-store.memory-cap: dropped {gone} buffers of samples older than {cut}"
        );
        gone
    }
}
