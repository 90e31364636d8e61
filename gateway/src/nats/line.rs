//! The line protocol as far as events need it: measurement, tags, fields of any type, a time stamp that must be there
//! (integrations.md 3, metric-store.md 4.1). Total: whatever comes in, an answer comes out.

use std::borrow::Cow;
use std::fmt;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// What it is about: `job`, `nodestate`.
    pub(super) measurement: Cow<'a, str>,
    /// The tag `function`.
    pub(super) function: Option<Cow<'a, str>>,
    /// The field `event`, if it is a text.
    pub(super) event: Option<Cow<'a, str>>,
}

/// Why a text is no line, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// Of the message, from 1.
    line: usize,
    problem: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} of the message: {}", self.line, self.problem)
    }
}

/// The lines of a message. What follows a broken line cannot be told apart from it (texts may hold line feeds), so that
/// is the last item.
pub(super) fn lines(payload: &str) -> Lines<'_> {
    Lines { text: payload, at: 0, broken: false }
}

/// See [`lines`].
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
    broken: bool,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let line = match self.begin() {
            Ok(true) => self.line(),
            Ok(false) => return None,
            Err(problem) => Err(problem),
        };
        Some(line.map_err(|problem| {
            self.broken = true;
            let before = self.text.get(..self.at).unwrap_or(self.text);
            BadLine { line: 1 + before.matches('\n').count(), problem }
        }))
    }
}

impl<'a> Lines<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn spaces(&mut self) {
        while self.takes(b' ') {}
    }

    /// Passes empty lines and comments; false at the end.
    fn begin(&mut self) -> Result<bool, &'static str> {
        loop {
            match self.peek() {
                None => return Ok(false),
                Some(b' ' | b'\n') => self.at += 1,
                Some(b'\r') => {
                    self.at += 1;
                    if self.peek() != Some(b'\n') {
                        return Err("a carriage return without a line feed");
                    }
                }
                Some(b'#') => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                Some(_) => return Ok(true),
            }
        }
    }

    fn line(&mut self) -> Result<Line<'a>, &'static str> {
        let measurement = self.name(b", ", "the measurement is missing")?;
        let (mut function, mut event) = (None, None);
        while self.takes(b',') {
            let key = self.name(b",= ", "a tag without a name")?;
            if !self.takes(b'=') {
                return Err("a tag without a value");
            }
            let value = self.name(b",= ", "a tag without a value")?;
            if key == "function" {
                function = Some(value);
            }
        }
        if self.peek() != Some(b' ') {
            return Err("no field behind measurement and tags");
        }
        self.spaces();
        loop {
            let key = self.name(b",= ", "a field without a name")?;
            if !self.takes(b'=') {
                return Err("a field without a value");
            }
            let value = self.value()?;
            if key == "event" {
                event = value;
            }
            if !self.takes(b',') {
                break;
            }
        }
        self.time()?;
        Ok(Line { measurement, function, event })
    }

    /// A name up to one of `ends`, any of which may be escaped by a backslash.
    fn name(&mut self, ends: &[u8], missing: &'static str) -> Result<Cow<'a, str>, &'static str> {
        let start = self.at;
        let mut escaped = false;
        while let Some(byte) = self.peek() {
            if byte == b'\\' && self.text.as_bytes().get(self.at + 1).is_some_and(|next| ends.contains(next))
            {
                escaped = true;
                self.at += 2;
                continue;
            }
            if ends.contains(&byte) {
                break;
            }
            if byte < b' ' || byte == 0x7F {
                return Err("a control character or the end of the line where a name is expected");
            }
            self.at += 1;
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        if raw.is_empty() {
            return Err(missing);
        }
        Ok(if escaped {
            unescaped(raw, |char| ends.iter().any(|end| char::from(*end) == char)).into()
        } else {
            raw.into()
        })
    }

    /// `Some` for a text.
    fn value(&mut self) -> Result<Option<Cow<'a, str>>, &'static str> {
        if !self.takes(b'"') {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte > b' ' && byte != b',' && byte != 0x7F) {
                self.at += 1;
            }
            return if self.at == start { Err("a field without a value") } else { Ok(None) };
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => return Err("the closing quote of a text is missing"),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // the character behind it may be longer than a byte; its other bytes are passed one by one
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Some(if escaped { unescaped_text(raw).into() } else { raw.into() }))
    }

    /// Nanoseconds; what they say does not matter, that they are there does.
    fn time(&mut self) -> Result<(), &'static str> {
        const MISSING: &str = "no time stamp behind the fields (nanoseconds, more than 0)";
        if !matches!(self.peek(), Some(b' ')) {
            return Err(MISSING);
        }
        self.spaces();
        let start = self.at;
        while self.peek().is_some_and(|byte| byte == b'-' || byte.is_ascii_digit()) {
            self.at += 1;
        }
        let time: i64 = match self.text.get(start..self.at).unwrap_or_default() {
            "" => return Err(MISSING),
            digits => digits.parse().map_err(|_| "the time stamp is no number of nanoseconds")?,
        };
        if time == 0 {
            return Err(MISSING);
        }
        self.spaces();
        let _return = self.takes(b'\r');
        match self.peek() {
            None => Ok(()),
            Some(b'\n') => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err("something stands behind the time stamp"),
        }
    }
}

/// Takes the backslash from in front of characters that need one.
fn unescaped(raw: &str, needs_one: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.peek() {
            Some(next) if char == '\\' && needs_one(*next) => {}
            _ => text.push(char),
        }
    }
    text
}

/// `\\`, `\"`, `\n`, `\r`, `\t`; other backslashes stand for themselves.
fn unescaped_text(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some(same @ ('\\' | '"')) => text.push(same),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(payload: &str) -> Vec<Result<Line<'_>, BadLine>> {
        lines(payload).collect()
    }

    #[test]
    fn the_form_of_the_adapters_is_read() {
        let text = r#"job,function=start_job,hostname=a\ b,type=node,type-id=0 event="{\"x\":\"a\\\\b\",
 \"y\":1}" 1767225600000000000
job,function=stop_job n=1i,event="{}",b=true 5
"#;
        let found = all(text);
        assert_eq!(found.len(), 2);
        let first = found[0].as_ref().unwrap();
        assert_eq!((&*first.measurement, first.function.as_deref()), ("job", Some("start_job")));
        assert_eq!(first.event.as_deref(), Some("{\"x\":\"a\\\\b\",\n \"y\":1}"));
        assert_eq!(found[1].as_ref().unwrap().event.as_deref(), Some("{}"));
    }

    #[test]
    fn no_event_is_no_error() {
        for text in ["up value=1 5", "job event=1 5", "# comment\r\n\njob,function=x v=\"\" 5\r\n"] {
            let found = all(text);
            assert_eq!((found.len(), found[0].as_ref().unwrap().event.clone()), (1, None), "{text}");
        }
        assert_eq!(all(" \r\n# nothing"), []);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, error) in [
            ("garbage", "line 1 of the message: no field behind measurement and tags"),
            ("job e=1 5\njob event=\"x", "line 2 of the message: the closing quote of a text is missing"),
            (
                "job event=\"x\"",
                "line 1 of the message: no time stamp behind the fields (nanoseconds, more than 0)",
            ),
            (
                "job event=\"x\" 0",
                "line 1 of the message: no time stamp behind the fields (nanoseconds, more than 0)",
            ),
            ("job event=\"x\" 5 6", "line 1 of the message: something stands behind the time stamp"),
            (
                "job event=\"x\" 99999999999999999999",
                "line 1 of the message: the time stamp is no number of nanoseconds",
            ),
            ("job,=x e=1 5", "line 1 of the message: a tag without a name"),
            ("job,a e=1 5", "line 1 of the message: a tag without a value"),
            ("job,a= e=1 5", "line 1 of the message: a tag without a value"),
            (",a=b e=1 5", "line 1 of the message: the measurement is missing"),
            ("job =1 5", "line 1 of the message: a field without a name"),
            ("job e= 5", "line 1 of the message: a field without a value"),
            ("\rjob e=1 5", "line 1 of the message: a carriage return without a line feed"),
        ] {
            let found = all(text);
            let last = found.last().unwrap().as_ref().unwrap_err();
            assert_eq!(last.to_string(), error, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_to_an_end(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(lines(&text).count() <= text.len() + 1);
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(lines(&text).count() <= text.len() + 1);
        }

        #[test]
        fn an_event_comes_out_as_it_went_in(event in ".*", tag in r"[^\\\p{Cc}]+") {
            let escaped = event.replace('\\', r"\\").replace('"', "\\\"");
            let tag_escaped = tag.replace(',', r"\,").replace('=', r"\=").replace(' ', r"\ ");
            let text = format!("job,function={tag_escaped} event=\"{escaped}\" 7\n");
            let found = all(&text);
            prop_assert_eq!(found.len(), 1);
            let line = found[0].as_ref().unwrap();
            prop_assert_eq!(line.event.as_deref(), Some(&*event));
            prop_assert_eq!(line.function.as_deref(), Some(&*tag));
        }
    }
}
