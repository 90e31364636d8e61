//! Reading one JSON object key by key: types, unknown keys, hints.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use cc_model::duration::{self, DurationError};
use serde_json::{Map, Value};

use super::problem::At;

/// How the reference reads a section, as far as a site can notice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// A key that nobody knows ends the program (`main`, `metric-store`); else it is a warning.
    pub(super) strict: bool,
    /// `null` is a wrong type (sections with a schema); else it is an absent key.
    pub(super) null_is_wrong: bool,
}

impl Rules {
    /// Sections that refuse unknown keys.
    pub(super) const STRICT: Self = Self { strict: true, null_is_wrong: true };
    /// Sections with a schema that allows unknown keys.
    pub(super) const SCHEMA: Self = Self { strict: false, null_is_wrong: true };
    /// The others, and ours.
    pub(super) const LAX: Self = Self { strict: false, null_is_wrong: false };
}

/// One object of the file. Names are compared without regard to ASCII case, as Go decodes them; of several that
/// differ in case only, the last counts.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) at: At<'a>,
    map: &'a Map<String, Value>,
    rules: Rules,
    known: RefCell<Vec<&'static str>>,
    hints: &'static [(&'static str, &'static str)],
}

impl<'a> Section<'a> {
    /// The value as an object, or a finding.
    pub(super) fn new(value: &'a Value, at: At<'a>, rules: Rules) -> Option<Self> {
        let Value::Object(map) = value else {
            at.wrong_type(value, "an object");
            return None;
        };
        Some(Self { at, map, rules, known: RefCell::default(), hints: &[] })
    }

    /// Adds what to say about particular unknown keys.
    pub(super) fn with_hints(mut self, hints: &'static [(&'static str, &'static str)]) -> Self {
        self.hints = hints;
        self
    }

    /// The value of a key.
    pub(super) fn value(&self, key: &'static str) -> Option<(&'a Value, At<'a>)> {
        self.known.borrow_mut().push(key);
        let (_, value) = self.map.iter().rfind(|(name, _)| name.eq_ignore_ascii_case(key))?;
        if value.is_null() && !self.rules.null_is_wrong { None } else { Some((value, self.at.key(key))) }
    }

    /// The value of a key as a `T`; `None` when absent, or wrong and reported.
    pub(super) fn get<T: Decode>(&self, key: &'static str) -> Option<T> {
        self.value(key).and_then(|(value, at)| T::decode(value, &at))
    }

    /// The value of a key that must be there.
    pub(super) fn need<T: Decode>(&self, key: &'static str) -> Option<T> {
        let found = self.value(key);
        if found.is_none() {
            self.at.key(key).error(format!("missing; expected {}", T::EXPECTED));
        }
        found.and_then(|(value, at)| T::decode(value, &at))
    }

    /// Overwrites `target` if the key is there.
    pub(super) fn set<T: Decode>(&self, key: &'static str, target: &mut T) {
        if let Some(value) = self.get(key) {
            *target = value;
        }
    }

    /// As [`Section::set`] for a text that may be empty, which means absent.
    pub(super) fn set_text<T: From<String>>(&self, key: &'static str, target: &mut Option<T>) {
        if let Some(text) = self.get::<String>(key) {
            *target = (!text.is_empty()).then(|| T::from(text));
        }
    }

    /// A number where 0 and less mean the default.
    pub(super) fn set_positive<T: Decode>(&self, key: &'static str, target: &mut T) {
        let Some((value, at)) = self.value(key) else { return };
        if i64::decode(value, &at).is_some_and(|number| number > 0)
            && let Some(number) = T::decode(value, &at)
        {
            *target = number;
        }
    }

    /// A period where an unreadable text or 0 switches the task off, as the reference does, with a warning.
    pub(super) fn set_period(&self, key: &'static str, target: &mut Option<Duration>) {
        let Some((value, at)) = self.value(key) else { return };
        let Some(text) = String::decode(value, &at) else { return };
        *target = match duration::parse(&text) {
            Ok(Duration::ZERO) | Err(DurationError::Negative(_)) => {
                at.warn("no time at all: the task is off");
                None
            }
            Ok(period) => Some(period),
            Err(error) => {
                at.warn(format!("{error}: the task is off"));
                None
            }
        };
    }

    /// The object of a key.
    pub(super) fn object(&self, key: &'static str) -> Option<Section<'a>> {
        self.value(key).and_then(|(value, at)| Section::new(value, at, self.rules))
    }

    /// The list of a key, element by element.
    pub(super) fn list(&self, key: &'static str) -> Vec<(&'a Value, At<'a>)> {
        match self.value(key) {
            None => Vec::new(),
            Some((Value::Array(values), at)) => {
                values.iter().enumerate().map(|(index, value)| (value, at.index(index))).collect()
            }
            Some((other, at)) => {
                at.wrong_type(other, "a list");
                Vec::new()
            }
        }
    }

    /// The objects of a list.
    pub(super) fn objects(&self, key: &'static str) -> Vec<Section<'a>> {
        let rules = self.rules;
        self.list(key).into_iter().filter_map(|(value, at)| Section::new(value, at, rules)).collect()
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let (value, at) = self.value(key)?;
        let text = String::decode(value, &at)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            at.error(format!("{} is none of {}", at.shown(value), names.join(", ")));
        }
        found
    }

    /// Every key and its place, for objects whose keys are names of the site.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value, At<'a>)> {
        self.map.iter().map(|(name, value)| (name, value, self.at.key(name)))
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        for name in self.map.keys().filter(|name| !known.iter().any(|key| key.eq_ignore_ascii_case(name))) {
            let hint = self.hints.iter().find(|(key, _)| key == name).map(|(_, hint)| format!("; {hint}"));
            let hint = hint.or_else(|| nearest(name, &known).map(|key| format!("; did you mean {key:?}?")));
            let hint = hint.unwrap_or_default();
            let at = self.at.key(name);
            if self.rules.strict {
                at.error(format!("unknown key{hint}"));
            } else {
                at.warn(format!("unknown key, ignored{hint}"));
            }
        }
    }
}

/// A type that a value can have.
pub(super) trait Decode: Sized {
    /// What to say one expected.
    const EXPECTED: &'static str;

    /// The value, or a finding.
    fn decode(value: &Value, at: &At<'_>) -> Option<Self>;
}

impl Decode for bool {
    const EXPECTED: &'static str = "true or false";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        let found = value.as_bool();
        if found.is_none() {
            at.wrong_type(value, Self::EXPECTED);
        }
        found
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "a text";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        let found = value.as_str().map(str::to_owned);
        if found.is_none() {
            at.wrong_type(value, Self::EXPECTED);
        }
        found
    }
}

impl Decode for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        String::decode(value, at).map(Self::from)
    }
}

impl Decode for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        let found = value.as_i64();
        if found.is_none() {
            at.wrong_type(value, Self::EXPECTED);
        }
        found
    }
}

/// A whole number from 0 to the largest of its type.
macro_rules! decode_unsigned {
    ($($number:ty),*) => {$(
        impl Decode for $number {
            const EXPECTED: &'static str = "a whole number, 0 or more";

            fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
                let number = i64::decode(value, at)?;
                let found = Self::try_from(number).ok();
                if found.is_none() {
                    at.error(format!("{number} is out of range, expected 0 to {}", Self::MAX));
                }
                found
            }
        }
    )*};
}

decode_unsigned!(u16, u32, u64, usize);

impl<T: Decode> Decode for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        T::decode(value, at).map(Some)
    }
}

impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        let Value::Array(values) = value else {
            at.wrong_type(value, Self::EXPECTED);
            return None;
        };
        values.iter().enumerate().map(|(index, value)| T::decode(value, &at.index(index))).collect()
    }
}

/// A Go duration; an unreadable one ends the program.
impl Decode for Duration {
    const EXPECTED: &'static str = "a duration such as \"90s\", \"5m\" or \"1h30m\"";

    fn decode(value: &Value, at: &At<'_>) -> Option<Self> {
        let text = String::decode(value, at)?;
        match duration::parse(&text) {
            Ok(duration) => Some(duration),
            Err(DurationError::Negative(_)) => Some(Self::ZERO),
            Err(error) => {
                at.error(error.to_string());
                None
            }
        }
    }
}

/// The known name that is closest to a wrong one, if any is close.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let name = plain(name);
    let closest = known.iter().map(|key| (distance(&name, &plain(key)), *key)).min()?;
    let (steps, key) = closest;
    (steps <= (1 + key.len() / 4).min(3) && steps < key.len()).then_some(key)
}

/// Levenshtein distance in bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, a) in left.bytes().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let changed = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = changed.min(before + 1).min(*cell + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", "", 0)]
    #[case("abc", "", 3)]
    #[case("", "abc", 3)]
    #[case("kitten", "sitting", 3)]
    #[case("addr", "adr", 1)]
    fn distance_counts_edits(#[case] left: &str, #[case] right: &str, #[case] steps: usize) {
        assert_eq!(distance(left, right), steps);
    }

    #[rstest]
    #[case("adress", Some("address"))]
    #[case("api_allowed_ips", Some("api-allowed-ips"))]
    #[case("apiAllowedIPs", Some("api-allowed-ips"))]
    #[case("foo", None)]
    #[case("x", None)]
    fn hints_are_close(#[case] name: &str, #[case] hint: Option<&str>) {
        assert_eq!(nearest(name, &["address", "api-allowed-ips", "db", "user"]), hint);
    }
}
