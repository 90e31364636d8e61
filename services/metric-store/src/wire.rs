//! Bytes of our own files: variable-length integers, strings, checked frames.
//!
//! A frame is `u32` length, `u32` CRC-32 (IEEE) of length and payload, payload; little endian.

use std::io::{self, Read};

/// Longest payload of a frame that is read; a longer length is damage.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;

/// Bytes before the payload of a frame.
pub(crate) const FRAME_HEADER: usize = 8;

/// Appends an unsigned integer, seven bits a byte, lowest first.
#[inline]
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed integer; small magnitudes are short.
#[inline]
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends length and bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes an unsigned integer off the front.
#[inline]
pub(crate) fn get_u64(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes an unsigned integer of at most 32 bits off the front.
pub(crate) fn get_u32(input: &mut &[u8]) -> Option<u32> {
    get_u64(input)?.try_into().ok()
}

/// Takes a signed integer off the front.
#[inline]
pub(crate) fn get_i64(input: &mut &[u8]) -> Option<i64> {
    let value = get_u64(input)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// Takes length and bytes off the front.
pub(crate) fn get_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(get_u64(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

/// Takes a string off the front.
pub(crate) fn get_str<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(get_bytes(input)?).ok()
}

/// Takes `N` bytes off the front.
#[inline]
pub(crate) fn get_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*array)
}

/// CRC-32 (IEEE).
pub(crate) fn crc(parts: [&[u8]; 2]) -> u32 {
    let mut crc = flate2::Crc::new();
    for part in parts {
        crc.update(part);
    }
    crc.sum()
}

/// Makes a frame of everything behind `start`, where [`FRAME_HEADER`] bytes were left free for it.
pub(crate) fn close_frame(out: &mut [u8], start: usize) {
    let Some((header, payload)) =
        out.get_mut(start..).and_then(|frame| frame.split_at_mut_checked(FRAME_HEADER))
    else {
        return;
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = crc([&length, payload]).to_le_bytes();
    for (to, from) in header.iter_mut().zip(length.into_iter().chain(checksum)) {
        *to = from;
    }
}

/// What comes next in a file of frames.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A whole frame's payload.
    Frame(&'a [u8]),
    /// The file ends behind a whole frame.
    End,
    /// The file does not go on with a whole frame: it was cut, or damaged.
    Damaged,
}

/// Reads frames one after the other.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    input: R,
    payload: Vec<u8>,
    /// Bytes of whole frames so far.
    pub(crate) read: u64,
}

impl<R: Read> Frames<R> {
    /// Frames from where `input` stands.
    pub(crate) fn new(input: R) -> Self {
        Self { input, payload: Vec::new(), read: 0 }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        let mut header = [0; FRAME_HEADER];
        match read_up_to(&mut self.input, &mut header)? {
            0 => return Ok(Next::End),
            FRAME_HEADER => {}
            _ => return Ok(Next::Damaged),
        }
        let [length @ .., c0, c1, c2, c3] = header;
        let payload_bytes = u32::from_le_bytes(length) as usize;
        if payload_bytes > FRAME_BYTES_MAX {
            return Ok(Next::Damaged);
        }
        self.payload.clear();
        let found = (&mut self.input).take(payload_bytes as u64).read_to_end(&mut self.payload)?;
        if found != payload_bytes || crc([&length, &self.payload]) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Ok(Next::Damaged);
        }
        self.read += (FRAME_HEADER + payload_bytes) as u64;
        Ok(Next::Frame(&self.payload))
    }
}

/// As `read_exact`, but says how much there was.
pub(crate) fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for payload in payloads {
            let start = out.len();
            out.extend_from_slice(&[0; FRAME_HEADER]);
            out.extend_from_slice(payload);
            close_frame(&mut out, start);
        }
        out
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
        let mut reader = Frames::new(bytes);
        let mut found = Vec::new();
        loop {
            match reader.next().unwrap() {
                Next::Frame(payload) => found.push(payload.to_vec()),
                Next::End => return (found, true),
                Next::Damaged => return (found, false),
            }
        }
    }

    proptest! {
        #[test]
        fn integers_read_back(unsigned in any::<u64>(), signed in any::<i64>()) {
            let mut out = Vec::new();
            put_u64(&mut out, unsigned);
            put_i64(&mut out, signed);
            let mut input = out.as_slice();
            prop_assert_eq!((get_u64(&mut input), get_i64(&mut input)), (Some(unsigned), Some(signed)));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn a_cut_file_gives_the_frames_before_the_cut(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
        ) {
            let bytes = frames(&payloads);
            prop_assert_eq!(read(&bytes), (payloads.clone(), true));
            let mut end = 0;
            for (count, payload) in payloads.iter().enumerate() {
                let next = end + FRAME_HEADER + payload.len();
                for cut in end + 1..next {
                    prop_assert_eq!(read(&bytes[..cut]), (payloads[..count].to_vec(), false));
                }
                end = next;
            }
        }

        #[test]
        fn a_flipped_bit_is_found(payload in proptest::collection::vec(any::<u8>(), 1..50), bit in any::<usize>()) {
            let mut bytes = frames(&[payload]);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(&bytes), (vec![], false));
        }
    }

    #[test]
    fn small_numbers_are_short() {
        let mut out = Vec::new();
        for value in [0, -1, 1, 63, -64] {
            put_i64(&mut out, value);
        }
        assert_eq!(out.len(), 5);
    }
}
