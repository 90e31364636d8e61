//! Which value a sample keeps (architecture.md 8 "Stored values", issue 4.1).
//!
//! A sample keeps its `f64` where that is an integer or a short decimal, and becomes the nearest `f32` otherwise. The decision is
//! a pure function of the number, taken once when the sample arrives; every later form (log, block, snapshot, answer) carries the
//! decided value exactly, so an answer never changes by sealing, restart or archiving.

/// Decimals after the point up to which a value counts as a short decimal.
pub(crate) const DECIMALS_MAX: u8 = 4;

/// 10^[`DECIMALS_MAX`].
const SCALE: f64 = 1e4;

/// Short decimals are looked for below this magnitude of value × 10^4, 2^47; above, rates with full precision look like them by chance.
const SCALED_MAX: f64 = 140_737_488_355_328.0;

/// Integers up to this magnitude, 2^53, are exact in `f64`.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Digits, as an integer, up to which a short decimal is told from its `f32`: 2^23.
const DIGITS_MAX: f64 = 8_388_608.0;

/// Adding and taking away 1.5 × 2^52 rounds to the nearest integer below 2^51 in magnitude, without a library call.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Powers of ten of the short decimals.
pub(crate) const TENS: [i64; DECIMALS_MAX as usize + 1] = [1, 10, 100, 1_000, 10_000];

/// The value that a sample of this number keeps. `number` is finite; so is the result. Applying it twice changes nothing.
#[inline]
pub(crate) fn settle(number: f64) -> f64 {
    let scaled = number * SCALE;
    if scaled.abs() < SCALED_MAX {
        let whole = (scaled + ROUNDER) - ROUNDER;
        #[expect(clippy::float_cmp, reason = "exactness is the question")]
        if whole / SCALE == number {
            // also turns -0 into 0
            return number + 0.0;
        }
    } else if is_integer(number) {
        return number;
    }
    narrow(number)
}

/// Nearest `f32`; a number beyond its range stays as it is.
#[inline]
fn narrow(number: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    let narrow = number as f32;
    if narrow.is_finite() { f64::from(narrow) + 0.0 } else { number }
}

#[inline]
fn is_integer(number: f64) -> bool {
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    let whole = number.trunc() == number;
    whole && number.abs() <= INTEGER_MAX
}

/// A settled value as `mantissa / 10^decimals` with the fewest decimals; `None` if it is no integer up to 2^53 and no short decimal.
#[inline]
pub(crate) fn decimal(value: f64) -> Option<(i64, u8)> {
    if let Some(whole) = integer(value) {
        return Some((whole, 0));
    }
    let mut mantissa = scaled(value)?;
    let mut decimals = DECIMALS_MAX;
    while decimals > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        decimals -= 1;
    }
    Some((mantissa, decimals))
}

/// The value as an integer count of 10^-[`DECIMALS_MAX`], below 2^47; `None` if it is none.
#[inline]
pub(crate) fn scaled(value: f64) -> Option<i64> {
    let scaled = value * SCALE;
    if scaled.abs() >= SCALED_MAX {
        return None;
    }
    let whole = (scaled + ROUNDER) - ROUNDER;
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    let same = whole / SCALE == value;
    #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^47")]
    let whole = whole as i64;
    same.then_some(whole)
}

/// The value as an integer of at most 2^53 in magnitude.
#[inline]
pub(crate) fn integer(value: f64) -> Option<i64> {
    if value.abs() > INTEGER_MAX {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within 2^53; NaN becomes 0 and differs")]
    let whole = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "within 2^53")]
    let back = whole as f64;
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    let same = back == value;
    same.then_some(whole)
}

/// The value as `f32`, if that is exact.
#[inline]
pub(crate) fn single(value: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "compared afterwards")]
    let narrow = value as f32;
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    let same = f64::from(narrow) == value;
    same.then_some(narrow)
}

/// The short decimal whose nearest `f32` a number from a file of `f32` is: an integer, or one with so few digits that most `f32` of its
/// magnitude are none.
#[inline]
pub(crate) fn decimal_of_single(single: f64) -> Option<f64> {
    if integer(single).is_some() {
        return Some(single + 0.0);
    }
    (1..=DECIMALS_MAX).find_map(|decimals| {
        let scale = f64::from(10_i32.pow(decimals.into()));
        let scaled = single * scale;
        if scaled.abs() >= DIGITS_MAX {
            return None;
        }
        let number = ((scaled + ROUNDER) - ROUNDER) / scale;
        #[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "exactness is the question")]
        let same = f64::from(number as f32) == single;
        same.then_some(number + 0.0)
    })
}

/// `mantissa / 10^decimals`, the inverse of [`decimal`]. Total: decimals above [`DECIMALS_MAX`] count as that.
#[inline]
pub(crate) fn from_decimal(mantissa: i64, decimals: u8) -> f64 {
    let divisor = TENS.get(usize::from(decimals)).copied().unwrap_or(10_000);
    #[expect(clippy::cast_precision_loss, reason = "mantissas of decimal() are within 2^53")]
    let value = mantissa as f64 / divisor as f64;
    value
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exactness is the question")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_and_short_decimals_stay_exact() {
        for value in [
            0.0,
            1.0,
            -7.0,
            0.1,
            99.99,
            -0.0001,
            12_345.678_9,
            61_440_000_000.0,
            9_007_199_254_740_992.0,
            0.3,
        ] {
            assert_eq!(settle(value).to_bits(), value.to_bits(), "{value}");
        }
        assert_eq!(settle(-0.0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn other_values_become_the_nearest_single() {
        assert_eq!(settle(0.123_456_789), f64::from(0.123_456_79_f32));
        assert_eq!(settle(std::f64::consts::PI * 1e12), f64::from(3.141_592_7e12_f32));
        assert_eq!(settle(1e-300), 0.0);
    }

    #[test]
    fn values_beyond_f32_are_kept() {
        assert_eq!(settle(1e300), 1e300);
        assert_eq!(settle(-1e39), -1e39);
    }

    proptest! {
        #[test]
        fn settling_is_idempotent_and_near(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let once = settle(number);
            prop_assert!(once.is_finite());
            prop_assert_eq!(settle(once).to_bits(), once.to_bits());
            prop_assert!((once - number).abs() <= number.abs() * 6e-8 + f64::from(f32::MIN_POSITIVE));
        }

        #[test]
        fn every_short_decimal_is_found(scaled in -(1_i64 << 46)..(1 << 46), decimals in 0_u8..=DECIMALS_MAX) {
            let mantissa = scaled / TENS[usize::from(DECIMALS_MAX - decimals)];
            let value = from_decimal(mantissa, decimals);
            prop_assert_eq!(settle(value).to_bits(), (value + 0.0).to_bits());
            let (found, places) = decimal(value).unwrap();
            prop_assert!(places <= decimals);
            prop_assert_eq!(from_decimal(found, places).to_bits(), (value + 0.0).to_bits());
        }

        #[test]
        fn a_settled_value_has_at_least_one_exact_form(number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let value = settle(number);
            if let Some((mantissa, decimals)) = decimal(value) {
                prop_assert_eq!(from_decimal(mantissa, decimals).to_bits(), value.to_bits());
            } else if let Some(narrow) = single(value) {
                prop_assert_eq!(f64::from(narrow).to_bits(), value.to_bits());
            } else {
                prop_assert!(value.abs() > f64::from(f32::MAX));
            }
        }
    }
}
