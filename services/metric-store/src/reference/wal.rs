//! `current.wal` (spec metric-store.md 13.4), little endian.

use super::Damage;

/// First bytes of a log.
const FILE_MAGIC: u32 = 0xCC1D_A701;

/// First bytes of a record.
const RECORD_MAGIC: u32 = 0xCC1D_A7A1;

/// Longest payload that the reference reads.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record<'a> {
    /// Unix seconds.
    pub(crate) time: i64,
    /// Metric and place as they stand there: equal for all samples of a series.
    pub(crate) series: &'a [u8],
    /// The value.
    pub(crate) value: f32,
}

/// Who a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// Its metric.
    pub(crate) metric: &'a str,
    /// Component, empty for the host itself.
    pub(crate) component: &'a str,
    /// Part of the component, empty for the component itself.
    pub(crate) sub_component: &'a str,
}

impl<'a> Record<'a> {
    /// Who the series is; `None`: the bytes are no names, or it lies deeper than series do.
    pub(crate) fn name(&self) -> Option<Name<'a>> {
        let mut rest = self.series;
        let metric = take(&mut rest, 2)?;
        let (&selectors, mut rest) = rest.split_first()?;
        let mut places = [""; 2];
        for place in places.iter_mut().take(selectors.into()) {
            *place = take(&mut rest, 1)?;
        }
        let [component, sub_component] = places;
        (selectors <= 2 && rest.is_empty()).then_some(Name { metric, component, sub_component })
    }
}

/// Takes a text with its length, of one or two bytes, off the front.
fn take<'a>(input: &mut &'a [u8], length_bytes: usize) -> Option<&'a str> {
    let (length, rest) = input.split_at_checked(length_bytes)?;
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let (text, rest) = rest.split_at_checked(length)?;
    *input = rest;
    std::str::from_utf8(text).ok()
}

/// Reads records up to the end or the first that is not whole; returns how many bytes that were. An empty log is one.
pub(crate) fn scan<'a>(bytes: &'a [u8], mut take: impl FnMut(Record<'a>)) -> Result<usize, Damage> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let magic = bytes.first_chunk().map(|magic| u32::from_le_bytes(*magic));
    if magic != Some(FILE_MAGIC) {
        return Err(Damage { at: 0, problem: "the first four bytes are not those of a log" });
    }
    let mut rest = bytes.get(4..).unwrap_or_default();
    while let Some((record, behind)) = next(rest) {
        take(record);
        rest = behind;
    }
    Ok(bytes.len() - rest.len())
}

fn next(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    if u32::from_le_bytes(*magic) != RECORD_MAGIC || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(length)?;
    let (checksum, rest) = rest.split_first_chunk()?;
    if crate::wire::crc([payload, &[]]) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (time, series) = payload.split_first_chunk()?;
    let (series, value) = series.split_last_chunk()?;
    let record = Record { time: i64::from_le_bytes(*time), series, value: f32::from_le_bytes(*value) };
    Some((record, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// File header and the worked records of the specification.
    const WORKED: [u8; 79] = [
        0x01, 0xa7, 0x1d, 0xcc, 0xa1, 0xa7, 0x1d, 0xcc, 0x1c, 0x00, 0x00, 0x00, 0x00, 0xf1, 0x53, 0x65, 0x00,
        0x00, 0x00, 0x00, 0x03, 0x00, 0x69, 0x70, 0x63, 0x01, 0x09, 0x68, 0x77, 0x74, 0x68, 0x72, 0x65, 0x61,
        0x64, 0x33, 0x00, 0x00, 0x40, 0x3f, 0xc1, 0x11, 0x62, 0xfa, 0xa1, 0xa7, 0x1d, 0xcc, 0x17, 0x00, 0x00,
        0x00, 0x3c, 0xf1, 0x53, 0x65, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x6d, 0x65, 0x6d, 0x5f, 0x75, 0x73,
        0x65, 0x64, 0x00, 0x00, 0x00, 0x7a, 0x47, 0x7e, 0x7f, 0x34, 0x08,
    ];

    fn all(bytes: &[u8]) -> Result<(usize, Vec<String>), Damage> {
        let mut found = Vec::new();
        let whole = scan(bytes, |record| {
            let Some(Name { metric, component, sub_component }) = record.name() else { return };
            found.push(format!("{component}/{sub_component} {metric} {} {}", record.time, record.value));
        })?;
        Ok((whole, found))
    }

    #[test]
    fn the_worked_records_are_read_up_to_the_cut() {
        let lines = ["hwthread3/ ipc 1700000000 0.75", "/ mem_used 1700000060 64000"];
        for (end, whole, count) in [(79, 79, 2), (78, 44, 1), (44, 44, 1), (43, 4, 0), (4, 4, 0), (0, 0, 0)] {
            let lines: Vec<String> = lines[..count].iter().map(|&line| line.to_owned()).collect();
            assert_eq!(all(&WORKED[..end]), Ok((whole, lines)), "{end}");
        }
        let no_log = Damage { at: 0, problem: "the first four bytes are not those of a log" };
        assert_eq!(all(&WORKED[..2]), Err(no_log.clone()));
        assert_eq!(all(b"hello"), Err(no_log));
    }

    #[test]
    fn a_flipped_bit_ends_the_log() {
        for bit in 4 * 8..79 * 8 {
            let mut bytes = WORKED;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let intact = usize::from(bit >= 44 * 8);
            assert_eq!(all(&bytes).unwrap().1.len(), intact, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _result = all(&tail);
            let _result = all(&[&WORKED[..44], &tail].concat());
            let record = Record { time: 0, series: &tail, value: 0.0 };
            let _name = record.name();
        }
    }
}
