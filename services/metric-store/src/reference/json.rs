//! `<from>.json` (spec metric-store.md 13.5). Ours begin with a key `ccx` that names the store, and keep all digits.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Damage, Series, Take, Window};
use crate::value;

#[derive(Debug, Deserialize)]
struct Level {
    #[serde(default)]
    metrics: Option<HashMap<String, Metric>>,
    #[serde(default)]
    children: Option<HashMap<String, Level>>,
    #[serde(default)]
    from: Option<i64>,
    #[serde(default)]
    to: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Metric {
    #[serde(default)]
    frequency: i64,
    #[serde(default)]
    start: i64,
    #[serde(default)]
    data: Option<Vec<Option<f64>>>,
}

/// Only the window, without the values.
#[derive(Debug, Deserialize)]
struct Outline {
    #[serde(default)]
    from: Option<i64>,
    #[serde(default)]
    to: Option<i64>,
}

/// The window of a file.
pub(crate) fn window(bytes: &[u8]) -> Result<Window, Damage> {
    let outline: Outline = parse(bytes)?;
    Ok(Window { from: outline.from.unwrap_or(0), to: outline.to.unwrap_or(0) })
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Damage> {
    // A list would be read as the members of the object, in order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Damage { at: 0, problem: "it is not the JSON of a snapshot" });
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // Only where lines end is said: these files are one line.
        let at = if error.line() > 1 { bytes.len() } else { error.column() };
        let problem = if error.is_eof() { "it ends too early" } else { "it is not the JSON of a snapshot" };
        Damage { at, problem }
    })
}

/// Reads a file.
pub(crate) fn read(bytes: &[u8], take: Take<'_>) -> Result<Window, Damage> {
    let level: Level = parse(bytes)?;
    let window = Window { from: level.from.unwrap_or(0), to: level.to.unwrap_or(0) };
    let mut values = Vec::new();
    for (component, sub_component, level) in level.flat() {
        for (metric, data) in level.metrics.iter().flatten() {
            values.clear();
            let given = data.data.iter().flatten();
            // Numbers beyond f64 are refused by the parser.
            values.extend(given.map(|value| value.map_or(f64::NAN, value::settle)));
            let Metric { frequency, start, .. } = *data;
            take(Series { component, sub_component, metric, interval: frequency, start }, &values);
        }
    }
    Ok(window)
}

impl Level {
    /// The levels on which series live.
    fn flat(&self) -> Vec<(&str, &str, &Self)> {
        let mut all = vec![("", "", self)];
        for (component, level) in self.children.iter().flatten() {
            all.push((component, "", level));
            let parts = level.children.iter().flatten();
            all.extend(parts.map(|(part, level)| (component.as_str(), part.as_str(), level)));
        }
        all
    }
}

#[derive(Debug, Deserialize)]
struct Signed {
    ccx: String,
}

/// How far a signed file is read for its signature.
pub(crate) const SIGNATURE_BYTES: usize = 120;

/// Which store wrote a file that begins like this, and its window; `None`: none of ours.
pub(crate) fn signature(begin: &[u8]) -> Option<(u64, Window)> {
    let text = std::str::from_utf8(begin).ok().or_else(|| {
        // cut within a character
        let error = std::str::from_utf8(begin).err()?;
        std::str::from_utf8(begin.get(..error.valid_up_to())?).ok()
    })?;
    let (head, _) = text.split_once(",\"metrics\"")?;
    let head = format!("{head}}}");
    let signed: Signed = serde_json::from_str(&head).ok()?;
    let level: Level = serde_json::from_str(&head).ok()?;
    Some((u64::from_str_radix(&signed.ccx, 16).ok()?, Window { from: level.from?, to: level.to? }))
}

/// Begins a file of ours.
pub(crate) fn begin(out: &mut Vec<u8>, store: u64, window: Window) {
    let Window { from, to } = window;
    out.extend_from_slice(format!(r#"{{"ccx":"{store:016x}","from":{from},"to":{to},"#).as_bytes());
}

/// One metric: its name as key, and its values.
pub(crate) fn metric(out: &mut Vec<u8>, name: &str, interval: i64, start: i64, values: &[f64]) {
    key(out, name);
    out.extend_from_slice(format!(r#"{{"frequency":{interval},"start":{start},"data":["#).as_bytes());
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if value.is_finite() {
            // Writing into memory cannot fail; the number is finite.
            let _written = serde_json::to_writer(&mut *out, value);
        } else {
            out.extend_from_slice(b"null");
        }
    }
    out.extend_from_slice(b"]}");
}

/// A name as key of an object.
pub(crate) fn key(out: &mut Vec<u8>, name: &str) {
    // Writing a text into memory cannot fail.
    let _written = serde_json::to_writer(&mut *out, name);
    out.push(b':');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<(Window, Vec<String>), Damage> {
        let mut found = Vec::new();
        let window = read(bytes, &mut |series, values| {
            let Series { component, sub_component, metric, interval, start } = series;
            found.push(format!("{component}/{sub_component} {metric} {interval} {start} {values:?}"));
        })?;
        found.sort();
        Ok((window, found))
    }

    #[test]
    fn a_file_of_the_reference_is_read() {
        let text = br#"{"metrics":{"mem_used":{"frequency":60,"start":20,"data":[1.0,null,2]}},"children":{"socket0":
            {"metrics":{"mem_bw":{"frequency":60,"start":30,"data":[1e1]}},"children":{"dev":{"metrics":{"x":{"frequency":1,"start":1,
            "data":null,"more":1}},"children":null}},"from":0,"to":180}},"from":0,"to":180,"further":[{}]}
"#;
        let lines =
            ["/ mem_used 60 20 [1.0, NaN, 2.0]", "socket0/ mem_bw 60 30 [10.0]", "socket0/dev x 1 1 []"];
        let window = Window { from: 0, to: 180 };
        assert_eq!(all(text), Ok((window, lines.iter().map(|&line| line.to_owned()).collect())));
        assert_eq!(signature(text), None);
        for damaged in
            [&b""[..], b"hello", b"\x01\x00\x5b\xcc", br#"{"metrics":{"a":{"data":["x"]}}}"#, b"[]"]
        {
            assert!(all(damaged).is_err());
        }
    }

    #[test]
    fn what_is_written_keeps_all_digits_and_a_signature() {
        let mut out = Vec::new();
        let window = Window { from: 60, to: 180 };
        begin(&mut out, 0xAB, window);
        out.extend_from_slice(br#""metrics":{"#);
        metric(&mut out, "a\"b", 60, 60, &[0.04, f64::NAN, f64::from(1.0_f32 / 3.0)]);
        out.extend_from_slice(b"}}");
        let third = f64::from(1.0_f32 / 3.0);
        assert_eq!(all(&out), Ok((window, vec![format!("/ a\"b 60 60 [0.04, NaN, {third}]")])));
        assert_eq!(signature(&out), Some((0xAB, window)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}\":,a-z0-9.e-]{0,80}") {
            let _result = all(text.as_bytes());
            let _signature = signature(text.as_bytes());
        }
    }

    #[test]
    fn a_deep_file_is_refused() {
        let deep = [r#"{"children":{"a":"#.repeat(10_000), "}".repeat(20_000)].concat();
        assert!(all(deep.as_bytes()).is_err());
    }
}
