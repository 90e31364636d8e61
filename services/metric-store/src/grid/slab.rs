//! One block of every lane of a grid, side by side in one piece of memory: four bytes of index per block, and no rounding up of
//! many small allocations.

/// Changes are worked in when they take more than this and half of the slab.
const CHANGED_MAX: usize = 4096;

/// See the module's description. A lane without samples in these slots has no block.
#[derive(Debug)]
pub(super) struct Slab {
    number: i64,
    /// Where the block of each lane ends in `bytes`.
    ends: Box<[u32]>,
    bytes: Box<[u8]>,
    /// Blocks that were changed since, ascending by lane; without bytes: there is none any more.
    changed: Vec<(u32, Box<[u8]>)>,
    changed_bytes: usize,
}

impl Slab {
    /// Blocks of that number, none yet.
    pub(super) fn new(number: i64) -> Self {
        Self { number, ends: Box::default(), bytes: Box::default(), changed: Vec::new(), changed_bytes: 0 }
    }

    /// Blocks one behind the other, and where each ends.
    pub(super) fn of(number: i64, ends: &[u32], bytes: &[u8]) -> Self {
        Self { ends: ends.into(), bytes: bytes.into(), ..Self::new(number) }
    }

    /// Number of the blocks.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// The block of a lane.
    #[inline]
    pub(super) fn get(&self, lane: u32) -> Option<&[u8]> {
        if !self.changed.is_empty()
            && let Ok(place) = self.changed.binary_search_by_key(&lane, |(lane, _)| *lane)
        {
            return self.changed.get(place).map(|(_, bytes)| &**bytes).filter(|bytes| !bytes.is_empty());
        }
        let lane = lane as usize;
        let start = match lane.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let end = *self.ends.get(lane)?;
        self.bytes.get(start as usize..end as usize).filter(|bytes| !bytes.is_empty())
    }

    /// Changes the block of a lane; no bytes: it has none any more.
    pub(super) fn set(&mut self, lane: u32, bytes: &[u8]) {
        match self.changed.binary_search_by_key(&lane, |(lane, _)| *lane) {
            Ok(place) => {
                if let Some((_, old)) = self.changed.get_mut(place) {
                    self.changed_bytes = self.changed_bytes.saturating_sub(old.len()) + bytes.len();
                    *old = bytes.into();
                }
            }
            Err(place) => {
                self.changed.insert(place, (lane, bytes.into()));
                self.changed_bytes += bytes.len() + size_of::<(u32, Box<[u8]>)>();
            }
        }
        if self.changed_bytes > CHANGED_MAX + self.bytes.len() / 2 {
            self.work_in();
        }
    }

    /// Makes one piece of memory of everything.
    pub(super) fn work_in(&mut self) {
        if !self.changed.is_empty() {
            let order: Vec<Option<u32>> = (0..self.lanes()).map(Some).collect();
            self.reorder(&order);
        }
    }

    /// Gives the lanes new numbers: lane `i` becomes what lane `order[i]` was, or empty.
    pub(super) fn reorder(&mut self, order: &[Option<u32>]) {
        let mut bytes = Vec::with_capacity(self.bytes.len() + self.changed_bytes);
        let mut ends = Vec::with_capacity(order.len());
        for old in order {
            bytes.extend_from_slice(old.and_then(|old| self.get(old)).unwrap_or_default());
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        *self = Self::of(self.number, &ends, &bytes);
    }

    /// Whether no lane has a block.
    pub(super) fn is_empty(&self) -> bool {
        (0..self.lanes()).all(|lane| self.get(lane).is_none())
    }

    /// Number of the last lane that may have a block, plus one.
    fn lanes(&self) -> u32 {
        let changed = self.changed.last().map_or(0, |(lane, _)| lane + 1);
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX).max(changed)
    }

    /// Heap bytes, roughly for what was changed.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.ends) + self.changed_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_slab_is_a_map(changes in proptest::collection::vec((0_u32..40, 0_usize..900), 0..80)) {
            let (ends, bytes) = ([1, 1, 3], [1, 2, 2]);
            let mut slab = Slab::of(5, &ends, &bytes);
            let mut map = BTreeMap::from([(0, vec![1]), (2, vec![2, 2])]);
            for (lane, length) in changes {
                let bytes = vec![lane.to_le_bytes()[0]; length];
                slab.set(lane, &bytes);
                map.insert(lane, bytes);
                map.retain(|_, bytes| !bytes.is_empty());
                for lane in 0..42 {
                    prop_assert_eq!(slab.get(lane), map.get(&lane).map(Vec::as_slice));
                }
                prop_assert_eq!(slab.is_empty(), map.is_empty());
            }
            slab.work_in();
            let held: usize = map.values().map(Vec::len).sum();
            prop_assert!(slab.heap_bytes() <= held + 4 * 41);
            let order = [Some(2), None, Some(0), Some(77)];
            slab.reorder(&order);
            for (lane, old) in (0..).zip(order) {
                prop_assert_eq!(slab.get(lane), old.and_then(|old| map.get(&old)).map(Vec::as_slice));
            }
        }
    }
}
