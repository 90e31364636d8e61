//! Putting the series of another store's files into a lane.

use super::{BLOCK, Grid};
use crate::block::{self, Values};
use crate::log::record::TIME_MAX;

impl Grid {
    /// Says where the slots of a lane lie that holds nothing yet: one of them at this time.
    pub(crate) fn begin_phase(&mut self, lane: u32, time: i64) {
        let interval = self.interval;
        if let Some(series) = self.lanes.get_mut(lane as usize) {
            series.take_phase(time, interval);
        }
    }

    /// Takes values of the times `start`, `start + step`, …; `NaN` is no value. Where the lane holds one already, the new one takes its
    /// place only if it `wins`. False, and nothing taken, if there are times that cannot be calculated with.
    pub(crate) fn restore_values(
        &mut self,
        lane: u32,
        start: i64,
        step: i64,
        values: &[f64],
        wins: bool,
    ) -> bool {
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let end = count.checked_mul(step).and_then(|length| start.checked_add(length));
        let beyond = |time: i64| time.unsigned_abs() > TIME_MAX.unsigned_abs();
        if step < 1 || beyond(start) || end.is_none_or(beyond) {
            return false;
        }
        let Some(first) = values.iter().position(|value| !value.is_nan()) else { return true };
        let times = (0_i64..).map(|number| start + number * step);
        let mut samples = times.zip(values.iter().copied()).skip(first).filter(|(_, value)| !value.is_nan());
        let index = lane as usize;
        let Some(series) = self.lanes.get_mut(index) else { return false };
        let interval = self.interval;
        let Some((time, value)) = samples.next() else { return true };
        let phase = series.take_phase(time, interval);
        let slot_of = |time: i64| (time - phase + interval / 2).div_euclid(interval);
        let mut slot = slot_of(time);
        let mut number = self.block_of(slot);
        let mut cells = block::EMPTY;
        let put = |cells: &mut Values, slot: i64, first: i64, value: f64| {
            if let Some(cell) = usize::try_from(slot - first).ok().and_then(|slot| cells.get_mut(slot)) {
                *cell = value;
            }
        };
        let mut block_first = self.block_first(number);
        put(&mut cells, slot, block_first, value);
        for (time, value) in samples {
            slot = slot_of(time);
            if slot - block_first >= BLOCK {
                self.restore_cells(lane, number, &cells, wins);
                number = self.block_of(slot);
                block_first = self.block_first(number);
                cells = block::EMPTY;
            }
            put(&mut cells, slot, block_first, value);
        }
        self.restore_cells(lane, number, &cells, wins);
        true
    }

    /// Takes the values of one block.
    fn restore_cells(&mut self, lane: u32, number: i64, cells: &Values, wins: bool) {
        let first = self.block_first(number);
        let slots = || (first..).zip(cells).filter(|(_, value)| !value.is_nan());
        if wins {
            // What is read of an open row hides the block.
            for (slot, value) in slots() {
                let row = usize::try_from(slot - self.base).ok().and_then(|row| self.rows.get_mut(row));
                if let Some(cell) =
                    row.and_then(|row| row.get_mut(lane as usize)).filter(|cell| !cell.is_nan())
                {
                    *cell = *value;
                }
            }
        }
        let Some(series) = self.lanes.get_mut(lane as usize) else { return };
        for (slot, _) in slots() {
            series.extend(slot);
        }
        self.change_sealed(lane, number, |old| {
            for (old, new) in old.iter_mut().zip(cells) {
                if !new.is_nan() && (wins || old.is_nan()) {
                    *old = *new;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_040;
    const GAP: f64 = f64::NAN;

    fn read(grid: &Grid, from: i64, count: usize) -> String {
        let mut out = vec![0.0; count];
        grid.read(0, from, &mut out);
        format!("{out:?}")
    }

    #[test]
    fn values_fill_gaps_or_win() {
        for (wins, expected) in
            [(false, "[NaN, 1.0, 20.0, 3.0, 40.0]"), (true, "[NaN, 10.0, 20.0, 30.0, 40.0]")]
        {
            let mut grid = Grid::new(60, 77);
            grid.add_lane();
            for (step, value) in [(0, 1.0), (2, 3.0)] {
                grid.write(0, NOW + step * 60, value, NOW + 600);
            }
            // 20 s beside the slots
            assert!(grid.restore_values(0, NOW - 40, 60, &[GAP, 10.0, 20.0, 30.0, 40.0, GAP], wins));
            assert_eq!(read(&grid, NOW - 60, 5), expected, "{wins}");
            assert_eq!(grid.range(0), Some((NOW, NOW + 180)));
        }
    }

    #[test]
    fn long_series_and_other_steps_lie_where_they_belong() {
        let mut grid = Grid::new(60, 5);
        grid.add_lane();
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        assert!(grid.restore_values(0, NOW, 60, &values, false));
        let mut out = vec![0.0; 1000];
        grid.read(0, NOW, &mut out);
        assert_eq!(out, values);
        let heap = grid.bytes;
        assert!(grid.restore_values(0, NOW, 120, &[7.0, 8.0, 9.0], true));
        assert_eq!(read(&grid, NOW, 5), "[7.0, 1.0, 8.0, 3.0, 9.0]");
        assert!(grid.bytes >= heap);
        let mut fine = Grid::new(60, 5);
        fine.add_lane();
        assert!(fine.restore_values(0, NOW, 10, &values[..13], false));
        assert_eq!(read(&fine, NOW, 3), "[2.0, 8.0, 12.0]", "the last of each slot");
    }

    #[test]
    fn times_beyond_reason_are_refused() {
        let mut grid = Grid::new(60, 0);
        grid.add_lane();
        for (start, step) in
            [(i64::MIN, 60), (i64::MAX, 60), (0, i64::MAX), (0, 0), (0, -1), (TIME_MAX + 1, 1)]
        {
            assert!(!grid.restore_values(0, start, step, &[1.0], true));
        }
        assert!(!grid.restore_values(9, 0, 60, &[1.0], true));
        assert!(grid.range(0).is_none());
    }
}
