//! `current.wal` (spec metric-store.md 13.4), little endian.

use super::Damage;

/// First bytes of a log.
const FILE_MAGIC: u32 = 0xCC1D_A701;

/// First bytes of a record.
const RECORD_MAGIC: u32 = 0xCC1D_A7A1;

/// Longest payload that the reference reads.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Longest payload that is looked for behind damage; names of series are far shorter.
const FOUND_BYTES_MAX: usize = 4096;

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

/// Reads all whole records; returns how many bytes are none. The reference stops at the first such byte, but after a crash within a
/// record it goes on behind it. An empty log is one.
pub(crate) fn scan<'a>(bytes: &'a [u8], mut take: impl FnMut(Record<'a>)) -> Result<usize, Damage> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let magic = bytes.first_chunk().map(|magic| u32::from_le_bytes(*magic));
    if magic != Some(FILE_MAGIC) {
        return Err(Damage { at: 0, problem: "the first four bytes are not those of a log" });
    }
    let mut rest = bytes.get(4..).unwrap_or_default();
    let (mut lost, mut longest) = (0, PAYLOAD_BYTES_MAX);
    while !rest.is_empty() {
        if let Some((record, behind)) = next(rest, longest) {
            take(record);
            (rest, longest) = (behind, PAYLOAD_BYTES_MAX);
        } else {
            let behind = rest.get(1..).unwrap_or_default();
            let begin = RECORD_MAGIC.to_le_bytes();
            let skipped = behind.windows(begin.len()).position(|bytes| bytes == begin);
            let skipped = 1 + skipped.unwrap_or(behind.len());
            lost += skipped;
            (rest, longest) = (rest.get(skipped..).unwrap_or_default(), FOUND_BYTES_MAX);
        }
    }
    Ok(lost)
}

fn next(bytes: &[u8], longest: usize) -> Option<(Record<'_>, &[u8])> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    if u32::from_le_bytes(*magic) != RECORD_MAGIC || length > longest {
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
        let lost = scan(bytes, |record| {
            let Some(Name { metric, component, sub_component }) = record.name() else { return };
            found.push(format!("{component}/{sub_component} {metric} {} {}", record.time, record.value));
        })?;
        Ok((lost, found))
    }

    const LINES: [&str; 2] = ["hwthread3/ ipc 1700000000 0.75", "/ mem_used 1700000060 64000"];

    #[test]
    fn the_worked_records_are_read_up_to_the_cut() {
        for (end, lost, count) in [(79, 0, 2), (78, 34, 1), (44, 0, 1), (43, 39, 0), (4, 0, 0), (0, 0, 0)] {
            let lines: Vec<String> = LINES[..count].iter().map(|&line| line.to_owned()).collect();
            assert_eq!(all(&WORKED[..end]), Ok((lost, lines)), "{end}");
        }
        let no_log = Damage { at: 0, problem: "the first four bytes are not those of a log" };
        assert_eq!(all(&WORKED[..2]), Err(no_log.clone()));
        assert_eq!(all(b"hello"), Err(no_log));
    }

    #[test]
    fn a_flipped_bit_costs_one_record() {
        for bit in 4 * 8..79 * 8 {
            let mut bytes = WORKED;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (lost, line) = if bit < 44 * 8 { (40, LINES[1]) } else { (35, LINES[0]) };
            assert_eq!(all(&bytes), Ok((lost, vec![line.to_owned()])), "bit {bit}");
        }
    }

    #[test]
    fn records_behind_a_tear_are_found() {
        for cut in 5..44 {
            let torn = [&WORKED[..cut], &WORKED[44..], &WORKED[4..44]].concat();
            let lines = [LINES[1].to_owned(), LINES[0].to_owned()];
            assert_eq!(all(&torn), Ok((cut - 4, lines.to_vec())), "{cut}");
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
