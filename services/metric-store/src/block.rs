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
//!
//! Multi-byte numbers are little endian. Absent slots take no space beyond their bit. The smallest form is chosen per block.

use self::bits::Unpack;
use crate::value::{self, DECIMALS_MAX, TENS};

mod bits;

/// Slots of one block.
pub(crate) const SLOTS: usize = 128;

/// A block's values by slot; `NaN` = no sample.
pub(crate) type Values = [f64; SLOTS];

/// No samples at all.
pub(crate) const EMPTY: Values = [f64::NAN; SLOTS];

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const SINGLE: u8 = 2;
const DOUBLE: u8 = 3;
/// Flag: no bitmap follows, every slot holds a value.
const FULL: u8 = 0x80;

/// Appends the encoded form of `values`; false, and nothing appended, if no slot holds a value.
pub(crate) fn encode(values: &Values, out: &mut Vec<u8>) -> bool {
    let mut presence = 0_u128;
    let mut present = [0.0; SLOTS];
    let mut count = 0;
    for (slot, &value) in values.iter().enumerate() {
        if !value.is_nan()
            && let Some(next) = present.get_mut(count)
        {
            presence |= 1 << slot;
            *next = value;
            count += 1;
        }
    }
    let present = present.get(..count).unwrap_or_default();
    if present.is_empty() {
        return false;
    }
    let form = Form::smallest(present);
    if count == SLOTS {
        out.push(form.kind() | FULL);
    } else {
        out.push(form.kind());
        out.extend_from_slice(&presence.to_le_bytes());
    }
    form.write(present, out);
    true
}

/// How the values of one block are written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Constant,
    Decimal { decimals: u8, low: i64, width: u32 },
    Single { low: u32, width: u32 },
    Double { low: u64, width: u32 },
}

impl Form {
    fn smallest(present: &[f64]) -> Self {
        let first = present.first().map_or(0, |value| value.to_bits());
        if present.iter().all(|value| value.to_bits() == first) {
            return Self::Constant;
        }
        [Self::decimal(present), Self::single(present)]
            .into_iter()
            .flatten()
            .min_by_key(|form| form.bytes(present.len()))
            .unwrap_or_else(|| Self::double(present))
    }

    fn decimal(present: &[f64]) -> Option<Self> {
        // The widest scale first: most blocks need none, and a block that is no decimal is mostly seen at its first value.
        let mut decimals = 0;
        for &value in present {
            decimals = decimals.max(value::decimal(value)?.1);
        }
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for &value in present {
            let mantissa = mantissa(value, decimals)?;
            low = low.min(mantissa);
            high = high.max(mantissa);
        }
        let width = bits::width(high.checked_sub(low)?.cast_unsigned());
        Some(Self::Decimal { decimals, low, width })
    }

    fn single(present: &[f64]) -> Option<Self> {
        let (mut low, mut high) = (u32::MAX, 0);
        for &value in present {
            let ordered = ordered_single(value::single(value)?);
            low = low.min(ordered);
            high = high.max(ordered);
        }
        Some(Self::Single { low, width: bits::width(u64::from(high - low)) })
    }

    fn double(present: &[f64]) -> Self {
        let (mut low, mut high) = (u64::MAX, 0);
        for &value in present {
            let ordered = ordered_double(value);
            low = low.min(ordered);
            high = high.max(ordered);
        }
        Self::Double { low, width: bits::width(high - low) }
    }

    fn kind(self) -> u8 {
        match self {
            Self::Constant => CONSTANT,
            Self::Decimal { .. } => DECIMAL,
            Self::Single { .. } => SINGLE,
            Self::Double { .. } => DOUBLE,
        }
    }

    /// Bytes of the form for `count` values, without kind and bitmap.
    fn bytes(self, count: usize) -> usize {
        match self {
            Self::Constant => 8,
            Self::Decimal { width, .. } => 10 + bits::packed_bytes(count, width),
            Self::Single { width, .. } => 5 + bits::packed_bytes(count, width),
            Self::Double { width, .. } => 9 + bits::packed_bytes(count, width),
        }
    }

    fn write(self, present: &[f64], out: &mut Vec<u8>) {
        out.reserve_exact(self.bytes(present.len()));
        match self {
            Self::Constant => {
                out.extend_from_slice(&present.first().copied().unwrap_or_default().to_le_bytes());
            }
            Self::Decimal { decimals, low, width } => {
                out.push(decimals);
                out.extend_from_slice(&low.to_le_bytes());
                push_width(out, width);
                let mantissas = present.iter().filter_map(|&value| mantissa(value, decimals));
                bits::pack(out, mantissas.map(|mantissa| mantissa.wrapping_sub(low).cast_unsigned()), width);
            }
            Self::Single { low, width } => {
                out.extend_from_slice(&low.to_le_bytes());
                push_width(out, width);
                let singles = present.iter().filter_map(|&value| value::single(value));
                bits::pack(out, singles.map(|single| u64::from(ordered_single(single) - low)), width);
            }
            Self::Double { low, width } => {
                out.extend_from_slice(&low.to_le_bytes());
                push_width(out, width);
                bits::pack(out, present.iter().map(|&value| ordered_double(value) - low), width);
            }
        }
    }

    /// The form behind kind and bitmap, and the packed bytes that follow its header.
    fn read(kind: u8, bytes: &[u8]) -> Option<(Self, &[u8])> {
        match kind {
            CONSTANT => Some((Self::Constant, bytes)),
            DECIMAL => {
                let (&decimals, bytes) = bytes.split_first().filter(|(first, _)| **first <= DECIMALS_MAX)?;
                let (low, bytes) = bytes.split_first_chunk()?;
                let (&width, bytes) = bytes.split_first()?;
                Some((Self::Decimal { decimals, low: i64::from_le_bytes(*low), width: width.into() }, bytes))
            }
            SINGLE => {
                let (low, bytes) = bytes.split_first_chunk()?;
                let (&width, bytes) = bytes.split_first()?;
                Some((Self::Single { low: u32::from_le_bytes(*low), width: width.into() }, bytes))
            }
            DOUBLE => {
                let (low, bytes) = bytes.split_first_chunk()?;
                let (&width, bytes) = bytes.split_first()?;
                Some((Self::Double { low: u64::from_le_bytes(*low), width: width.into() }, bytes))
            }
            _ => None,
        }
    }
}

fn push_width(out: &mut Vec<u8>, width: u32) {
    out.push(u8::try_from(width).unwrap_or(u8::MAX));
}

/// The value as an integer count of 10^-`decimals`, if it is one.
fn mantissa(value: f64, decimals: u8) -> Option<i64> {
    let (mantissa, own) = value::decimal(value)?;
    let scale = TENS.get(usize::from(decimals.checked_sub(own)?))?;
    mantissa.checked_mul(*scale)
}

/// The values of an encoded block into `out`, absent slots as `NaN`; `None` if `bytes` is no block.
pub(crate) fn decode(bytes: &[u8], out: &mut Values) -> Option<()> {
    let (&first, rest) = bytes.split_first()?;
    let (presence, rest) = if first & FULL == 0 {
        let (bitmap, rest) = rest.split_first_chunk()?;
        (u128::from_le_bytes(*bitmap), rest)
    } else {
        (u128::MAX, rest)
    };
    let (form, packed) = Form::read(first & !FULL, rest)?;
    let needed = form.bytes(presence.count_ones() as usize);
    if rest.len() < needed {
        return None;
    }
    match form {
        Form::Constant => {
            let value = f64::from_le_bytes(*packed.first_chunk()?);
            scatter(presence, out, || value);
        }
        Form::Decimal { decimals, low, width } => {
            let mut unpack = Unpack::new(packed, width);
            scatter(presence, out, || {
                value::from_decimal(low.wrapping_add(unpack.next().cast_signed()), decimals)
            });
        }
        Form::Single { low, width } => {
            let mut unpack = Unpack::new(packed, width);
            scatter(presence, out, || {
                #[expect(clippy::cast_possible_truncation, reason = "differences of u32")]
                let difference = unpack.next() as u32;
                f64::from(single_of(low.wrapping_add(difference)))
            });
        }
        Form::Double { low, width } => {
            let mut unpack = Unpack::new(packed, width);
            scatter(presence, out, || double_of(low.wrapping_add(unpack.next())));
        }
    }
    Some(())
}

/// Puts the values of `next` into the slots of `presence`, in order, and `NaN` into the others.
#[inline]
fn scatter(presence: u128, out: &mut Values, mut next: impl FnMut() -> f64) {
    if presence == u128::MAX {
        for slot in out {
            *slot = next();
        }
        return;
    }
    for (index, slot) in out.iter_mut().enumerate() {
        *slot = if presence >> index & 1 == 1 { next() } else { f64::NAN };
    }
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
            11 + 32,
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

    proptest! {
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
