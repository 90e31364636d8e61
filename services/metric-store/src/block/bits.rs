//! Unsigned integers of a fixed width, packed without gaps, least significant bit first.

/// Bits that hold `value`.
#[inline]
pub(super) fn width(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Appends the lowest `width` bits (at most 64) of each value; the last byte is filled with zero bits.
pub(super) fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0_u64, 0_u32);
    for value in values {
        word |= value << filled;
        if filled + width >= u64::BITS {
            out.extend_from_slice(&word.to_le_bytes());
            word = value.checked_shr(u64::BITS - filled).unwrap_or(0);
            filled = filled + width - u64::BITS;
        } else {
            filled += width;
        }
    }
    let bytes = filled.div_ceil(8) as usize;
    out.extend(word.to_le_bytes().into_iter().take(bytes));
}

/// Bytes that [`pack`] makes of `count` values.
pub(super) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Reads what [`pack`] wrote. Bits beyond the end of `bytes` read as zero.
#[derive(Debug)]
pub(super) struct Unpack<'a> {
    bytes: &'a [u8],
    word: u64,
    left: u32,
    width: u32,
}

impl<'a> Unpack<'a> {
    /// Values of `width` bits (at most 64) from the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8], width: u32) -> Self {
        Self { bytes, word: 0, left: 0, width: width.min(u64::BITS) }
    }

    #[inline]
    fn refill(&mut self) {
        if let Some((word, rest)) = self.bytes.split_first_chunk::<8>() {
            self.word = u64::from_le_bytes(*word);
            self.bytes = rest;
        } else {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(self.bytes) {
                *to = *from;
            }
            self.word = u64::from_le_bytes(word);
            self.bytes = &[];
        }
        self.left = u64::BITS;
    }

    /// The next value.
    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        if self.width == 0 {
            return 0;
        }
        let mask = u64::MAX >> (u64::BITS - self.width);
        if self.left >= self.width {
            let value = self.word & mask;
            self.word = self.word.checked_shr(self.width).unwrap_or(0);
            self.left -= self.width;
            return value;
        }
        let (low, got) = (self.word, self.left);
        self.refill();
        let value = (low | (self.word << got)) & mask;
        let taken = self.width - got;
        self.word = self.word.checked_shr(taken).unwrap_or(0);
        self.left -= taken;
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_reads_back(width in 0_u32..=64, values in proptest::collection::vec(any::<u64>(), 0..200)) {
            let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            let mut packed = Vec::new();
            pack(&mut packed, values.iter().map(|value| value & mask), width);
            prop_assert_eq!(packed.len(), packed_bytes(values.len(), width));
            let mut reader = Unpack::new(&packed, width);
            for value in values {
                prop_assert_eq!(reader.next(), value & mask);
            }
        }
    }
}
