//! Numbers as text, byte for byte as the reference prints them (job-archive.md 3).

use std::io::Write;

/// Above this a product with a power of ten is no longer exact enough for the short way.
const FAST_LIMIT: f64 = 1e9;
/// Distance from a rounding tie below which the exact (slow) way decides.
const TIE_MARGIN: f64 = 1e-5;

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
    write_fixed(out, value, 2, 100.0);
}

/// Appends `value` with exactly three decimals; not-a-number and infinities become `null`.
pub fn write_fixed3(out: &mut Vec<u8>, value: f64) {
    write_fixed(out, value, 3, 1000.0);
}

/// Appends a sample of a series: two decimals of the value narrowed to binary32.
///
/// From 2^24 on narrowing would eat whole units, so such values keep their binary64 digits; readers see no difference.
pub fn write_sample(out: &mut Vec<u8>, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the file format narrows samples to binary32")]
    let narrowed = f64::from(value as f32);
    write_fixed2(out, if value.abs() < 16_777_216.0 { narrowed } else { value });
}

fn write_fixed(out: &mut Vec<u8>, value: f64, decimals: usize, factor: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let scaled = value.abs() * factor;
    let tie_distance = ((scaled - scaled.floor()) - 0.5).abs();
    if scaled < FAST_LIMIT && tie_distance > TIE_MARGIN {
        write_scaled(out, value.is_sign_negative(), scaled, decimals);
    } else {
        // writing to a Vec cannot fail
        let _ = write!(out, "{value:.decimals$}");
    }
}

/// The common case without arbitrary-precision arithmetic: an integer with a point in it.
fn write_scaled(out: &mut Vec<u8>, negative: bool, scaled: f64, decimals: usize) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "scaled is rounded, not negative and below 1e9"
    )]
    let mut rest = scaled.round() as u64;
    let mut digits = [b'0'; 16];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        if used == decimals {
            *slot = b'.';
        } else {
            *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        used += 1;
        if rest == 0 && used > decimals + 1 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
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
        fn the_short_way_agrees_with_the_exact_one(value in -1e8..1e8f64, cents in -1_000_000i64..1_000_000) {
            prop_assert_eq!(text(write_fixed2, value), format!("{value:.2}"));
            prop_assert_eq!(text(write_fixed3, value), format!("{value:.3}"));
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
