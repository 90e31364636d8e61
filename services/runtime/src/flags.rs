//! The command line: Go's flag grammar (config-and-cli.md 6.1) and the flags of each program.
//!
//! `-x` and `--x` are the same; a value follows or is joined by `=`; a boolean takes a value only with `=`; the
//! first other word or `--` ends the flags, and what follows is ignored; of a repeated flag the last counts.

use std::collections::HashMap;
use std::fmt::Write as _;

mod table;

pub use table::{BACKEND, SERVICE, STORE};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, or `=true` and the like.
    Bool,
    /// A text, with its default.
    Text(&'static str),
    /// A text that may be left out (an addition of ours: the next word is taken if it is no flag), with the text
    /// that is meant then.
    Optional(&'static str),
}

/// One flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Name without dashes.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// One sentence for `-help`.
    pub help: &'static str,
}

/// Why parsing ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// `-h` or `-help`: print the usage on standard error and exit 0.
    #[error("help wanted")]
    Help,
    /// A mistake: print it and the usage on standard error and exit 2.
    #[error("{0}")]
    Wrong(String),
}

/// The flags that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    values: HashMap<&'static str, String>,
    defaults: HashMap<&'static str, &'static str>,
}

impl Flags {
    /// Parses the words after the program's name.
    pub fn parse(table: &[Flag], words: impl IntoIterator<Item = String>) -> Result<Self, Stop> {
        let defaults = table.iter().filter_map(|flag| match flag.kind {
            Kind::Text(default) => Some((flag.name, default)),
            Kind::Bool | Kind::Optional(_) => None,
        });
        let mut flags = Self { values: HashMap::new(), defaults: defaults.collect() };
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with('-')) {
            if word == "--" {
                break;
            }
            let stripped = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
            if stripped.is_empty() || stripped.starts_with(['-', '=']) {
                return Err(Stop::Wrong(format!("bad flag syntax: {word}")));
            }
            let (name, joined) = match stripped.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (stripped, None),
            };
            let Some(flag) = table.iter().find(|flag| flag.name == name) else {
                return Err(match name {
                    "h" | "help" => Stop::Help,
                    _ => Stop::Wrong(format!("flag provided but not defined: -{name}")),
                });
            };
            let value = match (flag.kind, joined) {
                (Kind::Bool, None) => "true".to_owned(),
                (Kind::Bool, Some(text)) => boolean(name, &text)?,
                (Kind::Text(_) | Kind::Optional(_), Some(text)) => text,
                (Kind::Text(_), None) => {
                    words.next().ok_or_else(|| Stop::Wrong(format!("flag needs an argument: -{name}")))?
                }
                (Kind::Optional(meant), None) => {
                    words.next_if(|next| !next.starts_with('-')).unwrap_or_else(|| meant.to_owned())
                }
            };
            flags.values.insert(flag.name, value);
        }
        Ok(flags)
    }

    /// Whether a boolean flag is on.
    pub fn on(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| value == "true")
    }

    /// The value of a flag or its default; empty for a flag that is not in the table.
    pub fn text(&self, name: &str) -> &str {
        let default = || self.defaults.get(name).copied();
        self.values.get(name).map(String::as_str).or_else(default).unwrap_or_default()
    }

    /// The value of a flag if there is one; an empty one means that it was not given, as in the reference.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The words Go takes for a boolean.
fn boolean(name: &str, text: &str) -> Result<String, Stop> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".to_owned()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".to_owned()),
        _ => Err(Stop::Wrong(format!("invalid boolean value {text:?} for -{name}: parse error"))),
    }
}

/// The text of `-help`, in the layout of Go.
pub fn usage(program: &str, table: &[Flag]) -> String {
    let mut sorted: Vec<_> = table.iter().collect();
    sorted.sort_by_key(|flag| flag.name);
    let mut text = format!("Usage of {program}:\n");
    for flag in sorted {
        let (takes, default) = match flag.kind {
            Kind::Bool => ("", String::new()),
            Kind::Text("") => (" string", String::new()),
            Kind::Text(default) => (" string", format!(" (default {default:?})")),
            Kind::Optional(meant) => (" [string]", format!(" ({meant:?} if left out)")),
        };
        // Writing into a String does not fail.
        let _written = writeln!(text, "  -{}{takes}\n    \t{}{default}", flag.name, flag.help).is_ok();
    }
    text
}

#[cfg(test)]
mod tests;
