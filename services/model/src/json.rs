//! JSON as the reference writes it (job-archive.md 3), and reading that is as tolerant as Go's.
//!
//! Writing: [`to_vec`] gives the bytes that Go's encoder gives for the same value: compact, `<>&` escaped, floats in
//! Go's form. Reading: keys match in any case, `null` means "not given", what follows the first value is ignored.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::{Map, Value, ser::Formatter};

use crate::number;

/// Writes floats and strings as Go's `encoding/json` does; everything else is the compact form anyway.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let mut out = Vec::with_capacity(24);
        number::write_plain(&mut out, value);
        writer.write_all(&out)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, escape)) = next_escape(rest) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            writer.write_all(escape.as_bytes())?;
            let mut tail = tail.chars();
            tail.next();
            rest = tail.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// The first character that Go escapes beyond what JSON demands.
fn next_escape(text: &str) -> Option<(usize, &'static str)> {
    text.char_indices().find_map(|(at, c)| match c {
        '<' => Some((at, "\\u003c")),
        '>' => Some((at, "\\u003e")),
        '&' => Some((at, "\\u0026")),
        '\u{2028}' => Some((at, "\\u2028")),
        '\u{2029}' => Some((at, "\\u2029")),
        _ => None,
    })
}

/// Encodes a value as Go would, without a final newline.
///
/// # Errors
/// Only what the value's own `Serialize` reports, or a map with keys that are not strings.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, GoFormatter))?;
    Ok(out)
}

/// Encodes a value as Go would, as text.
///
/// # Errors
/// As [`to_vec`].
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    to_vec(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Appends a text in quotes, escaped as Go escapes it.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // neither a text nor a Vec can fail
    let _ = text.serialize(&mut serde_json::Serializer::with_formatter(out, GoFormatter));
}

/// One thing that is wrong in a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, e.g. `metricConfig[3].timestep`; empty for the document itself.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// Several problems in one line, separated by `; `.
pub fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The first JSON value of a text; what follows is ignored and bytes that are not UTF-8 become U+FFFD, as in Go.
pub(crate) fn first_value(bytes: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(bytes);
    match serde_json::Deserializer::from_str(&text).into_iter::<Value>().next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) if error.is_eof() => Err("unexpected EOF".to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("EOF".to_owned()),
    }
}

/// What kind of value something is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An object being read: typed access by key in any case, problems collected with their path.
#[derive(Debug, Clone)]
pub(crate) struct Object<'v> {
    map: &'v Map<String, Value>,
    path: String,
}

impl<'v> Object<'v> {
    pub(crate) fn new(map: &'v Map<String, Value>, path: impl Into<String>) -> Self {
        Self { map, path: path.into() }
    }

    /// Reads `value` as an object, or notes that it is none.
    pub(crate) fn of(value: &'v Value, path: String, problems: &mut Vec<Problem>) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self { map, path }),
            other => {
                problems.push(Problem::new(path, format!("expected an object, got {}", kind(other))));
                None
            }
        }
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, matched in any case; the last one wins; `null` counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'v Value> {
        self.map
            .iter()
            .rfind(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// Paths of the keys that are not among `known`.
    pub(crate) fn unknown(&self, known: &[&str]) -> Vec<String> {
        let is_known = |key: &&String| known.iter().any(|k| k.eq_ignore_ascii_case(key));
        self.map.keys().filter(|key| !is_known(key)).map(|key| self.path_of(key)).collect()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'v String, &'v Value)> {
        self.map.iter()
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Vec<Problem>,
        read: impl Fn(&'v Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let found = read(value);
        if found.is_none() {
            let got = if let Value::Number(n) = value { n.to_string() } else { kind(value).to_owned() };
            problems.push(Problem::new(self.path_of(key), format!("expected {expected}, got {got}")));
        }
        found
    }

    pub(crate) fn string(&self, key: &str, problems: &mut Vec<Problem>) -> Option<&'v str> {
        self.read(key, "a string", problems, Value::as_str)
    }

    pub(crate) fn text(&self, key: &str, problems: &mut Vec<Problem>) -> String {
        self.string(key, problems).unwrap_or_default().to_owned()
    }

    pub(crate) fn integer(&self, key: &str, problems: &mut Vec<Problem>) -> Option<i64> {
        self.read(key, "an integer of at most 64 bits", problems, Value::as_i64)
    }

    pub(crate) fn integer32(&self, key: &str, problems: &mut Vec<Problem>) -> Option<i32> {
        self.read(key, "an integer of at most 32 bits", problems, |value| {
            value.as_i64().and_then(|n| i32::try_from(n).ok())
        })
    }

    pub(crate) fn float(&self, key: &str, problems: &mut Vec<Problem>) -> Option<f64> {
        self.read(key, "a number", problems, Value::as_f64)
    }

    pub(crate) fn boolean(&self, key: &str, problems: &mut Vec<Problem>) -> Option<bool> {
        self.read(key, "true or false", problems, Value::as_bool)
    }

    pub(crate) fn object(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Object<'v>> {
        let map = self.read(key, "an object", problems, Value::as_object)?;
        Some(Object { map, path: self.path_of(key) })
    }

    /// The elements of an array with their paths.
    pub(crate) fn array(
        &self,
        key: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<impl Iterator<Item = (String, &'v Value)> + use<'v>> {
        let path = self.path_of(key);
        let list = self.read(key, "an array", problems, Value::as_array)?;
        Some(list.iter().enumerate().map(move |(i, value)| (format!("{path}[{i}]"), value)))
    }

    pub(crate) fn floats(&self, key: &str, problems: &mut Vec<Problem>) -> Option<BTreeMap<String, f64>> {
        self.map_of(
            key,
            "a number",
            problems,
            |value| {
                if value.is_null() { Some(0.0) } else { value.as_f64() }
            },
        )
    }

    pub(crate) fn strings(&self, key: &str, problems: &mut Vec<Problem>) -> Option<BTreeMap<String, String>> {
        self.map_of(key, "a string", problems, |value| match value {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    fn map_of<T>(
        &self,
        key: &str,
        expected: &str,
        problems: &mut Vec<Problem>,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let object = self.object(key, problems)?;
        let mut out = BTreeMap::new();
        for (name, value) in object.map {
            match read(value) {
                Some(found) => {
                    out.insert(name.clone(), found);
                }
                None => problems.push(Problem::new(
                    object.path_of(name),
                    format!("expected {expected}, got {}", kind(value)),
                )),
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_and_floats_are_written_as_go_writes_them() {
        let value = json!({"a": "<b> & \u{2028}\"\\\n\u{8}\u{1}é", "n": [1.0, 0.5, 1e-7, 128.0, 3]});
        assert_eq!(
            to_string(&value).unwrap(),
            "{\"a\":\"\\u003cb\\u003e \\u0026 \\u2028\\\"\\\\\\n\\b\\u0001é\",\"n\":[1,0.5,1e-7,128,3]}"
        );
    }

    #[test]
    fn what_follows_the_first_value_is_ignored() {
        assert_eq!(first_value(b" {\"a\":1} garbage").unwrap(), json!({"a": 1}));
        assert_eq!(first_value(b"{\"a\":\"\xff\"}").unwrap(), json!({"a": "\u{fffd}"}));
        assert_eq!(first_value(b"").unwrap_err(), "EOF");
        assert_eq!(first_value(b"{\"a\":1,").unwrap_err(), "unexpected EOF");
        assert!(first_value(b"{a:1}").unwrap_err().contains("line 1"));
    }

    #[test]
    fn keys_match_in_any_case_and_the_last_wins() {
        let value = json!({"jobId": 1, "JOBID": 2, "x": null, "y": "1"});
        let mut problems = Vec::new();
        let object = Object::of(&value, String::new(), &mut problems).unwrap();
        assert_eq!(object.integer("jobid", &mut problems), Some(2));
        assert_eq!(object.integer("jobId", &mut problems), Some(2));
        assert_eq!(object.integer("x", &mut problems), None);
        assert_eq!(problems, vec![]);
        assert_eq!(object.integer("y", &mut problems), None);
        assert_eq!(join(&problems), "y: expected an integer of at most 64 bits, got a string");
        assert_eq!(object.unknown(&["jobid", "y"]), ["x"]);
    }
}
