//! Durations as Go writes them (`300ms`, `1h30m`), the form used in configuration files.

use std::{str::Chars, time::Duration};

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing that looks like a number with a unit.
    #[error("invalid duration {0:?} (expected e.g. \"90s\", \"5m\" or \"1h30m\")")]
    Invalid(String),
    /// A number without a unit.
    #[error("missing unit in duration {0:?} (one of ns, us, ms, s, m, h)")]
    MissingUnit(String),
    /// A unit that does not exist, such as `d`.
    #[error("unknown unit {unit:?} in duration {text:?} (one of ns, us, ms, s, m, h)")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit that was found.
        unit: String,
    },
    /// Below zero.
    #[error("duration {0:?} is negative")]
    Negative(String),
    /// More than 2^63 − 1 nanoseconds (about 292 years).
    #[error("duration {0:?} is too long")]
    TooLong(String),
}

/// Reads a Go duration: a sign, then numbers with optional fraction and a unit each; or `0`.
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(cc_model::duration::parse("1h30m"), Ok(Duration::from_secs(5400)));
/// ```
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let mut chars = unsigned.chars();
    if chars.as_str().is_empty() {
        return Err(invalid());
    }
    let mut nanos: u128 = 0;
    while !chars.as_str().is_empty() {
        nanos = nanos.saturating_add(component(&mut chars, text)?);
    }
    match u64::try_from(nanos) {
        Ok(n) if n <= i64::MAX.unsigned_abs() && (!negative || n == 0) => Ok(Duration::from_nanos(n)),
        Ok(n) if n <= i64::MAX.unsigned_abs() => Err(DurationError::Negative(text.to_owned())),
        _ => Err(DurationError::TooLong(text.to_owned())),
    }
}

/// One number with its unit, in nanoseconds.
fn component(chars: &mut Chars<'_>, text: &str) -> Result<u128, DurationError> {
    let whole = take_while(chars, |c| c.is_ascii_digit());
    let mut fraction = "";
    if chars.as_str().starts_with('.') {
        chars.next();
        fraction = take_while(chars, |c| c.is_ascii_digit());
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Invalid(text.to_owned()));
    }
    let unit = take_while(chars, |c| c != '.' && !c.is_ascii_digit());
    let per_unit: u128 = match unit {
        "" => return Err(DurationError::MissingUnit(text.to_owned())),
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned() }),
    };
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| DurationError::TooLong(text.to_owned()))?
    };
    // more than 15 digits of a fraction are below a nanosecond even for hours
    let digits: String = fraction.chars().take(15).collect();
    let part = if digits.is_empty() {
        0
    } else {
        let scale = 10u128.pow(u32::try_from(digits.len()).unwrap_or(0));
        digits.parse::<u128>().unwrap_or(0) * per_unit / scale
    };
    Ok(whole.saturating_mul(per_unit).saturating_add(part))
}

fn take_while<'a>(chars: &mut Chars<'a>, keep: impl Fn(char) -> bool) -> &'a str {
    let all = chars.as_str();
    let end = all.find(|c| !keep(c)).unwrap_or(all.len());
    let (head, tail) = all.split_at(end);
    *chars = tail.chars();
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_go_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("+5s", 5_000_000_000),
            ("-0", 0),
            ("5s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("90s", 90_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("10us", 10_000),
            ("10µs", 10_000),
            ("3h2m1.5s7ms", 10_921_507_000_000),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        assert_eq!(parse(""), Err(DurationError::Invalid(String::new())));
        assert_eq!(parse("."), Err(DurationError::Invalid(".".into())));
        assert_eq!(parse("5"), Err(DurationError::MissingUnit("5".into())));
        assert_eq!(parse("h"), Err(DurationError::Invalid("h".into())));
        assert_eq!(
            parse("2d").unwrap_err().to_string(),
            "unknown unit \"d\" in duration \"2d\" (one of ns, us, ms, s, m, h)"
        );
        assert_eq!(parse("-5m"), Err(DurationError::Negative("-5m".into())));
        assert_eq!(
            parse("9223372036854775808ns"),
            Err(DurationError::TooLong("9223372036854775808ns".into()))
        );
        assert!(matches!(parse(&"9".repeat(60)), Err(DurationError::MissingUnit(_))));
        assert!(matches!(parse(&format!("{}h", "9".repeat(60))), Err(DurationError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_total(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn hours_minutes_seconds_add_up(h in 0u64..1000, m in 0u64..60, s in 0u64..60) {
            prop_assert_eq!(parse(&format!("{h}h{m}m{s}s")), Ok(Duration::from_secs(h * 3600 + m * 60 + s)));
        }
    }
}
