//! Reading the reference's files into a shard that loads (spec metric-store.md 13.7).
//!
//! A damaged snapshot is renamed `<name>.corrupt` and the start goes on; of a log every whole record counts. Files that a
//! checkpoint of ours holds already, and windows that we wrote ourselves, are passed over. Where a file and our own log hold the same
//! slot, the newer writer wins: the file, if it was written after our last sample of the host.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::imported::{Imported, Stamp};
use super::{HostDirectory, Kind, LOG_NAME, Series, Window, bin, json, kind_of, read_file, set_aside};
use crate::host::{HostData, HostKey, SeriesKey};
use crate::ingest::{AHEAD_MAX, NAME_BYTES_MAX};
use crate::load::Restored;
use crate::log::record::INTERVAL_MAX;
use crate::names::MetricNames;

mod log;

use self::log::Judged;

/// What importing needs to know of the store.
pub(crate) struct Context<'a> {
    /// The shard's hosts in the directory.
    pub(crate) hosts: &'a [HostDirectory],
    /// Who wrote our own files.
    pub(crate) store: u64,
    /// Unix seconds.
    pub(crate) now: i64,
    /// Whether a checkpoint of ours is damaged: then whatever fills a gap is taken, also from files that we wrote, or took before.
    pub(crate) own_lost: bool,
    /// Files that end before are left out.
    pub(crate) keep_from: &'a dyn Fn(&HostKey) -> i64,
    /// The configured interval of a metric in a cluster.
    pub(crate) interval: &'a dyn Fn(&str, &str) -> Option<i64>,
    /// Metric names.
    pub(crate) names: &'a MetricNames,
}

impl Context<'_> {
    /// What lies behind comes from a wrong clock: the sender's, or ours.
    fn latest(&self) -> i64 {
        self.now.saturating_add(AHEAD_MAX)
    }
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportReport {
    /// Files read.
    pub(crate) files: u64,
    /// Samples in them.
    pub(crate) samples: u64,
    /// Files set aside or passed over, with the reason.
    pub(crate) damaged: Vec<(PathBuf, String)>,
}

/// Reads everything that is new in the directories of a shard's hosts into `restored`, which holds our own samples already.
pub(crate) fn import(
    context: &Context<'_>,
    imported: &mut Imported,
    restored: &mut Restored,
) -> ImportReport {
    let mut report = ImportReport::default();
    let mut found = BTreeMap::new();
    for host in context.hosts {
        let mut import = HostImport {
            context,
            host,
            keep_from: (context.keep_from)(&HostKey {
                cluster: host.cluster.as_str().into(),
                host: host.host.as_str().into(),
            }),
            own_last: last_sample(restored, host),
            report: &mut report,
        };
        if let Err(error) = import.directory(imported, restored, &mut found) {
            // What is known of them still holds.
            for (key, stamp) in imported.of_host(&host.cluster, &host.host) {
                found.entry(key).or_insert(stamp);
            }
            let path = host.path.display();
            tracing::error!(
                directory = %path,
                %error,
                "checkpoints in {path} cannot be read and are left out until the next start: {error}"
            );
        }
    }
    imported.replace(found);
    report
}

/// Time of the newest of our own samples of a host.
fn last_sample(restored: &mut Restored, host: &HostDirectory) -> Option<i64> {
    let number = restored.find(&host.cluster, &host.host)?;
    let data = restored.data(number)?;
    (0..data.columns()).filter_map(|column| data.range(column)).map(|(_, last)| last).max()
}

struct HostImport<'a, 'b> {
    context: &'a Context<'a>,
    host: &'a HostDirectory,
    keep_from: i64,
    own_last: Option<i64>,
    report: &'b mut ImportReport,
}

/// A file to look at.
struct Candidate {
    number: i64,
    kind: Kind,
    name: String,
}

impl HostImport<'_, '_> {
    fn directory(
        &mut self,
        imported: &mut Imported,
        restored: &mut Restored,
        found: &mut BTreeMap<String, Stamp>,
    ) -> io::Result<()> {
        let mut candidates = Vec::new();
        let mut has_log = false;
        for entry in fs::read_dir(&self.host.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.path().is_dir() {
                continue;
            }
            if cc_runtime::files::is_unfinished(name.as_ref()) {
                if let Err(error) = fs::remove_file(entry.path()) {
                    self.pass_over(entry.path(), format!("it cannot be removed: {error}"));
                }
                continue;
            }
            has_log |= name == LOG_NAME;
            match kind_of(&name) {
                None => {}
                Some((kind, Some(number))) => candidates.push(Candidate { number, kind, name }),
                Some((_, None)) => self.pass_over(
                    entry.path(),
                    "its name is no time; the reference does not start with it: remove it".to_owned(),
                ),
            }
        }
        candidates.sort_unstable_by_key(|file| (file.number, file.kind));
        let log = if has_log { self.read_log(imported, found) } else { None };
        let looked = log.as_ref().and_then(|log| self.look_through(log, restored));
        for file in &candidates {
            self.snapshot(file, imported, restored, found);
        }
        if let Some((log, looked)) = log.as_ref().zip(looked) {
            self.log(log, looked, restored, found);
        }
        Ok(())
    }

    fn pass_over(&mut self, path: PathBuf, problem: String) {
        self.report.damaged.push((path, problem));
    }

    fn key(&self, name: &str) -> String {
        key_of(&self.host.cluster, &self.host.host, name)
    }

    fn snapshot(
        &mut self,
        file: &Candidate,
        imported: &mut Imported,
        restored: &mut Restored,
        found: &mut BTreeMap<String, Stamp>,
    ) {
        let path = self.host.path.join(&file.name);
        let key = self.key(&file.name);
        let result = fs::metadata(&path).and_then(|metadata| {
            if let Some(stamp) = self.known(imported, &key, &metadata) {
                found.insert(key, stamp);
                return Ok(Ok(stamp.to));
            }
            if let Some((window, own)) = glance(&path, file.kind, self.context.store)?
                && ((own && !self.context.own_lost) || self.is_expired(window))
            {
                return Ok(Ok(window.to));
            }
            let bytes = read_file(&path)?;
            Ok(self.content(file, &bytes, restored).map(|(to, judged)| {
                match judged {
                    Judged::Whole => _ = found.insert(key, Stamp::new(&metadata, to)),
                    Judged::Expired => {}
                    Judged::Partly(reason) => self.pass_over(path.clone(), reason),
                }
                to
            }))
        });
        match result {
            Ok(Ok(to)) => self.extend(path, imported, to.max(file.number)),
            Ok(Err(damage)) => self.quarantine(path, &damage),
            Err(error) => self.pass_over(path, error.to_string()),
        }
    }

    /// What a checkpoint of ours holds of a file.
    fn known(&self, imported: &Imported, key: &str, metadata: &fs::Metadata) -> Option<Stamp> {
        imported.get(key).filter(|stamp| !self.context.own_lost && stamp.fits(metadata))
    }

    /// Whether what was written at `to` takes the place of what we have.
    fn wins(&self, to: i64) -> bool {
        !self.context.own_lost && self.own_last.is_none_or(|last| to >= last)
    }

    fn is_expired(&self, window: Window) -> bool {
        window.to != 0 && window.to < self.keep_from
    }

    /// Notes that a file holds what came before `to`. If that lies in the future the file, or the clock of its writer, is wrong: then it
    /// holds what came before it was written.
    fn extend(&mut self, path: PathBuf, imported: &mut Imported, mut to: i64) {
        if to > self.context.latest() {
            let written = fs::metadata(&path).map_or(to, |metadata| metadata.mtime());
            let text =
                format!("its window ends in the future ({to}); is the clock right, or the file damaged?");
            self.pass_over(path, text);
            to = written;
        }
        imported.extend(&self.host.cluster, &self.host.host, to.min(self.context.now));
    }

    fn quarantine(&mut self, path: PathBuf, damage: &super::Damage) {
        match set_aside(&path) {
            Ok(aside) => self.pass_over(aside, format!("{damage}; it was renamed, its samples are left out")),
            Err(error) => self.pass_over(path, format!("{damage}; it cannot be renamed: {error}")),
        }
    }

    /// Takes the content of a snapshot; returns the end of its window, and whether all of it found its place.
    fn content(
        &mut self,
        file: &Candidate,
        bytes: &[u8],
        restored: &mut Restored,
    ) -> Result<(i64, Judged), super::Damage> {
        // A JSON file says only while it is read when it was written.
        let window = match file.kind {
            Kind::Bin => bin::window(bytes)?,
            Kind::Json => json::window(bytes)?,
        };
        let to = window.to;
        if self.is_expired(window) {
            return Ok((to, Judged::Expired));
        }
        let wins = self.wins(to);
        let (context, host, keep_from) = (self.context, self.host, self.keep_from);
        let number =
            restored.host(&host.cluster, &host.host, crate::host::stagger(&host.cluster, &host.host));
        let Some(data) = restored.data(number) else { return Ok((to, Judged::Whole)) };
        let mut all = Taken::default();
        let mut take = |of: Series<'_>, values: &[f64]| {
            let taken = take_series(context, &host.cluster, data, of, values, keep_from, wins);
            all = Taken { samples: all.samples + taken.samples, ahead: all.ahead + taken.ahead };
        };
        match file.kind {
            Kind::Bin => bin::read(bytes, &mut take)?,
            Kind::Json => json::read(bytes, &mut take)?,
        };
        self.report.files += 1;
        self.report.samples += all.samples;
        Ok((to, Judged::of(all.ahead, 0)))
    }
}

/// What became of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    samples: u64,
    /// Left out because they lie too far ahead.
    ahead: u64,
}

/// Takes one series of a snapshot.
fn take_series(
    context: &Context<'_>,
    cluster: &str,
    data: &mut HostData,
    series: Series<'_>,
    values: &[f64],
    keep_from: i64,
    wins: bool,
) -> Taken {
    let Series { metric, interval: step, start, .. } = series;
    let interval = (context.interval)(cluster, metric).unwrap_or(step);
    let Some((component, sub_component)) = place(series.component, series.sub_component) else {
        return Taken::default();
    };
    let named = (1..=NAME_BYTES_MAX).contains(&metric.len());
    if !named || !(1..=INTERVAL_MAX).contains(&interval) || !(1..=INTERVAL_MAX).contains(&step) {
        return Taken::default();
    }
    // What lies too far ahead comes from a wrong clock, and what is too old is not kept.
    let index_of = |time: i64| usize::try_from(time.saturating_sub(start).div_euclid(step)).unwrap_or(0);
    let latest = context.latest();
    let end = if start > latest { 0 } else { (index_of(latest) + 1).min(values.len()) };
    let begin = index_of(keep_from).min(end);
    let count = |values: &[f64]| values.iter().filter(|value| !value.is_nan()).count() as u64;
    let ahead = count(values.get(end..).unwrap_or_default());
    let values = values.get(begin..end).unwrap_or_default();
    if values.iter().all(|value| value.is_nan()) {
        return Taken { samples: 0, ahead };
    }
    let metric = context.names.number(metric);
    let column = data.column(SeriesKey { metric, interval, component, sub_component });
    let start = i64::try_from(begin).ok().and_then(|begin| begin.checked_mul(step)?.checked_add(start));
    let taken = start
        .zip(data.lane_mut(column))
        .is_some_and(|(start, (grid, lane))| grid.restore_values(lane, start, step, values, wins));
    Taken { samples: if taken { count(values) } else { 0 }, ahead }
}

/// Component and part of it; a component that is nothing but a digit is what `type-id=0` of older senders made of the node itself.
fn place<'a>(component: &'a str, sub_component: &'a str) -> Option<(&'a str, &'a str)> {
    if component.len() > NAME_BYTES_MAX || sub_component.len() > NAME_BYTES_MAX || component.contains('\0') {
        return None;
    }
    match component.as_bytes() {
        [digit] if digit.is_ascii_digit() => Some(("", "")),
        [] if !sub_component.is_empty() => None,
        _ => Some((component, sub_component)),
    }
}

/// By what a file of a host is known.
pub(crate) fn key_of(cluster: &str, host: &str, name: &str) -> String {
    [cluster, host, name].join("/")
}

/// The window that the first bytes of a file name, and whether we wrote it; `None`: they name none.
fn glance(path: &Path, kind: Kind, store: u64) -> io::Result<Option<(Window, bool)>> {
    let mut file = File::open(path)?;
    match kind {
        Kind::Bin => {
            let mut header = [0; bin::HEADER_BYTES];
            let found = crate::wire::read_up_to(&mut file, &mut header)?;
            let length = file.metadata()?.len();
            let own_parts = (bin::HEADER_BYTES + bin::TRAILER_BYTES) as u64;
            if found < header.len() || length < own_parts {
                return Ok(None);
            }
            let mut end = [0; bin::TRAILER_BYTES];
            file.seek(SeekFrom::Start(length - bin::TRAILER_BYTES as u64))?;
            file.read_exact(&mut end)?;
            let own = bin::Trailer::read(&end).is_some_and(|trailer| trailer.store == store);
            Ok(bin::window(&header).ok().map(|window| (window, own)))
        }
        Kind::Json => {
            let mut begin = [0; json::SIGNATURE_BYTES];
            let found = crate::wire::read_up_to(&mut file, &mut begin)?;
            let signed = json::signature(begin.get(..found).unwrap_or_default());
            Ok(signed.map(|(by, window)| (window, by == store)))
        }
    }
}
