//! Comparing, value by value; the answer is how many values were compared, so that a test can see that there were any.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::expect::{Data, Row, Rows};

/// Metrics with this many series have statistics over them.
const STATISTICS_FROM: usize = 8;

/// How far a number may lie from the exact one: files hold two decimals of a number of 32 bits, and what is made of such numbers is
/// rounded once more.
fn near(got: f64, want: f64, roundings: f64) -> bool {
    (got - want).abs() <= 0.005_001 * roundings + want.abs() * 1.2e-7
}

/// Compares a `data.json` with what is expected: metrics, scopes, units, series, lengths, values, statistics.
pub fn data(got: &Value, want: &Data) -> Result<usize, String> {
    let got = got.as_object().ok_or("the data is no object")?;
    let mut by_metric: BTreeMap<&str, BTreeMap<&str, &Rows>> = BTreeMap::new();
    for ((metric, scope), rows) in want {
        by_metric.entry(metric).or_default().insert(scope.name(), rows);
    }
    same_keys("metrics", got, by_metric.keys().copied())?;
    let mut compared = 0;
    for (metric, scopes) in by_metric {
        let got = got[metric].as_object().ok_or_else(|| format!("{metric} is no object"))?;
        same_keys(&format!("scopes of {metric}"), got, scopes.keys().copied())?;
        for (scope, rows) in scopes {
            compared += one(&got[scope], rows).map_err(|error| format!("{metric} at {scope}: {error}"))?;
        }
    }
    Ok(compared)
}

/// Compares an answer of `jobMetrics` in the same way.
pub fn job_metrics(got: &Value, want: &Data) -> Result<usize, String> {
    let mut file: Map<String, Value> = Map::new();
    for entry in got.as_array().ok_or("jobMetrics is no array")? {
        let (name, scope) =
            (entry["name"].as_str().ok_or("no name")?, entry["scope"].as_str().ok_or("no scope")?);
        let scopes = file.entry(name).or_insert_with(|| json!({}));
        if scopes.as_object_mut().ok_or("scopes")?.insert(scope.to_owned(), entry["metric"].clone()).is_some()
        {
            return Err(format!("{name} at {scope} comes twice"));
        }
    }
    data(&Value::Object(file), want)
}

fn same_keys<'a>(
    what: &str,
    got: &Map<String, Value>,
    want: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let mut got: Vec<&str> = got.keys().map(String::as_str).collect();
    let mut want: Vec<&str> = want.collect();
    got.sort_unstable();
    want.sort_unstable();
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?} instead of {want:?}")) }
}

fn one(got: &Value, want: &Rows) -> Result<usize, String> {
    let unit = |unit: &Value, key: &str| unit[key].as_str().unwrap_or_default().to_owned();
    for key in ["base", "prefix"] {
        if unit(&got["unit"], key) != unit(&want.unit, key) {
            return Err(format!("unit {} instead of {}", got["unit"], want.unit));
        }
    }
    if got["timestep"] != want.step {
        return Err(format!("timestep {} instead of {}", got["timestep"], want.step));
    }
    let series = got["series"].as_array().ok_or("no series")?;
    if series.len() != want.rows.len() {
        return Err(format!("{} series instead of {}", series.len(), want.rows.len()));
    }
    let mut compared = 0;
    for (got, want) in series.iter().zip(&want.rows) {
        compared += row(got, want).map_err(|error| format!("{} {:?}: {error}", want.host, want.id))?;
    }
    let statistics = &got["statisticsSeries"];
    if want.rows.len() < STATISTICS_FROM {
        return if statistics.is_null() {
            Ok(compared)
        } else {
            Err("statistics over few series".to_owned())
        };
    }
    Ok(compared + over_series(statistics, &want.rows)?)
}

fn row(got: &Value, want: &Row) -> Result<usize, String> {
    if got["hostname"] != want.host {
        return Err(format!("host {}", got["hostname"]));
    }
    // The id of the first part may stand at node scope, where it names nothing.
    if want.id.is_some() && got["id"].as_str() != want.id.as_deref() {
        return Err(format!("id {}", got["id"]));
    }
    let (min, mean, max) = want.statistics();
    for (key, want) in [("min", min), ("avg", mean), ("max", max)] {
        let got = got["statistics"][key].as_f64().ok_or("no statistics")?;
        if !near(got, want, 1.0) {
            return Err(format!("{key} {got} instead of {want}"));
        }
    }
    compare(&got["data"], &want.values, 1.0)
}

/// Compares an array with numbers; NaN stands for `null`.
fn compare(got: &Value, want: &[f64], roundings: f64) -> Result<usize, String> {
    let got = got.as_array().ok_or("no array")?;
    if got.len() != want.len() {
        return Err(format!("{} values instead of {}: {got:?} / {want:?}", got.len(), want.len()));
    }
    for (slot, (got, want)) in got.iter().zip(want).enumerate() {
        let good = match got.as_f64() {
            None => got.is_null() && want.is_nan(),
            Some(got) => near(got, *want, roundings),
        };
        if !good {
            return Err(format!("value {slot}: {got} instead of {want}"));
        }
    }
    Ok(want.len())
}

/// Smallest, median, largest at each time over the series that have a value then; fewer than three are too few.
fn over_series(got: &Value, rows: &[Row]) -> Result<usize, String> {
    let shortest = rows.iter().map(|row| row.values.len()).min().unwrap_or(0);
    let longest = rows.iter().map(|row| row.values.len()).max().unwrap_or(0);
    let mut columns = vec![Vec::new(); 3];
    for slot in 0..longest {
        let mut values: Vec<f64> = Vec::new();
        if slot < shortest {
            values.extend(rows.iter().map(|row| row.values[slot]).filter(|value| !value.is_nan()));
        }
        values.sort_by(f64::total_cmp);
        let half = values.len() / 2;
        let three = if values.len() < 3 {
            [f64::NAN; 3]
        } else {
            let median = if values.len() % 2 == 1 {
                values[half]
            } else {
                f64::midpoint(values[half - 1], values[half])
            };
            [values[0], median, values[values.len() - 1]]
        };
        for (column, value) in columns.iter_mut().zip(three) {
            column.push(value);
        }
    }
    let mut compared = 0;
    for (key, want) in ["min", "median", "max"].into_iter().zip(&columns) {
        // Those of an archived job are made of rounded values.
        compared +=
            compare(&got[key], want, 2.1).map_err(|error| format!("statisticsSeries.{key}: {error}"))?;
    }
    Ok(compared)
}

/// Whether a derived number (made of rounded ones) agrees.
pub(super) fn derived(got: &Value, want: f64) -> Result<(), String> {
    match got.as_f64() {
        Some(got) if near(got, want, 2.1) => Ok(()),
        _ => Err(format!("{got} instead of {want}")),
    }
}

/// Keys of an object and what is expected of them.
pub(super) fn numbers(what: &str, got: &Value, want: &BTreeMap<String, f64>) -> Result<usize, String> {
    let got = got.as_object().ok_or_else(|| format!("{what}: no object"))?;
    same_keys(what, got, want.keys().map(String::as_str))?;
    for (key, want) in want {
        derived(&got[key], *want).map_err(|error| format!("{what}.{key}: {error}"))?;
    }
    Ok(want.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Scope;

    fn rows(values: &[f64]) -> Data {
        let row = Row { host: "h".to_owned(), id: None, values: values.to_vec() };
        Data::from([(
            ("m".to_owned(), Scope::Node),
            Rows { unit: json!({"base": "B"}), step: 60, rows: vec![row] },
        )])
    }

    fn file(values: &Value) -> Value {
        json!({"m": {"node": {"unit": {"base": "B"}, "timestep": 60, "series": [
            {"hostname": "h", "statistics": {"min": 1.0, "avg": 2.0, "max": 3.0}, "data": values}]}}})
    }

    #[test]
    fn a_difference_in_one_value_is_found() {
        let want = rows(&[1.0, f64::NAN, 3.0]);
        assert_eq!(data(&file(&json!([1.0, null, 3.0])), &want), Ok(3));
        for wrong in
            [json!([1.0, null, 3.1]), json!([1.0, 2.0, 3.0]), json!([1.0, null]), json!([1.0, null, null])]
        {
            assert!(data(&file(&wrong), &want).is_err(), "{wrong}");
        }
        assert!(data(&json!({}), &want).is_err());
        assert!(data(&json!({"m": {"node": {}, "core": {}}}), &want).is_err());
    }
}
