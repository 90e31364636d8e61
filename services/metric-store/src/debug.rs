//! What the store holds, as a tree (spec metric-store.md 3.4): valid JSON, other than the reference's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::host::HostData;
use crate::store::Store;

/// Slots of one segment as the reference shows them.
const SEGMENT: i64 = 512;

/// Components below a host: its series and, by name, what is below each.
#[derive(Default)]
struct Level {
    series: Map<String, Value>,
    below: BTreeMap<String, Level>,
}

impl Store {
    /// Everything below a selector: cluster, host, component, part of the component; empty: everything. CPU work.
    ///
    /// # Errors
    /// [`Error::SelectorNotFound`].
    pub fn debug(&self, selector: &[String]) -> Result<Vec<u8>, Error> {
        let tree = match selector {
            [] => Some(self.clusters()),
            [cluster] => self.cluster_tree(cluster),
            [cluster, host, below @ ..] => self.host_tree(cluster, host, below),
        };
        let tree = tree.ok_or_else(|| {
            let names: Vec<String> = selector.iter().map(|name| format!("{name:?}")).collect();
            Error::SelectorNotFound(format!("[]string{{{}}}", names.join(", ")))
        })?;
        let mut text = json!({ "data": tree }).to_string().into_bytes();
        text.push(b'\n');
        Ok(text)
    }

    fn clusters(&self) -> Value {
        let hosts = self.shards().iter().flat_map(|shard| shard.hosts(None));
        let clusters: BTreeSet<_> = hosts.map(|host| Arc::clone(&host.key.cluster)).collect();
        let tree = clusters.iter().filter_map(|name| Some((name.to_string(), self.cluster_tree(name)?)));
        Value::Object(tree.collect())
    }

    fn cluster_tree(&self, cluster: &str) -> Option<Value> {
        let hosts = self.hosts_of(cluster);
        let tree = |host: &Arc<crate::host::Host>| {
            (host.key.host.to_string(), self.level(&host.data()).into_value())
        };
        (!hosts.is_empty()).then(|| Value::Object(hosts.iter().map(tree).collect()))
    }

    fn host_tree(&self, cluster: &str, host: &str, below: &[String]) -> Option<Value> {
        let host = self.host(cluster, host)?;
        let mut level = self.level(&host.data());
        if level.series.is_empty() && level.below.is_empty() {
            return None;
        }
        for name in below {
            level = level.below.remove(name)?;
        }
        Some(level.into_value())
    }

    fn level(&self, data: &HostData) -> Level {
        let mut root = Level::default();
        for column in 0..data.columns() {
            let Some(((first, last), key)) = data.range(column).zip(data.key(column)) else { continue };
            let mut level = &mut root;
            for name in [key.component, key.sub_component].into_iter().filter(|name| !name.is_empty()) {
                level = level.below.entry(name.to_owned()).or_default();
            }
            let slots = (last - first) / key.interval + 1;
            let segment = |begin: i64| {
                let count = SEGMENT.min(slots - begin);
                let start = first - key.interval / 2 + begin * key.interval;
                json!({ "start": start, "len": count, "end": start + count * key.interval })
            };
            let segments: Vec<Value> =
                (0..(slots + SEGMENT - 1) / SEGMENT).map(|number| segment(number * SEGMENT)).collect();
            level.series.insert(self.names().name(key.metric).to_string(), Value::Array(segments));
        }
        root
    }
}

impl Level {
    fn into_value(self) -> Value {
        let mut all = self.series;
        all.extend(self.below.into_iter().map(|(name, level)| (name, level.into_value())));
        Value::Object(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, open, options, write};

    #[test]
    fn the_tree_shows_series_below_their_components() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(options(directory.path()));
        let lines = format!(
            "load,host=a\"b value=1 {NOW}\nflops,host=h,type=socket,type-id=0,stype=dev,stype-id=x value=1 {NOW}\nload,host=h value=1 {}\n",
            NOW - 600 * 60
        );
        write(&store, lines).unwrap();
        write(&store, format!("load,host=h value=1 {NOW}\n")).unwrap();
        let show = |selector: &[&str]| {
            let selector: Vec<String> = selector.iter().map(|&name| name.to_owned()).collect();
            store.debug(&selector).map(|text| serde_json::from_slice::<Value>(&text).unwrap()["data"].clone())
        };
        let one = json!([{ "start": NOW - 30, "len": 1, "end": NOW + 30 }]);
        let part = json!({ "devx": { "flops": one } });
        assert_eq!(show(&["c", "h", "socket0"]).unwrap(), part);
        let first = NOW - 600 * 60 - 30;
        let long = json!([
            { "start": first, "len": 512, "end": first + 512 * 60 },
            { "start": first + 512 * 60, "len": 89, "end": NOW + 30 },
        ]);
        let cluster = json!({ "a\"b": { "load": one }, "h": { "load": long, "socket0": part } });
        assert_eq!(show(&["c"]).unwrap(), cluster);
        assert_eq!(show(&[]).unwrap(), json!({ "c": cluster }));
        let error = show(&["c", "nope"]).unwrap_err();
        assert_eq!(error.to_string(), "[METRICSTORE]> not found: []string{\"c\", \"nope\"}");
        assert!(show(&["nope"]).is_err() && show(&["c", "h", "socket9"]).is_err());
    }
}
