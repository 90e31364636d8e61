//! Windows for the reference, from memory (spec metric-store.md 13.2).
//!
//! A window takes the slots that began in `[from, to)`. The next one begins where the last one ended, whoever wrote it: so no series of
//! a later file begins before one of an earlier file, with which the reference would not start.

use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cc_runtime::files::{self, AtomicFile};

use super::{Kind, Window, bin, json};
use crate::host::{Host, HostData};
use crate::names::MetricNames;

/// Modes of the reference's files and directories.
const FILE_MODE: u32 = 0o644;
const DIRECTORY_MODE: u32 = 0o755;

/// Names that are tried for a window, at most.
const NAMES_MAX: usize = 1000;

/// Where and how windows are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The reference's checkpoint directory.
    pub(crate) directory: &'a Path,
    /// Its format.
    pub(crate) kind: Kind,
    /// Who signs.
    pub(crate) store: u64,
    /// Metric names.
    pub(crate) names: &'a MetricNames,
}

/// The series of a host in a window.
#[derive(Debug, Default)]
struct Content {
    /// By component, part of it, metric.
    series: Vec<Exported>,
    values: Vec<f64>,
}

#[derive(Debug)]
struct Exported {
    component: String,
    sub_component: String,
    metric: Arc<str>,
    interval: i64,
    start: i64,
    values: Range<usize>,
}

/// Where the directory of a host is.
pub(crate) fn directory_of(directory: &Path, host: &Host) -> PathBuf {
    directory.join(&*host.key.cluster).join(&*host.key.host)
}

/// The first time at or behind `from` at which a slot may begin that holds a sample; `None`: there is none.
pub(crate) fn next(data: &HostData, from: i64) -> Option<i64> {
    let begin = |column| {
        let half = data.key(column)?.interval / 2;
        let (grid, lane) = data.lane(column)?;
        Some(grid.next_held(lane, from.saturating_add(half))?.saturating_sub(half).max(from))
    };
    (0..data.columns()).filter_map(begin).min()
}

/// Writes one window of a host; returns its size, or `None` if there is nothing in it.
pub(crate) fn window(target: Target<'_>, host: &Host, window: Window) -> Result<Option<u64>, files::Error> {
    let content = content(&host.data(), window, target.names);
    if content.series.is_empty() {
        return Ok(None);
    }
    let bytes = match target.kind {
        Kind::Bin => content.to_bin(window, target.store),
        Kind::Json => content.to_json(window, target.store),
    };
    let directory = directory_of(target.directory, host);
    files::create_directory_with_mode(&directory, DIRECTORY_MODE)?;
    let path = |number: i64| directory.join(format!("{number}.{}", target.kind.extension()));
    let mut file = AtomicFile::create_with_mode(path(window.from), FILE_MODE)?;
    file.write_all(&bytes).map_err(|source| files::Error::Write { path: path(window.from), source })?;
    // A file that lies there could not be read: what it holds is nowhere else. The reference goes by the order of names alone.
    file.commit_beside((window.from..).take(NAMES_MAX).map(path))?;
    Ok(Some(bytes.len() as u64))
}

fn content(data: &HostData, Window { from, to }: Window, names: &MetricNames) -> Content {
    let mut content = Content::default();
    for column in 0..data.columns() {
        let Some((key, (grid, lane))) = data.key(column).zip(data.lane(column)) else { continue };
        // A series whose interval was changed is not read any more, nor is it written.
        if data.find(key) != Some(column) {
            continue;
        }
        let Some((first, last)) = grid.range(lane) else { continue };
        let (interval, half) = (key.interval, key.interval / 2);
        // Slots begin half an interval before their time.
        let skipped = from.saturating_sub(first - half).max(0).saturating_add(interval - 1) / interval;
        let begin = first.saturating_add(skipped.saturating_mul(interval));
        let end = last.min(to.saturating_sub(1).saturating_add(half));
        if begin > end {
            continue;
        }
        let Ok(count) = usize::try_from((end - begin) / interval + 1) else { continue };
        let at = content.values.len();
        content.values.resize(at + count, 0.0);
        let values = content.values.get_mut(at..).unwrap_or_default();
        grid.read(lane, begin, values);
        let lead = values.iter().take_while(|value| value.is_nan()).count();
        let tail = values.iter().rev().take_while(|value| value.is_nan()).count();
        if lead == count {
            content.values.truncate(at);
            continue;
        }
        let start = begin + i64::try_from(lead).unwrap_or(0) * interval;
        content.series.push(Exported {
            component: key.component.to_owned(),
            sub_component: key.sub_component.to_owned(),
            metric: names.name(key.metric),
            interval,
            start,
            values: at + lead..at + count - tail,
        });
    }
    content.series.sort_unstable_by(|a, b| {
        (&a.component, &a.sub_component, &a.metric).cmp(&(&b.component, &b.sub_component, &b.metric))
    });
    content
}

impl Content {
    fn values(&self, series: &Exported) -> &[f64] {
        self.values.get(series.values.clone()).unwrap_or_default()
    }

    /// The host's own series, and those of its components.
    fn levels(&self) -> (&[Exported], &[Exported]) {
        let own = self.series.partition_point(|series| series.component.is_empty());
        self.series.split_at(own)
    }

    fn to_bin(&self, window: Window, store: u64) -> Vec<u8> {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let mut writer = bin::Writer::new(Vec::with_capacity(self.values.len() * 4 + 4096), window);
        let metrics = |writer: &mut bin::Writer, level: &[Exported]| {
            writer.metrics(count(level.len()));
            for series in level {
                writer.metric(&series.metric, series.interval, series.start, self.values(series));
            }
        };
        let (own, below) = self.levels();
        metrics(&mut writer, own);
        writer.children(count(by_component(below).count()));
        for component in by_component(below) {
            let (own, parts) = parts_of(component);
            writer.child(name(component, |series| &series.component));
            metrics(&mut writer, own);
            writer.children(count(by_part(parts).count()));
            for part in by_part(parts) {
                writer.child(name(part, |series| &series.sub_component));
                metrics(&mut writer, part);
                writer.children(0);
            }
        }
        writer.finish(store)
    }

    fn to_json(&self, window: Window, store: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.values.len() * 6 + 4096);
        json::begin(&mut out, store, window);
        let (own, below) = self.levels();
        self.json_metrics(&mut out, own);
        out.extend_from_slice(b",\"children\":{");
        for (index, component) in by_component(below).enumerate() {
            let (own, parts) = parts_of(component);
            separate(&mut out, index);
            json::key(&mut out, name(component, |series| &series.component));
            self.json_level(&mut out, own, window);
            for (index, part) in by_part(parts).enumerate() {
                separate(&mut out, index);
                json::key(&mut out, name(part, |series| &series.sub_component));
                self.json_level(&mut out, part, window);
                out.extend_from_slice(b"}}");
            }
            out.extend_from_slice(b"}}");
        }
        out.extend_from_slice(b"}}\n");
        out
    }

    /// A level below the host's, up to within its children.
    fn json_level(&self, out: &mut Vec<u8>, level: &[Exported], window: Window) {
        out.extend_from_slice(format!(r#"{{"from":{},"to":{},"#, window.from, window.to).as_bytes());
        self.json_metrics(out, level);
        out.extend_from_slice(b",\"children\":{");
    }

    fn json_metrics(&self, out: &mut Vec<u8>, level: &[Exported]) {
        out.extend_from_slice(b"\"metrics\":{");
        for (index, series) in level.iter().enumerate() {
            separate(out, index);
            json::metric(out, &series.metric, series.interval, series.start, self.values(series));
        }
        out.push(b'}');
    }
}

fn by_component(below: &[Exported]) -> impl Iterator<Item = &[Exported]> {
    below.chunk_by(|a, b| a.component == b.component)
}

fn by_part(parts: &[Exported]) -> impl Iterator<Item = &[Exported]> {
    parts.chunk_by(|a, b| a.sub_component == b.sub_component)
}

/// The series of a component itself, and those of its parts.
fn parts_of(component: &[Exported]) -> (&[Exported], &[Exported]) {
    component.split_at(component.partition_point(|series| series.sub_component.is_empty()))
}

fn name(level: &[Exported], of: impl Fn(&Exported) -> &String) -> &str {
    level.first().map_or("", |series| of(series).as_str())
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}
