//! The beginning of a line: which cluster, host and series it is about, or why it is passed over.

use std::borrow::Cow;

use super::report::Reason;
use super::{Ingest, NAME_BYTES_MAX, Text};
use crate::line::head::{self, Tags};
use crate::line::tail;
use crate::line::{LineError, Wrong};
use crate::registry::Rule;

/// A line's metric and tags, resolved.
pub(super) struct Head<'a> {
    pub(super) cluster: Cow<'a, str>,
    pub(super) host: Cow<'a, str>,
    pub(super) metric: Cow<'a, str>,
    pub(super) tags: Tags<'a>,
    pub(super) rule: Rule,
    /// The line has no cluster tag.
    pub(super) needs_default: bool,
    /// Offset of the space behind the tags.
    pub(super) end: usize,
}

/// What became of a line's beginning.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once per line that no cache knows: a box would cost more"
)]
pub(super) enum Begun<'a> {
    /// A series of a configured metric.
    Head(Head<'a>),
    /// Refused or ignored; goes on here.
    Passed {
        /// Where the next line begins.
        next: usize,
        /// Ignored because its metric is unknown: may be remembered.
        unknown: Option<Unknown>,
    },
    /// Its end has not come yet.
    Incomplete,
}

/// A line of a metric that is not configured.
#[derive(Clone, Copy)]
pub(super) struct Unknown {
    /// It is so only for lines of the default cluster.
    pub(super) needs_default: bool,
}

impl Ingest {
    /// Reads metric and tags of the line at `at`.
    pub(super) fn begin<'a>(&mut self, text: Text<'a>, at: usize) -> Begun<'a> {
        let (metric, behind) = match head::metric(text.bytes, at) {
            Ok(found) => found,
            Err(error) => return self.passed_broken(text, at, &error),
        };
        if !self.registry.knows(&metric) {
            return self.passed_unknown(text, at, behind, false);
        }
        let (mut tags, end) = match head::tags(text.bytes, behind) {
            Ok(found) => found,
            Err(error) => return self.passed_broken(text, at, &error),
        };
        let needs_default = tags.cluster.is_none();
        let cluster = tags.cluster.take().unwrap_or_else(|| self.default_cluster.clone().into());
        let host = tags.host.take().unwrap_or_default();
        if !is_place(&cluster) || !is_place(&host) || tags.longest() > NAME_BYTES_MAX {
            let example = || format!("of host {host:?} in cluster {cluster:?}");
            return self.passed(text, at, end, Reason::BadName, example);
        }
        match self.registry.rule(&cluster, &metric) {
            None => self.passed_unknown(text, at, end, needs_default),
            Some(rule) => Begun::Head(Head { cluster, host, metric, tags, rule, needs_default, end }),
        }
    }

    fn passed_broken<'a>(&mut self, text: Text<'a>, at: usize, error: &LineError<'_>) -> Begun<'a> {
        self.refuse_broken(text, at, error);
        Begun::Passed { next: tail::behind_line(text.bytes, error.at), unknown: None }
    }

    /// A line whose metric is not configured; only its end matters.
    fn passed_unknown<'a>(
        &mut self,
        text: Text<'a>,
        at: usize,
        behind: usize,
        needs_default: bool,
    ) -> Begun<'a> {
        let end = head::end(text.bytes, at).unwrap_or(behind);
        match skipped(text, end) {
            None => Begun::Incomplete,
            Some(next) => {
                self.refuse(Reason::UnknownMetric, text, at, String::new);
                Begun::Passed { next, unknown: Some(Unknown { needs_default }) }
            }
        }
    }

    /// A line that is refused for the place it names, unless it is broken besides.
    pub(super) fn passed<'a>(
        &mut self,
        text: Text<'a>,
        at: usize,
        end: usize,
        reason: Reason,
        example: impl FnOnce() -> String,
    ) -> Begun<'a> {
        let next = match tail::full(text.bytes, end) {
            Ok(tail) => {
                self.refuse(reason, text, at, example);
                tail.next
            }
            Err((LineError { wrong: Wrong::OpenString { .. }, .. }, _)) if !text.last => {
                return Begun::Incomplete;
            }
            Err((error, next)) => {
                self.refuse_broken(text, at, &error);
                next
            }
        };
        Begun::Passed { next, unknown: None }
    }
}

/// Where the line goes on that follows one that is not wanted, whose tags end at `end`; `None`: its end has not come yet.
pub(super) fn skipped(text: Text<'_>, end: usize) -> Option<usize> {
    tail::skip(text.bytes, end).or_else(|| text.last.then(|| tail::behind_line(text.bytes, end)))
}

/// Whether a name can be a cluster or a host: it must be able to name a directory of the reference.
pub(crate) fn is_place(name: &str) -> bool {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    fits && name != "." && !name.contains("..") && memchr::memchr2(b'/', b'\\', name.as_bytes()).is_none()
}
