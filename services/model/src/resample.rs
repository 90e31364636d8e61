//! Thinning of a series to a coarser interval (metric-store.md 8), value for value as the reference does it.

use std::{borrow::Cow, str::FromStr};

/// How a series is thinned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Largest triangle three buckets: keeps the look of the curve. What the reference uses.
    #[default]
    Lttb,
    /// Mean of each step, gaps left out.
    Average,
    /// The first value of each step.
    Simple,
}

/// A name that no algorithm has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown resampling algorithm {0:?} (one of lttb, average, simple)")]
pub struct UnknownAlgorithm(pub String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "" | "lttb" => Ok(Self::Lttb),
            "average" => Ok(Self::Average),
            "simple" => Ok(Self::Simple),
            _ => Err(UnknownAlgorithm(name.to_owned())),
        }
    }
}

/// A resolution that cannot be made. The text is the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("new sampling frequency ({new}) must be a multiple of old frequency ({old})")]
pub struct NotAMultiple {
    /// The interval that was asked for, in seconds.
    pub new: i64,
    /// The interval of the data, in seconds.
    pub old: i64,
}

/// Data at some interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled<'a> {
    /// The values; the given ones if nothing had to be done.
    pub data: Cow<'a, [f64]>,
    /// Seconds between two of them.
    pub timestep: i64,
}

/// Thins `data`, taken every `old` seconds, to one value per `new` seconds.
///
/// Returned unchanged with the old interval: if there is no interval, if `new` is not coarser, if there are fewer than
/// `minimum_points` values, or if no value would be left. A gap (not-a-number) stays a gap where it is picked.
///
/// # Errors
/// `new` is coarser but not a multiple of `old`.
pub fn resample(
    data: &[f64],
    old: i64,
    new: i64,
    minimum_points: usize,
    algorithm: Algorithm,
) -> Result<Resampled<'_>, NotAMultiple> {
    let unchanged = Resampled { data: Cow::Borrowed(data), timestep: old };
    if old <= 0 || new <= old {
        return Ok(unchanged);
    }
    if new % old != 0 {
        return Err(NotAMultiple { new, old });
    }
    let Ok(step) = usize::try_from(new / old) else { return Ok(unchanged) };
    let points = data.len() / step;
    if points == 0 || data.len() < minimum_points || points >= data.len() {
        return Ok(unchanged);
    }
    let thinned = match algorithm {
        Algorithm::Lttb => lttb(data, points),
        Algorithm::Average => data.chunks_exact(step).map(mean_of_known).collect(),
        Algorithm::Simple => data.chunks_exact(step).filter_map(|chunk| chunk.first().copied()).collect(),
    };
    Ok(Resampled { data: Cow::Owned(thinned), timestep: new })
}

/// Largest triangle three buckets: from each bucket the point that spans the largest triangle with the point chosen
/// before and the mean of the next bucket. The two ends are always kept, so at least two points come back.
fn lttb(data: &[f64], points: usize) -> Vec<f64> {
    let (Some(&first), Some(&last)) = (data.first(), data.last()) else { return Vec::new() };
    let mut out = Vec::with_capacity(points.max(2));
    out.push(first);
    if points > 2 {
        let size = float(data.len() - 2) / float(points - 2);
        let boundary = |buckets: usize| floor(float(buckets) * size) + 1;
        let mut chosen = (0, first);
        let (mut low, mut middle) = (1, boundary(1));
        for i in 0..points - 2 {
            let high = boundary(i + 2);
            let high = if high >= data.len() - 1 { data.len() - 2 } else { high };
            let center = center(middle, data.get(middle..=high).unwrap_or_default());
            chosen = largest(chosen, low, data.get(low..middle).unwrap_or_default(), center);
            out.push(chosen.1);
            (low, middle) = (middle, high);
        }
    }
    out.push(last);
    out
}

/// Mean position and mean value; not-a-number if any value is, or if there is none.
fn center(start: usize, values: &[f64]) -> (f64, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    for (index, value) in (start..).zip(values) {
        x += float(index);
        y += value;
    }
    (x / float(values.len()), y / float(values.len()))
}

/// The candidate with the largest triangle; an area that is not a number beats every other, the last such one wins.
fn largest(from: (usize, f64), start: usize, candidates: &[f64], center: (f64, f64)) -> (usize, f64) {
    let (from_x, from_y) = (float(from.0), from.1);
    let mut best = -1.0;
    let mut chosen = from;
    for (index, &value) in (start..).zip(candidates) {
        let area = (((from_x - float(index)) * (center.1 - from_y) - (from_x - center.0) * (value - from_y))
            * 0.5)
            .abs();
        if area > best || area.is_nan() {
            best = area;
            chosen = (index, value);
        }
    }
    chosen
}

fn mean_of_known(values: &[f64]) -> f64 {
    let (sum, count) = values
        .iter()
        .filter(|value| !value.is_nan())
        .fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { f64::NAN } else { sum / float(count) }
}

#[expect(clippy::cast_precision_loss, reason = "a series has far fewer than 2^53 points")]
fn float(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions in a series")]
fn floor(x: f64) -> usize {
    x.floor() as usize
}

#[cfg(test)]
mod tests;
