//! Names that come from outside and end up in paths, SQL, URLs and selectors, checked once at the border.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// Why a text is not usable as a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("the {kind} name is empty")]
    Empty {
        /// What was to be named.
        kind: &'static str,
    },
    /// More bytes than allowed.
    #[error("the {kind} name has {length} bytes, more than {limit}")]
    TooLong {
        /// What was to be named.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A character that must not be in such a name.
    #[error("the {kind} name {name:?} contains {character:?}")]
    Character {
        /// What was to be named.
        kind: &'static str,
        /// The text.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// `.`, `..` or a leading dot: would name another or a hidden directory.
    #[error("the {kind} name {name:?} starts with a dot")]
    LeadingDot {
        /// What was to be named.
        kind: &'static str,
        /// The text.
        name: String,
    },
}

/// What a kind of name forbids.
struct Rule {
    kind: &'static str,
    limit: usize,
    leading_dot: bool,
    allowed: fn(char) -> bool,
}

impl Rule {
    fn check(&self, name: &str) -> Result<(), NameError> {
        let kind = self.kind;
        if name.is_empty() {
            return Err(NameError::Empty { kind });
        }
        if name.len() > self.limit {
            return Err(NameError::TooLong { kind, length: name.len(), limit: self.limit });
        }
        if let Some(character) = name.chars().find(|c| !(self.allowed)(*c)) {
            return Err(NameError::Character { kind, name: name.to_owned(), character });
        }
        if !self.leading_dot && name.starts_with('.') {
            return Err(NameError::LeadingDot { kind, name: name.to_owned() });
        }
        Ok(())
    }
}

/// No separators of paths, no control characters (NUL among them), no blanks.
fn path_safe(c: char) -> bool {
    !c.is_control() && !c.is_whitespace() && c != '/' && c != '\\'
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            const RULE: Rule = $rule;

            /// Checks a text and makes it a name.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                Self::RULE.check(&name)?;
                Ok(Self(name))
            }

            /// Tells whether a text would do, without taking it.
            pub fn check(name: &str) -> Result<(), NameError> {
                Self::RULE.check(name)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, given away.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $type {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A cluster: names a directory of the archive, so no separators, no leading dot, at most 128 bytes.
    ClusterName,
    Rule { kind: "cluster", limit: 128, leading_dot: false, allowed: path_safe }
);
name!(
    /// A host: a label of selectors and node lists, at most 255 bytes.
    HostName,
    Rule { kind: "host", limit: 255, leading_dot: false, allowed: path_safe }
);
name!(
    /// A metric: key of footprints and columns, at most 255 bytes.
    MetricName,
    Rule { kind: "metric", limit: 255, leading_dot: false, allowed: path_safe }
);
name!(
    /// A user's login name, at most 255 bytes; blanks inside and dots are allowed, separators of paths are not.
    UserName,
    Rule { kind: "user", limit: 255, leading_dot: true, allowed: |c| !c.is_control() && c != '/' && c != '\\' }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field_are_fine() {
        for name in ["fritz", "my-cluster_2", "a0101.rrze.uni-erlangen.de", "ü"] {
            assert!(ClusterName::new(name).is_ok(), "{name}");
            assert!(HostName::new(name).is_ok(), "{name}");
        }
        assert!(MetricName::new("flops_any").is_ok());
        assert!(UserName::new("john.doe@example.org").is_ok());
        assert!(UserName::new(".hidden").is_ok());
    }

    #[test]
    fn traversal_nul_blank_and_length_are_refused() {
        for name in ["", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", "a b", ".git"] {
            assert!(ClusterName::new(name).is_err(), "{name:?}");
            assert!(HostName::new(name).is_err(), "{name:?}");
            assert!(MetricName::new(name).is_err(), "{name:?}");
        }
        assert!(UserName::new("a\0").is_err());
        assert!(UserName::new("../etc").is_err());
        assert_eq!(
            ClusterName::new("x".repeat(129)),
            Err(NameError::TooLong { kind: "cluster", length: 129, limit: 128 })
        );
        assert_eq!(HostName::new("a/b").unwrap_err().to_string(), "the host name \"a/b\" contains '/'");
    }

    #[test]
    fn decoding_checks_too() {
        assert!(serde_json::from_str::<HostName>("\"n1\"").is_ok());
        assert!(serde_json::from_str::<HostName>("\"../n1\"").is_err());
        assert_eq!(serde_json::to_string(&HostName::new("n1").unwrap()).unwrap(), "\"n1\"");
    }
}
