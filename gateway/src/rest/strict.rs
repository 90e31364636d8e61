//! Reading JSON requests as strictly as the reference: unknown keys and wrong types are errors, keys match in any case,
//! `null` means "not given", what follows the first value is ignored (rest-api.md 2.8).

use std::fmt;

use serde_json::{Map, Value};

use super::PARSING;
use crate::problem::Problem;

/// The object of a request body, being taken apart. All that is wrong with it is collected.
#[derive(Debug)]
pub(super) struct Members {
    map: Map<String, Value>,
    path: String,
    wrong: Vec<String>,
}

impl Members {
    /// The body as an object.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Problem> {
        let value = match serde_json::Deserializer::from_slice(body).into_iter::<Value>().next() {
            Some(Ok(value)) => value,
            Some(Err(error)) if error.is_eof() => return Err(failed("unexpected EOF")),
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(failed("EOF")),
        };
        match value {
            Value::Object(map) => Ok(Self { map, path: String::new(), wrong: Vec::new() }),
            other => Err(failed(format_args!("json: expected an object, got {}", kind(&other)))),
        }
    }

    /// Takes the value of a key: of several spellings the last one, as the reference does.
    fn take(&mut self, key: &str) -> Option<Value> {
        let spellings: Vec<String> =
            self.map.keys().filter(|own| own.eq_ignore_ascii_case(key)).cloned().collect();
        let last = spellings.iter().filter_map(|own| self.map.shift_remove(own)).last();
        last.filter(|value| !value.is_null())
    }

    fn typed<T>(&mut self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(key)?;
        let found = read(&value);
        if found.is_none() {
            let path = &self.path;
            self.wrong.push(format!("json: {path}{key}: expected {expected}, got {}", kind(&value)));
        }
        found
    }

    pub(super) fn integer(&mut self, key: &str) -> Option<i64> {
        self.typed(key, "an integer of at most 64 bits", Value::as_i64)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.typed(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let read = |value: &Value| {
            let list = value.as_array()?;
            // null among strings is the empty string, as everywhere
            list.iter()
                .map(|item| if item.is_null() { Some("") } else { item.as_str() }.map(str::to_owned))
                .collect()
        };
        self.typed(key, "an array of strings", read).unwrap_or_default()
    }

    /// Reads each element of an array of objects.
    pub(super) fn objects<T>(&mut self, key: &str, read: impl Fn(&mut Self) -> T) -> Vec<T> {
        let list = self.typed(key, "an array", |value| value.as_array().cloned()).unwrap_or_default();
        let mut found = Vec::with_capacity(list.len());
        for (index, value) in list.into_iter().enumerate() {
            let path = format!("{}{key}[{index}].", self.path);
            let map = match value {
                Value::Object(map) => map,
                Value::Null => Map::new(),
                other => {
                    self.wrong.push(format!(
                        "json: {}{key}[{index}]: expected an object, got {}",
                        self.path,
                        kind(&other)
                    ));
                    continue;
                }
            };
            let mut inner = Self { map, path, wrong: Vec::new() };
            found.push(read(&mut inner));
            inner.note_unknown();
            self.wrong.append(&mut inner.wrong);
        }
        found
    }

    fn note_unknown(&mut self) {
        for key in self.map.keys() {
            self.wrong.push(format!("json: unknown field {:?}", format!("{}{key}", self.path)));
        }
    }

    /// Nothing may be left over, nothing may have been wrong.
    pub(super) fn end(mut self) -> Result<(), Problem> {
        self.note_unknown();
        if self.wrong.is_empty() { Ok(()) } else { Err(failed(self.wrong.join("; "))) }
    }
}

/// 400 with the prefix of all decoding errors.
pub(super) fn failed(error: impl fmt::Display) -> Problem {
    Problem::bad(format!("{PARSING}{error}"))
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        let mut members = match Members::of_body(body.as_bytes()) {
            Ok(members) => members,
            Err(problem) => return problem.error.into_owned(),
        };
        members.integer("jobId");
        members.text("cluster");
        members.objects("nodes", |node| (node.text("hostname"), node.texts("states")));
        members.end().err().map(|problem| problem.error.into_owned()).unwrap_or_default()
    }

    #[test]
    fn good_bodies_pass() {
        for body in [
            "{}",
            r#"{"JOBID": 5, "Cluster": "a"} trailing"#,
            r#"{"jobId": null, "nodes": [{"hostname": "x", "states": ["a", null]}, null]}"#,
        ] {
            assert_eq!(error(body), "", "{body}");
        }
    }

    #[test]
    fn everything_wrong_is_named() {
        let begin = "parsing request body failed: ";
        for (body, text) in [
            ("", "EOF"),
            ("{", "unexpected EOF"),
            ("[1]", "json: expected an object, got an array"),
            (r#"{"x": 1, "y": 2}"#, r#"json: unknown field "x"; json: unknown field "y""#),
            (r#"{"jobId": "5"}"#, "json: jobId: expected an integer of at most 64 bits, got a string"),
            (r#"{"jobId": 5.0}"#, "json: jobId: expected an integer of at most 64 bits, got 5.0"),
            (r#"{"nodes": [{"z": 1}]}"#, r#"json: unknown field "nodes[0].z""#),
            (r#"{"nodes": [7]}"#, "json: nodes[0]: expected an object, got 7"),
        ] {
            assert_eq!(error(body), format!("{begin}{text}"), "{body}");
        }
    }

    #[test]
    fn the_last_spelling_wins() {
        let mut members = Members::of_body(br#"{"jobId": 1, "JOBID": 2}"#).unwrap();
        assert_eq!(members.integer("jobId"), Some(2));
        members.end().unwrap();
    }
}
