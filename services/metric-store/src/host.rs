//! Everything that is kept of one host: its series by metric and component, their samples, and the lines they came as.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::lines::LineCache;
use crate::grid::Grid;
use crate::log::record::Freed;
use crate::names::MetricId;

pub(crate) mod adopt;
pub(crate) mod lines;
pub(crate) mod select;

/// Column number of a host: one per series, dense, in order of appearance.
pub(crate) type ColumnId = u32;

/// Who a host is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct HostKey {
    /// Name of the cluster.
    pub(crate) cluster: Arc<str>,
    /// Name of the host.
    pub(crate) host: Arc<str>,
}

impl HostKey {
    /// A hash that never changes between versions: shard and stagger are made of it (FNV-1a over both names).
    pub(crate) fn stable_hash(cluster: &str, host: &str) -> u64 {
        let bytes = cluster.bytes().chain([0]).chain(host.bytes());
        bytes
            .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
    }
}

/// One host: its name and, behind its own lock, its data.
#[derive(Debug)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) key: HostKey,
    shard: u32,
    data: Mutex<HostData>,
}

impl Host {
    /// A host of that shard, without series.
    pub(crate) fn new(key: HostKey, shard: u32) -> Self {
        let data = HostData::new(stagger(&key.cluster, &key.host));
        Self { key, shard, data: Mutex::new(data) }
    }

    /// The number of its shard.
    pub(crate) fn shard(&self) -> u32 {
        self.shard
    }

    /// Its data, exclusively. A panic of a former holder cannot leave it half-changed in a way that reading would trip over: all
    /// accesses are checked.
    pub(crate) fn data(&self) -> MutexGuard<'_, HostData> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By how many slots the blocks of a host are shifted, so that hosts seal at different times.
pub(crate) fn stagger(cluster: &str, host: &str) -> i64 {
    // The shard takes the lowest bits.
    i64::try_from((HostKey::stable_hash(cluster, host) >> 32) % crate::block::SLOTS as u64).unwrap_or(0)
}

/// A series of a host.
#[derive(Clone, Copy, Debug)]
struct Column {
    metric: MetricId,
    path: u32,
    grid: u32,
    lane: u32,
}

/// Up to which column the dictionary of a log segment knows this host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Logged {
    /// The segment; 0: none.
    pub(crate) segment: u64,
    /// The host's number in it.
    pub(crate) id: u32,
    /// Columns defined in it, from the first on.
    pub(crate) columns: u32,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct HostData {
    /// Lines seen before, and what they mean.
    pub(crate) lines: LineCache,
    /// What the log knows.
    pub(crate) logged: Logged,
    /// Bytes that its shard counts for it.
    pub(crate) accounted: usize,
    columns: Vec<Column>,
    /// Components as `component` or `component\0sub-component`; the first is the node itself.
    paths: Vec<Arc<str>>,
    path_numbers: HashMap<Arc<str>, u32>,
    /// The column of a metric at a component.
    series: BTreeMap<(MetricId, u32), ColumnId>,
    grids: Vec<Grid>,
    stagger: i64,
    path_bytes: usize,
}

/// Bytes that the allocator gives for the maps of an empty host and for its places in lists.
const MAPS_BYTES: usize = 600;

/// How a series is told apart within its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeriesKey<'a> {
    /// Its metric.
    pub(crate) metric: MetricId,
    /// Seconds between its slots.
    pub(crate) interval: i64,
    /// Component, empty for the node itself.
    pub(crate) component: &'a str,
    /// Part of the component, empty for the component itself.
    pub(crate) sub_component: &'a str,
}

impl HostData {
    /// No series; `stagger` shifts its blocks.
    pub(crate) fn new(stagger: i64) -> Self {
        let node: Arc<str> = "".into();
        Self {
            lines: LineCache::default(),
            logged: Logged::default(),
            accounted: 0,
            columns: Vec::new(),
            path_numbers: HashMap::from([(Arc::clone(&node), 0)]),
            paths: vec![node],
            series: BTreeMap::new(),
            grids: Vec::new(),
            stagger,
            path_bytes: 0,
        }
    }

    /// By how many slots its blocks are shifted.
    pub(crate) fn stagger(&self) -> i64 {
        self.stagger
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> u32 {
        u32::try_from(self.columns.len()).unwrap_or(u32::MAX)
    }

    /// The column of a series, if there is one.
    pub(crate) fn find(&self, key: SeriesKey<'_>) -> Option<ColumnId> {
        let path = *self.path_numbers.get(&*path_text(key.component, key.sub_component))?;
        let column = *self.series.get(&(key.metric, path))?;
        let grid = self.grids.get(self.columns.get(column as usize)?.grid as usize)?;
        (grid.interval() == key.interval).then_some(column)
    }

    /// The column of a series; made if there is none. A changed interval begins a new series in place of the old one.
    pub(crate) fn column(&mut self, key: SeriesKey<'_>) -> ColumnId {
        if let Some(column) = self.find(key) {
            return column;
        }
        let path = self.path(&path_text(key.component, key.sub_component));
        let known = self.grids.iter().position(|grid| grid.interval() == key.interval);
        let grid = known.unwrap_or_else(|| {
            self.grids.push(Grid::new(key.interval, self.stagger));
            self.grids.len() - 1
        });
        let lane = self.grids.get_mut(grid).map_or(0, Grid::add_lane);
        let number = self.columns();
        self.columns.push(Column {
            metric: key.metric,
            path,
            grid: u32::try_from(grid).unwrap_or(u32::MAX),
            lane,
        });
        self.series.insert((key.metric, path), number);
        number
    }

    fn path(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.path_numbers.get(text) {
            return number;
        }
        let number = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.path_bytes += text.len() + 80;
        self.paths.push(Arc::clone(&text));
        self.path_numbers.insert(text, number);
        number
    }

    /// How the series of a column is told apart.
    pub(crate) fn key(&self, column: ColumnId) -> Option<SeriesKey<'_>> {
        let column = self.columns.get(column as usize)?;
        let path = self.paths.get(column.path as usize)?;
        let (component, sub_component) = path.split_once('\0').unwrap_or((path, ""));
        let interval = self.grids.get(column.grid as usize)?.interval();
        Some(SeriesKey { metric: column.metric, interval, component, sub_component })
    }

    /// Stores a settled value.
    #[inline]
    pub(crate) fn write(&mut self, column: ColumnId, time: i64, value: f64, now: i64) {
        if let Some(column) = self.columns.get(column as usize)
            && let Some(grid) = self.grids.get_mut(column.grid as usize)
        {
            grid.write(column.lane, time, value, now);
        }
    }

    /// The grid of a column and its lane there.
    pub(crate) fn lane(&self, column: ColumnId) -> Option<(&Grid, u32)> {
        let column = self.columns.get(column as usize)?;
        Some((self.grids.get(column.grid as usize)?, column.lane))
    }

    /// As [`HostData::lane`], to restore a snapshot.
    pub(crate) fn lane_mut(&mut self, column: ColumnId) -> Option<(&mut Grid, u32)> {
        let column = self.columns.get(column as usize)?;
        Some((self.grids.get_mut(column.grid as usize)?, column.lane))
    }

    /// Drops what ends before `cut`; returns the number of buffers.
    pub(crate) fn evict(&mut self, cut: i64) -> u64 {
        self.grids.iter_mut().map(|grid| grid.evict(cut)).sum()
    }

    /// Drops what ends before a time at a component and below it; returns the number of buffers.
    pub(crate) fn free(&mut self, freed: Freed<'_>) -> u64 {
        let wanted = path_text(freed.component, freed.sub_component);
        let below = |path: &str| {
            let rest = path.strip_prefix(&*wanted);
            wanted.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('\0'))
        };
        let mut gone = 0;
        for column in &self.columns {
            if self.paths.get(column.path as usize).is_some_and(|path| below(path))
                && let Some(grid) = self.grids.get_mut(column.grid as usize)
            {
                gone += grid.free(column.lane, freed.cut);
            }
        }
        gone
    }

    /// When the oldest sealed block ends: what memory pressure takes next.
    pub(crate) fn oldest_block_end(&self) -> Option<i64> {
        self.grids.iter().filter_map(Grid::oldest_block_end).min()
    }

    /// Whether any series holds samples.
    pub(crate) fn has_samples(&self) -> bool {
        self.grids.iter().any(Grid::has_samples)
    }

    /// Oldest and newest sample of a column.
    pub(crate) fn range(&self, column: ColumnId) -> Option<(i64, i64)> {
        self.lane(column).and_then(|(grid, lane)| grid.range(lane))
    }

    /// Memory that the host takes, estimated for the maps and names, counted for the samples.
    pub(crate) fn bytes(&self) -> usize {
        let grids: usize = self.grids.iter().map(Grid::bytes).sum();
        let columns = self.columns.capacity() * size_of::<Column>() + self.series.len() * 24;
        size_of::<Self>() + MAPS_BYTES + grids + columns + self.path_bytes + self.lines.bytes()
    }
}

fn path_text<'a>(component: &'a str, sub_component: &str) -> std::borrow::Cow<'a, str> {
    if sub_component.is_empty() { component.into() } else { [component, "\0", sub_component].concat().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(metric: u32, interval: i64, component: &'a str, sub_component: &'a str) -> SeriesKey<'a> {
        SeriesKey { metric: MetricId(metric), interval, component, sub_component }
    }

    #[test]
    fn series_are_told_apart_by_metric_component_and_interval() {
        let mut data = HostData::new(0);
        let keys = [
            key(1, 60, "", ""),
            key(2, 60, "", ""),
            key(1, 60, "socket0", ""),
            key(1, 60, "socket0", "deviceeth0"),
            key(3, 10, "", ""),
        ];
        for (number, key) in (0..).zip(keys) {
            assert_eq!(data.column(key), number);
        }
        for (number, key) in (0..).zip(keys) {
            assert_eq!(
                (data.column(key), data.find(key), data.key(number)),
                (number, Some(number), Some(key))
            );
        }
        assert_eq!(data.find(key(9, 60, "", "")), None);
        assert_eq!(data.column(key(1, 30, "", "")), 5, "a changed interval begins a new series");
        assert_eq!(data.find(key(1, 60, "", "")), None);
    }

    #[test]
    fn the_stable_hash_never_changes() {
        assert_eq!(HostKey::stable_hash("fritz", "f0101"), 0xAB60_2052_3913_6A20);
        assert_ne!(HostKey::stable_hash("ab", "c"), HostKey::stable_hash("a", "bc"));
    }
}
