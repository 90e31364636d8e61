//! Packed rows: 128 unsigned integers of a fixed width, four side by side, so that four are unpacked by the same shifts at once.
//!
//! Value `i` is field `i / 4` of stream `i % 4`. A stream holds its 32 fields without gaps, least significant bit first, in `width`
//! little-endian words; the words of the four streams alternate. That is exactly `16 × width` bytes.

use super::SLOTS;

/// Values side by side.
const STREAMS: usize = 4;

/// Bits of a stream's word, and the greatest width.
pub(super) const WIDTH_MAX: u32 = u32::BITS;

/// As [`WIDTH_MAX`].
const WORD: usize = u32::BITS as usize;

/// Bytes of one word of every stream.
const ROW_BYTES: usize = STREAMS * size_of::<u32>();

/// One word of every stream.
type Row = [u32; STREAMS];

/// Bytes of packed rows.
pub(super) const fn packed_bytes(width: u32) -> usize {
    ROW_BYTES * width as usize
}

/// Appends the lowest `width` bits, at most 32, of each value; the bits above must be zero.
pub(super) fn pack(out: &mut Vec<u8>, values: &[u32; SLOTS], width: u32) {
    let width = width.min(WIDTH_MAX) as usize;
    let mut words = [[0_u32; STREAMS]; WORD + 1];
    for (field, fields) in values.as_chunks::<STREAMS>().0.iter().enumerate() {
        let (word, shift) = (field * width / WORD, field * width % WORD);
        let Some([low, high]) = words.get_mut(word..).and_then(|words| words.first_chunk_mut::<2>()) else {
            return;
        };
        for (stream, value) in fields.iter().enumerate() {
            let wide = u64::from(*value) << shift;
            if let (Some(low), Some(high)) = (low.get_mut(stream), high.get_mut(stream)) {
                let [b0, b1, b2, b3, b4, b5, b6, b7] = wide.to_le_bytes();
                *low |= u32::from_le_bytes([b0, b1, b2, b3]);
                *high |= u32::from_le_bytes([b4, b5, b6, b7]);
            }
        }
    }
    for word in words.iter().take(width).flatten() {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// Reads what [`pack`] wrote; what is missing at the end of `packed` reads as zero.
#[inline]
pub(super) fn unpack(packed: &[u8], width: u32, out: &mut [u32; SLOTS]) {
    let width = width.min(WIDTH_MAX) as usize;
    // One row more than there can be: a field is always read from two words, of which the second may not count.
    let mut words = [[0_u32; STREAMS]; WORD + 1];
    for (word, bytes) in words.iter_mut().zip(packed.as_chunks::<ROW_BYTES>().0) {
        *word = row(bytes);
    }
    let mask = if width == 0 { 0 } else { u32::MAX >> (WORD - width) };
    let mut bit = 0;
    for fields in out.as_chunks_mut::<STREAMS>().0 {
        let shift = bit % WORD;
        if let Some([low, high]) = words.get(bit / WORD..).and_then(|words| words.first_chunk::<2>()) {
            *fields = field(low, high, shift, mask);
        }
        bit += width;
    }
}

#[inline]
fn row(bytes: &[u8; ROW_BYTES]) -> Row {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *bytes;
    [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]].map(u32::from_le_bytes)
}

/// The field that begins at bit `shift` (below 32) of `low`.
#[inline]
fn field(low: &Row, high: &Row, shift: usize, mask: u32) -> Row {
    let [low0, low1, low2, low3] = *low;
    let [high0, high1, high2, high3] = *high;
    // Two shifts to the left: one by 32 has no meaning.
    let one = |low: u32, high: u32| ((low >> shift) | ((high << 1) << (WORD - 1 - shift))) & mask;
    [one(low0, high0), one(low1, high1), one(low2, high2), one(low3, high3)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_reads_back(width in 0_u32..=32, values in proptest::collection::vec(any::<u32>(), SLOTS)) {
            let mask = if width == 0 { 0 } else { u32::MAX >> (32 - width) };
            let values: [u32; SLOTS] = std::array::from_fn(|slot| values[slot] & mask);
            let mut packed = vec![7];
            pack(&mut packed, &values, width);
            prop_assert_eq!(packed.len(), 1 + packed_bytes(width));
            let mut back = [1; SLOTS];
            unpack(&packed[1..], width, &mut back);
            prop_assert_eq!(values, back);
        }

        #[test]
        fn no_bytes_panic(width in any::<u32>(), packed in proptest::collection::vec(any::<u8>(), 0..600)) {
            unpack(&packed, width, &mut [0; SLOTS]);
        }
    }
}
