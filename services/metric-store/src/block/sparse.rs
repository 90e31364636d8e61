//! Blocks with few values, or with values too wide for [`super::rows`]: only those that are there, packed one after the other.

use super::bits::{self, Unpack};
use super::{
    CONSTANT, DECIMAL, DOUBLE, SINGLE, Values, double_of, ordered_double, ordered_single, single_of,
};
use crate::value::{self, DECIMALS_MAX, TENS};

/// How the values of one block are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Constant,
    Decimal { decimals: u8, low: i64, width: u32 },
    Single { low: u32, width: u32 },
    Double { low: u64, width: u32 },
}

impl Form {
    pub(super) fn smallest(present: &[f64]) -> Self {
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

    pub(super) fn kind(self) -> u8 {
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

    pub(super) fn write(self, present: &[f64], out: &mut Vec<u8>) {
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
    mantissa.checked_mul(*scale).filter(|mantissa| mantissa.unsigned_abs() <= 1 << 53)
}

/// The values behind kind and bitmap into `out`, absent slots as `NaN`; `None` if `rest` is no such block.
pub(super) fn decode(kind: u8, presence: u128, rest: &[u8], out: &mut Values) -> Option<()> {
    let (form, packed) = Form::read(kind, rest)?;
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
