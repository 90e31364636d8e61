//! The grid against a plain map from slot to value.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "small numbers of tests, and exact values"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::value::settle;

const INTERVAL: i64 = 60;
const NOW: i64 = 1_700_000_000;

/// What a grid must answer, kept as slowly as possible.
#[derive(Default)]
struct Oracle {
    phase: Option<i64>,
    slots: BTreeMap<i64, f64>,
}

impl Oracle {
    fn slot(&self, time: i64) -> i64 {
        (time - self.phase.unwrap_or(0) + INTERVAL / 2).div_euclid(INTERVAL)
    }

    fn write(&mut self, time: i64, value: f64) {
        self.phase.get_or_insert(time.rem_euclid(INTERVAL));
        let slot = self.slot(time);
        self.slots.insert(slot, value);
    }

    fn read(&self, from: i64, count: usize) -> Vec<u64> {
        let first = self.slot(from);
        let value = |index: usize| self.slots.get(&(first + index as i64)).copied().unwrap_or(f64::NAN);
        (0..count).map(|index| value(index).to_bits()).collect()
    }

    fn range(&self) -> Option<(i64, i64)> {
        let time = |slot: &i64| slot * INTERVAL + self.phase.unwrap_or(0);
        Some((time(self.slots.first_key_value()?.0), time(self.slots.last_key_value()?.0)))
    }
}

fn read(grid: &Grid, lane: u32, from: i64, count: usize) -> Vec<u64> {
    let mut out = vec![0.0; count];
    grid.read(lane, from, &mut out);
    out.into_iter().map(f64::to_bits).collect()
}

/// A second grid made of what a snapshot of the first would hold.
fn copied(grid: &Grid, lanes: u32) -> Grid {
    let mut copy = Grid::new(grid.interval(), grid.stagger);
    for lane in 0..lanes {
        copy.add_lane();
        let Some(state) = grid.state(lane) else { continue };
        copy.restore_phase(lane, state.phase);
        for (number, bytes) in state.sealed {
            copy.restore_block(lane, number, bytes).unwrap();
        }
        for (number, values) in state.open {
            let mut bytes = Vec::new();
            assert!(block::encode(&values, &mut bytes));
            copy.restore_block(lane, number, &bytes).unwrap();
        }
    }
    copy
}

/// Lane, offset in seconds, value.
type Written = (u32, i64, f64);

/// Batches: a jump in time, then some samples around it for each of the lanes.
fn batches() -> impl Strategy<Value = Vec<(i64, Vec<Written>)>> {
    let jump = prop_oneof![8 => 0_i64..120, 2 => -20_000_i64..20_000, 1 => -600_000_i64..600_000];
    let sample = (0_u32..3, -200_i64..200, (-1000_i64..1000).prop_map(|value| settle(value as f64 / 7.0)));
    proptest::collection::vec((jump, proptest::collection::vec(sample, 1..12)), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_write_order_reads_like_a_map(
        batches in batches(),
        stagger in 0_i64..128,
        windows in proptest::collection::vec((-30_000_i64..30_000, 0_usize..700), 8),
    ) {
        let mut grid = Grid::new(INTERVAL, stagger);
        let mut oracles: Vec<Oracle> = (0..3).map(|_| Oracle::default()).collect();
        for _ in 0..3 {
            grid.add_lane();
        }
        let mut time = NOW - 700_000;
        for (jump, samples) in batches {
            time += jump;
            for (lane, offset, value) in samples {
                grid.write(lane, time + offset, value, NOW);
                oracles[lane as usize].write(time + offset, value);
            }
        }
        let copy = copied(&grid, 3);
        for (lane, oracle) in oracles.iter().enumerate() {
            prop_assert_eq!(grid.range(lane as u32), oracle.range());
            prop_assert_eq!(copy.range(lane as u32), oracle.range());
            for &(offset, count) in &windows {
                let wanted = oracle.read(time + offset, count);
                prop_assert_eq!(&read(&grid, lane as u32, time + offset, count), &wanted);
                prop_assert_eq!(&read(&copy, lane as u32, time + offset, count), &wanted);
            }
        }
    }

    #[test]
    fn eviction_takes_only_whole_blocks_before_the_cut(
        batches in batches(),
        cut in -100_000_i64..100_000,
    ) {
        let mut grid = Grid::new(INTERVAL, 5);
        let mut oracle = Oracle::default();
        grid.add_lane();
        let mut time = NOW - 700_000;
        for (jump, samples) in batches {
            time += jump;
            for (_, offset, value) in samples {
                grid.write(0, time + offset, value, NOW);
                oracle.write(time + offset, value);
            }
        }
        let cut = time + cut;
        let mut copy = copied(&grid, 1);
        let gone = grid.evict(cut);
        prop_assert_eq!(copy.evict(cut) > 0, gone > 0);
        let (first, last) = oracle.range().unwrap();
        let mut out = vec![0.0; ((last - first) / INTERVAL + 1) as usize];
        grid.read(0, first, &mut out);
        prop_assert_eq!(read(&copy, 0, first, out.len()), read(&grid, 0, first, out.len()), "sealed or not");
        let kept = out.iter().filter(|value| !value.is_nan()).count();
        prop_assert_eq!(kept == oracle.slots.len(), gone == 0);
        for (index, value) in out.iter().enumerate() {
            let at = first + index as i64 * INTERVAL;
            let wanted = oracle.slots.get(&oracle.slot(at)).copied().unwrap_or(f64::NAN);
            if at >= cut || !value.is_nan() {
                prop_assert_eq!(value.to_bits(), wanted.to_bits(), "at {}", at);
            }
        }
        let found: Vec<i64> = (0..).zip(&out).filter(|(_, value)| !value.is_nan()).map(|(index, _)| first + index * INTERVAL).collect();
        prop_assert_eq!(grid.range(0), found.first().zip(found.last()).map(|(&first, &last)| (first, last)));
        if kept == 0 {
            grid.write(0, NOW + 17, 1.0, NOW);
            prop_assert_eq!(grid.range(0), Some((NOW + 17, NOW + 17)), "an emptied series begins anew");
        }
    }
}

#[test]
fn the_first_sample_fixes_the_phase() {
    let mut grid = Grid::new(INTERVAL, 0);
    grid.add_lane();
    for (time, value) in [(67, 1.0), (126, 2.0), (189, 3.0), (250, 4.0)] {
        grid.write(0, time, value, NOW);
    }
    assert_eq!(grid.range(0), Some((67, 247)));
    let mut out = [0.0; 4];
    grid.read(0, 67, &mut out);
    assert_eq!(out, [1.0, 2.0, 3.0, 4.0]);
    grid.read(0, 67 + 29, &mut out);
    assert_eq!(out[0], 1.0, "29 seconds later is still the same slot");
    grid.read(0, 67 + 30, &mut out);
    assert_eq!(out[0], 2.0);
}

#[test]
fn a_sample_from_the_future_does_not_close_the_rows() {
    let mut grid = Grid::new(1, 0);
    grid.add_lane();
    grid.write(0, NOW, 1.0, NOW);
    grid.write(0, NOW + 3_000, 9.0, NOW);
    grid.write(0, NOW + 1, 2.0, NOW + 1);
    assert!(!grid.rows.is_empty());
    assert_eq!(grid.slabs.iter().filter(|slab| slab.get(0).is_some()).count(), 1);
    assert_eq!(read(&grid, 0, NOW, 2), [1.0_f64.to_bits(), 2.0_f64.to_bits()]);
    assert_eq!(read(&grid, 0, NOW + 3_000, 1), [9.0_f64.to_bits()]);
}

#[test]
fn lanes_can_change_their_numbers() {
    let mut grid = Grid::new(INTERVAL, 0);
    for lane in 0..3_u32 {
        grid.add_lane();
        for step in 0..300 {
            grid.write(lane, NOW + step * INTERVAL, f64::from(lane) + step as f64, NOW + 20_000);
        }
    }
    let before: Vec<_> = (0..3).map(|lane| read(&grid, lane, NOW, 300)).collect();
    let moved = grid.reordered(&[Some(2), None, Some(0), Some(1)]);
    assert_eq!(read(&moved, 0, NOW, 300), before[2]);
    assert_eq!(moved.range(1), None);
    assert_eq!(read(&moved, 2, NOW, 300), before[0]);
    assert_eq!(read(&moved, 3, NOW, 300), before[1]);
}

#[test]
fn sealed_history_takes_few_bytes() {
    let mut grid = Grid::new(INTERVAL, 0);
    for _ in 0..100 {
        grid.add_lane();
    }
    for step in 0..1440_i64 {
        for lane in 0..100_u32 {
            let value = match lane % 4 {
                0 => 64.0,
                1 => f64::from(lane) + (step % 17) as f64 / 10.0,
                2 => (step % 50) as f64 * 4096.0,
                _ => settle(1e4 * (1.0 + 0.05 * (step as f64 * 0.37 + f64::from(lane)).sin())),
            };
            grid.write(lane, NOW + step * INTERVAL, value, NOW + step * INTERVAL);
        }
    }
    let per_sample = grid.bytes() as f64 / 144_000.0;
    assert!(per_sample < 2.5, "{per_sample} bytes per sample");
}

#[test]
fn freed_samples_are_counted_alike_at_any_hour() {
    // Blocks of this grid begin at multiples of 128 slots: each series begins somewhere else in a block.
    for start in 0..2 * BLOCK {
        for (samples, buffers) in [(1, 1), (2, 1), (512, 1), (513, 2)] {
            let mut grid = Grid::new(INTERVAL, 0);
            let lane = grid.add_lane();
            let first = (NOW / INTERVAL + start) * INTERVAL;
            let times = (0..samples).map(|slot| first + slot * INTERVAL);
            times.for_each(|time| grid.write(lane, time, 1.0, time));
            assert_eq!(
                grid.free(lane, first + samples * INTERVAL),
                buffers,
                "{samples} samples from {first}"
            );
        }
    }
}

#[test]
fn no_sample_lies_before_the_next_one_held() {
    let mut grid = Grid::new(60, 77);
    grid.add_lane();
    grid.add_lane();
    let times: Vec<i64> =
        [0, 1, 2, 500, 501, 5000, 9000, 9001].iter().map(|slot| 1_700_000_013 + slot * 60).collect();
    for &time in &times {
        grid.write(0, time, 1.0, time);
        grid.write(1, time - 100_000, 1.0, time);
    }
    for from in (times[0] - 200..times[7] + 200).step_by(7) {
        let held = grid.next_held(0, from);
        match times.iter().find(|time| **time >= from) {
            None => assert_eq!(held, None, "{from}"),
            Some(&next) => {
                let held = held.unwrap();
                assert!((from..=next).contains(&held), "{from}: {held}, not {next}");
            }
        }
    }
    // within a block it is not looked for, beyond it is
    let skipped = grid.next_held(0, times[2] + 128 * 60).unwrap();
    assert!(times[3] - skipped < 128 * 60, "{skipped}");
    assert_eq!(grid.next_held(0, i64::MIN), Some(times[0]));
    assert_eq!(grid.next_held(0, i64::MAX), None);
    assert_eq!(grid.next_held(2, 0), None);
}
