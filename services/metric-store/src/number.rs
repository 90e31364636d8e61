//! Numbers of the line protocol: text to `f64`, correctly rounded (spec metric-store.md 4.1, rows Integer and Float).
//!
//! The common case (at most 19 digits, no exponent) is one pass over the text without a copy; everything else goes through the
//! standard library's parser after the syntax was checked here.

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// Does not begin like a number.
    Type,
    /// Begins like a float and is none.
    Float,
    /// Ends in `i` and is no integer.
    Integer,
    /// Ends in `u` and is no unsigned integer.
    Unsigned,
    /// `-Inf` and its like.
    NotFinite,
    /// A number that its type cannot hold.
    Range,
}

/// Whether a byte ends a field value.
#[inline]
pub(crate) fn ends_value(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b'\n' | b'\r')
}

/// Powers of ten that `f64` holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Largest mantissa below which every integer is an `f64`.
const EXACT_MAX: u64 = 1 << 53;

/// The number at the start of `text` and its length; the rest begins with a byte for which [`ends_value`] holds, or is empty.
#[inline]
pub(crate) fn parse(text: &[u8]) -> Result<(f64, usize), NumberError> {
    match plain(text) {
        Some(found) => Ok(found),
        None => general(text),
    }
}

/// Decimal digits with at most one point, short enough that one division rounds correctly.
#[inline]
fn plain(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let (whole, mut at) = digits(text, start, 0);
    let mut mantissa = whole;
    let mut count = at - start;
    let mut fraction = 0;
    if text.get(at) == Some(&b'.') {
        let point = at + 1;
        (mantissa, at) = digits(text, point, whole);
        fraction = at - point;
        count += fraction;
    }
    // 19 digits fit into u64; more may have wrapped.
    if count == 0 || count > 19 || mantissa > EXACT_MAX {
        return None;
    }
    if let Some(&next) = text.get(at)
        && !ends_value(next)
    {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "not above 2^53: exact")]
    let value = mantissa as f64 / TENS.get(fraction)?;
    Some((if negative { -value } else { value }, at))
}

/// Appends the digits from `at` on to `value`; wraps on overflow, which the caller excludes by their number.
#[inline]
fn digits(text: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(eight) = text.get(at..at + 8).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
        let word = u64::from_le_bytes(eight);
        if !all_digits(word) {
            break;
        }
        value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
        at += 8;
    }
    while let Some(byte) = text.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, at)
}

/// Whether all eight bytes are ASCII digits: adding 0x46 to one above `9`, or taking 0x30 from one below `0`, sets its top bit.
#[inline]
fn all_digits(word: u64) -> bool {
    let above = word.wrapping_add(0x4646_4646_4646_4646);
    let below = word.wrapping_sub(0x3030_3030_3030_3030);
    (above | below) & 0x8080_8080_8080_8080 == 0
}

/// The value of eight ASCII digits, the first in the lowest byte: joins neighbours to pairs, fours, eight.
#[inline]
fn eight_digits(word: u64) -> u64 {
    let ones = word & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xFFFF_FFFF
}

/// Everything that [`plain`] leaves: exponents, suffixes, many digits, errors.
#[cold]
fn general(text: &[u8]) -> Result<(f64, usize), NumberError> {
    let length = text.iter().position(|&byte| ends_value(byte)).unwrap_or(text.len());
    let token = text.get(..length).unwrap_or_default();
    let value = match token.split_last() {
        None => return Err(NumberError::Type),
        Some((_, _)) if !matches!(token.first(), Some(b'-' | b'.' | b'0'..=b'9')) => {
            return Err(NumberError::Type);
        }
        Some((b'i', rest)) => integer(rest)?,
        Some((b'u', rest)) => unsigned(rest)?,
        Some(_) => float(token)?,
    };
    Ok((value, length))
}

fn integer(token: &[u8]) -> Result<f64, NumberError> {
    let (negative, body) = match token.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, token),
    };
    let magnitude = magnitude(body).map_err(|wrong| wrong.unwrap_or(NumberError::Integer))?;
    let limit = if negative { 1 << 63 } else { (1 << 63) - 1 };
    if magnitude > limit {
        return Err(NumberError::Range);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "large integers become the nearest f64, as in the reference"
    )]
    let value = magnitude as f64;
    Ok(if negative { -value } else { value })
}

fn unsigned(token: &[u8]) -> Result<f64, NumberError> {
    let magnitude = magnitude(token).map_err(|wrong| wrong.unwrap_or(NumberError::Unsigned))?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "large integers become the nearest f64, as in the reference"
    )]
    let value = magnitude as f64;
    Ok(value)
}

/// Digits only. `Err(None)`: other bytes or none; `Err(Some(Range))`: does not fit.
fn magnitude(token: &[u8]) -> Result<u64, Option<NumberError>> {
    if token.is_empty() || !token.iter().all(u8::is_ascii_digit) {
        return Err(None);
    }
    let mut value = 0_u64;
    for byte in token {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(byte - b'0')))
            .ok_or(Some(NumberError::Range))?;
    }
    Ok(value)
}

fn float(token: &[u8]) -> Result<f64, NumberError> {
    let body = token.strip_prefix(b"-").unwrap_or(token);
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"nan") {
        return Err(NumberError::NotFinite);
    }
    if !is_float(body) {
        return Err(NumberError::Float);
    }
    let text = std::str::from_utf8(token).map_err(|_| NumberError::Float)?;
    let value: f64 = text.parse().map_err(|_| NumberError::Float)?;
    if value.is_finite() { Ok(value) } else { Err(NumberError::Range) }
}

/// `digits[.digits][e[±]digits]` with at least one digit before the exponent.
fn is_float(body: &[u8]) -> bool {
    let (number, exponent) = match body.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (body.get(..at).unwrap_or_default(), body.get(at + 1..)),
        None => (body, None),
    };
    let points = memchr::memchr_iter(b'.', number).count();
    let digits = number.iter().filter(|byte| byte.is_ascii_digit()).count();
    if points > 1 || digits == 0 || points + digits != number.len() {
        return false;
    }
    exponent.is_none_or(|text| {
        let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        !text.is_empty() && text.iter().all(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_of_the_dialect() {
        for (text, value) in [
            ("1.5", 1.5),
            ("-12.25", -12.25),
            (".5", 0.5),
            ("5.", 5.0),
            ("42", 42.0),
            ("1e3", 1000.0),
            ("15E-1", 1.5),
            ("007.5", 7.5),
            ("0.1234567890123456789", 0.123_456_789_012_345_68),
            ("1e-400", 0.0),
            ("42i", 42.0),
            ("-7i", -7.0),
            ("0042i", 42.0),
            ("9223372036854775807i", 9_223_372_036_854_775_808.0),
            ("-9223372036854775808i", -9_223_372_036_854_775_808.0),
            ("18446744073709551615u", 1.844_674_407_370_955_2e19),
            ("12345678901234567890", 1.234_567_890_123_456_8e19),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok((value, text.len())), "{text}");
            let tail = format!("{text} 17");
            assert_eq!(parse(tail.as_bytes()), Ok((value, text.len())), "{tail}");
        }
    }

    #[test]
    fn refused_forms_are_told_apart() {
        for (text, error) in [
            ("", NumberError::Type),
            (" 5", NumberError::Type),
            ("abc", NumberError::Type),
            ("+1", NumberError::Type),
            ("NaN", NumberError::Type),
            ("e5", NumberError::Type),
            ("-Inf", NumberError::NotFinite),
            ("0x10", NumberError::Float),
            ("1.2.3", NumberError::Float),
            ("1_000", NumberError::Float),
            ("-", NumberError::Float),
            (".", NumberError::Float),
            ("1e", NumberError::Float),
            ("1.5i", NumberError::Integer),
            ("-1u", NumberError::Unsigned),
            ("1e400", NumberError::Range),
            ("9223372036854775808i", NumberError::Range),
            ("18446744073709551616u", NumberError::Range),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_float_reads_back_as_the_standard_library_reads_it(value in any::<f64>(), decimals in 0_usize..25) {
            prop_assume!(value.is_finite());
            for text in [format!("{value:?}"), format!("{value:.decimals$}"), format!("{value:e}")] {
                prop_assert_eq!(parse(text.as_bytes()), Ok((text.parse::<f64>().unwrap(), text.len())), "{}", text);
            }
        }

        #[test]
        fn digit_strings_of_any_length_read_as_the_standard_library_reads_them(text in "-?[0-9]{0,30}\\.?[0-9]{0,30}") {
            let ours = parse(text.as_bytes()).ok().map(|(value, _)| value);
            let digits = text.bytes().any(|byte| byte.is_ascii_digit());
            prop_assert_eq!(ours, digits.then(|| text.parse::<f64>().unwrap()));
        }

        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok((value, length)) = parse(&text) {
                prop_assert!(value.is_finite() && length <= text.len());
            }
        }
    }
}
