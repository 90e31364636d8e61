//! Fields and time of a line (spec metric-store.md 4.1 to 4.3), and passing over lines that are not wanted.

use super::head::line_end;
use super::{LineError, Wrong};
use crate::number::{self, NumberError};

/// Value and time of a line, and where the next line begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tail {
    /// The value of the (last) field `value`.
    pub(crate) value: f64,
    /// Unix seconds; `None`: the line has no time.
    pub(crate) time: Option<i64>,
    /// Offset behind the line's end.
    pub(crate) next: usize,
}

/// The time token seen last: lines of one batch mostly share it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastTime {
    at: usize,
    length: usize,
    seconds: i64,
}

/// The common tail ` value=NUMBER TIME\n`; `None` means that [`full`] has to look at it.
#[inline]
pub(crate) fn plain(text: &[u8], at: usize, last: &mut LastTime) -> Option<Tail> {
    let behind = text.get(at..)?.strip_prefix(b" value=")?;
    let (value, length) = number::parse(behind).ok()?;
    let time_at = at + 7 + length + 1;
    if text.get(time_at - 1) != Some(&b' ') {
        return None;
    }
    if last.length > 0
        && let Some(token) = text.get(time_at..time_at + last.length)
        && Some(token) == text.get(last.at..last.at + last.length)
        && text.get(time_at + last.length) == Some(&b'\n')
    {
        return Some(Tail { value, time: Some(last.seconds), next: time_at + last.length + 1 });
    }
    let end = time_at + text.get(time_at..)?.iter().position(|byte| !byte.is_ascii_digit())?;
    if text.get(end) != Some(&b'\n') {
        return None;
    }
    let seconds = seconds(text.get(time_at..end)?)?;
    *last = LastTime { at: time_at, length: end - time_at, seconds };
    Some(Tail { value, time: Some(seconds), next: end + 1 })
}

/// Any tail, from the space behind the tags on; an error comes with the offset where the next line begins.
pub(crate) fn full(text: &[u8], at: usize) -> Result<Tail, (LineError<'_>, usize)> {
    let found =
        fields(text, at).and_then(|(value, at)| time(text, at).map(|(time, next)| (value, time, next)));
    match found {
        Ok((Ok(value), time, next)) => Ok(Tail { value, time, next }),
        Ok((Err(error), _, next)) => Err((error, next)),
        Err(error) => {
            let next = behind_line(text, error.at);
            Err((error, next))
        }
    }
}

/// Offset behind the line feed that ends the line around `at`.
pub(crate) fn behind_line(text: &[u8], at: usize) -> usize {
    (line_end(text, at) + 1).min(text.len())
}

/// The last `value`, or the first field that cannot be taken.
type Value<'a> = Result<f64, LineError<'a>>;

/// All fields, and the offset behind them. A field of the wrong name or type does not end the parsing: the line's end is found behind
/// all fields.
fn fields(text: &[u8], at: usize) -> Result<(Value<'_>, usize), LineError<'_>> {
    let mut at = spaces(text, at);
    let mut last = 0.0;
    let mut refused = None;
    loop {
        let key_end = key_end(text, at);
        let key = text.get(at..key_end).unwrap_or_default();
        if key.is_empty() {
            return Err(LineError { at, wrong: Wrong::FieldStart(text.get(at).copied()) });
        }
        if text.get(key_end) != Some(&b'=') {
            let wrong = Wrong::FieldEquals { key, found: text.get(key_end).copied() };
            return Err(LineError { at: key_end, wrong });
        }
        let value_at = key_end + 1;
        let (found, behind) = field_value(text, value_at, key)?;
        match found {
            _ if key != b"value" => {
                refused.get_or_insert(LineError { at, wrong: Wrong::UnknownField { key } });
            }
            Ok(number) => last = number,
            Err(kind) => {
                refused.get_or_insert(LineError { at: value_at, wrong: Wrong::NotANumber(kind) });
            }
        }
        at = behind;
        if text.get(at) != Some(&b',') {
            return Ok((refused.map_or(Ok(last), Err), at));
        }
        at += 1;
    }
}

fn key_end(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' if matches!(text.get(at + 1), Some(b',' | b'=' | b' ')) => at += 1,
            b',' | b'=' | b' ' | 0..0x20 | 0x7F => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// A number, or the name of the type that is none, and the offset behind it.
type FieldValue = (Result<f64, &'static str>, usize);

fn field_value<'a>(text: &'a [u8], at: usize, key: &'a [u8]) -> Result<FieldValue, LineError<'a>> {
    match text.get(at) {
        Some(b'"') => return Ok((Err("string"), string_end(text, at, key)?)),
        None | Some(b' ' | b',' | b'\n' | b'\r') => {
            return Err(LineError { at, wrong: Wrong::EmptyFieldValue { key } });
        }
        _ => {}
    }
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().position(|&byte| number::ends_value(byte)).unwrap_or(rest.len());
    let token = rest.get(..length).unwrap_or_default();
    if is_bool(token) {
        return Ok((Err("bool"), at + length));
    }
    match number::parse(rest) {
        Ok((value, length)) => Ok((Ok(value), at + length)),
        Err(NumberError::Type) => Err(LineError { at, wrong: Wrong::ValueType { key, token } }),
        Err(why) => Err(LineError { at, wrong: Wrong::Value { key, token, why } }),
    }
}

fn is_bool(token: &[u8]) -> bool {
    matches!(token, b"t" | b"T" | b"f" | b"F") || {
        let (first, rest) = token.split_at_checked(1).unwrap_or_default();
        let same_case = |word: &[u8], upper: &[u8]| {
            rest == word || (first == first.to_ascii_uppercase() && rest == upper)
        };
        (first.eq_ignore_ascii_case(b"t") && same_case(b"rue", b"RUE"))
            || (first.eq_ignore_ascii_case(b"f") && same_case(b"alse", b"ALSE"))
    }
}

/// Offset behind the closing quote of the text that opens at `at`; it may contain line feeds.
fn string_end<'a>(text: &'a [u8], at: usize, key: &'a [u8]) -> Result<usize, LineError<'a>> {
    let mut from = at + 1;
    while let Some(found) = text.get(from..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        match text.get(from + found) {
            Some(b'"') => return Ok(from + found + 1),
            _ => from += found + 2,
        }
    }
    Err(LineError { at, wrong: Wrong::OpenString { key } })
}

/// The time behind the fields, and the offset behind the line's end.
fn time(text: &[u8], mut at: usize) -> Result<(Option<i64>, usize), LineError<'_>> {
    if let Some(next) = end_of_line(text, at) {
        return Ok((None, next));
    }
    if text.get(at) != Some(&b' ') {
        return Err(LineError { at, wrong: Wrong::AfterTime(text.get(at).copied()) });
    }
    at = spaces(text, at);
    if let Some(next) = end_of_line(text, at) {
        return Ok((None, next));
    }
    let length = text.get(at..).and_then(|rest| rest.iter().position(|&byte| number::ends_value(byte)));
    let stop = length.map_or(text.len(), |length| at + length);
    let token = text.get(at..stop).unwrap_or_default();
    let time = seconds(token).ok_or(LineError { at, wrong: Wrong::Time(token) })?;
    let behind = spaces(text, stop);
    match end_of_line(text, behind) {
        Some(next) => Ok((Some(time), next)),
        None => Err(LineError { at: behind, wrong: Wrong::AfterTime(text.get(behind).copied()) }),
    }
}

fn spaces(text: &[u8], at: usize) -> usize {
    let count = text.get(at..).unwrap_or_default().iter().take_while(|&&byte| byte == b' ').count();
    at + count
}

fn end_of_line(text: &[u8], at: usize) -> Option<usize> {
    match (text.get(at), text.get(at + 1)) {
        (None, _) => Some(at),
        (Some(b'\n'), _) => Some(at + 1),
        (Some(b'\r'), Some(b'\n')) => Some(at + 2),
        _ => None,
    }
}

/// An integer time of any precision in seconds, told apart by magnitude: below 1e11 seconds, 1e14 milli-, 1e17 micro-, else nanoseconds.
fn seconds(token: &[u8]) -> Option<i64> {
    let (negative, digits) = match token.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, token),
    };
    if digits.is_empty() {
        return None;
    }
    let mut time = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        time = time.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    let unit = match time {
        ..=99_999_999_999 => 1,
        100_000_000_000..=99_999_999_999_999 => 1_000,
        100_000_000_000_000..=99_999_999_999_999_999 => 1_000_000,
        _ => 1_000_000_000,
    };
    Some((if negative { -time } else { time }).div_euclid(unit))
}

/// Passes over the rest of a line that is not wanted, from the space behind its tags. `None`: it holds a text that does not end in
/// `text`.
pub(crate) fn skip(text: &[u8], at: usize) -> Option<usize> {
    let end = line_end(text, at);
    if memchr::memchr(b'"', text.get(at..end)?).is_none() {
        return Some(behind_line(text, at));
    }
    // A quoted text may hold line feeds: only then the fields matter. A broken line ends at its next line feed.
    match fields(text, at) {
        Ok((_, at)) => Some(behind_line(text, at)),
        Err(LineError { wrong: Wrong::OpenString { .. }, .. }) => None,
        Err(error) => Some(behind_line(text, error.at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str) -> Result<(f64, Option<i64>, usize), String> {
        let slow = full(text.as_bytes(), 0);
        if let Some(fast) = plain(text.as_bytes(), 0, &mut LastTime::default()) {
            assert_eq!(Ok(fast), slow, "{text}");
        }
        match slow {
            Ok(tail) => Ok((tail.value, tail.time, tail.next)),
            Err((error, next)) => {
                assert_eq!(next, text.len(), "a broken line ends with it: {text}");
                Err(format!("{}: {}", error.at, error.wrong))
            }
        }
    }

    #[test]
    fn forms_of_a_tail() {
        assert_eq!(tail(" value=1.5 60\nnext"), Ok((1.5, Some(60), 14)));
        assert_eq!(tail("   value=2   60  \r\nnext"), Ok((2.0, Some(60), 19)));
        assert_eq!(tail(" value=1.5\n"), Ok((1.5, None, 11)));
        assert_eq!(tail(" value=1.5 \n"), Ok((1.5, None, 12)));
        assert_eq!(tail(" value=1.5"), Ok((1.5, None, 10)));
        assert_eq!(tail(" value=1,value=2i 60"), Ok((2.0, Some(60), 20)));
        assert_eq!(tail(" value=1 -5\n"), Ok((1.0, Some(-5), 12)));
    }

    #[test]
    fn times_are_scaled_by_magnitude() {
        for (token, seconds) in [
            ("0", 0),
            ("99999999999", 99_999_999_999),
            ("1700000000123", 1_700_000_000),
            ("1700000000123456", 1_700_000_000),
            ("1700000000123456789", 1_700_000_000),
            ("-1700000000001", -1_700_000_001),
        ] {
            assert_eq!(tail(&format!(" value=1 {token}\n")).unwrap().1, Some(seconds), "{token}");
        }
    }

    #[test]
    fn broken_tails_say_what_and_where() {
        for (text, error) in [
            (" value=\n", "7: missing field value for field \"value\""),
            (" value=x 60\n", "7: value for field \"value\" (\"x\") has unrecognized type"),
            (
                " value=1.2.3 60\n",
                "7: cannot parse value for field key \"value\": invalid float value syntax",
            ),
            (" value=1, 60\n", "9: invalid character ' ' found at start of field key"),
            (" 60\n", "3: want '=' after field key \"60\", found '\\n'"),
            (" val=1.5 60\n", "1: unknown field: 'val'"),
            (" value=1,min=0 60\n", "9: unknown field: 'min'"),
            (" \"value\"=1 60\n", "1: unknown field: '\\\"value\\\"'"),
            (" value=true 60\n", "7: unsupported value type in message: bool"),
            (" value=\"a\\\"b\nc\" 60\n", "7: unsupported value type in message: string"),
            (" value=\"abc 60\n", "7: expected closing quote for string field value of field \"value\""),
            (" value=1 yesterday\n", "9: invalid timestamp \"yesterday\""),
            (" value=1 60.5\n", "9: invalid timestamp \"60.5\""),
            (" value=1 60 extra\n", "12: expected end of line after timestamp, found 'e'"),
            (" value=1 99999999999999999999\n", "9: invalid timestamp \"99999999999999999999\""),
            (" value=1 60\rvalue=2 61\n", "11: expected end of line after timestamp, found '\\r'"),
        ] {
            assert_eq!(tail(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn truth_values_are_those_of_the_dialect() {
        for token in ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"] {
            assert!(is_bool(token.as_bytes()), "{token}");
        }
        for token in ["", "tr", "tRUE", "fALSE", "truE", "yes"] {
            assert!(!is_bool(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn unwanted_lines_end_where_their_texts_end() {
        let text = b" garbage=,,, ===\nnext";
        assert_eq!(skip(text, 0), Some(17));
        let text = b" event=\"first\nsecond\" 60\nnext";
        assert_eq!(skip(text, 0), Some(25));
        assert_eq!(skip(b" event=\"first\nsecond 60\n", 0), None);
        let text = b" not \"fields\nnext";
        assert_eq!(skip(text, 0), Some(13), "a broken line ends at its line feed");
        assert_eq!(skip(b"", 0), Some(0));
    }
}
