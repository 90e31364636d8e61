//! Lines in, samples out: from the text of a batch to the log and the memory of its hosts (spec metric-store.md 3.1, 4).
//!
//! A batch first becomes samples by host (`begin` reads a line's metric and tags, `run` takes the lines of one host under that
//! host's lock, which its line cache needs), then is committed shard by shard: one write to the log each, then memory. Nothing is
//! acknowledged before [`Ingest::finish`] returns.

use std::collections::HashMap;
use std::sync::Arc;

use self::begin::{Begun, Head};
use self::report::{Reason, Report};
use self::run::Left;
use crate::error::Error;
use crate::host::Host;
use crate::line::head;
use crate::line::tail::LastTime;
use crate::line::{LINE_BYTES_MAX, LineError, Wrong};
use crate::log::record::Sample;
use crate::registry::Registry;
use crate::shard::SHARDS;
use crate::store::Store;

mod begin;
mod mixed;
pub mod report;
mod run;

pub(crate) use self::begin::is_place;
pub(crate) use self::run::AHEAD_MAX;

/// Samples that are gathered before they are committed; a batch that is larger is committed in parts.
const STAGED_MAX: usize = 8192;

/// Longest name of a cluster, host or component, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 255;

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
    /// The number of the line that is being read where it begins.
    begun: u64,
    /// Numbers of the lines that are being read, if they are not in the sender's order.
    numbers: Option<Vec<u64>>,
    report: Report,
}

/// Samples of one host that follow each other.
#[derive(Debug)]
struct Run {
    host: Arc<Host>,
    end: usize,
}

/// Lines that are being read.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    /// Nothing follows: a line without line feed is one.
    last: bool,
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
            begun: 1,
            numbers: None,
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
        let bytes = text.get(..whole).unwrap_or_default();
        let taken = self.lines(Text { bytes, last: false })?;
        self.rest = text.get(taken..).unwrap_or_default().to_vec();
        if self.rest.len() > LINE_BYTES_MAX {
            let error = LineError { at: 0, wrong: Wrong::TooLong };
            let bytes = std::mem::take(&mut self.rest);
            self.refuse_broken(Text { bytes: &bytes, last: false }, 0, &error);
        }
        Ok(())
    }

    /// Takes what is left as the last line, and commits everything.
    ///
    /// # Errors
    /// As [`Ingest::push`]; [`Error::MemoryCap`] if lines were refused because they would begin new series (the others are taken).
    pub fn finish(mut self) -> Result<Report, Error> {
        let rest = std::mem::take(&mut self.rest);
        self.lines(Text { bytes: &rest, last: true })?;
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
    fn lines(&mut self, text: Text<'_>) -> Result<usize, Error> {
        let mut time = LastTime::default();
        let mut at = head::next_line(text.bytes, 0, &mut self.line);
        let mut pending: Option<Head<'_>> = None;
        let (mut changes, mut changed_from) = (0, self.line);
        while at < text.bytes.len() {
            self.begun = self.line;
            let head = match pending.take() {
                Some(head) => head,
                None => match self.begin(text, at) {
                    Begun::Head(head) => head,
                    Begun::Passed { next, .. } => {
                        at = self.next_line(text, at, next);
                        continue;
                    }
                    Begun::Incomplete => return Ok(at),
                },
            };
            match self.host_lines(text, at, head, &mut time) {
                Left::Other(head, next) => {
                    (pending, at) = (Some(head), next);
                    changes += 1;
                }
                Left::Here(next) => at = next,
                Left::End(next) => return Ok(next),
            }
            if self.staged.len() >= STAGED_MAX {
                self.commit()?;
            }
            if changes == mixed::CHANGES {
                let mixed = self.line - changed_from < mixed::CHANGES * mixed::LINES_PER_CHANGE;
                if mixed && let Some(next) = self.mixed(text, at)? {
                    (pending, at) = (None, next);
                }
                (changes, changed_from) = (0, self.line);
            }
        }
        Ok(at)
    }

    /// Counts the line feeds of a line that was passed slowly, and finds the next line.
    fn next_line(&mut self, text: Text<'_>, at: usize, next: usize) -> usize {
        let passed = text.bytes.get(at..next).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
        head::next_line(text.bytes, next, &mut self.line)
    }

    /// Notes that the line at `at` is not the line protocol.
    #[cold]
    fn refuse_broken(&mut self, text: Text<'_>, at: usize, error: &LineError<'_>) {
        let before = text.bytes.get(..error.at).unwrap_or_default();
        let inside = text.bytes.get(at..error.at).unwrap_or_default();
        let line = self.number_of(self.line + memchr::memchr_iter(b'\n', inside).count() as u64);
        let message = || {
            let start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
            format!("at line {line}:{}: {}", error.at - start + 1, error.wrong)
        };
        self.report.refuse(self.number_of(self.begun), Reason::Syntax, Some(&message), || {
            first_word(text.bytes, at)
        });
    }

    /// Notes that the line at `at` was not taken. `example` describes it behind its metric.
    #[cold]
    fn refuse(&mut self, reason: Reason, text: Text<'_>, at: usize, example: impl FnOnce() -> String) {
        self.report.refuse(self.number_of(self.begun), reason, None, || {
            let metric = first_word(text.bytes, at);
            let example = example();
            if example.is_empty() { metric } else { format!("metric {metric} {example}") }
        });
    }

    /// Writes what was gathered to log and memory.
    fn commit(&mut self) -> Result<(), Error> {
        let (staged, runs) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.runs));
        let batches = by_host(&staged, &runs);
        for shard in 0..SHARDS {
            let of_shard = batches.iter().filter(|(host, _)| host.shard() == shard);
            let of_shard = of_shard.map(|(host, samples)| (*host, &**samples));
            let count: usize = of_shard.clone().map(|(_, samples)| samples.len()).sum();
            if count > 0 {
                self.store.commit(shard, of_shard, self.now)?;
                self.report.samples += count as u64;
            }
        }
        drop(batches);
        self.staged = staged;
        self.staged.clear();
        Ok(())
    }
}

/// The samples of each host, in the order of the lines: one piece where the host's lines lie together, else copied together.
fn by_host<'a>(
    staged: &'a [Sample],
    runs: &'a [Run],
) -> Vec<(&'a Arc<Host>, std::borrow::Cow<'a, [Sample]>)> {
    let mut batches: Vec<(&Arc<Host>, std::borrow::Cow<'a, [Sample]>)> =
        Vec::with_capacity(runs.len().min(64));
    let mut places: HashMap<*const Host, usize> = HashMap::new();
    let mut start = 0;
    for run in runs {
        let samples = staged.get(start..run.end).unwrap_or_default();
        start = run.end;
        let place = *places.entry(Arc::as_ptr(&run.host)).or_insert(batches.len());
        match batches.get_mut(place) {
            Some((_, of_host)) => of_host.to_mut().extend_from_slice(samples),
            None => batches.push((&run.host, samples.into())),
        }
    }
    batches
}

/// A batch whose sender went away: its whole lines are taken, there is nobody to tell.
impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.staged.is_empty() && self.commit().is_ok() {
            self.report.count(&self.store);
        }
    }
}

/// The metric name of a line, for messages.
fn first_word(text: &[u8], at: usize) -> String {
    let line = text.get(at..).unwrap_or_default();
    let end = line.iter().position(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r')).unwrap_or(line.len());
    String::from_utf8_lossy(line.get(..end.min(NAME_BYTES_MAX)).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
