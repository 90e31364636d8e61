//! The samples of one host that share one interval: a slot grid with one lane per series.
//!
//! Slots are numbered from the epoch: slot `k` of a lane stands for the time `k × interval + phase` and takes every sample nearer
//! to that time than to another slot's (spec metric-store.md 6.2: the first sample fixes the phase; here it stays for the life of
//! the series). The newest slots lie uncompressed as rows over all lanes, so that the batch of one host and interval is written
//! side by side. A whole block of rows is sealed at once into one compressed block per lane ([`crate::block`]), all of them in one
//! piece of memory ([`slab`]); hosts seal at different times (`stagger`). Samples outside the rows, late or early, go into the sealed
//! blocks, which are re-encoded.

use std::collections::VecDeque;

use self::lane::Lane;
use self::slab::Slab;
use crate::block::{self, SLOTS, Values};

mod free;
mod import;
mod lane;
mod read;
mod restore;
mod slab;

/// [`SLOTS`] as a slot number.
const BLOCK: i64 = 128;
const _: () = assert!(BLOCK.unsigned_abs() == SLOTS as u64);

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
    /// Sealed blocks, ascending by number.
    slabs: Vec<Slab>,
    /// Slot of the last sample written, by its time and phase: samples of a batch share both.
    last_slot: (i64, i64, i64),
    bytes: usize,
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
            slabs: Vec::new(),
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
        let lists = self.lanes.capacity() * size_of::<Lane>() + self.slabs.capacity() * size_of::<Slab>();
        self.bytes + lists
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
        let Ok(lane) = u32::try_from(lane) else { return };
        self.change_sealed(lane, number, |values| {
            if let Some(cell) = values.get_mut(offset) {
                *cell = value;
            }
        });
    }

    /// Changes values of a sealed block, which is made if there is none.
    fn change_sealed(&mut self, lane: u32, number: i64, change: impl FnOnce(&mut Values)) {
        let Some(slab) = self.slab(number) else { return };
        let before = slab.heap_bytes();
        let mut values = block::EMPTY;
        if let Some(bytes) = slab.get(lane) {
            // Blocks in memory are always our own encoding.
            let _decoded = block::decode(bytes, &mut values);
        }
        change(&mut values);
        let mut bytes = Vec::new();
        block::encode(&values, &mut bytes);
        slab.set(lane, &bytes);
        let after = slab.heap_bytes();
        self.bytes = (self.bytes + after).saturating_sub(before);
    }

    /// The sealed blocks of a number, made if there are none.
    fn slab(&mut self, number: i64) -> Option<&mut Slab> {
        let place = self.slabs.partition_point(|slab| slab.number() < number);
        if self.slabs.get(place).is_none_or(|slab| slab.number() != number) {
            self.slabs.insert(place, Slab::new(number));
        }
        self.slabs.get_mut(place)
    }

    /// Seals the rows of the first block (fewer, if no more are open) and moves the base behind it.
    fn seal_front(&mut self) {
        let number = self.block_of(self.base);
        let count = self.rows.len().min(SLOTS);
        let rows: Vec<Vec<f64>> = self.rows.drain(..count).collect();
        // Blocks that hold samples of these slots already: early ones, or those of a snapshot.
        let place = self.slabs.partition_point(|slab| slab.number() < number);
        let held = self.slabs.get(place).filter(|slab| slab.number() == number);
        let held_bytes = held.map_or(0, Slab::heap_bytes);
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(self.lanes.len()));
        let lanes = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        for first in (0..lanes).step_by(TILE) {
            let mut columns = [block::EMPTY; TILE];
            for (slot, row) in rows.iter().enumerate() {
                let cells = row.iter().skip(first as usize).take(TILE);
                for (column, cell) in columns.iter_mut().zip(cells) {
                    if let Some(value) = column.get_mut(slot) {
                        *value = *cell;
                    }
                }
            }
            for (lane, column) in (first..lanes).zip(&mut columns) {
                if let Some(older) = held.and_then(|slab| slab.get(lane)) {
                    put_under(older, column);
                }
                block::encode(column, &mut bytes);
                ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            }
        }
        let slab = Slab::of(number, &ends, &bytes);
        let freed: usize = rows.iter().map(|row| row.capacity() * size_of::<f64>()).sum();
        self.bytes = (self.bytes + slab.heap_bytes()).saturating_sub(freed + held_bytes);
        match self.slabs.get_mut(place) {
            Some(old) if old.number() == number => *old = slab,
            _ if bytes.is_empty() => {}
            _ => self.slabs.insert(place, slab),
        }
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
}

/// Puts what a block holds where `values` have nothing.
fn put_under(bytes: &[u8], values: &mut Values) {
    let mut older = block::EMPTY;
    if block::decode(bytes, &mut older).is_some() {
        for (value, older) in values.iter_mut().zip(older) {
            if value.is_nan() {
                *value = older;
            }
        }
    }
}

fn has(row: &[f64], lane: usize) -> bool {
    row.get(lane).is_some_and(|value| !value.is_nan())
}

#[cfg(test)]
mod tests;
