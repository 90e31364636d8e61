//! The file itself: reading, sections from other files, values from elsewhere (config-and-cli.md 2.1, 2.2).

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::problem::{At, Findings, Severity};
use crate::env::Env;

/// Larger files are a mistake.
const LARGEST_BYTES: u64 = 16 * 1024 * 1024;

/// Sections the reference knows.
pub(super) const REFERENCE_SECTIONS: [&str; 8] =
    ["main", "auth", "cron", "archive", "metric-store", "metric-store-external", "ui", "nats"];
/// Sections of our own; the reference ignores them.
pub(super) const OWN_SECTIONS: [&str; 9] =
    ["grpc", "services", "observability", "site", "proxy", "limits", "compat", "nats-client", "store-log"];

/// One section and the file it came from.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) value: Value,
}

/// The sections of one configuration.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) parts: Vec<Part>,
    /// Whether the file is an object at all; if not, that is reported and the rest follows from it.
    pub(super) readable: bool,
}

impl Source {
    pub(super) fn get(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

/// Reads a file. A missing one is an empty configuration.
pub(super) fn read(path: &Path, env: &dyn Env, findings: &Findings) -> Source {
    let file = path.display().to_string();
    match read_text(path) {
        Ok(text) => parse(&text, &file, path.parent(), env, findings),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            findings.add(Severity::Error, &file, "", "there is no such file; `cc-backend -init` makes one");
            Source { file, parts: Vec::new(), readable: true }
        }
        Err(error) => {
            findings.add(Severity::Error, &file, "", format!("cannot be read: {error}"));
            Source { file, parts: Vec::new(), readable: false }
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    std::fs::read_to_string(path)
}

/// Splits a text into sections. `directory` is the second place to look for the files of sections.
pub(super) fn parse(
    text: &str,
    file: &str,
    directory: Option<&Path>,
    env: &dyn Env,
    findings: &Findings,
) -> Source {
    let mut source = Source { file: file.to_owned(), parts: Vec::new(), readable: false };
    let at = At::new(findings, file, "");
    let map = match first_value(text, &at) {
        Some(Value::Object(map)) => map,
        Some(other) => {
            at.wrong_type(&other, "an object with sections such as \"main\"");
            return source;
        }
        None => return source,
    };
    source.readable = true;
    for (name, value) in &map {
        let included = include_of(name);
        let at = at.key(name);
        let part = match included {
            Some(section) if map.contains_key(section) => {
                at.error(format!("section {section:?} is there as well; remove one of them"));
                None
            }
            Some(section) => include(section, value, directory, &at),
            None => Some(Part { name: name.clone(), file: file.to_owned(), value: value.clone() }),
        };
        source.parts.extend(part);
    }
    for part in source.parts.iter_mut().filter(|part| OWN_SECTIONS.contains(&part.name.as_str())) {
        let at = At::new(findings, &part.file, part.name.clone());
        part.value = resolve(&part.value, env, &at);
    }
    hint_at_old_layout(&map, &at);
    source
}

/// The first JSON value; what follows is ignored, as the reference does.
fn first_value(text: &str, at: &At<'_>) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let first = values.next();
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    match first {
        None => {
            at.error("is empty, expected an object with sections such as \"main\"");
            None
        }
        Some(Err(error)) if text.starts_with('\u{feff}') => {
            at.error(format!("is not JSON: starts with a byte order mark: {error}"));
            None
        }
        Some(Err(error)) => {
            at.error(format!("is not JSON: {error}"));
            None
        }
        Some(Ok(value)) => {
            if !rest.trim().is_empty() {
                at.warn("text after the closing brace is ignored");
            }
            Some(value)
        }
    }
}

/// The section that `<name>-file` stands for. The reference knows names of one word; we also those of ours and
/// the metric stores'.
fn include_of(key: &str) -> Option<&str> {
    let name = key.strip_suffix("-file")?;
    let known = REFERENCE_SECTIONS.contains(&name) || OWN_SECTIONS.contains(&name);
    (known || !name.is_empty() && !name.contains('-')).then_some(name)
}

fn include(section: &str, value: &Value, directory: Option<&Path>, at: &At<'_>) -> Option<Part> {
    let Some(named) = value.as_str() else {
        at.wrong_type(value, "the path of a file");
        return None;
    };
    let mut path = PathBuf::from(named);
    if path.is_relative() && !path.is_file() {
        let beside = directory.map(|directory| directory.join(&path)).filter(|beside| beside.is_file());
        path = beside.unwrap_or(path);
    }
    let file = path.display().to_string();
    match read_text(&path) {
        Err(error) => {
            at.warn(format!("{file} cannot be read, section {section:?} counts as missing: {error}"));
            None
        }
        Ok(text) => {
            let inner = At::new(at.findings, &file, "");
            let value = first_value(&text, &inner)?;
            Some(Part { name: section.to_owned(), file, value })
        }
    }
}

/// Replaces `{"$env": "NAME"}` and `{"$file": "PATH"}` by the value of the variable or the content of the file.
fn resolve(value: &Value, env: &dyn Env, at: &At<'_>) -> Value {
    match value {
        Value::Array(values) => {
            let each = values.iter().enumerate().map(|(index, value)| resolve(value, env, &at.index(index)));
            Value::Array(each.collect())
        }
        Value::Object(map) => match only_entry(map) {
            Some(("$env", Value::String(name))) => env.get(name).map_or_else(
                || {
                    at.error(format!("environment variable {name} is not set"));
                    Value::Null
                },
                Value::String,
            ),
            Some(("$file", Value::String(path))) => read_text(Path::new(path)).map_or_else(
                |error| {
                    at.error(format!("{path} cannot be read: {error}"));
                    Value::Null
                },
                |text| Value::String(text.trim_end_matches(['\n', '\r']).to_owned()),
            ),
            _ => Value::Object(
                map.iter().map(|(key, value)| (key.clone(), resolve(value, env, &at.key(key)))).collect(),
            ),
        },
        other => other.clone(),
    }
}

fn only_entry(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Some((key.as_str(), value)),
        _ => None,
    }
}

/// Recognises the layouts before 1.5 and says what became of them (config-and-cli.md 13.6, deployment.md 5.2).
fn hint_at_old_layout(map: &Map<String, Value>, at: &At<'_>) {
    if map.contains_key("main") || map.contains_key("main-file") {
        return;
    }
    let has = |keys: &[&str]| keys.iter().any(|key| map.contains_key(*key));
    if has(&["http-api", "checkpoints"]) {
        at.error(
            "is a configuration of cc-metric-store before 1.5: http-api.address is now main.addr, its certificates \
             main.https-cert-file and main.https-key-file, jwt-public-key is main.jwt-public-key, checkpoints.directory \
             is metric-store.checkpoints.directory, checkpoints.interval metric-store.checkpoint-interval, archive \
             metric-store.cleanup, retention-in-memory metric-store.retention-in-memory, nats[].subscriptions \
             metric-store.nats-subscriptions",
        );
    } else if has(&["addr", "clusters", "jwts", "ldap", "db", "apiAllowedIPs", "static-files"]) {
        at.error(
            "is a configuration of cc-backend before 1.5: general keys are now in section main, jwts, ldap and oidc in \
             section auth, clusters are described in the archive only, and keys are in kebab case",
        );
    }
}
