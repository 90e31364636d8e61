//! Invented samples: every value is a function of the series' names and the time, so what must come back can be computed anew.

use std::fmt::Write as _;

/// One metric of a host as a collector sends it.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Name in the line.
    pub name: String,
    /// Tag `type`: `node`, `socket`, `hwthread`, …
    pub kind: &'static str,
    /// Tag `type-id` of each series; one empty text for node metrics.
    pub ids: Vec<String>,
    /// Around which value the samples lie.
    pub base: f64,
    /// How far they swing.
    pub swing: f64,
}

impl Metric {
    /// A metric of the node.
    pub fn node(name: &str, base: f64, swing: f64) -> Self {
        Self { name: name.to_owned(), kind: "node", ids: vec![String::new()], base, swing }
    }

    /// A metric with one series per id `0 … count - 1` of a component.
    pub fn per(name: &str, kind: &'static str, count: usize, base: f64, swing: f64) -> Self {
        Self { name: name.to_owned(), kind, ids: (0..count).map(|id| id.to_string()).collect(), base, swing }
    }
}

/// The sample of a series at a time: two decimals, so that it is exact in text, in 32 bits, and in an archive file.
pub fn value(cluster: &str, host: &str, metric: &Metric, id: &str, time: i64) -> f64 {
    // FNV-1a over the names: any function does that differs between series.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in [cluster, host, metric.name.as_str(), id].join("/").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let phase = (hash % 997) as f64;
    let wave = ((time / 60) as f64 * 0.37 + phase).sin();
    ((metric.base + metric.swing * wave) * 100.0).round() / 100.0
}

/// Line protocol of all series of a host from `from` to `to` (both included), every `step` seconds.
pub fn lines(cluster: &str, host: &str, metrics: &[Metric], from: i64, to: i64, step: i64) -> String {
    let mut text = String::new();
    let mut time = from;
    while time <= to {
        for metric in metrics {
            for id in &metric.ids {
                let sample = value(cluster, host, metric, id, time);
                if id.is_empty() {
                    writeln!(
                        text,
                        "{},cluster={cluster},hostname={host},type={} value={sample} {time}",
                        metric.name, metric.kind
                    )
                } else {
                    writeln!(
                        text,
                        "{},cluster={cluster},hostname={host},type={},type-id={id} value={sample} {time}",
                        metric.name, metric.kind
                    )
                }
                .expect("writing to a string");
            }
        }
        time += step;
    }
    text
}
