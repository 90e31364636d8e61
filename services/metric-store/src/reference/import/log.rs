//! Reading the reference's log (spec metric-store.md 13.4).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use super::{Context, HostImport, place};
use crate::host::{ColumnId, HostData, SeriesKey};
use crate::load::Restored;
use crate::reference::imported::{Imported, Stamp};
use crate::reference::wal::{self, Name, Record};
use crate::reference::{LOG_NAME, read_file};
use crate::value;

impl HostImport<'_, '_> {
    /// The log, unless it is known already or cannot be read.
    pub(super) fn read_log(
        &mut self,
        imported: &Imported,
        found: &mut BTreeMap<String, Stamp>,
    ) -> Option<Log> {
        let path = self.host.path.join(LOG_NAME);
        let key = self.key(LOG_NAME);
        let read = fs::metadata(&path).and_then(|metadata| {
            if let Some(stamp) = self.known(imported, &key, &metadata) {
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
    pub(super) fn look_through<'a>(&mut self, log: &'a Log, restored: &mut Restored) -> Option<Looked<'a>> {
        let (context, host, keep_from) = (self.context, self.host, self.keep_from);
        let latest = context.latest();
        let mut places: HashMap<&[u8], Place> = HashMap::new();
        let (mut newest, mut has_old, mut ahead, mut unknown) = (0, false, 0_u64, 0_u64);
        let scanned = wal::scan(&log.bytes, |record| {
            if !record.value.is_finite() {
                return;
            }
            if record.time > latest {
                ahead += 1;
            } else if record.time < keep_from {
                has_old = true;
            } else {
                newest = record.time.max(newest);
                let first = Place { column: None, decimals: true, first: record.time };
                let place = places.entry(record.series).or_insert(first);
                // All values of a series take the same form.
                place.decimals &= value::decimal_of_single(record.value.into()).is_some();
            }
        });
        let lost = match scanned {
            Ok(lost) => lost,
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
                let Some(name) = (Record { time: 0, series, value: 0.0 }).name() else { continue };
                let Some(interval) = (context.interval)(&host.cluster, name.metric) else {
                    unknown += 1;
                    continue;
                };
                place.column = log_column(context, data, name, interval);
                if let Some((grid, lane)) = place.column.and_then(|column| data.lane_mut(column)) {
                    grid.begin_phase(lane, place.first);
                }
            }
        }
        let judged = match Judged::of(ahead, unknown) {
            Judged::Whole if newest == 0 && has_old => Judged::Expired,
            judged => judged,
        };
        Some(Looked { places, lost, newest, judged })
    }

    /// Takes the records of a log.
    pub(super) fn log(
        &mut self,
        log: &Log,
        looked: Looked<'_>,
        restored: &mut Restored,
        found: &mut BTreeMap<String, Stamp>,
    ) {
        if looked.lost > 0 {
            let text = format!("{} of its bytes are no whole records and are left out", looked.lost);
            self.pass_over(log.path.clone(), text);
        }
        self.report.samples += self.records(log, &looked, restored);
        self.report.files += 1;
        match looked.judged {
            Judged::Whole => {
                let stamp = Stamp { torn: looked.lost > 0, ..Stamp::new(&log.metadata, looked.newest) };
                found.insert(self.key(LOG_NAME), stamp);
            }
            Judged::Expired => {}
            Judged::Partly(reason) => self.pass_over(log.path.clone(), reason),
        }
    }

    /// Takes the records of a log; returns how many samples they are.
    fn records(&self, log: &Log, looked: &Looked<'_>, restored: &mut Restored) -> u64 {
        let (context, host) = (self.context, self.host);
        let usable = self.keep_from..=context.latest();
        let wins = self.wins(looked.newest);
        let number = restored.find(&host.cluster, &host.host);
        let Some(data) = number.and_then(|number| restored.data(number)) else { return 0 };
        let mut samples = 0;
        // It was found to be a log.
        let _scanned = wal::scan(&log.bytes, |record| {
            let Some(Place { column: Some(column), decimals, .. }) = looked.places.get(record.series) else {
                return;
            };
            if !usable.contains(&record.time) || !record.value.is_finite() {
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
pub(super) struct Log {
    path: PathBuf,
    metadata: fs::Metadata,
    bytes: Vec<u8>,
}

/// What a log holds.
pub(super) struct Looked<'a> {
    places: HashMap<&'a [u8], Place>,
    /// How many of its bytes are no records.
    lost: usize,
    /// The newest time that is taken; 0: none.
    newest: i64,
    judged: Judged,
}

/// Where the records of a series go.
struct Place {
    column: Option<ColumnId>,
    /// Whether all values are the nearest `f32` of a short decimal.
    decimals: bool,
    /// Time of the first one.
    first: i64,
}

/// Whether everything in a file has found its place, or never will. If not, it is looked at again at the next start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Whole,
    /// All of it is too old: for ever, or because the clock is wrong.
    Expired,
    /// With the reason.
    Partly(String),
}

impl Judged {
    /// Of a file with so many samples that lie too far ahead, and so many series of metrics that nobody configured.
    pub(super) fn of(ahead: u64, unknown: u64) -> Self {
        let reason = match (ahead, unknown) {
            (0, 0) => return Self::Whole,
            (0, _) => format!("{unknown} of its series are of metrics that are not configured"),
            _ => format!("{ahead} of its samples lie more than an hour ahead; is the clock right?"),
        };
        Self::Partly(format!("{reason}; it is looked at again at the next start"))
    }
}

/// The column of a log's series; `None`: it has no usable name.
fn log_column(context: &Context<'_>, data: &mut HostData, name: Name<'_>, interval: i64) -> Option<ColumnId> {
    let (component, sub_component) = place(name.component, name.sub_component)?;
    let metric = context.names.number(name.metric);
    Some(data.column(SeriesKey { metric, interval, component, sub_component }))
}
