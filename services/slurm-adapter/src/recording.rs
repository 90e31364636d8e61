//! Recordings of what an adapter sent: one JSON object a line with `method`, `path`, `request` and `t`
//! (`tools/record-proxy`). Starts and stops become events, everything else is passed over.

use std::io::BufRead;

use cc_proto::scheduler::v1::event::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rest::Mapper;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Something in a recording that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("failed to read line {line}")]
    Read {
        /// Line, counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The line is longer than anything an adapter sends.
    #[error("line {line} is longer than 16 MiB")]
    TooLong {
        /// Line, counted from 1.
        line: usize,
    },
    /// The line is no record.
    #[error("line {line} is no recorded request")]
    Record {
        /// Line, counted from 1.
        line: usize,
        /// What is wrong, with the place.
        #[source]
        source: serde_json::Error,
    },
    /// The recorded body is no start or stop.
    #[error("line {line}: the body of {path} is not understood")]
    Body {
        /// Line, counted from 1.
        line: usize,
        /// What was called.
        path: String,
        /// What is wrong, with the field.
        #[source]
        source: serde_json::Error,
    },
}

/// An event of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Line, counted from 1.
    pub line: usize,
    /// When it was recorded, Unix milliseconds, not shifted; 0 when the record does not say.
    pub recorded_at_ms: i64,
    /// What happened.
    pub body: Body,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    t: f64,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

/// The events of a recording, in order.
///
/// # Errors
/// [`Error`], at the first line that cannot be replayed: a recording is replayed whole or not at all.
pub fn read(mut recording: impl BufRead, mapper: &mut Mapper) -> Result<Vec<Recorded>, Error> {
    let mut events = Vec::new();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let mut limited = std::io::Read::take(&mut recording, LINE_BYTES_MAX as u64 + 1);
        let length = limited.read_until(b'\n', &mut text).map_err(|source| Error::Read { line, source })?;
        if length == 0 {
            break;
        }
        if length > LINE_BYTES_MAX {
            return Err(Error::TooLong { line });
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        events.extend(event(line, &text, mapper)?);
    }
    Ok(events)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates; times of recordings are far from the limits"
)]
fn event(line: usize, text: &[u8], mapper: &mut Mapper) -> Result<Option<Recorded>, Error> {
    let record: Line<'_> = serde_json::from_slice(text).map_err(|source| Error::Record { line, source })?;
    if !matches!(record.method.as_str(), "POST" | "PUT") {
        return Ok(None);
    }
    let request = record.request.map_or("null", RawValue::get);
    let failed = |source| Error::Body { line, path: record.path.clone(), source };
    let body = match record.path.split('?').next().unwrap_or_default().trim_end_matches('/') {
        "/api/jobs/start_job" => mapper.start(serde_json::from_str(request).map_err(failed)?),
        "/api/jobs/stop_job" => mapper.stop(&serde_json::from_str(request).map_err(failed)?),
        _ => return Ok(None),
    };
    Ok(Some(Recorded { line, recorded_at_ms: (record.t * 1000.0) as i64, body }))
}

#[cfg(test)]
mod tests;
