//! The reference's checkpoint directory, seen from the store.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Options, Store};
use crate::error::Error;
use crate::host::{Host, HostKey};
use crate::load::{LoadError, LoadReport};
use crate::reference::cleanup::{self, CleanedFiles, Cleanup};
use crate::reference::export::{self, Target};
use crate::reference::import::{Context, ImportReport, key_of};
use crate::reference::{self, HostDirectory, Kind, LOG_NAME, set_aside};
use crate::shard::{SHARDS, Shard};

/// Samples of this last time are left for the next window: they may still come.
const LATE: Duration = Duration::from_mins(2);

/// Windows that are due are written within this share of the interval, at most.
const CATCH_UP_SHARE: u64 = 4;

/// Format of the windows that are left for the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Binary; what `file-format` `wal` says.
    #[default]
    Bin,
    /// JSON.
    Json,
}

/// Where and how checkpoints of the reference lie (spec metric-store.md 13, 14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `metric-store.checkpoints.directory`; may be absent.
    pub directory: PathBuf,
    /// `metric-store.checkpoints.file-format`.
    pub format: Format,
    /// `metric-store.cleanup`.
    pub cleanup: Cleanup,
}

/// What was written for the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Hosts that cannot be written.
    pub failures: u64,
}

/// The hosts in the reference's directory, by shard.
pub(super) fn hosts(options: &Options) -> Result<Vec<Vec<HostDirectory>>, Error> {
    let Some(reference) = &options.reference else { return Ok(vec![Vec::new(); SHARDS as usize]) };
    reference::list(&reference.directory)
        .map_err(|source| Error::Open { path: reference.directory.clone(), source })
}

impl Store {
    /// Whether the reference's files must wait until it is known which metrics are taken.
    pub(super) fn imports_need_metrics(&self) -> bool {
        !self.is_configured() && self.reference.iter().any(|hosts| !hosts.is_empty())
    }

    pub(super) fn load_shard(&self, shard: &Shard) -> Result<LoadReport, LoadError> {
        let now = self.clock.unix();
        let registry = self.registry();
        let context = Context {
            hosts: self.reference.get(shard.number as usize).map(Vec::as_slice).unwrap_or_default(),
            store: self.id,
            now,
            keep_from: &|host: &HostKey| self.keep_from(host, now),
            interval: &|cluster, metric| Some(registry.rule(cluster, metric)?.interval),
            names: &self.names,
        };
        shard.load(&context)
    }

    /// From when on samples of a host are kept.
    fn keep_from(&self, host: &HostKey, now: i64) -> i64 {
        self.oldest_taken(host, now).min(self.kept(now).unwrap_or(i64::MIN))
    }

    pub(super) fn tell_imported(report: &ImportReport) {
        for (path, problem) in &report.damaged {
            let path = path.display();
            tracing::warn!(checkpoint = %path, problem, "checkpoint file {path}: {problem}");
        }
        if report.files > 0 {
            tracing::info!(
                files = report.files,
                samples = report.samples,
                "imported {} samples from {} checkpoint files",
                report.samples,
                report.files
            );
        }
    }

    /// Writes a checkpoint of every shard that holds something of the reference's files which no checkpoint does yet; blocks.
    pub(crate) fn keep_imported(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            if shard.is_loaded() && shard.imported().wants_checkpoint() {
                self.checkpoint(number);
            }
        }
    }

    /// Writes windows of the hosts that are due, as many as are written within `round` at an even pace; blocks. Each host is due at its
    /// own time, between half an interval and an interval after its last window. After a failure the others wait for the next round.
    pub(super) fn export_due(&self, started: i64, round: Duration) -> Exported {
        let now = self.clock.unix();
        let interval = i64::try_from(self.options.checkpoint_interval.as_secs()).unwrap_or(i64::MAX).max(1);
        let late = i64::try_from(LATE.as_secs()).unwrap_or(0).min(interval / 2);
        let mut exported = Exported::default();
        if !self.is_loaded() {
            return exported;
        }
        let hosts: Vec<Arc<Host>> = self.shards().iter().flat_map(|shard| shard.hosts(None)).collect();
        let share =
            (hosts.len() as u64).saturating_mul(round.as_secs().max(1)).saturating_mul(CATCH_UP_SHARE);
        let most = share.div_ceil(interval.unsigned_abs()).max(1);
        for host in &hosts {
            let end = self.end_of(host);
            let half = interval / 2;
            let part = HostKey::stable_hash(&host.key.cluster, &host.key.host) % half.unsigned_abs().max(1);
            let due =
                end.unwrap_or(started).saturating_add(half).saturating_add(i64::try_from(part).unwrap_or(0));
            if now < due {
                continue;
            }
            self.export(host, end, now.saturating_sub(late), &mut exported);
            if exported.files >= most || exported.failures > 0 {
                break;
            }
        }
        self.counters.exported(exported);
        exported
    }

    /// Writes what the reference's directory lacks of every host, up to now; blocks. Goes on after failures.
    pub fn export_all(&self) -> Exported {
        let to = self.clock.unix().saturating_add(1);
        let hosts: Vec<Arc<Host>> = self
            .shards()
            .iter()
            .filter(|shard| shard.is_loaded())
            .flat_map(|shard| shard.hosts(None))
            .collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut exported = Exported::default();
            while let Some(host) = hosts.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.export(host, self.end_of(host), to, &mut exported);
            }
            exported
        };
        let all = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.options.workers.max(1)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).fold(
                Exported::default(),
                |all, part| Exported {
                    files: all.files + part.files,
                    bytes: all.bytes + part.bytes,
                    failures: all.failures + part.failures,
                },
            )
        });
        self.counters.exported(all);
        if all.files > 0 {
            tracing::info!(
                files = all.files,
                size_bytes = all.bytes,
                "wrote {} checkpoint files for the reference",
                all.files
            );
        }
        all
    }

    /// Up to when the directory holds a host's samples.
    fn end_of(&self, host: &Host) -> Option<i64> {
        self.shards.get(host.shard() as usize)?.imported().end(&host.key.cluster, &host.key.host)
    }

    fn export(&self, host: &Arc<Host>, from: Option<i64>, to: i64, exported: &mut Exported) {
        let Some((reference, shard)) =
            self.options.reference.as_ref().zip(self.shards.get(host.shard() as usize))
        else {
            return;
        };
        if from.is_some_and(|from| from >= to) {
            return;
        }
        let kind = match reference.format {
            Format::Bin => Kind::Bin,
            Format::Json => Kind::Json,
        };
        let target = Target { directory: &reference.directory, kind, store: self.id, names: &self.names };
        match export::window(target, host, from, to) {
            Ok(Some(bytes)) => {
                exported.files += 1;
                exported.bytes += bytes;
                shard.imported().extend(&host.key.cluster, &host.key.host, to);
                remove_imported_log(reference, host, shard);
            }
            Ok(None) => {}
            Err(error) => {
                exported.failures += 1;
                let text = cc_runtime::error::chain(&error);
                let name = format!("{}/{}", host.key.cluster, host.key.host);
                tracing::error!(
                    host = name,
                    error = %text,
                    "checkpoint file of {name} for the reference cannot be written: {text}"
                );
            }
        }
    }

    /// Deletes or archives the reference's files that are older than the retention; blocks.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn clean_reference(&self) -> Result<CleanedFiles, Error> {
        let Some(reference) = &self.options.reference else { return Ok(CleanedFiles::default()) };
        if self.options.retention.is_zero() {
            return Ok(CleanedFiles::default());
        }
        let now = self.clock.unix();
        let time = now.saturating_sub(i64::try_from(self.options.retention.as_secs()).unwrap_or(i64::MAX));
        cleanup::run(&reference.directory, &reference.cleanup, time, &|host| self.keep_from(host, now))
    }
}

/// One clean-up of the reference's files without a store, also beside a running one.
///
/// # Errors
/// The directory, or what is known of hosts to be kept, cannot be read.
pub fn clean_reference(options: &Options, now: i64) -> Result<CleanedFiles, Error> {
    let Some(reference) = &options.reference else { return Ok(CleanedFiles::default()) };
    let pins = super::state::read_pins(&options.directory)?;
    let kept = now.saturating_sub(i64::try_from(options.retention.as_secs()).unwrap_or(i64::MAX));
    let keep_from =
        |host: &HostKey| pins.from(&host.cluster, &host.host).map_or(kept, |pinned| pinned.min(kept));
    cleanup::run(&reference.directory, &reference.cleanup, kept, &keep_from)
}

/// As the reference does: a host's log goes when a window holds what it held. Only if it is in our own checkpoint besides. A damaged
/// one is kept under another name.
fn remove_imported_log(reference: &Reference, host: &Host, shard: &Shard) {
    let path = export::directory_of(&reference.directory, host).join(LOG_NAME);
    let Ok(metadata) = fs::metadata(&path) else { return };
    let held = shard.imported().held(&key_of(&host.key.cluster, &host.key.host, LOG_NAME), &metadata);
    let removed = match held {
        None => return,
        Some(stamp) if stamp.torn => set_aside(&path).map(|_| ()),
        Some(_) => fs::remove_file(&path),
    };
    if let Err(error) = removed {
        let path = path.display();
        tracing::warn!(file.path = %path, %error, "{path} cannot be removed, it is not needed any more: {error}");
    }
}
