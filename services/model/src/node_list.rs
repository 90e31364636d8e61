//! Host list expressions (cluster-config.md 8): `f[0101-0188,0201-0288],w0[1,3],n[1-4]c[0-1]-ib`.
//!
//! A superset of the reference's grammar: whatever it accepts means the same here. Beyond it: single numbers in
//! brackets, unpadded ranges of different widths, `_`, `.` and `-` in names, blanks and empty terms between commas,
//! several brackets that expand as a product, and matching that does not depend on the order of ranges.
//!
//! ```
//! use cc_model::node_list::NodeList;
//! let list: NodeList = "a[08-10],b1".parse().unwrap();
//! assert!(list.contains("a09") && !list.contains("a9"));
//! assert_eq!(list.expand(100).unwrap(), ["a08", "a09", "a10", "b1"]);
//! assert_eq!(cc_model::node_list::compress(["a10", "a08", "a09", "b1"]), "a[08-10],b1");
//! ```

mod compress;
mod matching;
mod parse;

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

pub use compress::compress;

/// A parsed host list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeList {
    text: String,
    terms: Vec<Term>,
}

/// One comma-separated part: pieces that a host name consists of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Ranges(Vec<Range>),
}

/// Numbers `low..=high`, written with exactly `width` digits, or without padding if there is no width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    low: u64,
    high: u64,
    width: Option<usize>,
}

/// Why a text is not a host list, and at which byte of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node list {text:?}, position {at}: {reason}")]
pub struct NodeListError {
    /// The whole text.
    pub text: String,
    /// Byte offset of the offending part.
    pub at: usize,
    /// What is wrong.
    pub reason: Reason,
}

/// What can be wrong in a host list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A character outside of the grammar, or in the wrong place.
    #[error("invalid character: {0:?}")]
    Character(char),
    /// `[` without its `]`.
    #[error("'[' is never closed")]
    Unclosed,
    /// An item in brackets that is neither a number nor a range.
    #[error("{0:?} is neither a number nor a range of numbers")]
    Item(String),
    /// Bounds of different width where one is padded (or the first is the longer one).
    #[error("the bounds of {0:?} must have the same number of digits")]
    Width(String),
    /// More digits than a number here may have.
    #[error("{0:?} has more than 18 digits")]
    TooLarge(String),
}

/// An expansion that would be larger than the caller's bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node list names {count} hosts, more than {limit}")]
pub struct TooManyHosts {
    /// How many hosts it names.
    pub count: u64,
    /// The bound.
    pub limit: usize,
}

impl NodeList {
    /// Reads an expression. Nothing between commas is ignored; the empty text is the empty list.
    pub fn parse(text: &str) -> Result<Self, NodeListError> {
        parse::parse(text)
    }

    /// Tells whether the list names this host. Case matters.
    pub fn contains(&self, host: &str) -> bool {
        self.terms.iter().any(|term| matching::matches(term, host.as_bytes()))
    }

    /// How many hosts are named, duplicates counted as often as they are named.
    pub fn count(&self) -> u64 {
        self.terms.iter().fold(0, |sum, term| sum.saturating_add(term.count()))
    }

    /// Tells whether no host is named.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// All hosts in the order of the list, duplicates included; an error if there are more than `limit`.
    pub fn expand(&self, limit: usize) -> Result<Vec<String>, TooManyHosts> {
        let count = self.count();
        if usize::try_from(count).map_or(true, |n| n > limit) {
            return Err(TooManyHosts { count, limit });
        }
        Ok(self.terms.iter().flat_map(Term::expand).collect())
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Term {
    fn count(&self) -> u64 {
        self.pieces.iter().fold(1, |product: u64, piece| product.saturating_mul(piece.count()))
    }

    fn expand(&self) -> Vec<String> {
        self.pieces.iter().fold(vec![String::new()], |heads, piece| match piece {
            Piece::Text(text) => heads.into_iter().map(|head| head + text).collect(),
            Piece::Ranges(ranges) => heads
                .iter()
                .flat_map(|head| ranges.iter().flat_map(move |range| range.expand(head)))
                .collect(),
        })
    }
}

impl Piece {
    fn count(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Ranges(ranges) => ranges.iter().fold(0, |sum, range| sum.saturating_add(range.count())),
        }
    }
}

impl Range {
    fn count(&self) -> u64 {
        if self.low > self.high { 0 } else { self.high - self.low + 1 }
    }

    fn expand(self, head: &str) -> impl Iterator<Item = String> + '_ {
        let width = self.width.unwrap_or(0);
        (self.low..=self.high).map(move |n| format!("{head}{n:0width$}"))
    }
}

impl FromStr for NodeList {
    type Err = NodeListError;

    fn from_str(text: &str) -> Result<Self, NodeListError> {
        Self::parse(text)
    }
}

impl fmt::Display for NodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for NodeList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
