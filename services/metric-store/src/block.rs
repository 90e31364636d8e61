//! Sealed blocks: [`SLOTS`] consecutive slots of one series in a few bytes (design metric-store.md 9.5).
//!
//! Lossless for settled values ([`crate::value`]). Layout, also of the files: one byte kind and presence, a presence bitmap of
//! 16 bytes unless all slots hold a value, then by kind:
//!
//! | kind | content |
//! |---|---|
//! | constant | the value (8 bytes) |
//! | decimal | decimals (1 byte), smallest mantissa (8 bytes), width (1 byte), packed differences |
//! | single | smallest ordered `f32` (4 bytes), width (1 byte), packed differences |
//! | double | smallest ordered `f64` (8 bytes), width (1 byte), packed differences |
//! | decimal rows | decimals and shift (1 byte), frame, packed rows |
//! | single rows | frame, packed rows |
//!
//! The first four hold only the values that are there, one after the other; they are for blocks with few values or wide ones. Rows
//! ([`rows`]) hold every slot, so that they are unpacked without a branch per value; the bitmap says which ones count. A frame is
//! width (1 byte, with its highest bit set if there are two references), slot of the second reference if there is one, then the reference or
//! both: signed integers of variable length. A value is its reference plus its difference, shifted; a job that begins or ends
//! within a block changes the level of most metrics at once, which a second reference takes up.
//!
//! Multi-byte numbers are little endian. The smallest form is chosen per block. There is no index of smallest, largest and sum: it
//! would cost a seventh of the block for what unpacking gives at 1–2 GB/s.

use self::frame::Frame;
use self::sparse::Form;
use crate::value;

mod bits;
mod frame;
mod rows;
mod sparse;

/// Slots of one block.
pub(crate) const SLOTS: usize = 128;

/// A block's values by slot; `NaN` = no sample.
pub type Values = [f64; SLOTS];

/// No samples at all.
pub(crate) const EMPTY: Values = [f64::NAN; SLOTS];

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const SINGLE: u8 = 2;
const DOUBLE: u8 = 3;
const DECIMAL_ROWS: u8 = 4;
const SINGLE_ROWS: u8 = 5;
/// Flag: no bitmap follows, every slot holds a value.
const FULL: u8 = 0x80;

/// From so many values on rows are tried: below, the slots without a value would cost more than the speed is worth.
const DENSE: u32 = 96;

/// Bits of the shift in the first byte of decimal rows, above those of the decimals.
const SHIFT_AT: u32 = 3;

/// Appends the encoded form of `values`; false, and nothing appended, if no slot holds a value.
pub fn encode(values: &Values, out: &mut Vec<u8>) -> bool {
    let mut presence = 0_u128;
    for (slot, value) in values.iter().enumerate() {
        presence |= u128::from(!value.is_nan()) << slot;
    }
    let Some(&first) = values.get(presence.trailing_zeros() as usize) else { return false };
    let is_first = |value: &f64| value.is_nan() || value.to_bits() == first.to_bits();
    if values.iter().all(is_first) {
        put_kind(CONSTANT, presence, out);
        out.extend_from_slice(&first.to_le_bytes());
        return true;
    }
    if presence.count_ones() >= DENSE && encode_rows(values, first, presence, out) {
        return true;
    }
    let present: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let form = Form::smallest(&present);
    put_kind(form.kind(), presence, out);
    form.write(&present, out);
    true
}

fn put_kind(kind: u8, presence: u128, out: &mut Vec<u8>) {
    if presence == u128::MAX {
        out.push(kind | FULL);
    } else {
        out.push(kind);
        out.extend_from_slice(&presence.to_le_bytes());
    }
}

/// Appends the values as rows, if they have a frame that is narrow enough.
fn encode_rows(values: &Values, first: f64, presence: u128, out: &mut Vec<u8>) -> bool {
    // A slot without a value takes the one before it, which costs no width.
    let mut filled = *values;
    let mut last = first;
    for value in &mut filled {
        if value.is_nan() {
            *value = last;
        }
        last = *value;
    }
    let decimal = decimals(&filled).and_then(|(decimals, mantissas)| {
        let (shift, steps) = frame::in_steps(&mantissas);
        Some((decimals, shift, mantissas, Frame::of(&steps)?))
    });
    let single = singles(&filled).and_then(|ordered| Some((Frame::of(&ordered)?, ordered)));
    let single_bytes = single.as_ref().map_or(usize::MAX, |(frame, _)| frame.bytes());
    match (decimal, single) {
        (Some((decimals, shift, mantissas, frame)), _) if frame.bytes() <= single_bytes => {
            put_kind(DECIMAL_ROWS, presence, out);
            out.push(decimals | shift << SHIFT_AT);
            // The references are of whole mantissas, the differences of steps.
            let first = mantissas.first().copied().unwrap_or_default();
            frame.write(&frame::steps_from(&mantissas, first, shift), |low| first + (low << shift), out);
            true
        }
        (_, Some((frame, ordered))) => {
            put_kind(SINGLE_ROWS, presence, out);
            frame.write(&ordered, |low| low, out);
            true
        }
        _ => false,
    }
}

/// All values as integer counts of 10^-decimals, with the fewest decimals; `None` if any is none.
fn decimals(values: &Values) -> Option<(u8, [i64; SLOTS])> {
    let mut mantissas = [0; SLOTS];
    if fill(values, &mut mantissas, value::integer) {
        return Some((0, mantissas));
    }
    let mut decimals = value::DECIMALS_MAX;
    if !fill(values, &mut mantissas, value::scaled) {
        return None;
    }
    while decimals > 0 && mantissas.iter().all(|mantissa| mantissa % 10 == 0) {
        for mantissa in &mut mantissas {
            *mantissa /= 10;
        }
        decimals -= 1;
    }
    Some((decimals, mantissas))
}

/// `convert` of every value; false as soon as one has none.
#[inline]
fn fill(values: &Values, out: &mut [i64; SLOTS], convert: impl Fn(f64) -> Option<i64>) -> bool {
    out.iter_mut()
        .zip(values)
        .all(|(mantissa, value)| convert(*value).map(|found| *mantissa = found).is_some())
}

/// All values as ordered `f32`; `None` if any is none.
fn singles(values: &Values) -> Option<[i64; SLOTS]> {
    let mut ordered = [0; SLOTS];
    for (ordered, &value) in ordered.iter_mut().zip(values) {
        *ordered = i64::from(ordered_single(value::single(value)?));
    }
    Some(ordered)
}

/// What is done with a value.
pub(crate) trait Put {
    /// Puts `new` to what is there.
    fn put(there: &mut f64, new: f64);
}

/// It replaces what is there.
#[derive(Debug)]
pub(crate) struct Set;

/// It is added; with `NaN` everything becomes `NaN`.
#[derive(Debug)]
pub(crate) struct Add;

impl Put for Set {
    #[inline]
    fn put(there: &mut f64, new: f64) {
        *there = new;
    }
}

impl Put for Add {
    #[inline]
    fn put(there: &mut f64, new: f64) {
        *there += new;
    }
}

/// The values of an encoded block into `out`, absent slots as `NaN`; `None` if `bytes` is no block.
pub fn decode(bytes: &[u8], out: &mut Values) -> Option<()> {
    decode_as::<Set>(bytes, out)
}

/// As [`decode`], to what is in `out` already.
pub(crate) fn decode_as<P: Put>(bytes: &[u8], out: &mut Values) -> Option<()> {
    let (&first, rest) = bytes.split_first()?;
    let (presence, rest) = if first & FULL == 0 {
        let (bitmap, rest) = rest.split_first_chunk()?;
        (u128::from_le_bytes(*bitmap), rest)
    } else {
        (u128::MAX, rest)
    };
    match first & !FULL {
        CONSTANT => {
            let value = f64::from_le_bytes(*rest.first_chunk()?);
            for there in &mut *out {
                P::put(there, value);
            }
        }
        DECIMAL_ROWS => decode_decimals::<P>(rest, out)?,
        SINGLE_ROWS => decode_singles::<P>(rest, out)?,
        kind => {
            let mut values = EMPTY;
            sparse::decode(kind, presence, rest, &mut values)?;
            out.iter_mut().zip(values).for_each(|(there, value)| P::put(there, value));
            return Some(());
        }
    }
    let mut absent = !presence;
    while let Some(slot) = out.get_mut(absent.trailing_zeros() as usize) {
        *slot = f64::NAN;
        absent &= absent - 1;
    }
    Some(())
}

/// 2^52: the bits of a number from there to 2^53 end in its distance from 2^52.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

/// An integer as `f64`, without a conversion that the processor may lack.
#[inline]
fn float(integer: u32) -> f64 {
    f64::from_bits(INTEGERS.to_bits() | u64::from(integer)) - INTEGERS
}

fn decode_decimals<P: Put>(rest: &[u8], out: &mut Values) -> Option<()> {
    let (&head, rest) = rest.split_first()?;
    let mut differences = [0; SLOTS];
    let frame = Frame::read(rest, &mut differences)?;
    let tens = *value::TENS.get(usize::from(head & ((1 << SHIFT_AT) - 1)))?;
    #[expect(clippy::cast_precision_loss, reason = "powers of ten and of two")]
    let (divisor, step) = (tens as f64, (1_u64 << (head >> SHIFT_AT)) as f64);
    let mut from = 0;
    for (low, end) in frame.references() {
        #[expect(clippy::cast_precision_loss, reason = "mantissas are within 2^53")]
        let low = low as f64;
        let slots = out.get_mut(from..end)?.iter_mut().zip(differences.get(from..end)?);
        // Exact: every mantissa, and so every sum here, is an integer within 2^53.
        let mantissa = |difference: u32| float(difference) * step + low;
        if tens == 1 {
            slots.for_each(|(there, difference)| P::put(there, mantissa(*difference)));
        } else {
            slots.for_each(|(there, difference)| P::put(there, mantissa(*difference) / divisor));
        }
        from = end;
    }
    Some(())
}

fn decode_singles<P: Put>(rest: &[u8], out: &mut Values) -> Option<()> {
    let mut differences = [0; SLOTS];
    let frame = Frame::read(rest, &mut differences)?;
    let mut from = 0;
    for (low, end) in frame.references() {
        let low = u32::try_from(low).ok()?;
        let slots = out.get_mut(from..end)?.iter_mut().zip(differences.get(from..end)?);
        slots.for_each(|(there, difference)| {
            P::put(there, f64::from(single_of(low.wrapping_add(*difference))));
        });
        from = end;
    }
    Some(())
}

/// The slots that hold a value, one bit each; `None` if `bytes` is no block.
pub(crate) fn presence(bytes: &[u8]) -> Option<u128> {
    let (&first, rest) = bytes.split_first()?;
    if first & FULL != 0 {
        return Some(u128::MAX);
    }
    rest.first_chunk().map(|bitmap| u128::from_le_bytes(*bitmap))
}

/// Bits of an `f32` such that greater numbers have greater bits.
#[inline]
fn ordered_single(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[inline]
fn single_of(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// Bits of an `f64` such that greater numbers have greater bits.
#[inline]
fn ordered_double(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[inline]
fn double_of(ordered: u64) -> f64 {
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small numbers of tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(values: &Values) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(encode(values, &mut out));
        let mut back = EMPTY;
        decode(&out, &mut back).unwrap();
        assert_eq!(values.map(f64::to_bits), back.map(f64::to_bits));
        out
    }

    fn filled(value: impl Fn(usize) -> f64) -> Values {
        std::array::from_fn(value)
    }

    #[test]
    fn each_kind_of_value_has_its_small_form() {
        assert_eq!(bytes_of(&filled(|_| 4711.25)).len(), 9, "constant");
        assert_eq!(
            bytes_of(&filled(|slot| 20.0 + (slot % 4) as f64 / 10.0)).len(),
            5 + 32,
            "two bits of decimals"
        );
        let rate = |slot: usize| f64::from(1000.0 + (slot as f32).sin());
        assert!(bytes_of(&filled(rate)).len() < 6 + 128 * 3, "singles of one magnitude");
        assert!(bytes_of(&filled(|slot| if slot % 2 == 0 { 1e300 } else { 1.5 })).len() <= 10 + 128 * 8);
    }

    #[test]
    fn one_sample_in_a_block_takes_a_bitmap_and_itself() {
        let mut values = EMPTY;
        values[77] = -3.5;
        assert_eq!(bytes_of(&values).len(), 25);
        assert_eq!(presence(&bytes_of(&values)), Some(1 << 77));
        assert!(!encode(&EMPTY, &mut Vec::new()));
    }

    fn settled() -> impl Strategy<Value = f64> {
        let any_finite = any::<f64>().prop_filter("finite", |value| value.is_finite());
        prop_oneof![
            3 => Just(f64::NAN),
            3 => (-100_000_i64..100_000, 0_u8..=4).prop_map(|(mantissa, decimals)| value::from_decimal(mantissa, decimals)),
            2 => any::<f32>().prop_filter("finite", |value| value.is_finite()).prop_map(f64::from),
            1 => any_finite,
            1 => (0_u64..1 << 53).prop_map(|integer| integer as f64),
        ]
        .prop_map(|value| if value.is_nan() { value } else { value::settle(value) })
    }

    #[test]
    fn a_job_that_begins_within_a_block_costs_a_second_reference() {
        let level = |slot: usize| if slot < 77 { 20.0 } else { 90_000.0 };
        let steps = |slot: usize| level(slot) + (slot % 4) as f64 / 10.0;
        assert_eq!(bytes_of(&filled(steps)).len(), 9 + 32, "two bits of decimals");
        let pages = |slot: usize| (level(slot) + (slot % 16) as f64) * 4096.0;
        assert_eq!(bytes_of(&filled(pages)).len(), 12 + 64, "four bits of pages");
        let mut values = filled(steps);
        values[5] = f64::NAN;
        assert_eq!(bytes_of(&values).len(), 16 + 9 + 32, "a missing sample costs the bitmap");
    }

    /// The usual metrics: two levels, noise of some size, few samples missing.
    fn usual() -> impl Strategy<Value = Values> {
        let noise = proptest::collection::vec(any::<u32>(), SLOTS);
        let missing = proptest::collection::vec(0..SLOTS, 0..40);
        (0_u32..7, -2e6..2e6_f64, -2e6..2e6_f64, 0..=SLOTS, 0_u32..32, noise, missing).prop_map(
            |(kind, one, two, split, bits, noise, missing)| {
                let mut values = filled(|slot| {
                    let level = (if slot < split { one } else { two }).round();
                    let noise = f64::from(noise[slot] >> bits);
                    let value = match kind {
                        0 => level + noise,
                        1 => (level + noise) * 4096.0,
                        2 => (level + noise) / 10.0,
                        3 => (level + noise) / 100.0,
                        4 => (level + noise) / 10_000.0,
                        5 => level * (1.0 + noise / 1e9),
                        _ => level * 1e30 + noise,
                    };
                    value::settle(value)
                });
                for slot in missing {
                    values[slot] = f64::NAN;
                }
                values
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn usual_blocks_read_back_bit_by_bit(values in usual()) {
            let mut out = Vec::new();
            prop_assert!(encode(&values, &mut out));
            let mut back = EMPTY;
            decode(&out, &mut back).unwrap();
            prop_assert_eq!(values.map(f64::to_bits), back.map(f64::to_bits));
            let count = values.iter().filter(|value| !value.is_nan()).count();
            prop_assert_eq!(presence(&out).unwrap().count_ones() as usize, count);
            // Damage is found or reads as something else; it never panics.
            for place in 0..out.len().min(40) {
                let mut damaged = out.clone();
                damaged[place] = !damaged[place];
                let _decoded = decode(&damaged, &mut back);
                let _decoded = decode(&out[..place], &mut back);
            }
        }

        #[test]
        fn any_settled_values_read_back_bit_by_bit(values in proptest::collection::vec(settled(), SLOTS)) {
            let values: Values = values.try_into().unwrap();
            let mut out = Vec::new();
            if encode(&values, &mut out) {
                let mut back = EMPTY;
                decode(&out, &mut back).unwrap();
                prop_assert_eq!(values.map(f64::to_bits), back.map(f64::to_bits));
            } else {
                prop_assert!(values.iter().all(|value| value.is_nan()));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _decoded = decode(&bytes, &mut EMPTY.clone());
        }
    }
}
