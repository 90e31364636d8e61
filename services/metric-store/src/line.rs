//! The line-protocol dialect of the collectors (spec metric-store.md section 4): a total parser, one line at a time.
//!
//! A line is a *head* (metric and tags, [`head`]) and a *tail* (fields and time, [`tail`]). Parsing never panics and never looks
//! behind the line it was given, so a broken line costs itself only. Offsets are into the text that was handed in.

use std::fmt;

use crate::number::NumberError;

pub(crate) mod head;
pub(crate) mod tail;

/// Longest line that is taken; a longer one is refused as a syntax error.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// How many lines of a text could be read, and how many could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Lines with metric, tags and value.
    pub good: u64,
    /// Broken lines.
    pub bad: u64,
}

/// Reads a whole text as the store would, without one: for benchmarks, fuzzing and checks of what collectors send.
pub fn scan(text: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut time = tail::LastTime::default();
    let mut lines = 0;
    let mut at = head::next_line(text, 0, &mut lines);
    while at < text.len() {
        let tags = head::metric(text, at).and_then(|(_, behind)| head::tags(text, behind));
        let tail = tags.map_err(|error| tail::behind_line(text, error.at)).and_then(|(_, end)| {
            match tail::plain(text, end, &mut time) {
                Some(tail) => Ok(tail.next),
                None => tail::full(text, end).map(|tail| tail.next).map_err(|(_, next)| next),
            }
        });
        let (count, next) = match tail {
            Ok(next) => (&mut scan.good, next),
            Err(next) => (&mut scan.bad, next),
        };
        *count += 1;
        at = head::next_line(text, next, &mut lines);
    }
    scan
}

/// What is wrong with a line, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LineError<'a> {
    /// Offset of the offending byte in the text.
    pub(crate) at: usize,
    /// What was found there.
    pub(crate) wrong: Wrong<'a>,
}

/// The kinds of errors, with the reference's words as far as it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong<'a> {
    /// The line does not begin with a metric name.
    MetricStart(u8),
    /// Behind metric or tag stands neither a tag nor a field.
    AfterTag(Option<u8>),
    /// A comma without a tag behind it.
    TagAfterComma,
    /// `,=x`.
    EmptyTagKey,
    /// A tag without `=`.
    TagEquals { key: &'a [u8], found: Option<u8> },
    /// A tag without value.
    EmptyTagValue { key: &'a [u8] },
    /// Not UTF-8.
    Utf8(&'a [u8]),
    /// A field that does not begin with its name.
    FieldStart(Option<u8>),
    /// A field without `=`.
    FieldEquals { key: &'a [u8], found: Option<u8> },
    /// A field without value.
    EmptyFieldValue { key: &'a [u8] },
    /// A value that is no number, text or truth value.
    ValueType { key: &'a [u8], token: &'a [u8] },
    /// A number that is none, or too large.
    Value { key: &'a [u8], token: &'a [u8], why: NumberError },
    /// A text without closing quote before the end of what was sent.
    OpenString { key: &'a [u8] },
    /// A field of another name than `value`.
    UnknownField { key: &'a [u8] },
    /// A text or a truth value.
    NotANumber(&'static str),
    /// The time is no integer, or does not fit.
    Time(&'a [u8]),
    /// Something behind the time, or a carriage return without line feed.
    AfterTime(Option<u8>),
    /// Longer than [`LINE_BYTES_MAX`].
    TooLong,
}

impl Wrong<'_> {
    /// Whether the line was understood and only its value cannot be taken.
    pub(crate) fn is_type_error(&self) -> bool {
        matches!(self, Self::UnknownField { .. } | Self::NotANumber(_))
    }
}

/// One byte, or the end of the text, as the messages show it.
struct Found(Option<u8>);

impl fmt::Display for Found {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("end of text"),
            Some(b'\n') => formatter.write_str("'\\n'"),
            Some(b'\t') => formatter.write_str("'\\t'"),
            Some(b'\r') => formatter.write_str("'\\r'"),
            Some(byte @ 0x20..=0x7E) => write!(formatter, "'{}'", char::from(byte)),
            Some(byte) => write!(formatter, "'\\x{byte:02x}'"),
        }
    }
}

/// A piece of the line as the messages quote it: at most 64 bytes, everything unprintable escaped.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.get(..64).unwrap_or(self.0);
        write!(formatter, "\"{}\"", cut.escape_ascii())
    }
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MetricStart(byte) => {
                write!(
                    formatter,
                    "invalid character {} found at start of measurement name",
                    Found(Some(*byte))
                )
            }
            Self::AfterTag(found) => {
                write!(formatter, "expected tag key or field but found {} instead", Found(*found))
            }
            Self::TagAfterComma => {
                formatter.write_str("expected tag key after comma; got white space instead")
            }
            Self::EmptyTagKey => formatter.write_str("empty tag key"),
            Self::TagEquals { key, found } => {
                write!(
                    formatter,
                    "expected '=' after tag key {}, but got {} instead",
                    Quoted(key),
                    Found(*found)
                )
            }
            Self::EmptyTagValue { key } => {
                write!(formatter, "expected tag value after tag key {}, but none found", Quoted(key))
            }
            Self::Utf8(token) => write!(formatter, "invalid utf-8 sequence in token {}", Quoted(token)),
            Self::FieldStart(found) => {
                write!(formatter, "invalid character {} found at start of field key", Found(*found))
            }
            Self::FieldEquals { key, found } => {
                write!(formatter, "want '=' after field key {}, found {}", Quoted(key), Found(*found))
            }
            Self::EmptyFieldValue { key } => {
                write!(formatter, "missing field value for field {}", Quoted(key))
            }
            Self::ValueType { key, token } => {
                write!(formatter, "value for field {} ({}) has unrecognized type", Quoted(key), Quoted(token))
            }
            Self::Value { key, token, why } => {
                write!(formatter, "cannot parse value for field key {}: ", Quoted(key))?;
                match why {
                    NumberError::Type | NumberError::Float => {
                        formatter.write_str("invalid float value syntax")
                    }
                    NumberError::Integer => formatter.write_str("invalid integer value syntax"),
                    NumberError::Unsigned => formatter.write_str("invalid unsigned integer value syntax"),
                    NumberError::NotFinite => write!(
                        formatter,
                        "non-number {} cannot be represented as a line-protocol field value",
                        Quoted(token)
                    ),
                    NumberError::Range => formatter.write_str("line-protocol value out of range"),
                }
            }
            Self::OpenString { key } => {
                write!(formatter, "expected closing quote for string field value of field {}", Quoted(key))
            }
            Self::UnknownField { key } => write!(formatter, "unknown field: '{}'", key.escape_ascii()),
            Self::NotANumber(kind) => write!(formatter, "unsupported value type in message: {kind}"),
            Self::Time(token) => write!(formatter, "invalid timestamp {}", Quoted(token)),
            Self::AfterTime(found) => {
                write!(formatter, "expected end of line after timestamp, found {}", Found(*found))
            }
            Self::TooLong => write!(formatter, "line is longer than {LINE_BYTES_MAX} bytes"),
        }
    }
}
