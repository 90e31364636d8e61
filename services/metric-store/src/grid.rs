//! The samples of one host that share one interval: a slot grid with one lane per series.
//!
//! Slots are numbered from the epoch: slot `k` of a lane stands for the time `k × interval + phase` and takes every sample nearer
//! to that time than to another slot's (spec metric-store.md 6.2: the first sample fixes the phase; here it stays for the life of
//! the series). The newest slots lie uncompressed as rows over all lanes, so that the batch of one host and interval is written
//! side by side. A whole block of rows is sealed at once into one compressed block per lane ([`crate::block`]); hosts seal at
//! different times (`stagger`). Samples outside the rows, late or early, go into the sealed blocks, which are re-encoded.

use std::collections::VecDeque;

use self::lane::Lane;
use crate::block::{self, SLOTS, Values};

mod lane;

/// [`SLOTS`] as a slot number.
const BLOCK: i64 = 128;
const _: () = assert!(BLOCK.unsigned_abs() == SLOTS as u64);

/// Slots of a buffer of the reference, in which freed samples are counted.
const BUFFER: u64 = 512;

/// Rows beyond a full block that are kept open for late samples before the block is sealed.
const LATE_ROWS: i64 = 8;

/// Lanes that are transposed together when rows are sealed: one cache line of each row.
const TILE: usize = 8;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Grid {
    interval: i64,
    stagger: i64,
    /// Slot of the first row; the first slot of a block.
    base: i64,
    /// Open rows; each holds the values of the first lanes, as many as existed when it was last written.
    rows: VecDeque<Vec<f64>>,
    lanes: Vec<Lane>,
    /// Slot of the last sample written, by its time and phase: samples of a batch share both.
    last_slot: (i64, i64, i64),
    bytes: usize,
}

/// What one lane keeps, for a snapshot.
pub(crate) struct LaneState<'a> {
    /// Seconds by which the lane's slots lie behind multiples of the interval.
    pub(crate) phase: i64,
    /// Sealed blocks by number, ascending.
    pub(crate) sealed: Vec<(i64, &'a [u8])>,
    /// Open rows as blocks.
    pub(crate) open: Vec<(i64, Values)>,
}

impl Grid {
    /// A grid of `interval` ≥ 1 seconds whose blocks begin `stagger` slots before multiples of a block.
    pub(crate) fn new(interval: i64, stagger: i64) -> Self {
        Self {
            interval: interval.max(1),
            stagger: stagger.rem_euclid(BLOCK),
            base: 0,
            rows: VecDeque::new(),
            lanes: Vec::new(),
            last_slot: (i64::MIN, 0, 0),
            bytes: 0,
        }
    }

    /// Seconds between slots.
    pub(crate) fn interval(&self) -> i64 {
        self.interval
    }

    /// Whether any lane holds samples.
    pub(crate) fn has_samples(&self) -> bool {
        self.lanes.iter().any(|lane| lane.slots().is_some())
    }

    /// Adds an empty lane and returns its number.
    pub(crate) fn add_lane(&mut self) -> u32 {
        let number = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        self.lanes.push(Lane::new());
        number
    }

    /// Heap bytes of rows, blocks and lanes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.lanes.capacity() * size_of::<Lane>()
    }

    /// Stores a settled value; the last write of a slot wins. `now` only decides where the value lies, never what is read.
    #[inline]
    pub(crate) fn write(&mut self, lane: u32, time: i64, value: f64, now: i64) {
        let index = lane as usize;
        let Some(series) = self.lanes.get_mut(index) else { return };
        let phase = series.take_phase(time, self.interval);
        let (last_time, last_phase, last_slot) = self.last_slot;
        let slot = if last_time == time && last_phase == phase {
            last_slot
        } else {
            (time - phase + self.interval / 2).div_euclid(self.interval)
        };
        self.last_slot = (time, phase, slot);
        series.extend(slot);
        let row = usize::try_from(slot.wrapping_sub(self.base)).ok().and_then(|row| self.rows.get_mut(row));
        match row.and_then(|row| row.get_mut(index)) {
            Some(cell) => *cell = value,
            None => self.write_elsewhere(index, slot, time, value, now),
        }
    }

    /// A slot that no row holds yet: opens rows, or changes a sealed block.
    #[inline(never)]
    fn write_elsewhere(&mut self, lane: usize, slot: i64, time: i64, value: f64, now: i64) {
        let early = time > now + self.interval;
        if self.rows.is_empty() && !early {
            self.base = self.block_start(slot);
        }
        let ahead = slot - self.base >= BLOCK + LATE_ROWS;
        if slot < self.base || (early && (self.rows.is_empty() || ahead)) {
            self.write_sealed(lane, slot, value);
            return;
        }
        while slot - self.base >= BLOCK + LATE_ROWS {
            self.seal_front();
            if self.rows.is_empty() {
                self.base = self.block_start(slot);
            }
        }
        let lanes = self.lanes.len();
        let Ok(wanted) = usize::try_from(slot - self.base) else { return };
        while self.rows.len() <= wanted {
            self.rows.push_back(Vec::new());
        }
        if let Some(row) = self.rows.get_mut(wanted) {
            if row.len() <= lane {
                let before = row.capacity();
                row.reserve_exact(lanes.saturating_sub(row.len()));
                row.resize(lanes, f64::NAN);
                self.bytes += (row.capacity() - before) * size_of::<f64>();
            }
            if let Some(cell) = row.get_mut(lane) {
                *cell = value;
            }
        }
    }

    fn write_sealed(&mut self, lane: usize, slot: i64, value: f64) {
        let number = self.block_of(slot);
        let Ok(offset) = usize::try_from(slot - self.block_first(number)) else { return };
        if let Some(series) = self.lanes.get_mut(lane) {
            let before = series.sealed_bytes();
            series.change(number, |values| {
                if let Some(cell) = values.get_mut(offset) {
                    *cell = value;
                }
            });
            self.bytes = (self.bytes + series.sealed_bytes()).saturating_sub(before);
        }
    }

    /// Seals the rows of the first block (fewer, if no more are open) and moves the base behind it.
    fn seal_front(&mut self) {
        let number = self.block_of(self.base);
        let count = self.rows.len().min(SLOTS);
        let rows: Vec<Vec<f64>> = self.rows.drain(..count).collect();
        for (tile, lanes) in self.lanes.chunks_mut(TILE).enumerate() {
            let mut columns = [block::EMPTY; TILE];
            for (slot, row) in rows.iter().enumerate() {
                let cells = row.iter().skip(tile * TILE).take(TILE);
                for (column, cell) in columns.iter_mut().zip(cells) {
                    if let Some(value) = column.get_mut(slot) {
                        *value = *cell;
                    }
                }
            }
            for (series, column) in lanes.iter_mut().zip(&columns) {
                let before = series.sealed_bytes();
                series.seal(number, column);
                self.bytes = (self.bytes + series.sealed_bytes()).saturating_sub(before);
            }
        }
        let freed: usize = rows.iter().map(|row| row.capacity() * size_of::<f64>()).sum();
        self.bytes = self.bytes.saturating_sub(freed);
        self.base += BLOCK;
    }

    fn block_of(&self, slot: i64) -> i64 {
        (slot + self.stagger).div_euclid(BLOCK)
    }

    fn block_first(&self, number: i64) -> i64 {
        number * BLOCK - self.stagger
    }

    fn block_start(&self, slot: i64) -> i64 {
        self.block_first(self.block_of(slot))
    }

    /// Times of the oldest and the newest sample; `None` if the lane is empty.
    pub(crate) fn range(&self, lane: u32) -> Option<(i64, i64)> {
        let series = self.lanes.get(lane as usize)?;
        let (first, last) = series.slots()?;
        Some((first * self.interval + series.phase(), last * self.interval + series.phase()))
    }

    /// The values nearest to `from`, `from + interval`, …; `NaN` where there is no sample.
    pub(crate) fn read(&self, lane: u32, from: i64, out: &mut [f64]) {
        out.fill(f64::NAN);
        let Some(series) = self.lanes.get(lane as usize) else { return };
        let first = (from - series.phase() + self.interval / 2).div_euclid(self.interval);
        let count = i64::try_from(out.len()).unwrap_or(i64::MAX);
        let end = first.saturating_add(count);
        let mut values = block::EMPTY;
        for (number, bytes) in series.sealed_in(self.block_of(first), self.block_of(end - 1)) {
            if block::decode(bytes, &mut values).is_none() {
                continue;
            }
            let start = self.block_first(number);
            let (skip_out, skip_in) = (start - first, first - start);
            let target = out.iter_mut().skip(usize::try_from(skip_out).unwrap_or(0));
            let source = values.iter().skip(usize::try_from(skip_in).unwrap_or(0));
            for (to, from) in target.zip(source) {
                *to = *from;
            }
        }
        // Rows are newer than what an early or restored block holds for the same slot.
        let (skip_out, skip_in) = (self.base - first, first - self.base);
        let target = out.iter_mut().skip(usize::try_from(skip_out).unwrap_or(0));
        let source = self.rows.iter().skip(usize::try_from(skip_in).unwrap_or(0));
        for (to, row) in target.zip(source) {
            if let Some(value) = row.get(lane as usize).filter(|value| !value.is_nan()) {
                *to = *value;
            }
        }
    }

    /// Drops blocks that end before `cut`, sealed or open, and lanes whose last sample does; returns how many buffers went. What goes does
    /// not depend on what is sealed already, so it is the same before and after a restart.
    ///
    /// Counted are buffers as the reference keeps them (spec metric-store.md 11.1): [`BUFFER`] slots from a series' first sample on. Our
    /// blocks begin at fixed times, so their number would depend on the hour.
    pub(crate) fn evict(&mut self, cut: i64) -> u64 {
        let lanes = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let gone = (0..lanes).map(|lane| self.free(lane, cut)).sum();
        if gone > 0 {
            self.drop_empty_rows(cut);
        }
        gone
    }

    /// As [`Grid::evict`], of one lane.
    pub(crate) fn free(&mut self, lane: u32, cut: i64) -> u64 {
        let index = lane as usize;
        let Some((_, last)) = self.range(lane) else { return 0 };
        let Some((first_slot, last_slot)) = self.lanes.get(index).and_then(Lane::slots) else { return 0 };
        let (interval, stagger) = (self.interval, self.stagger);
        let first_open = self.block_of(self.base);
        let Some(series) = self.lanes.get_mut(index) else { return 0 };
        let phase = series.phase();
        let goes = |number: i64| last < cut || ((number + 1) * BLOCK - stagger - 1) * interval + phase < cut;
        let before = series.sealed_bytes();
        let mut gone = series.drop_front(goes);
        self.bytes = (self.bytes + series.sealed_bytes()).saturating_sub(before);
        let mut number = first_open;
        let mut rows = self.rows.iter_mut().peekable();
        while rows.peek().is_some() && goes(number) {
            let cells = rows.by_ref().take(SLOTS).filter_map(|row| row.get_mut(index));
            let open = cells.filter(|cell| !cell.is_nan()).map(|cell| *cell = f64::NAN).count();
            gone += u64::from(open > 0);
            number += 1;
        }
        if gone == 0 {
            return 0;
        }
        self.measure(index);
        let kept = self.lanes.get(index).and_then(Lane::slots);
        let slots = kept.map_or(last_slot + 1, |(first, _)| first) - first_slot;
        slots.unsigned_abs().div_ceil(BUFFER).max(1)
    }

    /// Gives back the memory of open rows that no lane has samples in.
    fn drop_empty_rows(&mut self, cut: i64) {
        // The phase is below one interval: behind it no sample of the block can be.
        let end = |grid: &Self| (grid.block_first(grid.block_of(grid.base) + 1)) * grid.interval;
        while !self.rows.is_empty() && (end(self) < cut || !self.has_samples()) {
            let count = self.rows.len().min(SLOTS);
            let freed: usize = self.rows.drain(..count).map(|row| row.capacity() * size_of::<f64>()).sum();
            self.bytes = self.bytes.saturating_sub(freed);
            self.base += BLOCK;
        }
    }

    /// Oldest sealed block's last time over all lanes: what memory pressure takes next.
    pub(crate) fn oldest_block_end(&self) -> Option<i64> {
        let number = self.lanes.iter().filter_map(Lane::oldest_block).min()?;
        Some((self.block_first(number + 1) - 1) * self.interval)
    }

    /// Finds a lane's first and last sample anew.
    fn measure(&mut self, index: usize) {
        let open = |mut rows: Box<dyn Iterator<Item = (usize, &Vec<f64>)> + '_>| {
            rows.find(|(_, row)| has(row, index)).and_then(|(row, _)| i64::try_from(row).ok())
        };
        let first_row = open(Box::new(self.rows.iter().enumerate())).map(|row| self.base + row);
        let last_row = open(Box::new(self.rows.iter().enumerate().rev())).map(|row| self.base + row);
        let stagger = self.stagger;
        if let Some(series) = self.lanes.get_mut(index) {
            series.measure(first_row, last_row, |number| number * BLOCK - stagger);
        }
    }

    /// Everything a lane keeps; `None` if it is empty.
    pub(crate) fn state(&self, lane: u32) -> Option<LaneState<'_>> {
        let series = self.lanes.get(lane as usize)?;
        series.slots()?;
        let mut open = Vec::new();
        let mut number = self.block_of(self.base);
        let mut rows = self.rows.iter().peekable();
        while rows.peek().is_some() {
            let mut values = block::EMPTY;
            let mut any = false;
            for (value, row) in values.iter_mut().zip(rows.by_ref()) {
                if let Some(cell) = row.get(lane as usize).filter(|cell| !cell.is_nan()) {
                    *value = *cell;
                    any = true;
                }
            }
            if any {
                open.push((number, values));
            }
            number += 1;
        }
        Some(LaneState {
            phase: series.phase(),
            sealed: series.sealed_in(i64::MIN, i64::MAX).collect(),
            open,
        })
    }

    /// Gives an empty lane its phase, before [`Grid::restore_block`].
    pub(crate) fn restore_phase(&mut self, lane: u32, phase: i64) {
        if let Some(series) = self.lanes.get_mut(lane as usize) {
            series.take_phase(phase, self.interval);
        }
    }

    /// Puts a block of a snapshot into a lane, over what it holds already. `None` if `bytes` is no block.
    pub(crate) fn restore_block(&mut self, lane: u32, number: i64, bytes: &[u8]) -> Option<()> {
        let first = number.checked_mul(BLOCK)?.checked_sub(self.stagger)?;
        // Every time of the block must be one that can be calculated with.
        first.checked_mul(self.interval).filter(|time| time.abs() <= crate::log::record::TIME_MAX)?;
        let series = self.lanes.get_mut(lane as usize)?;
        let before = series.sealed_bytes();
        series.restore(number, first, bytes)?;
        self.bytes = (self.bytes + series.sealed_bytes()).saturating_sub(before);
        Some(())
    }

    /// Gives the lanes new numbers: lane `i` of the result is lane `order[i]` of this grid, or empty.
    pub(crate) fn reordered(mut self, order: &[Option<u32>]) -> Self {
        let mut lanes: Vec<Option<Lane>> = self.lanes.drain(..).map(Some).collect();
        let take = |lanes: &mut Vec<Option<Lane>>, old: &Option<u32>| {
            old.and_then(|old| lanes.get_mut(old as usize).and_then(Option::take)).unwrap_or_else(Lane::new)
        };
        let reordered = order.iter().map(|old| take(&mut lanes, old)).collect();
        for row in &mut self.rows {
            let before = row.capacity();
            let cell =
                |old: &Option<u32>| old.and_then(|old| row.get(old as usize)).copied().unwrap_or(f64::NAN);
            let moved: Vec<f64> = order.iter().map(cell).collect();
            self.bytes =
                (self.bytes + moved.capacity() * size_of::<f64>()).saturating_sub(before * size_of::<f64>());
            *row = moved;
        }
        self.lanes = reordered;
        self
    }
}

fn has(row: &[f64], lane: usize) -> bool {
    row.get(lane).is_some_and(|value| !value.is_nan())
}

#[cfg(test)]
mod tests;
