//! What an archived job must hold, computed from the samples that were fed. Imports nothing from `services/`: a mistake there must not
//! be repeated here.

use serde_json::Value;

use crate::samples::{Metric, value};

/// How far an archived number may lie from the exact one: files hold two decimals.
pub const TOLERANCE: f64 = 0.005_001;

/// The samples of one series that fall into a job, one per `step` seconds from the first grid point at or after `start`.
pub fn series(
    cluster: &str,
    host: &str,
    metric: &Metric,
    id: &str,
    start: i64,
    stop: i64,
    step: i64,
) -> Vec<f64> {
    let first = start.div_euclid(step) * step;
    (0..=(stop - first) / step).map(|slot| value(cluster, host, metric, id, first + slot * step)).collect()
}

/// Sum or mean over the series of a node, slot by slot.
pub fn over_ids(
    cluster: &str,
    host: &str,
    metric: &Metric,
    start: i64,
    stop: i64,
    step: i64,
    sum: bool,
) -> Vec<f64> {
    let columns: Vec<Vec<f64>> =
        metric.ids.iter().map(|id| series(cluster, host, metric, id, start, stop, step)).collect();
    let slots = columns.first().map_or(0, Vec::len);
    (0..slots)
        .map(|slot| {
            let total: f64 = columns.iter().map(|column| column[slot]).sum();
            if sum { total } else { total / columns.len() as f64 }
        })
        .collect()
}

/// The numbers of a JSON array; `null` is NaN.
pub fn numbers(array: &Value) -> Vec<f64> {
    array.as_array().expect("an array").iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Whether two rows of samples agree where both have one, and how many slots were compared.
pub fn compare(got: &[f64], want: &[f64]) -> Result<usize, String> {
    let mut compared = 0;
    for (slot, (got, want)) in got.iter().zip(want).enumerate() {
        match (got.is_nan(), want.is_nan()) {
            (true, true) => {}
            (false, false) if (got - want).abs() <= TOLERANCE * want.abs().max(1.0).log10().max(1.0) => {
                compared += 1
            }
            _ => return Err(format!("slot {slot}: {got} instead of {want}")),
        }
    }
    Ok(compared)
}
