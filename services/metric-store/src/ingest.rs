//! Lines in, samples out: from the text of a batch to the log and the memory of its hosts (spec metric-store.md 3.1, 4).
//!
//! A batch first becomes samples by host (under that host's lock, which its line cache needs), then is committed shard by shard: one
//! write to the log each, then memory. Nothing is acknowledged before [`Ingest::finish`] returns.

use std::sync::Arc;

use self::report::{Reason, Report};
use crate::error::Error;
use crate::host::lines::{LineId, Meaning};
use crate::host::{Host, HostData, SeriesKey};
use crate::line::head::{self, Tags};
use crate::line::tail::{self, LastTime, Tail};
use crate::line::{LINE_BYTES_MAX, LineError, Wrong};
use crate::log::record::Sample;
use crate::registry::{Registry, Rule};
use crate::shard::SHARDS;
use crate::store::Store;
use crate::value;

pub mod report;

/// Samples that are gathered before they are committed; a batch that is larger is committed in parts.
const STAGED_MAX: usize = 8192;

/// Samples further in the future are refused: they come from a wrong clock.
const AHEAD_MAX: i64 = 3600;

/// Longest name of a cluster, host or component, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// One batch of lines on its way into the store.
#[derive(Debug)]
pub struct Ingest {
    store: Arc<Store>,
    registry: Arc<Registry>,
    default_cluster: String,
    now: i64,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    staged: Vec<Sample>,
    runs: Vec<Run>,
    line: u64,
    report: Report,
}

/// Samples of one host that follow each other.
#[derive(Debug)]
struct Run {
    host: Arc<Host>,
    end: usize,
}

/// A line's metric and tags, resolved.
struct Head<'a> {
    cluster: std::borrow::Cow<'a, str>,
    host: std::borrow::Cow<'a, str>,
    metric: std::borrow::Cow<'a, str>,
    component: String,
    sub_component: String,
    rule: Rule,
    /// The line has no cluster tag.
    needs_default: bool,
    /// Offset of the space behind the tags.
    end: usize,
}

/// What became of a line's beginning.
enum Begun<'a> {
    /// A series of a configured metric.
    Head(Head<'a>),
    /// Refused or ignored; goes on here. The flag tells whether it is ignored because its metric is unknown, for the cache.
    Passed { next: usize, unknown: Option<Unknown> },
    /// Its end has not come yet.
    Incomplete,
}

#[derive(Clone, Copy)]
struct Unknown {
    needs_default: bool,
}

/// Why the lines of one host came to an end.
enum Left<'a> {
    /// Another host's line follows.
    Other(Head<'a>, usize),
    /// Goes on here; there may be enough samples to commit.
    Here(usize),
    /// The text ends here.
    End(usize),
}

impl Ingest {
    /// A batch whose lines without cluster tag belong to `default_cluster` (which may be empty: such lines are refused).
    ///
    /// # Errors
    /// [`Error::NotConfigured`] if it is not known which metrics are taken.
    pub fn new(store: &Arc<Store>, default_cluster: &str) -> Result<Self, Error> {
        let registry = store.registry();
        if registry.is_empty() {
            return Err(Error::NotConfigured);
        }
        Ok(Self {
            store: Arc::clone(store),
            registry,
            default_cluster: default_cluster.to_owned(),
            now: store.clock().unix(),
            rest: Vec::new(),
            staged: Vec::new(),
            runs: Vec::new(),
            line: 1,
            report: Report::default(),
        })
    }

    /// Takes the next piece of the text, cut anywhere.
    ///
    /// # Errors
    /// [`Error::Log`]: the log cannot be written; what was not committed yet is not taken.
    pub fn push(&mut self, text: &[u8]) -> Result<(), Error> {
        if self.rest.is_empty() {
            return self.push_lines(text);
        }
        // Complete the line that was begun; what follows need not be copied.
        let end = memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1);
        let (first, others) = text.split_at_checked(end).unwrap_or((text, &[]));
        let mut line = std::mem::take(&mut self.rest);
        line.extend_from_slice(first);
        self.push_lines(&line)?;
        if self.rest.is_empty() {
            return self.push_lines(others);
        }
        // A text with line feeds in it is still open.
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(others);
        self.push_lines(&rest)
    }

    fn push_lines(&mut self, text: &[u8]) -> Result<(), Error> {
        let whole = memchr::memrchr(b'\n', text).map_or(0, |end| end + 1);
        let taken = self.lines(text.get(..whole).unwrap_or_default(), false)?;
        self.rest = text.get(taken..).unwrap_or_default().to_vec();
        if self.rest.len() > LINE_BYTES_MAX {
            let error = LineError { at: 0, wrong: Wrong::TooLong };
            let text = std::mem::take(&mut self.rest);
            self.refuse(Reason::Syntax, &text, 0, Some(&error), "");
        }
        Ok(())
    }

    /// Takes what is left as the last line, and commits everything.
    ///
    /// # Errors
    /// As [`Ingest::push`]; [`Error::MemoryCap`] if lines were refused because they would begin new series (the others are taken).
    pub fn finish(mut self) -> Result<Report, Error> {
        let rest = std::mem::take(&mut self.rest);
        self.lines(&rest, true)?;
        self.commit()?;
        let report = std::mem::take(&mut self.report);
        report.count(&self.store);
        match report.refused(Reason::MemoryCap) {
            0 => Ok(report),
            refused => Err(Error::MemoryCap { refused }),
        }
    }

    /// Commits whole lines and drops the beginning of an unfinished one: the sender broke off.
    ///
    /// # Errors
    /// As [`Ingest::finish`].
    pub fn break_off(mut self) -> Result<Report, Error> {
        self.rest.clear();
        self.finish()
    }

    /// Takes the lines of `text`, which ends behind a line unless it is the last; returns how far it got.
    fn lines(&mut self, text: &[u8], last: bool) -> Result<usize, Error> {
        let mut time = LastTime::default();
        let mut at = head::next_line(text, 0, &mut self.line);
        let mut pending: Option<Head<'_>> = None;
        while at < text.len() {
            let head = match pending.take() {
                Some(head) => head,
                None => match self.begin(text, at, last) {
                    Begun::Head(head) => head,
                    Begun::Passed { next, .. } => {
                        at = self.next_line(text, at, next);
                        continue;
                    }
                    Begun::Incomplete => return Ok(at),
                },
            };
            match self.host_lines(text, at, head, &mut time, last) {
                Left::Other(head, next) => (pending, at) = (Some(head), next),
                Left::Here(next) => at = next,
                Left::End(next) => return Ok(next),
            }
            if self.staged.len() >= STAGED_MAX {
                self.commit()?;
            }
        }
        Ok(at)
    }

    /// Counts the line feeds of a line that was passed slowly, and finds the next line.
    fn next_line(&mut self, text: &[u8], at: usize, next: usize) -> usize {
        let passed = text.get(at..next).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
        head::next_line(text, next, &mut self.line)
    }

    /// Reads metric and tags of the line at `at`.
    fn begin<'a>(&mut self, text: &'a [u8], at: usize, last: bool) -> Begun<'a> {
        let (metric, behind) = match head::metric(text, at) {
            Ok(found) => found,
            Err(error) => return self.passed_broken(text, at, &error),
        };
        if !self.registry.knows(&metric) {
            return self.passed_unknown(text, at, behind, last, false);
        }
        let (tags, end) = match head::tags(text, behind) {
            Ok(found) => found,
            Err(error) => return self.passed_broken(text, at, &error),
        };
        let (component, sub_component) = (tags.component(), tags.sub_component());
        let Tags { cluster, host, .. } = tags;
        let needs_default = cluster.is_none();
        let cluster = cluster.unwrap_or_else(|| self.default_cluster.clone().into());
        let host = host.unwrap_or_default();
        let names_fit = is_place(&cluster) && is_place(&host);
        if !names_fit || component.len() > NAME_BYTES_MAX || sub_component.len() > NAME_BYTES_MAX {
            let example = format!("metric {metric} of host {host:?} in cluster {cluster:?}");
            return self.passed(text, at, end, last, Reason::BadName, &example);
        }
        match self.registry.rule(&cluster, &metric) {
            None => self.passed_unknown(text, at, end, last, needs_default),
            Some(rule) => Begun::Head(Head {
                cluster,
                host,
                metric,
                component,
                sub_component,
                rule,
                needs_default,
                end,
            }),
        }
    }

    fn passed_broken<'a>(&mut self, text: &'a [u8], at: usize, error: &LineError<'_>) -> Begun<'a> {
        self.refuse(Reason::Syntax, text, at, Some(error), "");
        Begun::Passed { next: tail::behind_line(text, error.at), unknown: None }
    }

    /// A line whose metric is not configured; only its end matters.
    fn passed_unknown<'a>(
        &mut self,
        text: &'a [u8],
        at: usize,
        behind: usize,
        last: bool,
        needs_default: bool,
    ) -> Begun<'a> {
        let end = head::end(text, at).unwrap_or(behind);
        let Some(next) = tail::skip(text, end).or(last.then(|| tail::behind_line(text, end))) else {
            return Begun::Incomplete;
        };
        self.refuse(Reason::UnknownMetric, text, at, None, "");
        Begun::Passed { next, unknown: Some(Unknown { needs_default }) }
    }

    /// A line that is refused for the place it names, unless it is broken besides.
    fn passed<'a>(
        &mut self,
        text: &'a [u8],
        at: usize,
        end: usize,
        last: bool,
        reason: Reason,
        example: &str,
    ) -> Begun<'a> {
        let next = match tail::full(text, end) {
            Ok(tail) => {
                self.refuse(reason, text, at, None, example);
                tail.next
            }
            Err((LineError { wrong: Wrong::OpenString { .. }, .. }, _)) if !last => return Begun::Incomplete,
            Err((error, next)) => {
                self.refuse(Reason::Syntax, text, at, Some(&error), "");
                next
            }
        };
        Begun::Passed { next, unknown: None }
    }

    /// Notes that the line at `at` was not taken. `example` describes it; empty: the line's metric does.
    #[cold]
    fn refuse(
        &mut self,
        reason: Reason,
        text: &[u8],
        at: usize,
        error: Option<&LineError<'_>>,
        example: &str,
    ) {
        let message = error.map(|error| {
            let start = text
                .get(..error.at)
                .and_then(|before| memchr::memrchr(b'\n', before))
                .map_or(0, |end| end + 1);
            let inside = text.get(at..error.at).unwrap_or_default();
            let line = self.line + memchr::memchr_iter(b'\n', inside).count() as u64;
            format!("at line {line}:{}: {}", error.at - start + 1, error.wrong)
        });
        self.report.refuse(reason, message, || {
            if example.is_empty() { first_word(text, at) } else { example.to_owned() }
        });
    }

    /// Takes the lines from `at` on as long as they are of one host, that of `first`, the line at `at`.
    fn host_lines<'a>(
        &mut self,
        text: &'a [u8],
        at: usize,
        first: Head<'a>,
        time: &mut LastTime,
        last_text: bool,
    ) -> Left<'a> {
        let Some(host) = self.store.host_or_new(&first.cluster, &first.host) else {
            let example = format!("metric {} of host {}", first.metric, first.host);
            return match self.passed(text, at, first.end, last_text, Reason::MemoryCap, &example) {
                Begun::Passed { next, .. } => Left::Here(self.next_line(text, at, next)),
                _ => Left::End(at),
            };
        };
        let mut of_host = OfHost {
            default_fits: self.default_cluster == *host.key.cluster,
            oldest: self.store.oldest_taken(&host.key, self.now),
            host: &host,
            last: None,
        };
        let mut data = host.data();
        data.lines.renew(self.registry.generation);
        let left = self.run(text, at, first, time, last_text, &mut of_host, &mut data);
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

    #[expect(clippy::too_many_arguments, reason = "the state of one loop over lines")]
    fn run<'a>(
        &mut self,
        text: &'a [u8],
        mut at: usize,
        first: Head<'a>,
        time: &mut LastTime,
        last_text: bool,
        of_host: &mut OfHost<'_>,
        data: &mut HostData,
    ) -> Left<'a> {
        let mut known = Some(first);
        while at < text.len() {
            if self.staged.len() >= STAGED_MAX {
                return Left::Here(at);
            }
            let found = match known.take() {
                Some(head) => Err(head),
                None => match Self::cached(text, at, of_host, data) {
                    Some(found) => Ok(found),
                    None => match self.begin(text, at, last_text) {
                        Begun::Head(head) if !of_host.is(&head) => return Left::Other(head, at),
                        Begun::Head(head) => Err(head),
                        Begun::Passed { next, unknown } => {
                            Self::remember_unknown(text, at, unknown, of_host, data);
                            at = self.next_line(text, at, next);
                            continue;
                        }
                        Begun::Incomplete => return Left::End(at),
                    },
                },
            };
            let (end, meaning) = match found {
                Ok((end, meaning)) => (end, Some(meaning)),
                Err(head) => (head.end, self.resolve(text, at, &head, of_host, data)),
            };
            let Some(Meaning::Column(column)) = meaning else {
                // Not configured (counted when it was remembered for the first time, and here again), or refused just now.
                let Some(next) = tail::skip(text, end).or(last_text.then(|| tail::behind_line(text, end)))
                else {
                    return Left::End(at);
                };
                if meaning.is_some() {
                    self.refuse(Reason::UnknownMetric, text, at, None, "");
                }
                at = self.next_line(text, at, next);
                continue;
            };
            let tail = match tail::plain(text, end, time) {
                Some(tail) => {
                    self.line += 1;
                    tail
                }
                None => match self.slow_tail(text, at, end, last_text, of_host) {
                    Ok(tail) => tail,
                    Err(Some(next)) => {
                        at = self.next_line(text, at, next);
                        continue;
                    }
                    Err(None) => return Left::End(at),
                },
            };
            self.stage(text, at, column, tail, of_host);
            at = head::next_line(text, tail.next, &mut self.line);
        }
        Left::End(at)
    }

    /// What the host's cache knows about the line at `at`: end of its tags and meaning.
    #[inline]
    fn cached(
        text: &[u8],
        at: usize,
        of_host: &mut OfHost<'_>,
        data: &mut HostData,
    ) -> Option<(usize, Meaning)> {
        let line = text.get(at..)?;
        if let Some(last) = of_host.last
            && let Some((id, length, meaning)) = data.lines.expected(last, line, of_host.default_fits)
        {
            of_host.last = Some(id);
            return Some((at + length, meaning));
        }
        let end = head::end(text, at)?;
        let (id, meaning) = data.lines.find(of_host.last, text.get(at..end)?, of_host.default_fits)?;
        of_host.last = Some(id);
        Some((end, meaning))
    }

    /// The series of a line seen for the first time, which is remembered. `None`: it would be a new series and memory is at its cap.
    fn resolve(
        &mut self,
        text: &[u8],
        at: usize,
        head: &Head<'_>,
        of_host: &mut OfHost<'_>,
        data: &mut HostData,
    ) -> Option<Meaning> {
        let raw = text.get(at..head.end).unwrap_or_default();
        if let Some((id, meaning)) = data.lines.find(of_host.last, raw, of_host.default_fits) {
            of_host.last = Some(id);
            return Some(meaning);
        }
        let key = SeriesKey {
            metric: self.store.names().number(&head.metric),
            interval: head.rule.interval,
            component: &head.component,
            sub_component: &head.sub_component,
        };
        if data.find(key).is_none() && !self.store.takes_new_series() {
            let example = format!("metric {} of host {}", head.metric, head.host);
            self.refuse(Reason::MemoryCap, text, at, None, &example);
            return None;
        }
        let meaning = Meaning::Column(data.column(key));
        let columns = data.columns();
        of_host.last =
            data.lines.remember(of_host.last, raw, meaning, head.needs_default, columns).or(of_host.last);
        Some(meaning)
    }

    fn remember_unknown(
        text: &[u8],
        at: usize,
        unknown: Option<Unknown>,
        of_host: &mut OfHost<'_>,
        data: &mut HostData,
    ) {
        let Some((unknown, end)) = unknown.zip(head::end(text, at)) else { return };
        let raw = text.get(at..end).unwrap_or_default();
        let columns = data.columns();
        let id = data.lines.remember(of_host.last, raw, Meaning::Ignored, unknown.needs_default, columns);
        of_host.last = id.or(of_host.last);
    }

    /// A tail that is not of the common form. `Err(Some(next))`: refused, goes on there; `Err(None)`: its end has not come yet.
    #[cold]
    fn slow_tail(
        &mut self,
        text: &[u8],
        at: usize,
        end: usize,
        last_text: bool,
        of_host: &OfHost<'_>,
    ) -> Result<Tail, Option<usize>> {
        match tail::full(text, end) {
            Ok(tail) => {
                let passed = text.get(at..tail.next).unwrap_or_default();
                self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
                Ok(tail)
            }
            Err((LineError { wrong: Wrong::OpenString { .. }, .. }, _)) if !last_text => Err(None),
            Err((error, next)) if error.wrong.is_type_error() => {
                let host = &of_host.host.key.host;
                let message = format!("host {host}: {}", error.wrong);
                self.report.refuse(Reason::ValueType, Some(message), || {
                    format!("metric {} of host {host}", first_word(text, at))
                });
                Err(Some(next))
            }
            Err((error, next)) => {
                self.refuse(Reason::Syntax, text, at, Some(&error), "");
                Err(Some(next))
            }
        }
    }

    #[inline]
    fn stage(&mut self, text: &[u8], at: usize, column: u32, tail: Tail, of_host: &OfHost<'_>) {
        let time = tail.time.unwrap_or(self.now);
        let reason = if time < of_host.oldest {
            Reason::TooOld
        } else if time > self.now + AHEAD_MAX {
            Reason::TooNew
        } else {
            self.staged.push(Sample { column, time, value: value::settle(tail.value) });
            return;
        };
        let example =
            format!("metric {} of host {}, time {time}", first_word(text, at), of_host.host.key.host);
        self.refuse(reason, text, at, None, &example);
    }

    /// Writes what was gathered to log and memory.
    fn commit(&mut self) -> Result<(), Error> {
        let (staged, runs) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.runs));
        let mut start = 0;
        let batches: Vec<(u32, &Arc<Host>, &[Sample])> = runs
            .iter()
            .map(|run| {
                let samples = staged.get(start..run.end).unwrap_or_default();
                start = run.end;
                (run.host.shard(), &run.host, samples)
            })
            .collect();
        for shard in 0..SHARDS {
            let of_shard = batches.iter().filter(|(number, ..)| *number == shard);
            let of_shard = of_shard.map(|(_, host, samples)| (*host, *samples));
            let count: usize = of_shard.clone().map(|(_, samples)| samples.len()).sum();
            if count > 0 {
                self.store.commit(shard, of_shard, self.now)?;
                self.report.samples += count as u64;
            }
        }
        self.staged = staged;
        self.staged.clear();
        Ok(())
    }
}

/// A batch whose sender went away: its whole lines are taken, there is nobody to tell.
impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.staged.is_empty() && self.commit().is_ok() {
            self.report.count(&self.store);
        }
    }
}

/// The host whose lines are being read.
struct OfHost<'a> {
    host: &'a Arc<Host>,
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
}

/// Whether a name can be a cluster or a host: it must be able to name a directory of the reference.
fn is_place(name: &str) -> bool {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    fits && name != "." && !name.contains("..") && !name.contains(['/', '\\'])
}

/// The metric name of a line, for messages.
fn first_word(text: &[u8], at: usize) -> String {
    let line = text.get(at..).unwrap_or_default();
    let end = line.iter().position(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r')).unwrap_or(line.len());
    String::from_utf8_lossy(line.get(..end.min(NAME_BYTES_MAX)).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
