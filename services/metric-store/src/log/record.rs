//! One record of the log: the samples of one batch and host, and what the segment's dictionary needs for them.
//!
//! Numbers of hosts and columns hold within one segment, so that every segment is read by itself. Layout: host number, flags (1:
//! names of the host follow, 2: columns follow, 4: what is freed follows), the definitions, number of samples, time of the first; per
//! sample one control byte
//! (bit 0: the column is not the next one and follows; bit 1: the time differs and the difference follows; upper bits: form of the
//! value) and what it announces.

use crate::host::ColumnId;
use crate::value;
use crate::wire::{get_array, get_bytes, get_i64, get_str, get_u32, get_u64, put_bytes, put_i64, put_u64};

/// A sample on its way: series of its host, Unix seconds, settled value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The series.
    pub(crate) column: ColumnId,
    /// Unix seconds.
    pub(crate) time: i64,
    /// The settled value.
    pub(crate) value: f64,
}

/// Times that a record may hold: far beyond every retention, and safe to calculate with.
pub(crate) const TIME_MAX: i64 = 1 << 40;

/// Longest interval, in seconds.
pub(crate) const INTERVAL_MAX: i64 = 1 << 31;

const NAMES: u64 = 1;
const COLUMNS: u64 = 2;
const FREED: u64 = 4;

const OTHER_COLUMN: u8 = 1;
const OTHER_TIME: u8 = 2;

/// Forms of a value, from bit 2 of the control byte on. 0 to 4 are decimals after the point of an integer.
const FORM_SHIFT: u32 = 2;
const SINGLE: u8 = 5;
const DOUBLE: u8 = 6;

/// Integers of at most this magnitude are shorter than four bytes.
const SHORT_MAX: u64 = 1 << 27;

/// Samples that are dropped on demand: those of a component and what is below it (empty: of the host), before a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed<'a> {
    /// Component, empty for the host.
    pub(crate) component: &'a str,
    /// Part of the component, empty for the component itself.
    pub(crate) sub_component: &'a str,
    /// Unix seconds: what ends before goes.
    pub(crate) cut: i64,
}

/// Appends the head of a record: the host's number, its names if the segment does not know it, what is freed.
pub(crate) fn put_host(
    out: &mut Vec<u8>,
    id: u32,
    names: Option<(&str, &str)>,
    has_columns: bool,
    freed: Option<Freed<'_>>,
) {
    put_u64(out, id.into());
    let flag = |wanted: bool, flag: u64| if wanted { flag } else { 0 };
    put_u64(out, flag(names.is_some(), NAMES) | flag(has_columns, COLUMNS) | flag(freed.is_some(), FREED));
    if let Some((cluster, host)) = names {
        put_bytes(out, cluster.as_bytes());
        put_bytes(out, host.as_bytes());
    }
    if let Some(freed) = freed {
        put_bytes(out, freed.component.as_bytes());
        put_bytes(out, freed.sub_component.as_bytes());
        put_i64(out, freed.cut);
    }
}

/// Appends the head of the list of columns.
pub(crate) fn put_columns(out: &mut Vec<u8>, first: ColumnId, count: u32) {
    put_u64(out, first.into());
    put_u64(out, count.into());
}

/// Appends one column of the list.
pub(crate) fn put_column(out: &mut Vec<u8>, column: ColumnOf<'_>) {
    put_bytes(out, column.metric.as_bytes());
    put_i64(out, column.interval);
    put_bytes(out, column.component.as_bytes());
    put_bytes(out, column.sub_component.as_bytes());
}

/// Appends the samples.
pub(crate) fn put_samples(out: &mut Vec<u8>, samples: &[Sample]) {
    put_u64(out, samples.len() as u64);
    let mut time = samples.first().map_or(0, |sample| sample.time);
    put_i64(out, time);
    let mut next: ColumnId = 0;
    for sample in samples {
        let at = out.len();
        let mut control = 0;
        out.push(control);
        if sample.column != next {
            control |= OTHER_COLUMN;
            put_u64(out, sample.column.into());
        }
        if sample.time != time {
            control |= OTHER_TIME;
            put_i64(out, sample.time - time);
            time = sample.time;
        }
        next = sample.column.wrapping_add(1);
        control |= put_value(out, sample.value) << FORM_SHIFT;
        if let Some(byte) = out.get_mut(at) {
            *byte = control;
        }
    }
}

/// Appends the value in a short exact form and returns the form.
#[inline]
fn put_value(out: &mut Vec<u8>, value: f64) -> u8 {
    let whole = value::integer(value);
    if let Some(whole) = whole.filter(|whole| whole.unsigned_abs() < SHORT_MAX) {
        put_i64(out, whole);
        return 0;
    }
    if let Some(single) = value::single(value) {
        out.extend_from_slice(&single.to_le_bytes());
        return SINGLE;
    }
    if let Some((mantissa, decimals)) = value::decimal(value) {
        put_i64(out, mantissa);
        return decimals;
    }
    out.extend_from_slice(&value.to_le_bytes());
    DOUBLE
}

/// A column as the log and the checkpoints name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnOf<'a> {
    /// Name of the metric.
    pub(crate) metric: &'a str,
    /// Seconds between slots.
    pub(crate) interval: i64,
    /// Component, empty for the node.
    pub(crate) component: &'a str,
    /// Part of the component, empty for the component itself.
    pub(crate) sub_component: &'a str,
}

/// Takes a column off the front.
pub(crate) fn get_column<'a>(input: &mut &'a [u8]) -> Option<ColumnOf<'a>> {
    let metric = get_str(input)?;
    let interval = get_i64(input).filter(|interval| (1..=INTERVAL_MAX).contains(interval))?;
    Some(ColumnOf { metric, interval, component: get_str(input)?, sub_component: get_str(input)? })
}

/// The bytes are no record of ours, though their checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotARecord;

/// A record, read up to its samples.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// The host's number.
    pub(crate) host: u32,
    /// Cluster and host, if defined here.
    pub(crate) names: Option<(&'a str, &'a str)>,
    /// What is freed, before the samples are taken.
    pub(crate) freed: Option<Freed<'a>>,
    /// Columns defined here, and then the samples.
    rest: &'a [u8],
    first_column: ColumnId,
    columns: u64,
}

impl<'a> Record<'a> {
    /// Reads the head. `None`: no record of ours.
    pub(crate) fn read(mut payload: &'a [u8]) -> Option<Self> {
        let input = &mut payload;
        let host = get_u32(input)?;
        let flags = get_u64(input)?;
        let names = if flags & NAMES == 0 { None } else { Some((get_str(input)?, get_str(input)?)) };
        let freed = if flags & FREED == 0 {
            None
        } else {
            let (component, sub_component) = (get_str(input)?, get_str(input)?);
            Some(Freed { component, sub_component, cut: get_i64(input)? })
        };
        let (first_column, columns) =
            if flags & COLUMNS == 0 { (0, 0) } else { (get_u32(input)?, get_u64(input)?) };
        Some(Self { host, names, freed, rest: payload, first_column, columns })
    }

    /// Number of the first column defined here, if any is.
    pub(crate) fn first_column(&self) -> Option<ColumnId> {
        (self.columns > 0).then_some(self.first_column)
    }

    /// The next column defined here; `None`: there are no more.
    pub(crate) fn next_column(&mut self) -> Result<Option<ColumnOf<'a>>, NotARecord> {
        if self.columns == 0 {
            return Ok(None);
        }
        self.columns -= 1;
        get_column(&mut self.rest).map(Some).ok_or(NotARecord)
    }

    /// The samples; to be called when all columns were taken.
    pub(crate) fn samples(mut self) -> Option<Samples<'a>> {
        let left = get_u64(&mut self.rest)?;
        let time = get_i64(&mut self.rest)?;
        Some(Samples { rest: self.rest, left, time, next: 0 })
    }
}

/// The samples of a record.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    rest: &'a [u8],
    left: u64,
    time: i64,
    next: ColumnId,
}

impl Samples<'_> {
    /// The next sample; `None`: there are no more.
    #[inline]
    pub(crate) fn next_sample(&mut self) -> Result<Option<Sample>, NotARecord> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.read().map(Some).ok_or(NotARecord)
    }

    #[inline]
    fn read(&mut self) -> Option<Sample> {
        let (&control, rest) = self.rest.split_first()?;
        self.rest = rest;
        if control & OTHER_COLUMN != 0 {
            self.next = get_u32(&mut self.rest)?;
        }
        if control & OTHER_TIME != 0 {
            self.time = self.time.checked_add(get_i64(&mut self.rest)?)?;
        }
        if self.time.abs() > TIME_MAX {
            return None;
        }
        let value = match control >> FORM_SHIFT {
            decimals @ 0..=4 => value::from_decimal(get_i64(&mut self.rest)?, decimals),
            SINGLE => f64::from(f32::from_le_bytes(get_array(&mut self.rest)?)),
            DOUBLE => f64::from_le_bytes(get_array(&mut self.rest)?),
            _ => return None,
        };
        let column = self.next;
        self.next = column.wrapping_add(1);
        Some(Sample { column, time: self.time, value })
    }
}

/// Takes a block with its number off the front (checkpoints).
pub(crate) fn get_block<'a>(input: &mut &'a [u8]) -> Option<(i64, &'a [u8])> {
    Some((get_i64(input)?, get_bytes(input)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> impl Strategy<Value = Sample> {
        let value = prop_oneof![
            (-1_000_000_i64..1_000_000, 0_u8..=4)
                .prop_map(|(mantissa, decimals)| value::from_decimal(mantissa, decimals)),
            any::<f64>().prop_filter("finite", |value| value.is_finite()),
            (0_u32..).prop_map(|integer| f64::from(integer) * 1024.0),
        ];
        (0_u32..20, 1_700_000_000_i64..1_700_000_200, value).prop_map(|(column, time, value)| Sample {
            column,
            time,
            value: value::settle(value),
        })
    }

    proptest! {
        #[test]
        fn samples_read_back_bit_by_bit(samples in proptest::collection::vec(sample(), 0..50)) {
            let mut out = Vec::new();
            let freed = Freed { component: "socket0", sub_component: "", cut: -5 };
            put_host(&mut out, 7, Some(("fritz", "f0101")), true, Some(freed));
            put_columns(&mut out, 3, 1);
            let column = ColumnOf { metric: "ipc", interval: 60, component: "hwthread3", sub_component: "" };
            put_column(&mut out, column);
            put_samples(&mut out, &samples);
            let mut record = Record::read(&out).unwrap();
            prop_assert_eq!((record.host, record.names, record.first_column()), (7, Some(("fritz", "f0101")), Some(3)));
            prop_assert_eq!(record.freed, Some(freed));
            prop_assert_eq!(record.next_column(), Ok(Some(column)));
            prop_assert_eq!(record.next_column(), Ok(None));
            let mut reader = record.samples().unwrap();
            for sample in &samples {
                let read = reader.next_sample().unwrap().unwrap();
                prop_assert_eq!((read.column, read.time, read.value.to_bits()), (sample.column, sample.time, sample.value.to_bits()));
            }
            prop_assert_eq!(reader.next_sample(), Ok(None));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(mut record) = Record::read(&bytes) {
                while let Ok(Some(_)) = record.next_column() {}
                if let Some(mut samples) = record.samples() {
                    while let Ok(Some(_)) = samples.next_sample() {}
                }
            }
        }
    }

    #[test]
    fn a_usual_batch_takes_few_bytes() {
        let samples: Vec<Sample> = (0..100)
            .map(|column| {
                let value = match column % 4 {
                    0 => f64::from(column),
                    1 => f64::from(column) + 0.1,
                    2 => f64::from(column) * 409_600.0,
                    _ => value::settle(f64::from(column) * std::f64::consts::PI),
                };
                Sample { column, time: 1_700_000_000, value }
            })
            .collect();
        let mut out = Vec::new();
        put_samples(&mut out, &samples);
        assert!(out.len() < 460, "{} bytes for 100 samples", out.len());
    }
}
