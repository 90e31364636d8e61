//! `<from>.bin` (spec metric-store.md 13.3), little endian. Ours carry, behind the end that the reference reads, [`Trailer`].

use super::{Damage, Series, Take, Window};
use crate::value;

/// First bytes of a snapshot.
const MAGIC: u32 = 0xCC5B_0001;

/// Bytes before the content.
pub(crate) const HEADER_BYTES: usize = 20;

/// Levels below the host that a file may have; series live on the first two.
const DEPTH_MAX: usize = 8;

/// Bytes of [`Trailer`].
pub(crate) const TRAILER_BYTES: usize = 20;
const TRAILER_MAGIC: [u8; 8] = *b"ccx-bin1";

/// `NaN` as the reference writes it.
const GAP: u32 = 0x7FC0_0000;

/// What stands behind the content of a file of ours: which store wrote it, and the checksum of everything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// The store, see [`crate::store::Store`].
    pub(crate) store: u64,
    checksum: u32,
}

impl Trailer {
    /// The trailer in the last bytes of a file.
    pub(crate) fn read(end: &[u8]) -> Option<Self> {
        let end: &[u8; TRAILER_BYTES] = end.last_chunk()?;
        let mut rest = end.strip_prefix(&TRAILER_MAGIC)?;
        let store = u64::from_le_bytes(crate::wire::get_array(&mut rest)?);
        Some(Self { store, checksum: u32::from_le_bytes(crate::wire::get_array(&mut rest)?) })
    }
}

/// The window that the first bytes of a file name.
pub(crate) fn window(header: &[u8]) -> Result<Window, Damage> {
    let mut reader = Reader { bytes: header, at: 0 };
    if reader.u32()? != MAGIC {
        return Err(Damage { at: 0, problem: "the first four bytes are not those of a snapshot" });
    }
    Ok(Window { from: reader.i64()?, to: reader.i64()? })
}

/// Reads a file: first all of its structure, so that nothing is taken of a damaged one, then its values.
pub(crate) fn read(bytes: &[u8], take: Take<'_>) -> Result<Window, Damage> {
    let window = window(bytes)?;
    let content = match Trailer::read(bytes) {
        Some(trailer) => {
            let content = bytes.get(..bytes.len() - TRAILER_BYTES).unwrap_or_default();
            if crate::wire::crc([content, &[]]) != trailer.checksum {
                return Err(Damage { at: content.len(), problem: "the checksum is wrong" });
            }
            content
        }
        None => bytes,
    };
    Reader { bytes: content, at: HEADER_BYTES }.level(&mut Vec::new(), None)?;
    let mut values = Vec::new();
    Reader { bytes: content, at: HEADER_BYTES }.level(&mut Vec::new(), Some((take, &mut values)))?;
    Ok(window)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(count);
        let found = end.and_then(|end| self.bytes.get(self.at..end));
        let found = found.ok_or(Damage { at: self.at, problem: "it ends too early" })?;
        self.at += count;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let at = self.at;
        let found = self.skip(N)?.first_chunk();
        found.copied().ok_or(Damage { at, problem: "it ends too early" })
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, Damage> {
        self.array().map(i64::from_le_bytes)
    }

    fn string(&mut self) -> Result<&'a str, Damage> {
        let length = self.array().map(u16::from_le_bytes)?;
        let at = self.at;
        std::str::from_utf8(self.skip(length.into())?)
            .map_err(|_| Damage { at, problem: "a name is not UTF-8" })
    }

    /// One level and everything below it; its values only for `take`.
    fn level(
        &mut self,
        path: &mut Vec<&'a str>,
        mut take: Option<(Take<'_>, &mut Vec<f64>)>,
    ) -> Result<(), Damage> {
        for _ in 0..self.u32()? {
            let metric = self.string()?;
            let (interval, start) = (self.i64()?, self.i64()?);
            let at = self.at;
            let count = self.u32()? as usize;
            let too_many = Damage { at, problem: "it has fewer values than it says" };
            let length = count.checked_mul(4).ok_or_else(|| too_many.clone())?;
            let data = self.skip(length).map_err(|_| too_many)?;
            let (component, sub_component) = match path.as_slice() {
                [] => ("", ""),
                [component] => (*component, ""),
                [component, sub_component] => (*component, *sub_component),
                _ => continue,
            };
            if let Some((take, values)) = &mut take {
                values.clear();
                values.extend(
                    data.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))),
                );
                widen(values);
                take(Series { component, sub_component, metric, interval, start }, values);
            }
        }
        let at = self.at;
        for _ in 0..self.u32()? {
            if path.len() >= DEPTH_MAX {
                return Err(Damage { at, problem: "its levels are too deep" });
            }
            path.push(self.string()?);
            let take = take.as_mut().map(|(take, values)| (&mut **take as Take<'_>, &mut **values));
            self.level(path, take)?;
            path.pop();
        }
        Ok(())
    }
}

/// Where all values of a series are the nearest `f32` of a short decimal, they become that decimal: collectors send such numbers, and a
/// value that we wrote ourselves comes back as it was. Infinite values count as missing.
fn widen(values: &mut [f64]) {
    for value in &mut *values {
        if value.is_infinite() {
            *value = f64::NAN;
        }
    }
    if values.iter().all(|&value| value.is_nan() || value::decimal_of_single(value).is_some()) {
        for value in values {
            *value = value::decimal_of_single(*value).unwrap_or(f64::NAN);
        }
    } else {
        for value in values {
            *value += 0.0;
        }
    }
}

/// Writes one file.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A file of that window.
    pub(crate) fn new(mut buffer: Vec<u8>, window: Window) -> Self {
        buffer.clear();
        buffer.extend_from_slice(&MAGIC.to_le_bytes());
        buffer.extend_from_slice(&window.from.to_le_bytes());
        buffer.extend_from_slice(&window.to.to_le_bytes());
        Self { bytes: buffer }
    }

    /// Begins a level of so many metrics.
    pub(crate) fn metrics(&mut self, count: u32) {
        self.bytes.extend_from_slice(&count.to_le_bytes());
    }

    /// Begins the children of a level, so many.
    pub(crate) fn children(&mut self, count: u32) {
        self.bytes.extend_from_slice(&count.to_le_bytes());
    }

    /// Names the child whose level follows.
    pub(crate) fn child(&mut self, name: &str) {
        self.string(name);
    }

    /// One metric of a level.
    pub(crate) fn metric(&mut self, name: &str, interval: i64, start: i64, values: &[f64]) {
        self.string(name);
        self.bytes.extend_from_slice(&interval.to_le_bytes());
        self.bytes.extend_from_slice(&start.to_le_bytes());
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes.reserve(values.len() * 4);
        for &value in values {
            #[expect(clippy::cast_possible_truncation, reason = "the format has no more")]
            let single = value as f32;
            let bits = if single.is_finite() { single.to_bits() } else { GAP };
            self.bytes.extend_from_slice(&bits.to_le_bytes());
        }
    }

    /// Ends the file, signed by a store.
    pub(crate) fn finish(mut self, store: u64) -> Vec<u8> {
        let checksum = crate::wire::crc([&self.bytes, &[]]);
        self.bytes.extend_from_slice(&TRAILER_MAGIC);
        self.bytes.extend_from_slice(&store.to_le_bytes());
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes
    }

    /// Names in a registry and in lines are shorter.
    fn string(&mut self, text: &str) {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend(text.bytes().take(length.into()));
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// The worked file of the specification.
    const WORKED: &str = "01005bcc00f153650000000 0b4f1536500000000 01000000 0800 6d656d5f75736564 3c00000000000000 14f1536500000000
        03000000 0000803f 0000c07f 00002040 01000000 0700 736f636b657430 01000000 0600 6d656d5f6277 3c00000000000000
        1ef1536500000000 01000000 00002041 00000000";

    fn worked() -> Vec<u8> {
        let digits: Vec<u32> = WORKED.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
    }

    fn all(bytes: &[u8]) -> Result<(Window, String), Damage> {
        let mut found = String::new();
        let window = read(bytes, &mut |series, values| {
            let Series { component, sub_component, metric, interval, start } = series;
            writeln!(found, "{component}/{sub_component} {metric} {interval} {start} {values:?}").unwrap();
        })?;
        Ok((window, found))
    }

    #[test]
    fn the_worked_file_is_read_and_written_byte_for_byte() {
        let bytes = worked();
        assert_eq!(bytes.len(), 119);
        let window = Window { from: 1_700_000_000, to: 1_700_000_180 };
        let text = "/ mem_used 60 1700000020 [1.0, NaN, 2.5]\nsocket0/ mem_bw 60 1700000030 [10.0]\n";
        assert_eq!(all(&bytes), Ok((window, text.to_owned())));
        let mut writer = Writer::new(Vec::new(), window);
        writer.metrics(1);
        writer.metric("mem_used", 60, 1_700_000_020, &[1.0, f64::NAN, 2.5]);
        writer.children(1);
        writer.child("socket0");
        writer.metrics(1);
        writer.metric("mem_bw", 60, 1_700_000_030, &[10.0]);
        writer.children(0);
        let written = writer.finish(7);
        assert_eq!(written[..119], bytes);
        assert_eq!(Trailer::read(&written).map(|trailer| trailer.store), Some(7));
        assert_eq!(all(&written), all(&bytes));
        let mut flipped = written;
        flipped[70] ^= 1;
        assert_eq!(all(&flipped), Err(Damage { at: 119, problem: "the checksum is wrong" }));
    }

    #[test]
    fn nothing_is_taken_of_a_cut_file() {
        let bytes = worked();
        for end in 0..bytes.len() {
            let mut taken = 0;
            assert!(read(&bytes[..end], &mut |_, _| taken += 1).is_err(), "{end}");
            assert_eq!(taken, 0);
        }
    }

    #[test]
    fn short_decimals_come_back_and_rates_stay_singles() {
        let mut decimals = [1.1_f32, 0.0001, -273.15, f32::NAN].map(f64::from);
        widen(&mut decimals);
        assert_eq!(format!("{decimals:?}"), "[1.1, 0.0001, -273.15, NaN]");
        let mut mixed = [1.1_f32, std::f32::consts::PI].map(f64::from);
        widen(&mut mixed);
        assert_eq!(
            mixed.map(f64::to_bits),
            [1.1_f32, std::f32::consts::PI].map(|value| f64::from(value).to_bits())
        );
        let mut infinite = [f64::INFINITY, 1.0];
        widen(&mut infinite);
        assert_eq!(format!("{infinite:?}"), "[NaN, 1.0]");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), real in any::<bool>()) {
            if real {
                for (to, from) in bytes.iter_mut().zip(worked()) {
                    *to = from;
                }
            }
            let _result = all(&bytes);
        }

        #[test]
        fn flipped_bits_do_not_panic(bit in 0_usize..119 * 8, end in 0_usize..=119) {
            let mut bytes = worked();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _result = all(&bytes[..end]);
        }
    }
}
