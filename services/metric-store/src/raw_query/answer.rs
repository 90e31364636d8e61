//! The answer's bytes: keys in the reference's order, three decimals for data, two for statistics.

use cc_model::json::write_string;
use cc_model::number::{write_fixed2, write_fixed3, write_plain};

use super::Found;
use super::request::{Query, Request};

/// The answer, or a part of it, as it grows.
#[derive(Debug)]
pub(super) struct Answer {
    out: Vec<u8>,
    first_row: bool,
    first_result: bool,
}

impl Answer {
    pub(super) fn new() -> Self {
        Self { out: b"{".to_vec(), first_row: true, first_result: true }
    }

    /// A part of the rows, the first or a later one.
    pub(super) fn rows(first: bool) -> Self {
        Self { out: Vec::new(), first_row: first, first_result: true }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// The queries that `for-all-nodes` stands for; none: the key is left out.
    pub(super) fn queries(&mut self, queries: &[Query]) {
        if queries.is_empty() {
            return;
        }
        self.out.extend_from_slice(b"\"queries\":");
        for (index, query) in queries.iter().enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            self.query(query);
        }
        self.out.extend_from_slice(b"],");
    }

    fn query(&mut self, query: &Query) {
        self.out.push(b'{');
        for (key, value) in [("\"type\":", &query.kind), ("\"subtype\":", &query.sub_kind)] {
            if let Some(value) = value {
                self.out.extend_from_slice(key.as_bytes());
                self.text(value);
                self.out.push(b',');
            }
        }
        self.out.extend_from_slice(b"\"metric\":");
        self.text(&query.metric);
        self.out.extend_from_slice(b",\"host\":");
        self.text(&query.host);
        self.out.extend_from_slice(format!(",\"resolution\":{}", query.resolution).as_bytes());
        for (key, ids) in [(",\"type-ids\":", &query.ids), (",\"subtype-ids\":", &query.sub_ids)] {
            for (index, id) in ids.iter().enumerate() {
                self.out.extend_from_slice(if index == 0 { key.as_bytes() } else { b"," });
                if index == 0 {
                    self.out.push(b'[');
                }
                self.text(id);
            }
            if !ids.is_empty() {
                self.out.push(b']');
            }
        }
        if query.scale != 0.0 {
            self.out.extend_from_slice(b",\"scale-by\":");
            write_plain(&mut self.out, query.scale);
        }
        self.out.extend_from_slice(format!(",\"aggreg\":{}}}", query.aggregate).as_bytes());
    }

    fn text(&mut self, text: &str) {
        write_string(&mut self.out, text);
    }

    pub(super) fn begin_results(&mut self) {
        self.out.extend_from_slice(b"\"results\":[");
    }

    pub(super) fn begin_row(&mut self) {
        if !self.first_row {
            self.out.push(b',');
        }
        (self.first_row, self.first_result) = (false, true);
        self.out.push(b'[');
    }

    pub(super) fn end_row(&mut self) {
        self.out.push(b']');
    }

    fn begin_result(&mut self) {
        if !self.first_result {
            self.out.push(b',');
        }
        self.first_result = false;
        self.out.push(b'{');
    }

    /// A result that is an error.
    pub(super) fn error(&mut self, text: &str) {
        self.begin_result();
        self.out.extend_from_slice(b"\"error\":");
        self.text(text);
        self.out.extend_from_slice(
            b",\"from\":0,\"to\":0,\"resolution\":0,\"avg\":0.00,\"min\":0.00,\"max\":0.00}",
        );
    }

    /// A result with data, `padding` points without data in front of it.
    pub(super) fn found(&mut self, found: &Found, request: &Request, query: &Query, padding: usize) {
        self.begin_result();
        let scale = if query.scale == 0.0 { 1.0 } else { query.scale };
        let values = found.values();
        if request.with_data && values.len() + padding > 0 {
            self.out.extend_from_slice(b"\"data\":[");
            self.out.reserve(values.len() * 10 + padding * 5);
            for _ in 0..padding {
                self.out.extend_from_slice(b"null,");
            }
            for value in values {
                write_fixed3(&mut self.out, value * scale);
                self.out.push(b',');
            }
            self.out.pop();
            self.out.extend_from_slice(b"],");
        }
        let (from, to) = (found.piece.from, found.piece.to());
        let head = format!("\"from\":{from},\"to\":{to},\"resolution\":{}", found.resolution);
        self.out.extend_from_slice(head.as_bytes());
        let statistics = match found.statistics {
            Some(statistics) => [statistics.avg, statistics.min, statistics.max].map(|value| value * scale),
            None if request.with_stats => [f64::NAN; 3],
            None => [0.0; 3],
        };
        for (key, value) in [",\"avg\":", ",\"min\":", ",\"max\":"].into_iter().zip(statistics) {
            self.out.extend_from_slice(key.as_bytes());
            write_fixed2(&mut self.out, value);
        }
        self.out.push(b'}');
    }

    /// This beginning, then the rows, then the end.
    pub(super) fn whole(&self, rows: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let rows: Vec<Vec<u8>> = rows.collect();
        let length: usize = rows.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(self.out.len() + length + 3);
        out.extend_from_slice(&self.out);
        for row in rows {
            out.extend_from_slice(&row);
        }
        out.extend_from_slice(b"]}\n");
        out
    }
}
