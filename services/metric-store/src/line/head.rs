//! Metric name and tags of a line (spec metric-store.md 4.1, 4.2).

use std::borrow::Cow;

use super::{LineError, Wrong};

/// What the tags of one line say. Names are composed as the spec demands; absent ones are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags<'a> {
    /// `cluster`.
    pub(crate) cluster: Option<Cow<'a, str>>,
    /// `hostname` or `host`, the last of them.
    pub(crate) host: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    sub_kind: Option<Cow<'a, str>>,
    sub_id: Option<Cow<'a, str>>,
}

impl Tags<'_> {
    /// Name of the component below the host: type and id, in that order. Empty: the node itself, which `type=node` is with any id.
    pub(crate) fn component(&self) -> String {
        let [kind, id] = self.component_parts();
        [kind, id].concat()
    }

    fn component_parts(&self) -> [&str; 2] {
        match self.kind.as_deref() {
            Some("node") => ["", ""],
            kind => [kind.unwrap_or_default(), self.id.as_deref().unwrap_or_default()],
        }
    }

    /// Name of the part of the component. Empty: the component itself; nodes have no parts.
    pub(crate) fn sub_component(&self) -> String {
        if self.component_parts() == ["", ""] {
            return String::new();
        }
        [self.sub_kind.as_deref().unwrap_or_default(), self.sub_id.as_deref().unwrap_or_default()].concat()
    }

    /// Bytes of the longer one of the two names.
    pub(crate) fn longest(&self) -> usize {
        let length = |parts: [&Option<Cow<'_, str>>; 2]| -> usize {
            parts.into_iter().flatten().map(|part| part.len()).sum()
        };
        length([&self.kind, &self.id]).max(length([&self.sub_kind, &self.sub_id]))
    }
}

/// Skips empty lines, leading spaces and comments; returns where the next line begins and adds the lines passed to `lines`.
pub(crate) fn next_line(text: &[u8], mut at: usize, lines: &mut u64) -> usize {
    loop {
        match text.get(at) {
            Some(b' ') => at += 1,
            Some(b'\n') => {
                at += 1;
                *lines += 1;
            }
            Some(b'\r') if text.get(at + 1) == Some(&b'\n') => at += 1,
            Some(b'#') => at = line_end(text, at),
            _ => return at,
        }
    }
}

/// Offset of the line feed that ends the line around `at`, or the length of the text.
pub(crate) fn line_end(text: &[u8], at: usize) -> usize {
    text.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)).map_or(text.len(), |found| at + found)
}

/// End of metric and tags: the first space that is not escaped. `None` if the line ends before.
#[inline]
pub(crate) fn end(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    for found in memchr::memchr2_iter(b' ', b'\n', rest) {
        if rest.get(found) == Some(&b'\n') {
            return None;
        }
        // A backslash before the space always escapes it: two backslashes are two literal ones.
        if found == 0 || rest.get(found - 1) != Some(&b'\\') {
            return Some(at + found);
        }
    }
    None
}

/// The metric name at `at` and the offset behind it.
pub(crate) fn metric(text: &[u8], at: usize) -> Result<(Cow<'_, str>, usize), LineError<'_>> {
    let stop = token_end(text, at, false);
    if stop == at {
        return Err(LineError { at, wrong: Wrong::MetricStart(text.get(at).copied().unwrap_or(b'\n')) });
    }
    Ok((token(text, at, stop, b", ")?, stop))
}

/// The tags from `at` (behind the metric) on, and the offset of the space behind them.
pub(crate) fn tags(text: &[u8], mut at: usize) -> Result<(Tags<'_>, usize), LineError<'_>> {
    let mut tags = Tags::default();
    loop {
        match text.get(at) {
            Some(b' ') => return Ok((tags, at)),
            Some(b',') => at += 1,
            found => return Err(LineError { at, wrong: Wrong::AfterTag(found.copied()) }),
        }
        if matches!(text.get(at), None | Some(b' ' | b'\n' | b'\r' | b'\t')) {
            return Err(LineError { at, wrong: Wrong::TagAfterComma });
        }
        let key_end = token_end(text, at, true);
        let key = text.get(at..key_end).unwrap_or_default();
        if key.is_empty() {
            return Err(LineError { at, wrong: Wrong::EmptyTagKey });
        }
        if text.get(key_end) != Some(&b'=') {
            return Err(LineError { at, wrong: Wrong::TagEquals { key, found: text.get(key_end).copied() } });
        }
        let value_at = key_end + 1;
        let value_end = token_end(text, value_at, true);
        if value_end == value_at {
            return Err(LineError { at: value_at, wrong: Wrong::EmptyTagValue { key } });
        }
        let value = token(text, value_at, value_end, b",= ")?;
        match key {
            b"cluster" => tags.cluster = Some(value),
            b"hostname" | b"host" => tags.host = Some(value),
            b"type" => tags.kind = Some(value),
            b"type-id" => tags.id = Some(value),
            b"stype" => tags.sub_kind = Some(value),
            b"stype-id" => tags.sub_id = Some(value),
            _ => {
                token(text, at, key_end, b",= ")?;
            }
        }
        at = value_end;
    }
}

/// What a byte means inside a name.
const PLAIN: u8 = 0;
const END: u8 = 1;
const EQUALS: u8 = 2;
const ESCAPE: u8 = 4;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const CLASSES: [u8; 256] = {
    let mut classes = [PLAIN; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = END;
        byte += 1;
    }
    classes[0x7F] = END;
    classes[b' ' as usize] = END;
    classes[b',' as usize] = END;
    classes[b'=' as usize] = EQUALS;
    classes[b'\\' as usize] = ESCAPE;
    classes
};

/// Where a name ends: at an unescaped comma, space or control byte, and in tags at an equals sign too.
#[inline]
fn token_end(text: &[u8], mut at: usize, in_tags: bool) -> usize {
    let ends = if in_tags { END | EQUALS } else { END };
    while let Some(&byte) = text.get(at) {
        let class = CLASSES.get(usize::from(byte)).copied().unwrap_or(PLAIN);
        if class & ends != 0 {
            break;
        }
        let escaped = |next: &u8| matches!(next, b',' | b' ') || (in_tags && *next == b'=');
        if class == ESCAPE && text.get(at + 1).is_some_and(escaped) {
            at += 1;
        }
        at += 1;
    }
    at
}

/// The text of a name, with the escapes of `escapable` bytes resolved.
fn token<'a>(
    text: &'a [u8],
    at: usize,
    stop: usize,
    escapable: &[u8],
) -> Result<Cow<'a, str>, LineError<'a>> {
    let raw = text.get(at..stop).unwrap_or_default();
    let plain = std::str::from_utf8(raw).map_err(|_| LineError { at, wrong: Wrong::Utf8(raw) })?;
    if memchr::memchr(b'\\', raw).is_none() {
        return Ok(Cow::Borrowed(plain));
    }
    let mut resolved = String::with_capacity(plain.len());
    let mut characters = plain.chars().peekable();
    while let Some(character) = characters.next() {
        let escapes = character == '\\'
            && characters
                .peek()
                .is_some_and(|next| u8::try_from(*next).is_ok_and(|byte| escapable.contains(&byte)));
        match characters.peek() {
            Some(&next) if escapes => {
                resolved.push(next);
                characters.next();
            }
            _ => resolved.push(character),
        }
    }
    Ok(Cow::Owned(resolved))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> (String, Tags<'_>) {
        let (metric, at) = metric(line.as_bytes(), 0).unwrap();
        let (tags, at) = tags(line.as_bytes(), at).unwrap();
        assert_eq!(end(line.as_bytes(), 0), Some(at), "{line}");
        (metric.into_owned(), tags)
    }

    #[test]
    fn names_are_composed_regardless_of_tag_order() {
        let (metric, tags) = parse(
            "mem_bw,stype-id=eth0,type-id=1,unit=B/s,stype=device,type=socket,host=h,cluster=c value=1",
        );
        assert_eq!(metric, "mem_bw");
        assert_eq!((tags.cluster.as_deref(), tags.host.as_deref()), (Some("c"), Some("h")));
        assert_eq!((tags.component().as_str(), tags.sub_component().as_str()), ("socket1", "deviceeth0"));
    }

    #[test]
    fn node_with_any_id_is_the_node_and_has_no_parts() {
        for line in [
            "m,host=h value=1",
            "m,host=h,type=node value=1",
            "m,host=h,type=node,type-id=0 value=1",
            "m,host=h,type=node,stype=filesystem,stype-id=home value=1",
            "m,host=h,stype=device,stype-id=eth1 value=1",
        ] {
            let (_, tags) = parse(line);
            assert_eq!((tags.component().as_str(), tags.sub_component().as_str()), ("", ""), "{line}");
        }
        assert_eq!(parse("m,host=h,type-id=7 value=1").1.component(), "7");
        assert_eq!(
            parse("m,host=h,type=accelerator,type-id=00000000:49:00.0 value=1").1.component(),
            "accelerator00000000:49:00.0"
        );
    }

    #[test]
    fn escapes_are_resolved_where_they_exist() {
        let (metric, tags) = parse(r"a\ b\,c\=d,host=n\ 7\,x\=y\z value=1");
        assert_eq!(metric, r"a b,c\=d");
        assert_eq!(tags.host.as_deref(), Some(r"n 7,x=y\z"));
        let (_, tags) = parse(r"m,host=a\\ b,cluster=c value=2");
        assert_eq!(tags.host.as_deref(), Some(r"a\ b"), "the second backslash escapes the space");
    }

    #[test]
    fn errors_name_what_was_found() {
        for (line, at, text) in [
            ("m,hostname= value=1", 11, "expected tag value after tag key \"hostname\", but none found"),
            ("m,=x value=1", 2, "empty tag key"),
            ("m,hostname value=2", 2, "expected '=' after tag key \"hostname\", but got ' ' instead"),
            ("m,host=h, value=2", 9, "expected tag key after comma; got white space instead"),
            ("m,host=h\tvalue=2", 8, "expected tag key or field but found '\\t' instead"),
            ("m\n", 1, "expected tag key or field but found '\\n' instead"),
            ("m", 1, "expected tag key or field but found end of text instead"),
        ] {
            let (_, behind) = metric(line.as_bytes(), 0).unwrap();
            let error = tags(line.as_bytes(), behind).unwrap_err();
            assert_eq!((error.at, error.wrong.to_string()), (at, text.to_owned()), "{line}");
        }
        let error = metric(b"\x1f\x8b", 0).unwrap_err();
        assert_eq!(error.wrong.to_string(), "invalid character '\\x1f' found at start of measurement name");
        let error = tags(b",host=\xff\xfe v", 0).unwrap_err();
        assert_eq!(error.wrong.to_string(), "invalid utf-8 sequence in token \"\\xff\\xfe\"");
    }

    #[test]
    fn blank_lines_and_comments_are_passed_and_counted() {
        let mut lines = 0;
        let text = b"\n \r\n  # a\tb\n#\nm";
        assert_eq!(next_line(text, 0, &mut lines), text.len() - 1);
        assert_eq!(lines, 4);
    }
}
