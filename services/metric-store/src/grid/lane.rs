//! One series of a grid: its phase, its range and its sealed blocks.

use crate::block::{self, Values};

/// See the module's description. Slots and block numbers are those of the grid.
#[derive(Debug)]
pub(super) struct Lane {
    /// Below the interval; `None` until the first sample.
    phase: Option<u32>,
    /// First and last slot with a sample; `first > last` while empty.
    first: i64,
    last: i64,
    /// Ascending by number.
    sealed: Vec<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    number: i64,
    bytes: Box<[u8]>,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self { phase: None, first: i64::MAX, last: i64::MIN, sealed: Vec::new() }
    }

    /// The phase, which the first sample fixes.
    #[inline]
    pub(super) fn take_phase(&mut self, time: i64, interval: i64) -> i64 {
        if let Some(phase) = self.phase {
            return i64::from(phase);
        }
        let phase = time.rem_euclid(interval);
        self.phase = u32::try_from(phase).ok();
        phase
    }

    pub(super) fn phase(&self) -> i64 {
        self.phase.map_or(0, i64::from)
    }

    /// Notes that a slot holds a sample.
    #[inline]
    pub(super) fn extend(&mut self, slot: i64) {
        self.first = self.first.min(slot);
        self.last = self.last.max(slot);
    }

    /// First and last slot with a sample.
    pub(super) fn slots(&self) -> Option<(i64, i64)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }

    /// Bytes of blocks and their list.
    pub(super) fn sealed_bytes(&self) -> usize {
        self.sealed.capacity() * size_of::<Sealed>()
            + self.sealed.iter().map(|block| block.bytes.len()).sum::<usize>()
    }

    /// The blocks of numbers `from..=to`.
    pub(super) fn sealed_in(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &[u8])> {
        let start = self.sealed.partition_point(|block| block.number < from);
        let blocks = self.sealed.iter().skip(start).take_while(move |block| block.number <= to);
        blocks.map(|block| (block.number, &*block.bytes))
    }

    pub(super) fn oldest_block(&self) -> Option<i64> {
        self.sealed.first().map(|block| block.number)
    }

    /// Changes single values of a block, which is made if there is none.
    pub(super) fn change(&mut self, number: i64, change: impl FnOnce(&mut Values)) {
        let at = self.sealed.partition_point(|block| block.number < number);
        let mut values = block::EMPTY;
        let found = self.sealed.get(at).is_some_and(|block| block.number == number);
        if found && let Some(block) = self.sealed.get(at) {
            // Blocks in memory are always our own encoding.
            let _decoded = block::decode(&block.bytes, &mut values);
        }
        change(&mut values);
        let mut bytes = Vec::new();
        if !block::encode(&values, &mut bytes) {
            return;
        }
        let sealed = Sealed { number, bytes: bytes.into_boxed_slice() };
        match self.sealed.get_mut(at) {
            Some(block) if found => *block = sealed,
            _ => self.sealed.insert(at, sealed),
        }
    }

    /// Takes the values of closed rows; they are newer than what the block may hold already.
    pub(super) fn seal(&mut self, number: i64, newer: &Values) {
        if newer.iter().all(|value| value.is_nan()) {
            return;
        }
        self.change(number, |values| {
            for (value, newer) in values.iter_mut().zip(newer) {
                if !newer.is_nan() {
                    *value = *newer;
                }
            }
        });
    }

    /// Takes a block of a snapshot whose first slot is `first_slot`.
    pub(super) fn restore(&mut self, number: i64, first_slot: i64, bytes: &[u8]) -> Option<()> {
        let mut values = block::EMPTY;
        block::decode(bytes, &mut values)?;
        let presence = block::presence(bytes)?;
        if presence == 0 {
            return Some(());
        }
        let newest = self.sealed.last().map_or(i64::MIN, |block| block.number);
        if number > newest {
            self.sealed.push(Sealed { number, bytes: bytes.into() });
        } else {
            self.seal(number, &values);
        }
        self.extend(first_slot + i64::from(presence.trailing_zeros()));
        self.extend(first_slot + 127 - i64::from(presence.leading_zeros()));
        Some(())
    }

    /// Drops blocks from the oldest on while `gone` says so; returns their number.
    pub(super) fn drop_front(&mut self, gone: impl Fn(i64) -> bool) -> u64 {
        let count = self.sealed.iter().take_while(|block| gone(block.number)).count();
        if count > 0 {
            self.sealed.drain(..count);
            self.sealed.shrink_to_fit();
        }
        count as u64
    }

    /// Finds first and last sample anew, given those of the open rows and the first slot of each block. An empty lane forgets its
    /// phase: the next sample begins a new series.
    pub(super) fn measure(
        &mut self,
        first_row: Option<i64>,
        last_row: Option<i64>,
        first_slot: impl Fn(i64) -> i64,
    ) {
        let edge = |block: Option<&Sealed>, offset: fn(u128) -> u32| {
            let block = block?;
            let presence = block::presence(&block.bytes)?;
            Some(first_slot(block.number) + i64::from(offset(presence)))
        };
        let first_sealed = edge(self.sealed.first(), u128::trailing_zeros);
        let last_sealed =
            edge(self.sealed.last(), |presence| 127_u32.saturating_sub(presence.leading_zeros()));
        self.first = first_row.into_iter().chain(first_sealed).min().unwrap_or(i64::MAX);
        self.last = last_row.into_iter().chain(last_sealed).max().unwrap_or(i64::MIN);
        if self.first > self.last {
            self.phase = None;
        }
    }
}
