//! Frames of reference: integers as differences to the smallest of them, or of each of two parts.

use super::SLOTS;
use super::bits;
use super::rows;
use crate::wire::{get_i64, put_i64};

/// Flag of the width: there are two references.
const SPLIT: u8 = 0x80;

/// A second reference must spare so many bytes to be worth its own.
const SPLIT_BYTES: usize = 6;

/// Greatest shift of decimal rows: it shares a byte with the decimals.
const SHIFT_MAX: u32 = 31;

/// How integers are written as differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The smallest integer of each part.
    lows: [i64; 2],
    /// Where the second part begins; [`SLOTS`]: there is none.
    split: usize,
    /// Bits of the largest difference.
    width: u32,
}

impl Frame {
    /// The frame that takes the fewest bytes; `None` if differences are too wide for rows.
    pub(super) fn of(integers: &[i64; SLOTS]) -> Option<Self> {
        // Smallest and largest of what lies from each place on.
        let mut behind = [(i64::MAX, i64::MIN); SLOTS + 1];
        let mut range = (i64::MAX, i64::MIN);
        for (entry, &integer) in behind.iter_mut().rev().skip(1).zip(integers.iter().rev()) {
            range = (range.0.min(integer), range.1.max(integer));
            *entry = range;
        }
        let size = |range: (i64, i64)| range.1.wrapping_sub(range.0).cast_unsigned();
        let whole = size(range);
        let (mut best, mut split, mut lows) = (whole, SLOTS, [range.0; 2]);
        let mut before = (i64::MAX, i64::MIN);
        for (end, (&integer, &behind)) in (1..SLOTS).zip(integers.iter().zip(behind.iter().skip(1))) {
            before = (before.0.min(integer), before.1.max(integer));
            let worse = size(before).max(size(behind));
            if worse < best {
                (best, split, lows) = (worse, end, [before.0, behind.0]);
            }
        }
        let (one, two) = (bits::width(whole), bits::width(best));
        let spared = rows::packed_bytes(one) - rows::packed_bytes(two);
        let frame = if spared > SPLIT_BYTES {
            Self { lows, split, width: two }
        } else {
            Self { lows: [range.0; 2], split: SLOTS, width: one }
        };
        (frame.width <= rows::WIDTH_MAX).then_some(frame)
    }

    /// Bytes of frame and rows, with references of usual length.
    pub(super) fn bytes(&self) -> usize {
        rows::packed_bytes(self.width) + if self.split < SLOTS { SPLIT_BYTES } else { 0 }
    }

    /// Appends frame and rows of the integers that the frame was made of. `reference` says what is written for a smallest integer.
    pub(super) fn write(&self, integers: &[i64; SLOTS], reference: impl Fn(i64) -> i64, out: &mut Vec<u8>) {
        let width = self.width.to_le_bytes()[0];
        let [low, second] = self.lows;
        if self.split < SLOTS {
            out.push(width | SPLIT);
            out.push(self.split.to_le_bytes()[0]);
            put_i64(out, reference(low));
            put_i64(out, reference(second));
        } else {
            out.push(width);
            put_i64(out, reference(low));
        }
        let mut differences = [0_u32; SLOTS];
        for (slot, (difference, integer)) in differences.iter_mut().zip(integers).enumerate() {
            let low = if slot < self.split { low } else { second };
            // Below 2^width, which is at most 2^32.
            *difference = u32::try_from(integer.wrapping_sub(low)).unwrap_or(0);
        }
        rows::pack(out, &differences, self.width);
    }

    /// Reads what [`Frame::write`] wrote; `None` if it is none.
    #[inline]
    pub(super) fn read(rest: &[u8], differences: &mut [u32; SLOTS]) -> Option<Self> {
        let (&first, mut rest) = rest.split_first()?;
        let width = u32::from(first & !SPLIT);
        let (split, lows) = if first & SPLIT == 0 {
            (SLOTS, [get_i64(&mut rest)?; 2])
        } else {
            let (&split, behind) = rest.split_first()?;
            rest = behind;
            (usize::from(split).min(SLOTS), [get_i64(&mut rest)?, get_i64(&mut rest)?])
        };
        if width > rows::WIDTH_MAX {
            return None;
        }
        rows::unpack(rest.get(..rows::packed_bytes(width))?, width, differences);
        Some(Self { lows, split, width })
    }

    /// Each reference, and the slot behind the last one that it holds for.
    #[inline]
    pub(super) fn references(&self) -> [(i64, usize); 2] {
        let [low, second] = self.lows;
        [(low, self.split), (second, SLOTS)]
    }
}

/// The greatest power of two by which all mantissas differ, as a shift, and their distances from the first in that step.
pub(super) fn in_steps(mantissas: &[i64; SLOTS]) -> (u8, [i64; SLOTS]) {
    let first = mantissas.first().copied().unwrap_or_default();
    let all = mantissas.iter().fold(0, |all, mantissa| all | mantissa.wrapping_sub(first));
    let shift = all.trailing_zeros().min(SHIFT_MAX).to_le_bytes()[0];
    (shift, steps_from(mantissas, first, shift))
}

/// The distances of mantissas from `first` in steps of 2^`shift`.
pub(super) fn steps_from(mantissas: &[i64; SLOTS], first: i64, shift: u8) -> [i64; SLOTS] {
    mantissas.map(|mantissa| mantissa.wrapping_sub(first) >> shift)
}
