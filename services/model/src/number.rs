//! Numbers as text, byte for byte as the reference prints them (job-archive.md 3).

use std::io::Write;

/// Below this the scaled value has at most fourteen digits: with sign and point it fits sixteen characters.
const FAST_LIMIT: f64 = 1e14;
/// Distance from a rounding tie below which the exact (slow) way decides, beside the error of the product.
const TIE_MARGIN: f64 = 1e-9;
/// Twice the greatest relative error of a product.
const PRODUCT_ERROR: f64 = f64::EPSILON;

/// Characters of the fast way.
const TEXT: usize = 16;

/// The numbers below a thousand with three digits each.
static THREE_DIGITS: [[u8; 3]; 1000] = {
    let mut table = [[b'0'; 3]; 1000];
    let mut rest: &mut [[u8; 3]] = &mut table;
    let mut digits = [b'0'; 3];
    while let Some((first, others)) = rest.split_first_mut() {
        *first = digits;
        let [hundreds, tens, ones] = digits;
        digits = match (tens, ones) {
            (b'9', b'9') => [hundreds + 1, b'0', b'0'],
            (_, b'9') => [hundreds, tens + 1, b'0'],
            _ => [hundreds, tens, ones + 1],
        };
        rest = others;
    }
    table
};

/// Rounds to two decimals, half away from zero, as statistics are rounded (job-archive.md 12).
///
/// ```
/// assert_eq!(cc_model::number::round2(-0.125), -0.13);
/// ```
pub fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Appends `value` with exactly two decimals; not-a-number and infinities become `null`.
///
/// Ties are rounded to even on the exact binary value: `0.125` gives `0.12`.
pub fn write_fixed2(out: &mut Vec<u8>, value: f64) {
    write_fixed::<2>(out, value, 100.0);
}

/// Appends `value` with exactly three decimals; not-a-number and infinities become `null`.
pub fn write_fixed3(out: &mut Vec<u8>, value: f64) {
    write_fixed::<3>(out, value, 1000.0);
}

/// Appends a sample of a series: two decimals of the value narrowed to binary32.
///
/// From 2^24 on narrowing would eat whole units, so such values keep their binary64 digits; readers see no difference.
pub fn write_sample(out: &mut Vec<u8>, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the file format narrows samples to binary32")]
    let narrowed = f64::from(value as f32);
    write_fixed2(out, if value.abs() < 16_777_216.0 { narrowed } else { value });
}

/// `factor` is 10^`DECIMALS`, with two or three decimals.
#[inline]
fn write_fixed<const DECIMALS: usize>(out: &mut Vec<u8>, value: f64, factor: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let scaled = value.abs() * factor;
    if scaled < FAST_LIMIT {
        #[expect(clippy::cast_possible_truncation, reason = "below 1e14")]
        let whole = scaled as i64;
        #[expect(clippy::cast_precision_loss, reason = "below 1e14")]
        let fraction = scaled - whole as f64;
        if (fraction - 0.5).abs() > TIE_MARGIN + scaled * PRODUCT_ERROR {
            let rounded = whole.unsigned_abs() + u64::from(fraction > 0.5);
            write_scaled::<DECIMALS>(out, value.is_sign_negative(), rounded);
            return;
        }
    }
    write_exact(out, value, DECIMALS);
}

#[cold]
fn write_exact(out: &mut Vec<u8>, value: f64, decimals: usize) {
    // writing to a Vec cannot fail
    let _ = write!(out, "{value:.decimals$}");
}

/// The common case without arbitrary-precision arithmetic: an integer with a point in it, in pieces of three digits. The text is made
/// at the end of a word and moved to its front, so that what is copied always has the same length.
#[inline]
fn write_scaled<const DECIMALS: usize>(out: &mut Vec<u8>, negative: bool, scaled: u64) {
    let unit = if DECIMALS == 2 { 100 } else { 1000 };
    let (mut whole, fraction) = (scaled / unit, scaled % unit);
    let mut text = u128::from_be_bytes([b'0'; TEXT]) & !((1 << (8 * (DECIMALS + 1))) - 1);
    text |= u128::from(b'.') << (8 * DECIMALS);
    text |= digits(fraction) & ((1 << (8 * DECIMALS)) - 1);
    let mut length = DECIMALS + 1;
    loop {
        let group = whole % 1000;
        // the digits of the group in the place of zeros
        let shift = 8 * length;
        text = (text & !(0xFF_FFFF << shift)) | (digits(group) << shift);
        whole /= 1000;
        if whole == 0 {
            length += if group >= 100 { 3 } else { 1 + usize::from(group >= 10) };
            break;
        }
        length += 3;
    }
    if negative {
        let shift = 8 * length;
        text = (text & !(0xFF << shift)) | (u128::from(b'-') << shift);
        length += 1;
    }
    let end = out.len() + length;
    out.extend_from_slice(&(text << (8 * (TEXT - length))).to_be_bytes());
    out.truncate(end);
}

/// Three digits, the last in the lowest byte.
#[inline]
fn digits(number: u64) -> u128 {
    let digits = usize::try_from(number).ok().and_then(|number| THREE_DIGITS.get(number));
    let [hundreds, tens, ones] = digits.copied().unwrap_or_default();
    u128::from(u32::from_be_bytes([0, hundreds, tens, ones]))
}

/// Appends a plain number as Go's encoder prints a float64: the shortest digits that read back the same, exponent
/// only below 1e-6 and from 1e21 on; not-a-number and infinities become `null`.
///
/// ```
/// let mut out = Vec::new();
/// cc_model::number::write_plain(&mut out, 128.0);
/// assert_eq!(out, b"128");
/// ```
pub fn write_plain(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    if !value.is_finite() {
        out.extend_from_slice(b"null");
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        let _ = write!(out, "{value}");
    } else {
        let text = format!("{value:e}");
        let text = if size >= 1e21 { text.replace('e', "e+") } else { text };
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>, f64), value: f64) -> String {
        let mut out = Vec::new();
        write(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ties_go_to_even_on_the_exact_binary_value() {
        for (value, want) in [
            (0.125, "0.12"),
            (0.375, "0.38"),
            (1.005, "1.00"), // slightly below the tie in binary
            (2.675, "2.67"),
            (1e15 + 0.125, "1000000000000000.12"),
            (-0.125, "-0.12"),
            (-0.001, "-0.00"),
            (0.0, "0.00"),
            (0.999, "1.00"),
            (99.995, "100.00"),
            (1_234_567.891, "1234567.89"),
            (-99_999_999_999.99, "-99999999999.99"),
            (-999_999_999_999.0, "-999999999999.00"),
            (61_440_000_000.0, "61440000000.00"),
            (1_000.0, "1000.00"),
            (-100.07, "-100.07"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(text(write_fixed2, value), want, "{value}");
        }
        assert_eq!(text(write_fixed3, 0.0625), "0.062");
        assert_eq!(text(write_fixed3, 107.875), "107.875");
    }

    #[test]
    fn samples_are_narrowed_up_to_2_to_the_24() {
        assert_eq!(text(write_sample, 0.1), "0.10");
        assert_eq!(text(write_sample, 1_000_000.123), "1000000.12");
        assert_eq!(text(write_sample, 16_777_215.3), "16777215.00");
        assert_eq!(text(write_sample, 16_777_217.0), "16777217.00");
        assert_eq!(text(write_sample, f64::NAN), "null");
    }

    #[test]
    fn plain_numbers_look_like_go() {
        for (value, want) in [
            (128.0, "128"),
            (0.5, "0.5"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (-2.5e-9, "-2.5e-9"),
            (0.510_204_081_632_653, "0.510204081632653"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(text(write_plain, value), want);
        }
    }

    proptest! {
        #[test]
        fn the_short_way_agrees_with_the_exact_one(value in -1e8..1e8f64, power in -8_i32..16, cents in -1_000_000i64..1_000_000) {
            let far = value * 10_f64.powi(power - 8);
            for value in [value, far, far.round(), f64::from_bits(far.to_bits() & !0xFFF_FFFF)] {
                prop_assert_eq!(text(write_fixed2, value), format!("{value:.2}"));
                prop_assert_eq!(text(write_fixed3, value), format!("{value:.3}"));
            }
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let near_tie = cents as f64 / 200.0;
            prop_assert_eq!(text(write_fixed2, near_tie), format!("{near_tie:.2}"));
        }

        #[test]
        fn rounding_half_away_is_symmetric(value in -1e9..1e9f64) {
            prop_assert_eq!(round2(-value).to_bits(), (-round2(value)).to_bits());
        }
    }
}
