//! Times in the fixtures are relative: `{{t0+60}}`, `{{now-5}}`, `{{t0+60 ms}}`.

use base64::Engine as _;
use serde_json::Value;

/// The present of these tests.
pub(crate) const NOW: i64 = 1_700_000_000 / 3600 * 3600 + 1234;

/// The last full hour minus two hours.
pub(crate) const T0: i64 = NOW / 3600 * 3600 - 7200;

/// Replaces the marks by absolute times.
pub(crate) fn fill(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let end = rest[start..].find("}}").unwrap() + start;
        let mark = &rest[start + 2..end];
        out.push_str(&rest[..start]);
        match time(mark) {
            Some(time) => out.push_str(&time.to_string()),
            None => out.push_str(&rest[start..end + 2]),
        }
        rest = &rest[end + 2..];
    }
    out + rest
}

fn time(mark: &str) -> Option<i64> {
    let (mark, unit) = match mark.split_once(' ') {
        None => (mark, 1),
        Some((mark, "ms")) => (mark, 1_000),
        Some((mark, "us")) => (mark, 1_000_000),
        Some((mark, "ns")) => (mark, 1_000_000_000),
        Some(_) => return None,
    };
    let (base, offset) = match (mark.strip_prefix("t0"), mark.strip_prefix("now")) {
        (Some(offset), _) => (T0, offset),
        (_, Some(offset)) => (NOW, offset),
        _ => return None,
    };
    let offset = if offset.is_empty() { 0 } else { offset.parse::<i64>().ok()? };
    Some((base + offset) * unit)
}

/// As [`fill`], for a parsed value: a text that is nothing but a mark becomes an integer.
pub(crate) fn fill_json(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            match text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}")).and_then(time) {
                Some(time) => time.into(),
                None => fill(text).into(),
            }
        }
        Value::Array(values) => values.iter().map(fill_json).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| (fill(key), fill_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// The body of a step or a batch.
pub(crate) fn body_of(step: &Value) -> Vec<u8> {
    if let Some(json) = step.get("json") {
        return fill_json(json).to_string().into_bytes();
    }
    if let Some(bytes) = step["input_base64"].as_str() {
        return base64::engine::general_purpose::STANDARD.decode(bytes).unwrap();
    }
    let mut body = String::new();
    if let Some(generate) = step.get("generate") {
        let number = |key: &str| generate[key].as_i64().unwrap_or(0);
        let line = fill(generate["line"].as_str().unwrap());
        let skip = number("skip");
        for i in (0..number("n")).filter(|i| skip == 0 || i % skip != skip - 1) {
            let value = f64::from(i32::try_from((i * i * 31 + i * 17 + number("seed")) % 997).unwrap()) / 8.0;
            let time = T0 + number("offset") + i * number("step");
            body += &line
                .replace("{i}", &i.to_string())
                .replace("{v}", &value.to_string())
                .replace("{t}", &time.to_string());
            body.push('\n');
        }
    }
    let pad = "x".repeat(usize::try_from(step["pad"].as_i64().unwrap_or(0)).unwrap());
    body += &fill(step["input"].as_str().unwrap_or_default()).replace("{pad}", &pad);
    body.into_bytes()
}
