//! The reference's checkpoint directory, seen from the store.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cc_runtime::files;

use super::{Options, Store};
use crate::error::Error;
use crate::host::{Host, HostKey};
use crate::load::{LoadError, LoadReport};
use crate::reference::cleanup::{self, CleanedFiles, Cleanup};
use crate::reference::export::{self, Target};
use crate::reference::import::{Context, ImportReport, key_of};
use crate::reference::{self, HostDirectory, Kind, LOG_NAME, Window, set_aside};
use crate::shard::{SHARDS, Shard};

/// Samples of this last time are left for the next window: they may still come.
const LATE: Duration = Duration::from_mins(2);

/// Windows that are due are written within this share of the interval, at most.
const CATCH_UP_SHARE: u64 = 4;

/// A host whose window failed is tried again after this time, all of them where there was no room.
const RETRY_AFTER: Duration = Duration::from_mins(1);

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

/// What cannot be written at the moment. Held while windows are written: one at a time knows where a host's next one begins.
#[derive(Debug, Default)]
pub(super) struct Exports {
    failed: HashMap<HostKey, Instant>,
    full: Option<Instant>,
}

/// The hosts in the reference's directory, by shard.
pub(super) fn hosts(options: &Options) -> Result<Vec<Vec<HostDirectory>>, Error> {
    let Some(reference) = &options.reference else { return Ok(vec![Vec::new(); SHARDS as usize]) };
    let mut failed = |path: &Path, error| {
        let path = path.display();
        tracing::error!(
            directory = %path,
            %error,
            "checkpoints in {path} cannot be listed and are left out until the next start: {error}"
        );
    };
    reference::list(&reference.directory, &mut failed)
        .map_err(|source| Error::Open { path: reference.directory.clone(), source })
}

impl Store {
    /// Whether the reference's files must wait until it is known which metrics are taken. Its logs do not say at which interval a
    /// metric comes, and since our last run some may have been added.
    pub(super) fn imports_need_metrics(&self) -> bool {
        if *self.told.borrow() {
            return !self.is_configured() && self.reference.iter().any(|hosts| !hosts.is_empty());
        }
        let is_new = |shard: &Shard, host: &HostDirectory| {
            let key = key_of(&host.cluster, &host.host, LOG_NAME);
            fs::metadata(host.path.join(LOG_NAME)).is_ok_and(|log| !shard.imported().knows(&key, &log))
        };
        let mut shards = self.shards.iter().zip(&self.reference);
        let has_logs = shards.any(|(shard, hosts)| hosts.iter().any(|host| is_new(shard, host)));
        has_logs || (!self.is_configured() && self.reference.iter().any(|hosts| !hosts.is_empty()))
    }

    pub(super) fn load_shard(&self, shard: &Shard) -> Result<LoadReport, LoadError> {
        let now = self.clock.unix();
        let registry = self.registry();
        let context = Context {
            hosts: self.reference.get(shard.number as usize).map(Vec::as_slice).unwrap_or_default(),
            store: self.id,
            now,
            own_lost: false,
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
    /// own time, between half an interval and an interval after its last window. One that cannot be written is tried again later, the
    /// others go on; only when there is no room none does.
    pub(crate) fn export_due(&self, started: i64, round: Duration) -> Exported {
        let mut exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        exports.failed.retain(|_, at| at.elapsed() < RETRY_AFTER);
        exports.full = exports.full.filter(|at| at.elapsed() < RETRY_AFTER);
        let now = self.clock.unix();
        let interval = self.window_length();
        let late = i64::try_from(LATE.as_secs()).unwrap_or(0).min(interval / 2);
        let mut exported = Exported::default();
        if !self.is_loaded() || exports.full.is_some() {
            return exported;
        }
        let hosts: Vec<Arc<Host>> = self.shards().iter().flat_map(|shard| shard.hosts(None)).collect();
        let share =
            (hosts.len() as u64).saturating_mul(round.as_secs().max(1)).saturating_mul(CATCH_UP_SHARE);
        let most = share.div_ceil(interval.unsigned_abs()).max(1);
        for host in hosts.iter().filter(|host| !exports.failed.contains_key(&host.key)).collect::<Vec<_>>() {
            let half = interval / 2;
            let part = HostKey::stable_hash(&host.key.cluster, &host.key.host) % half.unsigned_abs().max(1);
            let end = self.end_of(host).unwrap_or(started);
            let due = end.saturating_add(half).saturating_add(i64::try_from(part).unwrap_or(0));
            if now < due {
                continue;
            }
            if let Err(error) = self.export(host, now.saturating_sub(late), &mut exported) {
                if error.is_full() {
                    exports.full = Some(Instant::now());
                    break;
                }
                exports.failed.insert(host.key.clone(), Instant::now());
            }
            if exported.files >= most {
                break;
            }
        }
        self.counters.exported(exported);
        exported
    }

    /// Writes what the reference's directory lacks of every host, up to now; blocks. Goes on after failures.
    pub fn export_all(&self) -> Exported {
        // What is being written beside goes first: its end is this one's begin.
        let _alone = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
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
                // It is told; the others may work.
                let _written = self.export(host, to, &mut exported).is_ok();
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

    /// Seconds of a window, at most: at its start the reference passes over one that began before its retention, if none follows.
    fn window_length(&self) -> i64 {
        i64::try_from(self.options.checkpoint_interval.as_secs()).unwrap_or(i64::MAX).max(1)
    }

    /// Up to when the directory holds a host's samples.
    fn end_of(&self, host: &Host) -> Option<i64> {
        self.shards.get(host.shard() as usize)?.imported().end(&host.key.cluster, &host.key.host)
    }

    /// Writes what the directory lacks of a host, up to before `to`. What fails is told.
    fn export(&self, host: &Arc<Host>, to: i64, exported: &mut Exported) -> Result<(), files::Error> {
        let result = self.export_windows(host, to, exported);
        if let Err(error) = &result {
            exported.failures += 1;
            let text = cc_runtime::error::chain(error);
            let name = format!("{}/{}", host.key.cluster, host.key.host);
            tracing::error!(
                host = name,
                error = %text,
                "checkpoint file of {name} for the reference cannot be written: {text}"
            );
        }
        result
    }

    fn export_windows(&self, host: &Arc<Host>, to: i64, exported: &mut Exported) -> Result<(), files::Error> {
        let Some((reference, shard)) =
            self.options.reference.as_ref().zip(self.shards.get(host.shard() as usize))
        else {
            return Ok(());
        };
        let kind = match reference.format {
            Format::Bin => Kind::Bin,
            Format::Json => Kind::Json,
        };
        let target = Target { directory: &reference.directory, kind, store: self.id, names: &self.names };
        let length = self.window_length();
        let end = self.end_of(host);
        let (mut from, mut written) = (end.unwrap_or(i64::MIN), false);
        while from < to {
            let next = export::next(&host.data(), from);
            let Some(next) = next.filter(|next| *next < to) else { break };
            // A window begins where the last one ended, unless there is nothing for longer than a window.
            if end.is_none_or(|_| next.saturating_sub(from) >= length) {
                from = next.max(from);
            }
            let until = from.saturating_add(length).min(to);
            if let Some(bytes) = export::window(target, host, Window { from, to: until })? {
                exported.files += 1;
                exported.bytes += bytes;
                shard.imported().extend(&host.key.cluster, &host.key.host, until);
                written = true;
            }
            from = until;
        }
        if written {
            remove_imported_log(reference, host, shard);
        }
        Ok(())
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
