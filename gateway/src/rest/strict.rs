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
    /// What errors begin with.
    prefix: &'static str,
}

impl Members {
    /// The body as an object.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Problem> {
        Self::of(PARSING, body)
    }

    /// The same with another beginning of the errors.
    pub(super) fn of(prefix: &'static str, body: &[u8]) -> Result<Self, Problem> {
        match value(prefix, body)? {
            Value::Object(map) => Ok(Self { map, path: String::new(), wrong: Vec::new(), prefix }),
            other => Err(unfit(prefix, "an object", &other)),
        }
    }

    /// A body that is an array of objects; `null` is an empty one.
    pub(super) fn list<T>(
        prefix: &'static str,
        body: &[u8],
        read: impl Fn(&mut Self) -> T,
    ) -> Result<Vec<T>, Problem> {
        let list = match value(prefix, body)? {
            Value::Null => return Ok(Vec::new()),
            list @ Value::Array(_) => list,
            other => return Err(unfit(prefix, "an array", &other)),
        };
        let map = Map::from_iter([(String::new(), list)]);
        let mut members = Self { map, path: String::new(), wrong: Vec::new(), prefix };
        let found = members.objects("", read);
        members.end()?;
        Ok(found)
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

    /// A string; nothing for `null` where that has a meaning of its own. An absent one is empty.
    pub(super) fn text_unless_null(&mut self, key: &str) -> Option<String> {
        let null = self.map.iter().any(|(own, value)| own.eq_ignore_ascii_case(key) && value.is_null());
        let text = self.text(key);
        if null { text } else { Some(text.unwrap_or_default()) }
    }

    /// Reads a member that is an object; an absent one as an empty object.
    pub(super) fn object<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let map = self.typed(key, "an object", |value| value.as_object().cloned()).unwrap_or_default();
        let path = format!("{}{key}.", self.path);
        let mut inner = Self { map, path, wrong: Vec::new(), prefix: self.prefix };
        let found = read(&mut inner);
        inner.note_unknown();
        self.wrong.append(&mut inner.wrong);
        found
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
            let mut inner = Self { map, path, wrong: Vec::new(), prefix: self.prefix };
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
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(Problem::bad(format!("{}{}", self.prefix, self.wrong.join("; "))))
        }
    }
}

/// The first JSON value of a body; what follows is not looked at.
fn value(prefix: &'static str, body: &[u8]) -> Result<Value, Problem> {
    let wrong = |error: &dyn fmt::Display| Err(Problem::bad(format!("{prefix}{error}")));
    match serde_json::Deserializer::from_slice(body).into_iter::<Value>().next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) if error.is_eof() => wrong(&"unexpected EOF"),
        Some(Err(error)) => wrong(&error),
        None => wrong(&"EOF"),
    }
}

/// A body that is `null` or an array of strings.
pub(super) fn texts(prefix: &'static str, body: &[u8]) -> Result<Option<Vec<String>>, Problem> {
    let list = match value(prefix, body)? {
        Value::Null => return Ok(None),
        Value::Array(list) => list,
        other => return Err(unfit(prefix, "an array of strings", &other)),
    };
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        other => Err(unfit(prefix, "a string", &other)),
    };
    list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn unfit(prefix: &str, expected: &str, found: &Value) -> Problem {
    Problem::bad(format!("{prefix}json: expected {expected}, got {}", kind(found)))
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
    fn lists_nested_objects_and_nulls_with_a_meaning() {
        let tags = |body: &str| {
            let read = |tag: &mut Members| (tag.text("type"), tag.text("name"));
            Members::list("decoding: ", body.as_bytes(), read).map_err(|problem| problem.error.into_owned())
        };
        assert_eq!(tags(r#"[{"type": "a", "NAME": "b"}]"#).unwrap().len(), 1);
        assert!(tags("null").unwrap().is_empty());
        assert_eq!(tags(r#"{"type": "a"}"#).unwrap_err(), "decoding: json: expected an array, got an object");
        assert_eq!(tags(r#"[{"id": 1}]"#).unwrap_err(), r#"decoding: json: unknown field "[0].id""#);
        let mut members = Members::of_body(br#"{"payload": {"key": "k", "value": null}}"#).unwrap();
        let read = |inner: &mut Members| (inner.text("key"), inner.text_unless_null("value"));
        assert_eq!(members.object("payload", read), (Some("k".to_owned()), None));
        members.end().unwrap();
        assert_eq!(texts("", br#"["a", null] trailing"#).unwrap().unwrap(), ["a", ""]);
        assert_eq!(texts("", b"null").unwrap(), None);
        assert!(texts("", b"[5]").is_err());
    }

    #[test]
    fn the_last_spelling_wins() {
        let mut members = Members::of_body(br#"{"jobId": 1, "JOBID": 2}"#).unwrap();
        assert_eq!(members.integer("jobId"), Some(2));
        members.end().unwrap();
    }
}
