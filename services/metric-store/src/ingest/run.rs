//! The lines of one host that follow each other, taken under the host's lock.

use std::sync::Arc;

use super::begin::{Begun, Head, Unknown, skipped};
use super::report::Reason;
use super::{Ingest, Run, STAGED_MAX, Text, first_word};
use crate::host::lines::{LineId, Meaning};
use crate::host::{Host, HostData, SeriesKey};
use crate::line::head;
use crate::line::tail::{self, LastTime, Tail};
use crate::line::{LineError, Wrong};
use crate::log::record::Sample;
use crate::value;

/// Samples further in the future are refused: they come from a wrong clock.
pub(crate) const AHEAD_MAX: i64 = 3600;

/// Why the lines of one host came to an end.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once per line that no cache knows: a box would cost more"
)]
pub(super) enum Left<'a> {
    /// Another host's line follows.
    Other(Head<'a>, usize),
    /// Goes on here; there may be enough samples to commit.
    Here(usize),
    /// The text ends here.
    End(usize),
}

/// The host whose lines are being read.
struct OfHost<'a> {
    host: &'a Arc<Host>,
    data: &'a mut HostData,
    /// The line read last.
    last: Option<LineId>,
    /// Lines without cluster tag are this host's cluster's.
    default_fits: bool,
    /// Older samples are refused.
    oldest: i64,
}

impl OfHost<'_> {
    fn is(&self, head: &Head<'_>) -> bool {
        head.host == *self.host.key.host && head.cluster == *self.host.key.cluster
    }

    /// What the host's cache knows about the line at `at`: end of its tags and meaning.
    #[inline]
    fn cached(&mut self, text: Text<'_>, at: usize) -> Option<(usize, Meaning)> {
        let line = text.bytes.get(at..)?;
        if let Some(last) = self.last
            && let Some((id, length, meaning)) = self.data.lines.expected(last, line, self.default_fits)
        {
            self.last = Some(id);
            return Some((at + length, meaning));
        }
        let end = head::end(text.bytes, at)?;
        let (id, meaning) = self.data.lines.find(self.last, text.bytes.get(at..end)?, self.default_fits)?;
        self.last = Some(id);
        Some((end, meaning))
    }

    fn remember(&mut self, raw: &[u8], meaning: Meaning, needs_default: bool) {
        let columns = self.data.columns();
        let id = self.data.lines.remember(self.last, raw, meaning, needs_default, columns);
        self.last = id.or(self.last);
    }

    fn remember_unknown(&mut self, text: Text<'_>, at: usize, unknown: Option<Unknown>) {
        if let Some((unknown, end)) = unknown.zip(head::end(text.bytes, at)) {
            self.remember(
                text.bytes.get(at..end).unwrap_or_default(),
                Meaning::Ignored,
                unknown.needs_default,
            );
        }
    }
}

impl Ingest {
    /// Takes the lines from `at` on as long as they are of one host, that of `first`, the line at `at`.
    pub(super) fn host_lines<'a>(
        &mut self,
        text: Text<'a>,
        at: usize,
        first: Head<'a>,
        time: &mut LastTime,
    ) -> Left<'a> {
        let Some(host) = self.store.host_or_new(&first.cluster, &first.host) else {
            let example = || format!("of host {}", first.host);
            return match self.passed(text, at, first.end, Reason::MemoryCap, example) {
                Begun::Passed { next, .. } => Left::Here(self.next_line(text, at, next)),
                _ => Left::End(at),
            };
        };
        let mut data = host.data();
        data.lines.renew(self.registry.generation);
        let mut of_host = OfHost {
            host: &host,
            data: &mut data,
            last: None,
            default_fits: self.default_cluster == *host.key.cluster,
            oldest: self.store.oldest_taken(&host.key, self.now),
        };
        let left = self.run(text, at, first, time, &mut of_host);
        drop(data);
        let end = self.staged.len();
        match self.runs.last_mut() {
            Some(run) if Arc::ptr_eq(&run.host, &host) => run.end = end,
            Some(run) if run.end == end => {}
            _ if end == 0 => {}
            _ => self.runs.push(Run { host, end }),
        }
        left
    }

    fn run<'a>(
        &mut self,
        text: Text<'a>,
        mut at: usize,
        first: Head<'a>,
        time: &mut LastTime,
        of_host: &mut OfHost<'_>,
    ) -> Left<'a> {
        let mut known = Some(first);
        while at < text.bytes.len() {
            if self.staged.len() >= STAGED_MAX {
                return Left::Here(at);
            }
            self.begun = self.line;
            let cached = if known.is_none() { of_host.cached(text, at) } else { None };
            let (end, meaning) = if let Some((end, meaning)) = cached {
                (end, Some(meaning))
            } else {
                let head = match known.take().map_or_else(|| self.begin(text, at), Begun::Head) {
                    Begun::Head(head) => head,
                    Begun::Passed { next, unknown } => {
                        of_host.remember_unknown(text, at, unknown);
                        at = self.next_line(text, at, next);
                        continue;
                    }
                    Begun::Incomplete => return Left::End(at),
                };
                if !of_host.is(&head) {
                    return Left::Other(head, at);
                }
                (head.end, self.resolve(text, at, &head, of_host))
            };
            let next = match meaning {
                Some(Meaning::Column(column)) => self.sample(text, at, end, column, time, of_host),
                meaning => self.ignore(text, at, end, meaning),
            };
            match next {
                Some(next) => at = next,
                None => return Left::End(at),
            }
        }
        Left::End(at)
    }

    /// A line whose metric is not configured, or that was refused just now (`None`). Returns where the next line begins.
    fn ignore(&mut self, text: Text<'_>, at: usize, end: usize, meaning: Option<Meaning>) -> Option<usize> {
        let next = skipped(text, end)?;
        if meaning.is_some() {
            self.refuse(Reason::UnknownMetric, text, at, String::new);
        }
        Some(self.next_line(text, at, next))
    }

    /// The series of a line seen for the first time, which is remembered. `None`: it would be a new series and memory is at its cap.
    fn resolve(
        &mut self,
        text: Text<'_>,
        at: usize,
        head: &Head<'_>,
        of_host: &mut OfHost<'_>,
    ) -> Option<Meaning> {
        let raw = text.bytes.get(at..head.end).unwrap_or_default();
        if let Some((id, meaning)) = of_host.data.lines.find(of_host.last, raw, of_host.default_fits) {
            of_host.last = Some(id);
            return Some(meaning);
        }
        let key = SeriesKey {
            metric: self.store.names().number(&head.metric),
            interval: head.rule.interval,
            component: &head.tags.component(),
            sub_component: &head.tags.sub_component(),
        };
        if of_host.data.find(key).is_none() && !self.store.takes_new_series() {
            self.refuse(Reason::MemoryCap, text, at, || format!("of host {}", head.host));
            return None;
        }
        let meaning = Meaning::Column(of_host.data.column(key));
        of_host.remember(raw, meaning, head.needs_default);
        Some(meaning)
    }

    /// Takes value and time of a line. Returns where the next line begins; `None`: this line's end has not come yet.
    #[inline]
    fn sample(
        &mut self,
        text: Text<'_>,
        at: usize,
        end: usize,
        column: u32,
        time: &mut LastTime,
        of_host: &OfHost<'_>,
    ) -> Option<usize> {
        let tail = match tail::plain(text.bytes, end, time) {
            Some(tail) => {
                self.line += 1;
                tail
            }
            None => match self.slow_tail(text, at, end, of_host)? {
                Ok(tail) => tail,
                Err(next) => return Some(self.next_line(text, at, next)),
            },
        };
        let time = tail.time.unwrap_or(self.now);
        if time < of_host.oldest || time > self.now + AHEAD_MAX {
            let reason = if time < of_host.oldest { Reason::TooOld } else { Reason::TooNew };
            self.refuse(reason, text, at, || format!("of host {}, time {time}", of_host.host.key.host));
        } else {
            self.staged.push(Sample { column, time, value: value::settle(tail.value) });
        }
        Some(head::next_line(text.bytes, tail.next, &mut self.line))
    }

    /// A tail that is not of the common form. `Some(Err(next))`: refused, goes on there; `None`: its end has not come yet.
    #[cold]
    fn slow_tail(
        &mut self,
        text: Text<'_>,
        at: usize,
        end: usize,
        of_host: &OfHost<'_>,
    ) -> Option<Result<Tail, usize>> {
        match tail::full(text.bytes, end) {
            Ok(tail) => {
                let passed = text.bytes.get(at..tail.next).unwrap_or_default();
                self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
                Some(Ok(tail))
            }
            Err((LineError { wrong: Wrong::OpenString { .. }, .. }, _)) if !text.last => None,
            Err((error, next)) if error.wrong.is_type_error() => {
                let host = &of_host.host.key.host;
                let line = self.number_of(self.line);
                let message = || format!("host {host}: {} at line {line}", error.wrong);
                self.report.refuse(self.number_of(self.begun), Reason::ValueType, Some(&message), || {
                    format!("metric {} of host {host}", first_word(text.bytes, at))
                });
                Some(Err(next))
            }
            Err((error, next)) => {
                self.refuse_broken(text, at, &error);
                Some(Err(next))
            }
        }
    }
}
