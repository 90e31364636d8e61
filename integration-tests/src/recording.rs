//! Requests that a real client sent, recorded one JSON object a line, and their times moved to the present.

use std::{fs, path::Path};

use serde_json::Value;

/// One recorded request with its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Number in the recording, from 1.
    pub seq: u64,
    /// When it was recorded, Unix seconds.
    pub time: f64,
    /// `GET`, `POST`, …
    pub method: reqwest::Method,
    /// Path with query.
    pub path: String,
    /// Body, or null.
    pub request: Value,
    /// Recorded status.
    pub status: u16,
    /// Recorded answer.
    pub response: Value,
}

/// Reads a recording.
pub fn read(path: &Path) -> Vec<Exchange> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a recorded line is JSON");
            Exchange {
                seq: line["seq"].as_u64().expect("seq"),
                time: line["t"].as_f64().expect("t"),
                method: line["method"].as_str().expect("method").parse().expect("a method"),
                path: line["path"].as_str().expect("path").to_owned(),
                request: line["request"].clone(),
                status: line["status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok())
                    .expect("status"),
                response: line["response"].clone(),
            }
        })
        .collect()
}

/// Moves all times of a job's body by `seconds`; 0 means "not given" and stays.
pub fn shift(body: &mut Value, seconds: i64) {
    for key in ["startTime", "stopTime", "submitTime"] {
        if let Some(time) = body[key].as_i64().filter(|time| *time > 0) {
            body[key] = (time + seconds).into();
        }
    }
    if let Some(time) = body["metaData"]["submitTime"].as_str().and_then(|text| text.parse::<i64>().ok()) {
        body["metaData"]["submitTime"] = (time + seconds).to_string().into();
    }
}

/// Moves the times of lines of line protocol by `seconds`; everything else stays byte for byte.
pub fn shift_lines(lines: &str, seconds: i64) -> String {
    lines
        .split_inclusive('\n')
        .map(|line| {
            let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
            let (head, time) = body.rsplit_once(' ').expect("a line has a time");
            let time: i64 = time.parse().expect("a time in seconds");
            format!("{head} {}{end}", time + seconds)
        })
        .collect()
}

/// Unix seconds now.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("a time")
}
