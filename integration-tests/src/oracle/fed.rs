//! The samples that were sent, read from the very lines by a small parser of its own.

use std::collections::{BTreeMap, HashMap};

/// Everything that was sent so far.
#[derive(Clone, Debug, Default)]
pub struct Fed {
    hosts: HashMap<(String, String), HashMap<String, Vec<Track>>>,
    samples: usize,
}

/// One series as sent.
#[derive(Clone, Debug)]
pub(super) struct Track {
    kind: String,
    id: String,
    sub: String,
    samples: Vec<(i64, f64)>,
}

impl Track {
    /// Seconds by which the slots of the series lie behind multiples of the interval: its first sample says.
    fn phase(&self, step: i64) -> i64 {
        self.samples[0].0.rem_euclid(step)
    }

    /// Values by slot; the last sample of a slot counts.
    pub(super) fn slots(&self, step: i64) -> Slots {
        let phase = self.phase(step);
        let values = self
            .samples
            .iter()
            .map(|(time, value)| ((time - phase + step / 2).div_euclid(step), *value))
            .collect();
        Slots { step, phase, values }
    }
}

/// A series on its grid.
#[derive(Debug)]
pub(super) struct Slots {
    step: i64,
    phase: i64,
    values: BTreeMap<i64, f64>,
}

impl Slots {
    /// The value nearest to a time; NaN where that slot got none.
    pub(super) fn at(&self, time: i64) -> f64 {
        let slot = (time - self.phase + self.step / 2).div_euclid(self.step);
        self.values.get(&slot).copied().unwrap_or(f64::NAN)
    }

    /// Time of the last slot with a value.
    pub(super) fn last(&self) -> i64 {
        self.values.last_key_value().map_or(i64::MIN / 2, |(slot, _)| slot * self.step + self.phase)
    }
}

impl Fed {
    /// Notes the lines of a batch. Lines whose value is no number leave nothing behind, as in the store.
    pub fn take(&mut self, default_cluster: &str, lines: &str) {
        for line in lines.lines().filter(|line| !line.is_empty()) {
            self.line(default_cluster, line);
        }
    }

    fn line(&mut self, default_cluster: &str, line: &str) {
        let mut parts = line.split(' ');
        let (head, fields, time) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(head), Some(fields), Some(time), None) => (head, fields, time),
            _ => panic!("a line of the tests has three parts: {line}"),
        };
        let mut tags = head.split(',');
        let metric = tags.next().expect("a name");
        let tags: HashMap<&str, &str> =
            tags.map(|tag| tag.split_once('=').unwrap_or_else(|| panic!("a tag: {line}"))).collect();
        let tag = |name: &str| tags.get(name).copied().unwrap_or_default().to_owned();
        let Some(value) = number(fields) else { return };
        let cluster = tags.get("cluster").copied().unwrap_or(default_cluster).to_owned();
        let host = self.hosts.entry((cluster, tag("hostname"))).or_default();
        let tracks = host.entry(metric.to_owned()).or_default();
        let (kind, id) = (tag("type"), tag("type-id"));
        // At the node all parts of parts are one series, and the last line counts (metric-store.md 4).
        let sub = if kind == "node" { String::new() } else { tag("stype") + &tag("stype-id") };
        let time: i64 = time.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        self.samples += 1;
        match tracks.iter_mut().find(|track| track.kind == kind && track.id == id && track.sub == sub) {
            Some(track) => track.samples.push((time, value)),
            None => tracks.push(Track { kind, id, sub, samples: vec![(time, value)] }),
        }
    }

    /// How many samples were noted.
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The series of a part of a host: its own, else all that lie below it (metric-store.md 7.2).
    pub(super) fn of(&self, cluster: &str, host: &str, metric: &str, kind: &str, id: &str) -> Vec<&Track> {
        let key = (cluster.to_owned(), host.to_owned());
        let tracks = self.hosts.get(&key).and_then(|host| host.get(metric)).map_or(&[][..], Vec::as_slice);
        let here = |track: &&Track| track.kind == kind && track.id == id;
        let own: Vec<&Track> = tracks.iter().filter(here).filter(|track| track.sub.is_empty()).collect();
        if own.is_empty() { tracks.iter().filter(here).collect() } else { own }
    }
}

/// The number of `value=…`: a float, an integer `…i`, an unsigned one `…u`.
fn number(fields: &str) -> Option<f64> {
    let value = fields.strip_prefix("value=").unwrap_or_else(|| panic!("one field `value`: {fields}"));
    if value.starts_with('"') {
        return None;
    }
    let digits = value.strip_suffix(['i', 'u']).unwrap_or(value);
    Some(digits.parse().unwrap_or_else(|error| panic!("{value}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_collector_are_understood() {
        let mut fed = Fed::default();
        fed.take(
            "c",
            "a,hostname=h,type=node value=1.5e+03 100\na,hostname=h,type=node value=7i 105\nt,hostname=h,type=node value=\"x\" 105\n\
             n,hostname=h,stype=network,stype-id=lo,type=node value=3u 101\nn,hostname=h,stype=network,stype-id=eth0,type=node value=4 101\n",
        );
        assert_eq!(fed.len(), 4);
        let slots = fed.of("c", "h", "a", "node", "")[0].slots(5);
        assert_eq!((slots.at(100), slots.at(102), slots.at(103), slots.last()), (1500.0, 1500.0, 7.0, 105));
        assert!(slots.at(90).is_nan());
        let collapsed = fed.of("c", "h", "n", "node", "");
        assert_eq!(
            (collapsed.len(), collapsed[0].slots(5).at(101)),
            (1, 4.0),
            "two devices collide at the node"
        );
        assert!(fed.of("c", "h", "t", "node", "").is_empty());
    }

    #[test]
    fn the_first_sample_fixes_the_slots() {
        let mut fed = Fed::default();
        fed.take("c", "a,hostname=h,type=node value=1 1000\na,hostname=h,type=node value=2 1060\na,hostname=h,type=node value=3 1130\n");
        let slots = fed.of("c", "h", "a", "node", "")[0].slots(60);
        // the example of the specification: slots at 1000, 1060, 1120
        assert_eq!((slots.at(1010), slots.at(1029), slots.at(1030), slots.at(1120)), (1.0, 1.0, 2.0, 3.0));
    }
}
