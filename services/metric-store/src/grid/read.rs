//! Reading: the values of a lane over a range of time, as they are or added to others.

use super::{Grid, SLOTS};
use crate::block::{self, Put, Set, Values};

impl Grid {
    /// Times of the oldest and the newest sample; `None` if the lane is empty.
    pub(crate) fn range(&self, lane: u32) -> Option<(i64, i64)> {
        let series = self.lanes.get(lane as usize)?;
        let (first, last) = series.slots()?;
        Some((first * self.interval + series.phase(), last * self.interval + series.phase()))
    }

    /// The first time at or behind `from` at which this lane may hold a sample; `None`: it holds none from there on.
    pub(crate) fn next_held(&self, lane: u32, from: i64) -> Option<i64> {
        let series = self.lanes.get(lane as usize)?;
        let (first, last) = series.slots()?;
        let slot = (-series.phase().saturating_sub(from).div_euclid(self.interval)).max(first);
        let number = self.block_of(slot);
        let place = self.slabs.partition_point(|slab| slab.number() < number);
        let sealed = self.slabs.iter().skip(place).find(|slab| slab.get(lane).is_some());
        let sealed = sealed.map(|slab| self.block_first(slab.number()).max(slot));
        let rows = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let open = (self.base.saturating_add(rows) > slot).then_some(self.base.max(slot));
        let next = sealed.into_iter().chain(open).min().filter(|next| *next <= last)?;
        Some(next * self.interval + series.phase())
    }

    /// The values nearest to `from`, `from + interval`, …; `NaN` where there is no sample.
    pub(crate) fn read(&self, lane: u32, from: i64, out: &mut [f64]) {
        self.read_as::<Set>(lane, from, out);
    }

    /// As [`Grid::read`], put to what is in `out` already.
    pub(crate) fn read_as<P: Put>(&self, lane: u32, from: i64, out: &mut [f64]) {
        let phase = self.lanes.get(lane as usize).map_or(0, super::Lane::phase);
        let mut slot = (from - phase + self.interval / 2).div_euclid(self.interval);
        let mut number = self.block_of(slot);
        let place = self.slabs.partition_point(|slab| slab.number() < number);
        let mut slabs = self.slabs.iter().skip(place).peekable();
        // From here on rows may hold newer samples than the blocks.
        let open = self.block_of(self.base);
        let mut rest = out;
        while !rest.is_empty() {
            let slab = slabs.next_if(|slab| slab.number() == number);
            let bytes = slab.and_then(|slab| slab.get(lane));
            let skipped = usize::try_from(slot - self.block_first(number)).unwrap_or(0).min(SLOTS);
            let (part, behind) = rest.split_at_mut((SLOTS - skipped).min(rest.len()));
            let closed = number < open || self.rows.is_empty();
            if closed && bytes.is_none() {
                for there in part {
                    P::put(there, f64::NAN);
                }
            } else if closed
                && let Some(bytes) = bytes
                && let Ok(whole) = <&mut Values>::try_from(&mut *part)
            {
                // Blocks in memory are always our own encoding.
                let _decoded = block::decode_as::<P>(bytes, whole);
            } else {
                let mut values = block::EMPTY;
                if let Some(bytes) = bytes {
                    let _decoded = block::decode(bytes, &mut values);
                }
                if !closed {
                    self.lay_rows(lane, number, &mut values);
                }
                for (there, value) in part.iter_mut().zip(values.iter().skip(skipped)) {
                    P::put(there, *value);
                }
            }
            rest = behind;
            number += 1;
            slot = self.block_first(number);
        }
    }

    /// Puts what the open rows hold over the values of a block.
    fn lay_rows(&self, lane: u32, number: i64, values: &mut Values) {
        let start = self.block_first(number);
        let (skip_values, skip_rows) = (self.base - start, start - self.base);
        let values = values.iter_mut().skip(usize::try_from(skip_values).unwrap_or(0));
        let rows = self.rows.iter().skip(usize::try_from(skip_rows).unwrap_or(0));
        for (value, row) in values.zip(rows) {
            if let Some(cell) = row.get(lane as usize).filter(|cell| !cell.is_nan()) {
                *value = *cell;
            }
        }
    }
}
