//! Lines of a host seen before: the raw text of metric and tags, and what it means.
//!
//! Collectors send the same lines in the same order every interval. Comparing a line with the one that followed last time
//! replaces finding the end of its tags, parsing them and looking the series up; when the order changes, a hash of the text finds
//! the line again.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::ColumnId;

/// What a line's metric and tags mean for its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A series.
    Column(ColumnId),
    /// A metric that is not configured.
    Ignored,
}

/// Number of a remembered line.
pub(crate) type LineId = u32;

#[derive(Clone, Copy, Debug)]
struct Line {
    start: u32,
    length: u32,
    meaning: Meaning,
    /// The line that followed it last time.
    next: LineId,
    /// Without a cluster tag: means this host only where the default cluster is this host's.
    needs_default: bool,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct LineCache {
    generation: u64,
    text: Vec<u8>,
    lines: Vec<Line>,
    by_hash: HashMap<u64, LineId, BuildHasherDefault<Given>>,
    hasher: RandomState,
}

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Lines that a host may be remembered by, beyond four per series.
const SPARE_LINES: u32 = 256;

impl LineCache {
    /// Forgets everything if it belongs to an older registry.
    pub(crate) fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }

    /// The line expected after `last`, if `text` begins with it: its number, its length and its meaning. Tries the line that followed
    /// last time, the one after that (a sample is missing), and `last` again (a late sample comes first).
    #[inline]
    pub(crate) fn expected(
        &self,
        last: LineId,
        text: &[u8],
        default_fits: bool,
    ) -> Option<(LineId, usize, Meaning)> {
        let first = self.lines.get(last as usize)?.next;
        if let Some(found) = self.matches(first, text, default_fits) {
            return Some(found);
        }
        let second = self.lines.get(first as usize).map_or(last, |line| line.next);
        self.matches(second, text, default_fits).or_else(|| self.matches(last, text, default_fits))
    }

    #[inline]
    fn matches(&self, id: LineId, text: &[u8], default_fits: bool) -> Option<(LineId, usize, Meaning)> {
        let line = self.lines.get(id as usize)?;
        let (start, length) = (line.start as usize, line.length as usize);
        let known = self.text.get(start..start + length)?;
        let same = text.get(..length) == Some(known) && text.get(length) == Some(&b' ');
        (same && (default_fits || !line.needs_default)).then_some((id, length, line.meaning))
    }

    /// The line with exactly these metric and tags; notes that it follows `last`.
    pub(crate) fn find(
        &mut self,
        last: Option<LineId>,
        head: &[u8],
        default_fits: bool,
    ) -> Option<(LineId, Meaning)> {
        let id = *self.by_hash.get(&self.hasher.hash_one(head))?;
        let line = *self.lines.get(id as usize)?;
        let known = self.text.get(line.start as usize..(line.start + line.length) as usize)?;
        if known != head || (line.needs_default && !default_fits) {
            return None;
        }
        self.link(last, id);
        Some((id, line.meaning))
    }

    /// Remembers a line that follows `last`. `None`: the host has enough of them (`columns` series).
    pub(crate) fn remember(
        &mut self,
        last: Option<LineId>,
        head: &[u8],
        meaning: Meaning,
        needs_default: bool,
        columns: u32,
    ) -> Option<LineId> {
        let id = u32::try_from(self.lines.len()).ok()?;
        if id >= columns.saturating_mul(4).saturating_add(SPARE_LINES) {
            return None;
        }
        let (start, length) = (u32::try_from(self.text.len()).ok()?, u32::try_from(head.len()).ok()?);
        start.checked_add(length)?;
        self.text.extend_from_slice(head);
        self.lines.push(Line { start, length, meaning, next: id + 1, needs_default });
        self.by_hash.insert(self.hasher.hash_one(head), id);
        self.link(last, id);
        Some(id)
    }

    fn link(&mut self, last: Option<LineId>, id: LineId) {
        if let Some(last) = last.and_then(|last| self.lines.get_mut(last as usize)) {
            last.next = id;
        }
    }

    /// Heap bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * size_of::<Line>() + self.by_hash.capacity() * 17
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(heads: &[&[u8]]) -> LineCache {
        let mut cache = LineCache::default();
        let mut last = None;
        for (column, head) in (0..).zip(heads) {
            last = cache.remember(last, head, Meaning::Column(column), false, 100);
        }
        cache
    }

    #[test]
    fn the_usual_order_needs_no_lookup() {
        let cache = cache(&[b"a", b"b", b"c", b"d"]);
        assert_eq!(cache.expected(0, b"b value=1", true), Some((1, 1, Meaning::Column(1))));
        assert_eq!(
            cache.expected(0, b"c value=1", true),
            Some((2, 1, Meaning::Column(2))),
            "one line is missing"
        );
        assert_eq!(cache.expected(1, b"b value=1", true), Some((1, 1, Meaning::Column(1))), "the same again");
        assert_eq!(cache.expected(0, b"bb value=1", true), None, "only a whole head counts");
        assert_eq!(cache.expected(0, b"d value=1", true), None);
    }

    #[test]
    fn a_new_order_is_learnt() {
        let mut cache = cache(&[b"a", b"b", b"c", b"d"]);
        assert_eq!(cache.find(Some(0), b"d", true), Some((3, Meaning::Column(3))));
        assert_eq!(cache.expected(0, b"d value=1", true), Some((3, 1, Meaning::Column(3))));
        assert_eq!(cache.find(None, b"nope", true), None);
    }

    #[test]
    fn a_line_without_cluster_needs_the_right_default() {
        let mut cache = LineCache::default();
        cache.remember(None, b"a", Meaning::Ignored, true, 1);
        assert_eq!(cache.find(None, b"a", false), None);
        assert_eq!(cache.find(None, b"a", true), Some((0, Meaning::Ignored)));
        assert_eq!(cache.expected(0, b"a 1", false), None);
    }

    #[test]
    fn memory_is_bounded_and_an_old_registry_forgotten() {
        let mut cache = LineCache::default();
        let kept = (0..1000_u32).filter(|number| {
            cache.remember(None, &number.to_le_bytes(), Meaning::Ignored, false, 1).is_some()
        });
        assert_eq!(kept.count(), 260);
        cache.renew(7);
        assert_eq!(cache.find(None, &0_u32.to_le_bytes(), true), None);
    }
}
