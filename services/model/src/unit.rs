//! Units of metrics (job-archive.md 6): a free base and an SI prefix. Values are never rescaled.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A unit such as `{"base":"B/s","prefix":"G"}`. Any text is accepted, as production files need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Unit {
    /// The base, e.g. `F/s`, `B`, `W`; empty for numbers without a unit.
    pub base: String,
    /// The prefix, e.g. `G`; empty for none (then not written).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

impl Unit {
    /// A unit from its two parts.
    pub fn new(base: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self { base: base.into(), prefix: prefix.into() }
    }

    /// The factor of the prefix (`K` 1e3 … `E` 1e18, `m` 1e-3 …, `Ki` 2^10 …; none 1), or nothing if it is unknown.
    pub fn factor(&self) -> Option<f64> {
        Some(match self.prefix.as_str() {
            "" => 1.0,
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "K" | "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1024.0_f64.powi(2),
            "Gi" => 1024.0_f64.powi(3),
            "Ti" => 1024.0_f64.powi(4),
            _ => return None,
        })
    }
}

/// Prefix and base together, as the UI prints it: `GB/s`.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_prefix_is_not_written() {
        assert_eq!(serde_json::to_string(&Unit::new("B/s", "G")).unwrap(), r#"{"base":"B/s","prefix":"G"}"#);
        assert_eq!(serde_json::to_string(&Unit::new("°C", "")).unwrap(), r#"{"base":"°C"}"#);
        assert_eq!(Unit::new("B/s", "G").to_string(), "GB/s");
    }

    #[test]
    fn prefixes_have_factors() {
        assert_eq!(Unit::new("W", "M").factor(), Some(1e6));
        assert_eq!(Unit::new("W", "m").factor(), Some(1e-3));
        assert_eq!(Unit::new("B", "Gi").factor(), Some(1_073_741_824.0));
        assert_eq!(Unit::new("W", "x").factor(), None);
    }
}
