//! Lines of many hosts in turn, put together by host first.
//!
//! A host's lines are cheap to take when they follow each other: its lock, its line cache and its place in the log are found once.
//! Senders that forward for many hosts send them mixed; then sorting the text by host costs less than finding the host of every
//! line anew. The order of one host's lines stays; so do the line numbers in messages.

use std::collections::HashMap;

use super::{Ingest, Text};
use crate::error::Error;

/// Changes of host after which it is looked whether lines are mixed.
pub(super) const CHANGES: u64 = 16;

/// They are if there are fewer lines per change than this.
pub(super) const LINES_PER_CHANGE: u64 = 4;

impl Ingest {
    /// Takes the whole lines from `at` on, host by host. Returns where it stopped; `None`: this text is not simple enough, nothing
    /// was taken.
    pub(super) fn mixed(&mut self, text: Text<'_>, at: usize) -> Result<Option<usize>, Error> {
        let rest = text.bytes.get(at..).unwrap_or_default();
        let end = memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
        let lines = rest.get(..end).unwrap_or_default();
        // With strings and escapes the end of a line or a tag is not what it looks like.
        if end == 0 || self.numbers.is_some() || memchr::memchr2(b'"', b'\\', lines).is_some() {
            return Ok(None);
        }
        let first = self.line;
        let (sorted, numbers) = by_host(lines, first);
        let behind = first + numbers.len() as u64;
        self.line = 1;
        self.numbers = Some(numbers);
        let mut result = self.lines(Text { bytes: &sorted, last: false });
        if let Ok(taken) = result
            && let Some(left) = sorted.get(taken..).filter(|left| !left.is_empty())
        {
            // A line that looks unfinished: nothing follows it.
            result = self.lines(Text { bytes: left, last: true });
        }
        self.numbers = None;
        self.line = behind;
        result.map(|_| Some(at + end))
    }

    /// The number in the sender's text of a line that is being read.
    pub(super) fn number_of(&self, line: u64) -> u64 {
        let place = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        self.numbers.as_ref().and_then(|numbers| numbers.get(place)).copied().unwrap_or(line)
    }
}

/// The lines with those of one host together, hosts in the order of their first lines, and the number of each; `first` is that of
/// the first line. Every line ends with a line feed.
fn by_host(text: &[u8], first: u64) -> (Vec<u8>, Vec<u64>) {
    let mut groups: HashMap<&[u8], usize> = HashMap::new();
    // By group: where it begins, first as the number of its bytes and lines.
    let mut starts: Vec<(usize, usize)> = Vec::new();
    let mut lines: Vec<(usize, &[u8])> = Vec::new();
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        let line = text.get(at..=end).unwrap_or_default();
        at = end + 1;
        let group = *groups.entry(host(line)).or_insert(starts.len());
        if group == starts.len() {
            starts.push((0, 0));
        }
        if let Some((bytes, count)) = starts.get_mut(group) {
            *bytes += line.len();
            *count += 1;
        }
        lines.push((group, line));
    }
    let mut sum = (0, 0);
    for (bytes, count) in &mut starts {
        let start = sum;
        sum = (sum.0 + *bytes, sum.1 + *count);
        (*bytes, *count) = start;
    }
    let mut sorted = vec![0; text.len()];
    let mut numbers = vec![0; lines.len()];
    for (number, (group, line)) in (first..).zip(lines) {
        let Some((byte, place)) = starts.get_mut(group) else { continue };
        if let Some(target) = sorted.get_mut(*byte..*byte + line.len()) {
            target.copy_from_slice(line);
        }
        if let Some(target) = numbers.get_mut(*place) {
            *target = number;
        }
        *byte += line.len();
        *place += 1;
    }
    (sorted, numbers)
}

/// What tells the host of a line, roughly: lines of one host give the same. Its tags are read properly afterwards.
#[inline]
fn host(line: &[u8]) -> &[u8] {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let head = line.get(..end).unwrap_or_default();
    for comma in memchr::memchr_iter(b',', head) {
        let tag = head.get(comma + 1..).unwrap_or_default();
        if let Some(value) = tag.strip_prefix(b"hostname=").or_else(|| tag.strip_prefix(b"host=")) {
            let end = memchr::memchr(b',', value).unwrap_or(value.len());
            return value.get(..end).unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_host_come_together_in_their_order() {
        let text = b"a,cluster=c,hostname=x,type=node v=1 1\n# comment\na,host=y v=1\nb,hostname=x v=2\n\na,host=yy v=3\nb,host=y v=3\n";
        let (sorted, numbers) = by_host(text, 10);
        let expected = "a,cluster=c,hostname=x,type=node v=1 1\nb,hostname=x v=2\n# comment\n\na,host=y v=1\nb,host=y v=3\na,host=yy v=3\n";
        assert_eq!(String::from_utf8(sorted).unwrap(), expected);
        assert_eq!(numbers, [10, 13, 11, 14, 12, 16, 15]);
    }
}
