//! Metric data → bytes (job-archive.md 3 and 5).

use std::{collections::BTreeMap, io};

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

use super::{JobData, JobMetric, Series, SeriesStatistics, StatsSeries};
use crate::{
    json::write_string,
    number::{write_fixed2, write_sample},
    scope::MetricScope,
};

impl JobData {
    /// The whole as compact JSON, without a final newline.
    pub fn to_json(&self) -> Vec<u8> {
        let mut writer = DataWriter::new(Vec::new());
        // neither can a Vec fail, nor can the order of `iter` be wrong
        let _ = self.iter().try_for_each(|(metric, scope, data)| writer.add(metric, scope, data));
        let mut out = writer.finish().unwrap_or_default();
        out.pop();
        out
    }
}

impl JobMetric {
    /// This metric as compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // a Vec cannot fail
        let _ = metric(self, &mut out, &mut |_| Ok(()));
        out
    }
}

/// Writes a `data.json` metric by metric, so that not all of them need to be in memory at once.
#[derive(Debug)]
pub struct DataWriter<W> {
    sink: W,
    buffer: Vec<u8>,
    last: Option<(String, MetricScope)>,
}

impl<W: io::Write> DataWriter<W> {
    /// Starts a file.
    pub fn new(sink: W) -> Self {
        Self { sink, buffer: b"{".to_vec(), last: None }
    }

    /// Adds a metric at a scope. They must come in the order of the file: by metric name as bytes, then by the name
    /// of the scope ([`MetricScope::BY_NAME`]).
    ///
    /// # Errors
    /// The sink's, or `InvalidInput` for a wrong order.
    pub fn add(&mut self, name: &str, scope: MetricScope, data: &JobMetric) -> io::Result<()> {
        match &self.last {
            Some((last, last_scope)) if last == name => {
                if last_scope.as_str() >= scope.as_str() {
                    return Err(disorder(name, scope));
                }
                self.buffer.push(b',');
            }
            Some((last, _)) if last.as_str() > name => return Err(disorder(name, scope)),
            Some(_) => self.open(b"},", name),
            None => self.open(b"", name),
        }
        self.last = Some((name.to_owned(), scope));
        write_string(&mut self.buffer, scope.as_str());
        self.buffer.push(b':');
        let sink = &mut self.sink;
        metric(data, &mut self.buffer, &mut |buffer| {
            sink.write_all(buffer)?;
            buffer.clear();
            Ok(())
        })
    }

    fn open(&mut self, before: &[u8], name: &str) {
        self.buffer.extend_from_slice(before);
        write_string(&mut self.buffer, name);
        self.buffer.extend_from_slice(b":{");
    }

    /// Ends the file with a newline and gives the sink back.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> io::Result<W> {
        self.buffer.extend_from_slice(if self.last.is_some() { b"}}\n" } else { b"}\n" });
        self.sink.write_all(&self.buffer)?;
        Ok(self.sink)
    }
}

fn disorder(name: &str, scope: MetricScope) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{name} at {scope} is not in the order of the file"))
}

type Flush<'a> = dyn FnMut(&mut Vec<u8>) -> io::Result<()> + 'a;

/// Writes a metric; `flush` may empty the buffer after each series.
fn metric(data: &JobMetric, out: &mut Vec<u8>, flush: &mut Flush<'_>) -> io::Result<()> {
    out.push(b'{');
    if let Some(statistics) = &data.statistics_series {
        out.extend_from_slice(b"\"statisticsSeries\":");
        statistics_series(statistics, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"unit\":{\"base\":");
    write_string(out, &data.unit.base);
    if !data.unit.prefix.is_empty() {
        out.extend_from_slice(b",\"prefix\":");
        write_string(out, &data.unit.prefix);
    }
    out.extend_from_slice(b"},\"series\":[");
    for (index, item) in data.series.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        series(item, out);
        flush(out)?;
    }
    out.extend_from_slice(format!("],\"timestep\":{}}}", data.timestep).as_bytes());
    Ok(())
}

fn series(series: &Series, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"hostname\":");
    write_string(out, &series.hostname);
    if let Some(id) = &series.id {
        out.extend_from_slice(b",\"id\":");
        write_string(out, id);
    }
    let SeriesStatistics { min, avg, max } = series.statistics;
    for (key, value) in [(&b",\"statistics\":{\"min\":"[..], min), (b",\"avg\":", avg), (b",\"max\":", max)] {
        out.extend_from_slice(key);
        write_fixed2(out, value);
    }
    out.extend_from_slice(b"},\"data\":");
    array(&series.data, out, write_sample);
    out.push(b'}');
}

fn array(values: &[f64], out: &mut Vec<u8>, write: impl Fn(&mut Vec<u8>, f64)) {
    out.reserve(values.len() * 6 + 2);
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, *value);
    }
    out.push(b']');
}

fn statistics_series(statistics: &StatsSeries, out: &mut Vec<u8>) {
    out.push(b'{');
    if !statistics.percentiles.is_empty() {
        // Go sorts integer keys as text
        let by_text: BTreeMap<String, &Vec<f64>> =
            statistics.percentiles.iter().map(|(percent, values)| (percent.to_string(), values)).collect();
        out.extend_from_slice(b"\"percentiles\":{");
        for (index, (percent, values)) in by_text.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(out, percent);
            out.push(b':');
            array(values, out, write_fixed2);
        }
        out.extend_from_slice(b"},");
    }
    out.extend_from_slice(b"\"mean\":");
    if statistics.mean.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        array(&statistics.mean, out, write_fixed2);
    }
    let others = [
        (&b",\"median\":"[..], &statistics.median),
        (b",\"min\":", &statistics.min),
        (b",\"max\":", &statistics.max),
    ];
    for (key, values) in others {
        out.extend_from_slice(key);
        array(values, out, write_fixed2);
    }
    out.push(b'}');
}

/// The exact bytes, inside of any JSON document.
impl Serialize for JobMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(self.to_json(), serializer)
    }
}

/// The exact bytes, inside of any JSON document.
impl Serialize for JobData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(self.to_json(), serializer)
    }
}

fn raw<S: Serializer>(bytes: Vec<u8>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = String::from_utf8(bytes).map_err(S::Error::custom)?;
    RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
}
