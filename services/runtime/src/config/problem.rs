//! What is wrong with a configuration: where, what was found, what was expected.

use std::cell::RefCell;
use std::fmt;

use serde_json::Value;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The program does not start.
    Error,
    /// The program starts; the setting has not the effect that its author may expect.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the program may start.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// The JSON path, e.g. `main.api-allowed-ips[2]`; empty for the file as a whole.
    pub path: String,
    /// What was found, what was expected, what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(formatter, "{}: {}", self.file, self.text)
        } else {
            write!(formatter, "{}: {}: {}", self.file, self.path, self.text)
        }
    }
}

/// Every finding of one reading; the program does not start. Never empty of errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|problem| problem.severity == Severity::Error);
        for (index, problem) in errors.enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// Collects the findings while the sections are read.
#[derive(Debug, Default)]
pub(super) struct Findings(RefCell<Vec<Problem>>);

impl Findings {
    pub(super) fn add(&self, severity: Severity, file: &str, path: &str, text: impl Into<String>) {
        let problem = Problem { severity, file: file.to_owned(), path: path.to_owned(), text: text.into() };
        self.0.borrow_mut().push(problem);
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// A place in a file.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub(super) findings: &'a Findings,
    pub(super) file: &'a str,
    pub(super) path: String,
}

impl<'a> At<'a> {
    pub(super) fn new(findings: &'a Findings, file: &'a str, path: impl Into<String>) -> Self {
        Self { findings, file, path: path.into() }
    }

    pub(super) fn key(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { findings: self.findings, file: self.file, path }
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self { findings: self.findings, file: self.file, path: format!("{}[{index}]", self.path) }
    }

    pub(super) fn error(&self, text: impl Into<String>) {
        self.findings.add(Severity::Error, self.file, &self.path, text);
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        self.findings.add(Severity::Warning, self.file, &self.path, text);
    }

    /// The value has the wrong type.
    pub(super) fn wrong_type(&self, value: &Value, expected: &str) {
        self.error(format!("{} is {}, expected {expected}", self.shown(value), kind(value)));
    }

    /// The value as a message may show it: short, and no secrets.
    pub(super) fn shown(&self, value: &Value) -> String {
        const LONGEST: usize = 60;
        let secret = ["password", "token", "key"].iter().any(|end| self.path.ends_with(end));
        if secret {
            return "the value (not shown)".to_owned();
        }
        let text = value.to_string();
        if text.chars().count() <= LONGEST {
            text
        } else {
            format!("{}…", text.chars().take(LONGEST).collect::<String>())
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction or exponent",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
