//! Dropping what is old.

use super::{BLOCK, Grid, SLOTS, Slab, has};
use crate::block;

/// Slots of a buffer of the reference, in which freed samples are counted.
const BUFFER: u64 = 512;

impl Grid {
    /// Drops blocks that end before `cut`, sealed or open, and lanes whose last sample does; returns how many buffers went. What goes does
    /// not depend on what is sealed already, so it is the same before and after a restart.
    ///
    /// Counted are buffers as the reference keeps them (spec metric-store.md 11.1): [`BUFFER`] slots from a series' first sample on. Our
    /// blocks begin at fixed times, so their number would depend on the hour.
    pub(crate) fn evict(&mut self, cut: i64) -> u64 {
        let lanes = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let kept_from: Vec<i64> = (0..lanes).map(|lane| self.kept_from(lane, cut)).collect();
        // Whole slabs at once; of the others, which few lanes keep, lane by lane.
        let all = kept_from.iter().copied().min().unwrap_or(i64::MIN);
        let whole = self.slabs.partition_point(|slab| slab.number() < all);
        let dropped: Vec<Slab> = self.slabs.drain(..whole).collect();
        self.slabs.shrink_to_fit();
        self.bytes = self.bytes.saturating_sub(dropped.iter().map(Slab::heap_bytes).sum());
        let gone = (0..lanes)
            .zip(kept_from)
            .map(|(lane, kept_from)| {
                let held = dropped.iter().any(|slab| slab.get(lane).is_some());
                self.free_before(lane, kept_from, held)
            })
            .sum();
        if gone > 0 {
            self.drop_empty_slabs();
            self.drop_empty_rows(cut);
        }
        gone
    }

    /// As [`Grid::evict`], of one lane.
    pub(crate) fn free(&mut self, lane: u32, cut: i64) -> u64 {
        let gone = self.free_before(lane, self.kept_from(lane, cut), false);
        if gone > 0 {
            self.drop_empty_slabs();
        }
        gone
    }

    /// The number of the first block of a lane that does not end before `cut`.
    fn kept_from(&self, lane: u32, cut: i64) -> i64 {
        match self.range(lane) {
            None => i64::MAX,
            Some((_, last)) if last < cut => i64::MAX,
            Some(_) => {
                let phase = self.lanes.get(lane as usize).map_or(0, super::Lane::phase);
                // The first slot at or behind the cut, and the block that it is in.
                let slot =
                    cut.saturating_sub(phase).saturating_add(self.interval - 1).div_euclid(self.interval);
                slot.saturating_add(self.stagger).div_euclid(BLOCK)
            }
        }
    }

    /// Drops a lane's blocks below a number. `held`: some went already.
    fn free_before(&mut self, lane: u32, kept_from: i64, held: bool) -> u64 {
        let index = lane as usize;
        let Some((first_slot, last_slot)) = self.lanes.get(index).and_then(super::Lane::slots) else {
            return 0;
        };
        let mut gone = held;
        for slab in self.slabs.iter_mut().take_while(|slab| slab.number() < kept_from) {
            if slab.get(lane).is_some() {
                let before = slab.heap_bytes();
                slab.set(lane, &[]);
                self.bytes = (self.bytes + slab.heap_bytes()).saturating_sub(before);
                gone = true;
            }
        }
        let mut number = self.block_of(self.base);
        let mut rows = self.rows.iter_mut().peekable();
        while rows.peek().is_some() && number < kept_from {
            for cell in rows.by_ref().take(SLOTS).filter_map(|row| row.get_mut(index)) {
                gone |= !cell.is_nan();
                *cell = f64::NAN;
            }
            number += 1;
        }
        if !gone {
            return 0;
        }
        self.measure(lane);
        let kept = self.lanes.get(index).and_then(super::Lane::slots);
        let slots = kept.map_or(last_slot + 1, |(first, _)| first) - first_slot;
        slots.unsigned_abs().div_ceil(BUFFER).max(1)
    }

    fn drop_empty_slabs(&mut self) {
        let bytes = &mut self.bytes;
        self.slabs.retain(|slab| {
            let keep = !slab.is_empty();
            if !keep {
                *bytes = bytes.saturating_sub(slab.heap_bytes());
            }
            keep
        });
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
        let number = self.slabs.first()?.number();
        Some((self.block_first(number + 1) - 1) * self.interval)
    }

    /// Finds a lane's first and last sample anew.
    fn measure(&mut self, lane: u32) {
        let index = lane as usize;
        let row = |row: usize| i64::try_from(row).map_or(i64::MAX, |row| self.base + row);
        let first_row = self.rows.iter().position(|row| has(row, index)).map(row);
        let last_row = self.rows.iter().rposition(|row| has(row, index)).map(row);
        let edge = |slab: &Slab, slot: fn(u128) -> u32| {
            let presence = block::presence(slab.get(lane)?)?;
            Some(self.block_first(slab.number()) + i64::from(slot(presence)))
        };
        let first_sealed = self.slabs.iter().find_map(|slab| edge(slab, u128::trailing_zeros));
        let last_sealed = self
            .slabs
            .iter()
            .rev()
            .find_map(|slab| edge(slab, |presence| 127_u32.saturating_sub(presence.leading_zeros())));
        let first = first_row.into_iter().chain(first_sealed).min();
        let last = last_row.into_iter().chain(last_sealed).max();
        if let Some(series) = self.lanes.get_mut(index) {
            series.set_slots(first.zip(last));
        }
    }
}
