//! Values of one or several series of a host over a range of time (spec metric-store.md 7).

use cc_model::cluster::Aggregation;

use crate::block::Add;
use crate::host::{ColumnId, HostData};

/// Points of one answer, at most; the interval times this is far beyond every retention in use.
pub(crate) const POINTS_MAX: i64 = 10_000_000;

/// A piece of a series, or of several as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Time of the first point: the one asked for, or that of the first sample if that is later.
    pub(crate) from: i64,
    /// Seconds between points.
    pub(crate) interval: i64,
    /// `NaN` where there is no sample.
    pub(crate) values: Vec<f64>,
}

impl Piece {
    /// Time behind the last point.
    pub(crate) fn to(&self) -> i64 {
        let count = i64::try_from(self.values.len()).unwrap_or(i64::MAX);
        self.from.saturating_add(count.saturating_mul(self.interval))
    }
}

/// Why there is no piece. The texts are the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The range ends before it begins.
    #[error("[METRICSTORE]> invalid time range")]
    Range,
    /// Several series of a metric that cannot be aggregated.
    #[error("[METRICSTORE]> invalid aggregation")]
    Aggregation,
    /// More points than one answer may have.
    #[error("[METRICSTORE]> too many points: ask for a shorter time range")]
    TooMany,
}

/// What to do where the first sample comes later than the time asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Begin with the first sample, as the reference does.
    Cut,
    /// Begin at the time asked for, with points without data.
    Keep,
}

/// The points nearest to `from`, `from + interval`, … before `to`, up to the last sample of any of the series. Several series are added
/// up or averaged point by point; a point that any of them lacks is missing.
pub(crate) fn piece(
    data: &HostData,
    columns: &[ColumnId],
    from: i64,
    to: i64,
    front: Front,
    aggregation: Aggregation,
) -> Result<Option<Piece>, ReadError> {
    if from > to {
        return Err(ReadError::Range);
    }
    let Some(interval) = columns.first().and_then(|&first| data.lane(first)).map(|(grid, _)| grid.interval())
    else {
        return Ok(None);
    };
    // After a change of the interval some series may still be on the old grid: they cannot be added to the others.
    let lanes: Vec<_> = columns
        .iter()
        .filter_map(|&column| data.lane(column))
        .filter(|(grid, _)| grid.interval() == interval)
        .filter_map(|(grid, lane)| Some((grid, lane, grid.range(lane)?)))
        .collect();
    if lanes.len() > 1 && aggregation == Aggregation::None {
        return Err(ReadError::Aggregation);
    }
    let Some(first) = lanes.iter().map(|(.., (first, _))| *first).min() else { return Ok(None) };
    let last = lanes.iter().map(|(.., (_, last))| *last).max().unwrap_or(first);
    let from = match front {
        Front::Cut => from.max(first),
        Front::Keep => from,
    };
    // A point belongs to the last sample until halfway to the next slot.
    let end = to.min(last + interval - interval / 2);
    let count = end.saturating_sub(from).max(0).saturating_add(interval - 1) / interval;
    if count > POINTS_MAX {
        return Err(ReadError::TooMany);
    }
    let mut values = vec![0.0; usize::try_from(count).unwrap_or(0)];
    let mut others = lanes.iter();
    if let Some((grid, lane, _)) = others.next() {
        grid.read(*lane, from, &mut values);
    }
    for (grid, lane, _) in others {
        grid.read_as::<Add>(*lane, from, &mut values);
    }
    if lanes.len() > 1 && aggregation == Aggregation::Avg {
        #[expect(clippy::cast_precision_loss, reason = "a number of series")]
        let share = 1.0 / lanes.len() as f64;
        for value in &mut values {
            *value *= share;
        }
    }
    Ok(Some(Piece { from, interval, values }))
}

/// Mean, smallest and largest of the values that are there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    /// Mean.
    pub(crate) avg: f64,
    /// Smallest.
    pub(crate) min: f64,
    /// Largest.
    pub(crate) max: f64,
}

impl Statistics {
    /// Of these values; `None` if there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let (mut sum, mut count) = (0.0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        // Without branches, and added up in the order of time: the sum must not depend on how the loop is compiled.
        for &value in values {
            let there = !value.is_nan();
            sum += if there { value } else { 0.0 };
            count += if there { 1.0 } else { 0.0 };
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
        }
        (count > 0.0).then(|| Self { avg: sum / count, min, max })
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "small numbers of tests"
)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::host::SeriesKey;
    use crate::names::MetricId;
    use crate::value;

    const T0: i64 = 1_700_000_040;

    /// One host; series `n` has the given samples (slot of 60 s from T0 + offset on).
    fn host(series: &[(i64, &[f64])]) -> (HostData, Vec<ColumnId>) {
        let mut data = HostData::new(0);
        let mut columns = Vec::new();
        for (number, (offset, values)) in series.iter().enumerate() {
            let component = format!("hwthread{number}");
            let key =
                SeriesKey { metric: MetricId(0), interval: 60, component: &component, sub_component: "" };
            let column = data.column(key);
            for (step, value) in (0..).zip(*values) {
                if !value.is_nan() {
                    data.write(column, T0 + offset + step * 60, *value, T0 + 10_000);
                }
            }
            columns.push(column);
        }
        (data, columns)
    }

    const GAP: f64 = f64::NAN;

    fn read(
        host: &(HostData, Vec<ColumnId>),
        from: i64,
        to: i64,
        aggregation: Aggregation,
    ) -> (i64, i64, String) {
        let piece = piece(&host.0, &host.1, T0 + from, T0 + to, Front::Cut, aggregation).unwrap().unwrap();
        (piece.from - T0, piece.to() - T0, format!("{:?}", piece.values))
    }

    #[test]
    fn one_series_is_cut_to_its_samples() {
        // the example of the specification: first sample at 1000
        let host = host(&[(960, &[1.0, 2.0, 3.0, GAP, GAP, 5.0])]);
        assert_eq!(
            read(&host, 860, 1360, Aggregation::None),
            (960, 1320, "[1.0, 2.0, 3.0, NaN, NaN, 5.0]".to_owned())
        );
        assert_eq!(read(&host, 970, 1160, Aggregation::None), (970, 1210, "[1.0, 2.0, 3.0, NaN]".to_owned()));
        assert_eq!(read(&host, 0, 500, Aggregation::None), (960, 960, "[]".to_owned()), "before");
        assert_eq!(read(&host, 5000, 6000, Aggregation::None), (5000, 5000, "[]".to_owned()), "after");
        assert_eq!(read(&host, 1000, 1000, Aggregation::None), (1000, 1000, "[]".to_owned()), "empty");
        assert_eq!(piece(&host.0, &host.1, 2, 1, Front::Cut, Aggregation::None), Err(ReadError::Range));
        assert_eq!(piece(&host.0, &[], 1, 2, Front::Cut, Aggregation::None), Ok(None));
    }

    #[test]
    fn several_series_share_one_range_and_gaps_spread() {
        let host = host(&[(0, &[1.0, 2.0, 3.0, 4.0]), (11, &[10.0, 20.0]), (60, &[100.0, GAP, 300.0])]);
        let sum = read(&host, -600, 600, Aggregation::Sum);
        assert_eq!(sum, (0, 240, "[NaN, 122.0, NaN, NaN]".to_owned()));
        let average = read(&host, 60, 120, Aggregation::Avg);
        assert_eq!((average.0, average.1), (60, 120));
        assert_eq!(average.2, format!("[{}]", 122.0 * (1.0 / 3.0)));
        assert_eq!(
            piece(&host.0, &host.1, T0, T0 + 60, Front::Cut, Aggregation::None),
            Err(ReadError::Aggregation)
        );
    }

    #[test]
    fn a_kept_front_lies_on_the_grid_of_the_request() {
        let host = host(&[(100, &[1.0, 2.0])]);
        let read = |from| {
            piece(&host.0, &host.1, T0 + from, T0 + 600, Front::Keep, Aggregation::None).unwrap().unwrap()
        };
        let piece = read(-25);
        assert_eq!((piece.from - T0, format!("{:?}", piece.values).as_str()), (-25, "[NaN, NaN, 1.0, 2.0]"));
        assert_eq!(format!("{:?}", read(-15).values), "[NaN, NaN, 1.0, 2.0]", "105 is nearest to 100");
        assert_eq!(format!("{:?}", read(140).values), "[2.0]");
    }

    #[test]
    fn a_single_series_needs_no_aggregation() {
        let host = host(&[(0, &[1.0])]);
        assert_eq!(read(&host, 0, 60, Aggregation::Avg).2, "[1.0]");
    }

    #[test]
    fn absurd_ranges_are_refused_before_memory_is_taken() {
        let mut data = HostData::new(0);
        let key = SeriesKey { metric: MetricId(0), interval: 1, component: "", sub_component: "" };
        let column = data.column(key);
        data.write(column, 0, 1.0, T0);
        data.write(column, T0, 1.0, T0);
        let read = |from, to, front| piece(&data, &[column], from, to, front, Aggregation::None);
        assert_eq!(read(0, T0, Front::Cut), Err(ReadError::TooMany));
        assert_eq!(read(i64::MIN, 100, Front::Keep), Err(ReadError::TooMany));
        assert_eq!(read(i64::MIN, 100, Front::Cut).unwrap().unwrap().values.len(), 100);
        assert_eq!(read(T0, i64::MAX, Front::Cut).unwrap().unwrap().values.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn pieces_are_what_a_plain_map_says(
            series in proptest::collection::vec(
                (0_i64..60, 0_i64..400, 1_usize..600, any::<u32>(), 1_u32..40),
                1..6,
            ),
            windows in proptest::collection::vec((-5000_i64..60_000, 0_i64..60_000, any::<bool>()), 6),
            average in any::<bool>(),
        ) {
            let mut data = HostData::new(17);
            let (mut columns, mut maps) = (Vec::new(), Vec::new());
            for (number, (phase, start, count, seed, missing)) in series.iter().enumerate() {
                let component = format!("hwthread{number}");
                let key =
                    SeriesKey { metric: MetricId(0), interval: 60, component: &component, sub_component: "" };
                let column = data.column(key);
                let mut map = BTreeMap::new();
                for slot in 0..i64::try_from(*count).unwrap() {
                    let noise = seed.wrapping_mul(slot as u32 | 1).rotate_left(7);
                    if slot > 0 && noise % 50 < missing % 7 {
                        continue;
                    }
                    let value = value::settle(f64::from(noise % (1 << (missing % 30))) / 8.0 * f64::from(*missing));
                    let time = T0 + phase + (start + slot) * 60;
                    data.write(column, time, value, time);
                    map.insert(time, value);
                }
                columns.push(column);
                maps.push(map);
            }
            let aggregation = if average { Aggregation::Avg } else { Aggregation::Sum };
            for (from, length, keep) in windows {
                let (from, to) = (T0 + from, T0 + from + length);
                let front = if keep { Front::Keep } else { Front::Cut };
                let piece = piece(&data, &columns, from, to, front, aggregation).unwrap().unwrap();
                let first = *maps.iter().filter_map(|map| map.keys().next()).min().unwrap();
                let last = *maps.iter().filter_map(|map| map.keys().next_back()).max().unwrap();
                prop_assert_eq!(piece.from, if keep { from } else { from.max(first) });
                let end = to.min(last + 30);
                prop_assert_eq!(piece.values.len() as i64, ((end - piece.from).max(0) + 59) / 60);
                for (point, value) in (0..).zip(&piece.values) {
                    let time = piece.from + point * 60;
                    let near = |map: &BTreeMap<i64, f64>| {
                        map.range(time - 30 + 1..=time + 30).next_back().map_or(f64::NAN, |(_, value)| *value)
                    };
                    let mut sum = maps.iter().map(near).reduce(|sum, value| sum + value).unwrap();
                    if average && maps.len() > 1 {
                        sum *= 1.0 / maps.len() as f64;
                    }
                    prop_assert_eq!(value.to_bits(), if sum.is_nan() { f64::NAN } else { sum }.to_bits(), "at {}", time - T0);
                }
                let there: Vec<f64> = piece.values.iter().copied().filter(|value| !value.is_nan()).collect();
                let statistics = Statistics::of(&piece.values);
                prop_assert_eq!(statistics.is_some(), !there.is_empty());
                if let Some(Statistics { avg, min, max }) = statistics {
                    prop_assert_eq!(min.to_bits(), there.iter().copied().fold(f64::INFINITY, f64::min).to_bits());
                    prop_assert_eq!(max.to_bits(), there.iter().copied().fold(f64::NEG_INFINITY, f64::max).to_bits());
                    let mean = there.iter().sum::<f64>() / there.len() as f64;
                    prop_assert_eq!(avg.to_bits(), mean.to_bits());
                }
            }
        }
    }

    #[test]
    fn statistics_pass_over_gaps() {
        assert_eq!(Statistics::of(&[GAP, 1.0, 4.0]), Some(Statistics { avg: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Statistics::of(&[GAP]), None);
    }
}
