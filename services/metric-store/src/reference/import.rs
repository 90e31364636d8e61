//! Reading the reference's files into a shard that loads (spec metric-store.md 13.7).
//!
//! A damaged snapshot is renamed `<name>.corrupt` and the start goes on; a log counts up to its first broken record. Files that a
//! checkpoint of ours holds already, and windows that we wrote ourselves, are passed over. Where a file and our own log hold the same
//! slot, the newer writer wins: the file, if it was written after our last sample of the host.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::imported::{Imported, Stamp};
use super::wal::{self, Record};
use super::{HostDirectory, Kind, LOG_NAME, Series, Window, bin, json, kind_of, read_file};
use crate::host::{ColumnId, HostData, HostKey, SeriesKey};
use crate::ingest::{AHEAD_MAX, NAME_BYTES_MAX};
use crate::load::Restored;
use crate::log::record::INTERVAL_MAX;
use crate::names::MetricNames;
use crate::value;

/// What importing needs to know of the store.
pub(crate) struct Context<'a> {
    /// The shard's hosts in the directory.
    pub(crate) hosts: &'a [HostDirectory],
    /// Who wrote our own files.
    pub(crate) store: u64,
    /// Unix seconds.
    pub(crate) now: i64,
    /// Files that end before are left out.
    pub(crate) keep_from: &'a dyn Fn(&HostKey) -> i64,
    /// The configured interval of a metric in a cluster.
    pub(crate) interval: &'a dyn Fn(&str, &str) -> Option<i64>,
    /// Metric names.
    pub(crate) names: &'a MetricNames,
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
            if entry.file_type()?.is_dir() {
                continue;
            }
            if cc_runtime::files::is_unfinished(name.as_ref()) {
                fs::remove_file(entry.path())?;
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
            if let Some(stamp) = imported.get(&key).filter(|stamp| stamp.fits(&metadata)) {
                found.insert(key, stamp);
                return Ok(Ok(stamp.to));
            }
            if let Some(window) = own_window(&path, file.kind, self.context.store)? {
                return Ok(Ok(window.to));
            }
            let bytes = read_file(&path)?;
            Ok(self.content(file, &bytes, restored).inspect(|&to| {
                found.insert(key, Stamp::new(&metadata, to));
            }))
        });
        match result {
            Ok(Ok(to)) => imported.extend(&self.host.cluster, &self.host.host, to.max(file.number)),
            Ok(Err(damage)) => self.quarantine(path, &damage),
            Err(error) => self.pass_over(path, error.to_string()),
        }
    }

    /// Sets a damaged file aside, so that the reference can start, and its owner look at it.
    fn quarantine(&mut self, path: PathBuf, damage: &super::Damage) {
        let mut aside = path.clone().into_os_string();
        aside.push(".corrupt");
        let aside = PathBuf::from(aside);
        match fs::rename(&path, &aside) {
            Ok(()) => self.pass_over(aside, format!("{damage}; it was renamed, its samples are left out")),
            Err(error) => self.pass_over(path, format!("{damage}; it cannot be renamed: {error}")),
        }
    }

    /// Takes the content of a snapshot; returns the end of its window.
    fn content(
        &mut self,
        file: &Candidate,
        bytes: &[u8],
        restored: &mut Restored,
    ) -> Result<i64, super::Damage> {
        let mut series = 0;
        if file.kind == Kind::Bin {
            let window = bin::window(bytes)?;
            if window.to != 0 && window.to < self.keep_from {
                return Ok(window.to);
            }
        }
        let (context, host, keep_from) = (self.context, self.host, self.keep_from);
        // A JSON file says only while it is read when it was written.
        let mut wins = self.own_last.is_none();
        if let Some(last) = self.own_last {
            wins = match file.kind {
                Kind::Bin => bin::window(bytes)?.to >= last,
                Kind::Json => json::window(bytes)?.to >= last,
            };
        }
        let number =
            restored.host(&host.cluster, &host.host, crate::host::stagger(&host.cluster, &host.host));
        let Some(data) = restored.data(number) else { return Ok(0) };
        let mut take = |of: Series<'_>, values: &[f64]| {
            series += take_series(context, &host.cluster, data, of, values, keep_from, wins);
        };
        let window = match file.kind {
            Kind::Bin => bin::read(bytes, &mut take)?,
            Kind::Json => json::read(bytes, &mut take)?,
        };
        self.report.files += 1;
        self.report.samples += series;
        Ok(window.to)
    }

    /// The log, unless it is known already or cannot be read.
    fn read_log(&mut self, imported: &Imported, found: &mut BTreeMap<String, Stamp>) -> Option<Log> {
        let path = self.host.path.join(LOG_NAME);
        let key = self.key(LOG_NAME);
        let read = fs::metadata(&path).and_then(|metadata| {
            if let Some(stamp) = imported.get(&key).filter(|stamp| stamp.fits(&metadata)) {
                found.insert(key, stamp);
                return Ok(None);
            }
            let bytes = read_file(&path)?;
            Ok(Some((metadata, bytes)))
        });
        match read {
            Ok(read) => read.map(|(metadata, bytes)| Log { path, metadata, bytes }),
            Err(error) => {
                self.pass_over(path, error.to_string());
                None
            }
        }
    }

    /// Looks for the series of a log, before snapshots are taken: times in a log are exact, those in a snapshot that begins between two
    /// samples are off by up to half an interval. So the log says where the slots of a series lie that is new to us.
    fn look_through<'a>(&mut self, log: &'a Log, restored: &mut Restored) -> Option<Looked<'a>> {
        let (context, host, keep_from) = (self.context, self.host, self.keep_from);
        let mut places: HashMap<&[u8], Place> = HashMap::new();
        let mut newest = 0;
        let scanned = wal::scan(&log.bytes, |record| {
            let usable = (keep_from..=context.now.saturating_add(AHEAD_MAX)).contains(&record.time);
            if usable && record.value.is_finite() {
                newest = record.time.max(newest);
                let first = Place { column: None, decimals: true, first: record.time };
                let place = places.entry(record.series).or_insert(first);
                // All values of a series take the same form.
                place.decimals &= value::decimal_of_single(record.value.into()).is_some();
            }
        });
        let whole = match scanned {
            Ok(whole) => whole,
            Err(damage) => {
                self.pass_over(log.path.clone(), format!("{damage}; it is left out"));
                return None;
            }
        };
        if !places.is_empty() {
            let number =
                restored.host(&host.cluster, &host.host, crate::host::stagger(&host.cluster, &host.host));
            let data = restored.data(number)?;
            for (&series, place) in &mut places {
                let record = Record { time: 0, series, value: 0.0 };
                place.column = log_column(context, &host.cluster, data, record);
                if let Some((grid, lane)) = place.column.and_then(|column| data.lane_mut(column)) {
                    grid.begin_phase(lane, place.first);
                }
            }
        }
        Some(Looked { places, whole, newest })
    }

    /// Takes the records of a log.
    fn log(
        &mut self,
        log: &Log,
        looked: Looked<'_>,
        restored: &mut Restored,
        found: &mut BTreeMap<String, Stamp>,
    ) {
        let lost = log.bytes.len() - looked.whole;
        if lost > 0 {
            let text = format!("its last {lost} bytes are no whole records and are left out");
            self.pass_over(log.path.clone(), text);
        }
        let stamp = Stamp::new(&log.metadata, looked.newest);
        self.report.samples += self.records(log, &looked, restored);
        self.report.files += 1;
        found.insert(self.key(LOG_NAME), stamp);
    }

    /// Takes the records of a log; returns how many samples they are.
    fn records(&self, log: &Log, looked: &Looked<'_>, restored: &mut Restored) -> u64 {
        let (context, host, keep_from) = (self.context, self.host, self.keep_from);
        let wins = self.own_last.is_none_or(|last| looked.newest >= last);
        let number = restored.find(&host.cluster, &host.host);
        let Some(data) = number.and_then(|number| restored.data(number)) else { return 0 };
        let mut samples = 0;
        // Its first bytes were found to be whole.
        let _scanned = wal::scan(&log.bytes, |record| {
            let usable = (keep_from..=context.now.saturating_add(AHEAD_MAX)).contains(&record.time);
            let Some(Place { column: Some(column), decimals, .. }) = looked.places.get(record.series) else {
                return;
            };
            if !usable || !record.value.is_finite() {
                return;
            }
            let single = f64::from(record.value) + 0.0;
            let value = if *decimals { value::decimal_of_single(single).unwrap_or(single) } else { single };
            if wins {
                data.write(*column, record.time, value, context.now);
            } else if let Some((grid, lane)) = data.lane_mut(*column) {
                let interval = grid.interval();
                grid.restore_values(lane, record.time, interval, &[value], false);
            }
            samples += 1;
        });
        samples
    }
}

/// A log as it was read.
struct Log {
    path: PathBuf,
    metadata: fs::Metadata,
    bytes: Vec<u8>,
}

/// What a log holds.
struct Looked<'a> {
    places: HashMap<&'a [u8], Place>,
    /// How many of its bytes are records.
    whole: usize,
    /// The newest time that is taken; 0: none.
    newest: i64,
}

/// Where the records of a series go.
struct Place {
    column: Option<ColumnId>,
    /// Whether all values are the nearest `f32` of a short decimal.
    decimals: bool,
    /// Time of the first one.
    first: i64,
}

/// The column of a log's series; `None`: its metric is not configured, so that its interval is unknown, or it has no usable name.
fn log_column(
    context: &Context<'_>,
    cluster: &str,
    data: &mut HostData,
    record: Record<'_>,
) -> Option<ColumnId> {
    let name = record.name()?;
    let interval = (context.interval)(cluster, name.metric)?;
    let (component, sub_component) = place(name.component, name.sub_component)?;
    let metric = context.names.number(name.metric);
    Some(data.column(SeriesKey { metric, interval, component, sub_component }))
}

/// Takes one series of a snapshot; returns how many samples that were.
fn take_series(
    context: &Context<'_>,
    cluster: &str,
    data: &mut HostData,
    series: Series<'_>,
    values: &[f64],
    keep_from: i64,
    wins: bool,
) -> u64 {
    let Series { metric, interval: step, start, .. } = series;
    let interval = (context.interval)(cluster, metric).unwrap_or(step);
    let Some((component, sub_component)) = place(series.component, series.sub_component) else { return 0 };
    let named = (1..=NAME_BYTES_MAX).contains(&metric.len());
    if !named || !(1..=INTERVAL_MAX).contains(&interval) || !(1..=INTERVAL_MAX).contains(&step) {
        return 0;
    }
    // What lies too far ahead comes from a wrong clock, and what is too old is not kept.
    let index_of = |time: i64| usize::try_from(time.saturating_sub(start).div_euclid(step)).unwrap_or(0);
    let latest = context.now.saturating_add(AHEAD_MAX);
    let end = if start > latest { 0 } else { (index_of(latest) + 1).min(values.len()) };
    let begin = index_of(keep_from).min(end);
    let values = values.get(begin..end).unwrap_or_default();
    if values.iter().all(|value| value.is_nan()) {
        return 0;
    }
    let metric = context.names.number(metric);
    let column = data.column(SeriesKey { metric, interval, component, sub_component });
    let start = i64::try_from(begin).ok().and_then(|begin| begin.checked_mul(step)?.checked_add(start));
    let taken = start
        .zip(data.lane_mut(column))
        .is_some_and(|(start, (grid, lane))| grid.restore_values(lane, start, step, values, wins));
    if taken { values.iter().filter(|value| !value.is_nan()).count() as u64 } else { 0 }
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

/// The window of a file if we wrote it.
pub(crate) fn own_window(path: &Path, kind: Kind, store: u64) -> io::Result<Option<Window>> {
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
            Ok(bin::window(&header).ok().filter(|_| own))
        }
        Kind::Json => {
            let mut begin = [0; json::SIGNATURE_BYTES];
            let found = crate::wire::read_up_to(&mut file, &mut begin)?;
            let signed = json::signature(begin.get(..found).unwrap_or_default());
            Ok(signed.filter(|(by, _)| *by == store).map(|(_, window)| window))
        }
    }
}
