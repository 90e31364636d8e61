//! Everything that a grid keeps, for a snapshot, and back.

use super::{BLOCK, Grid, Lane, put_under};
use crate::block::{self, Values};

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
        let sealed = self.slabs.iter().filter_map(|slab| Some((slab.number(), slab.get(lane)?)));
        Some(LaneState { phase: series.phase(), sealed: sealed.collect(), open })
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
        let mut values = block::EMPTY;
        block::decode(bytes, &mut values)?;
        let presence = block::presence(bytes)?;
        if presence == 0 {
            return Some(());
        }
        let series = self.lanes.get_mut(lane as usize)?;
        series.extend(first + i64::from(presence.trailing_zeros()));
        series.extend(first + 127 - i64::from(presence.leading_zeros()));
        let slab = self.slab(number)?;
        let before = slab.heap_bytes();
        if let Some(older) = slab.get(lane) {
            put_under(older, &mut values);
            let mut merged = Vec::new();
            block::encode(&values, &mut merged);
            slab.set(lane, &merged);
        } else {
            slab.set(lane, bytes);
        }
        let after = slab.heap_bytes();
        self.bytes = (self.bytes + after).saturating_sub(before);
        Some(())
    }

    /// Gives the lanes new numbers: lane `i` of the result is lane `order[i]` of this grid, or empty.
    pub(crate) fn reordered(mut self, order: &[Option<u32>]) -> Self {
        for slab in &mut self.slabs {
            let before = slab.heap_bytes();
            slab.reorder(order);
            self.bytes = (self.bytes + slab.heap_bytes()).saturating_sub(before);
        }
        self.slabs.retain(|slab| !slab.is_empty());
        let lane = |old: &Option<u32>| old.and_then(|old| self.lanes.get(old as usize)).copied();
        let lanes = order.iter().map(|old| lane(old).unwrap_or(Lane::new())).collect();
        for row in &mut self.rows {
            let before = row.capacity();
            let cell =
                |old: &Option<u32>| old.and_then(|old| row.get(old as usize)).copied().unwrap_or(f64::NAN);
            let moved: Vec<f64> = order.iter().map(cell).collect();
            self.bytes =
                (self.bytes + moved.capacity() * size_of::<f64>()).saturating_sub(before * size_of::<f64>());
            *row = moved;
        }
        self.lanes = lanes;
        self
    }
}
