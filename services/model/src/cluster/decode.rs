//! Text → cluster, as in the file; every problem with its path.

use std::fmt::Display;

use serde_json::Value;

use super::{
    Accelerator, Aggregation, Cluster, EnergyKind, FootprintStat, MetricConfig, MetricValue, Nodes,
    SubCluster, SubClusterOverride, Topology,
};
use crate::{
    json::{self, Object, Problem},
    names::{ClusterName, MetricName},
    node_list::NodeList,
    scope::MetricScope,
    unit::Unit,
};

/// Why a `cluster.json` cannot be used. The caller adds the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Not JSON, or cut off.
    #[error("not valid JSON: {0}")]
    NotJson(String),
    /// Everything that is wrong in it, each with its JSON path.
    #[error("{}", json::join(.0))]
    Problems(Vec<Problem>),
}

impl ClusterError {
    /// The problems one by one.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::NotJson(reason) => vec![Problem::new("", format!("not valid JSON: {reason}"))],
            Self::Problems(problems) => problems.clone(),
        }
    }
}

#[derive(Default)]
struct Reader {
    /// Makes the file unusable.
    problems: Vec<Problem>,
    /// Makes one metric unusable.
    rejected: Vec<Problem>,
    warnings: Vec<Problem>,
}

pub(super) fn cluster(document: &[u8]) -> Result<(Cluster, Vec<Problem>), ClusterError> {
    let value = json::first_value(document).map_err(ClusterError::NotJson)?;
    let mut reader = Reader::default();
    let cluster = Object::of(&value, String::new(), &mut reader.problems).map(|root| reader.root(&root));
    match cluster {
        Some(mut cluster) if reader.problems.is_empty() => {
            cluster.rejected = reader.rejected;
            Ok((cluster, reader.warnings))
        }
        _ => Err(ClusterError::Problems(reader.problems)),
    }
}

impl Reader {
    fn root(&mut self, o: &Object<'_>) -> Cluster {
        let name = o.text("name", &mut self.problems);
        if let Err(error) = ClusterName::check(&name) {
            self.problems.push(Problem::new("name", error.to_string()));
        }
        let metric_config = self
            .items(o, "metricConfig", |reader, item| reader.metric(item, &name))
            .into_iter()
            .flatten()
            .collect();
        let sub_clusters = self.items(o, "subClusters", Self::sub_cluster);
        let cluster =
            Cluster { name, metric_config, sub_clusters, rejected: Vec::new(), warnings: Vec::new() };
        self.not_empty("metricConfig", cluster.metric_config.is_empty());
        self.not_empty("subClusters", cluster.sub_clusters.is_empty());
        cluster
    }

    fn not_empty(&mut self, key: &str, empty: bool) {
        if empty && !self.problems.iter().any(|problem| problem.path.starts_with(key)) {
            let why = match (key, self.rejected.is_empty()) {
                ("metricConfig", false) => {
                    format!("no usable metric is left ({})", json::join(&self.rejected))
                }
                _ => "at least one entry is needed".to_owned(),
            };
            self.problems.push(Problem::new(key, why));
        }
    }

    /// The objects of an array; `null` and absence are the empty array.
    fn items<T>(&mut self, o: &Object<'_>, key: &str, read: impl Fn(&mut Self, &Object<'_>) -> T) -> Vec<T> {
        let Some(items) = o.array(key, &mut self.problems) else { return Vec::new() };
        items
            .filter_map(|(path, value)| {
                Object::of(value, path, &mut self.problems).map(|item| read(self, &item))
            })
            .collect()
    }

    /// A word of a vocabulary; an unknown one is a warning and counts as none, as in the reference.
    fn word<T>(
        &mut self,
        o: &Object<'_>,
        key: &str,
        known: impl Fn(&str) -> Option<T>,
        names: &str,
    ) -> Option<T> {
        let word = o.string(key, &mut self.problems).filter(|word| !word.is_empty())?;
        let found = known(word);
        if found.is_none() {
            self.warnings
                .push(Problem::new(o.path_of(key), format!("{word:?} is not one of {names}; ignored")));
        }
        found
    }

    fn checked<T, E: Display>(&mut self, path: String, found: Result<T, E>) -> Option<T> {
        found.map_err(|error| self.problems.push(Problem::new(path, error.to_string()))).ok()
    }

    fn metric(&mut self, o: &Object<'_>, cluster: &str) -> Option<MetricConfig> {
        let name = o.text("name", &mut self.problems);
        self.checked(o.path_of("name"), MetricName::check(&name))?;
        let scope = match o.string("scope", &mut self.problems) {
            Some(word) if !word.is_empty() => {
                let found = word.parse().map_err(|_| {
                    let names = MetricScope::ALL.map(MetricScope::as_str).join(", ");
                    format!("metric {name}: {word:?} is not one of {names}")
                });
                self.checked(o.path_of("scope"), found)?
            }
            _ => MetricScope::Node,
        };
        let timestep = o.integer("timestep", &mut self.problems).unwrap_or_default();
        if timestep < 1 {
            self.rejected.push(Problem::new(
                o.path_of("timestep"),
                format!("cluster {cluster}, metric {name}: the timestep is {timestep}, must be at least 1; metric not used"),
            ));
            return None;
        }
        let aggregation = self.word(o, "aggregation", Aggregation::from_word, "sum, avg").unwrap_or_default();
        let footprint = self.footprint(o);
        let energy = self.energy(o);
        let sub_clusters = self.items(o, "subClusters", Self::override_of);
        let p = &mut self.problems;
        Some(MetricConfig {
            unit: unit(o, p),
            peak: o.float("peak", p).unwrap_or_default(),
            normal: o.float("normal", p).unwrap_or_default(),
            caution: o.float("caution", p).unwrap_or_default(),
            alert: o.float("alert", p).unwrap_or_default(),
            energy,
            aggregation,
            footprint,
            sub_clusters,
            restrict: o.boolean("restrict", p).unwrap_or_default(),
            lower_is_better: o.boolean("lowerIsBetter", p).unwrap_or_default(),
            ..MetricConfig::new(name, scope, aggregation, timestep)
        })
    }

    fn footprint(&mut self, o: &Object<'_>) -> Option<FootprintStat> {
        self.word(o, "footprint", FootprintStat::from_word, "avg, max, min")
    }

    fn energy(&mut self, o: &Object<'_>) -> EnergyKind {
        self.word(o, "energy", EnergyKind::from_word, "power, energy").unwrap_or_default()
    }

    fn override_of(&mut self, o: &Object<'_>) -> SubClusterOverride {
        let footprint = self.footprint(o);
        let energy = self.energy(o);
        let p = &mut self.problems;
        let restrict_given = o.boolean("restrict", p);
        SubClusterOverride {
            name: o.text("name", p),
            unit: unit(o, p),
            peak: o.float("peak", p).unwrap_or_default(),
            normal: o.float("normal", p).unwrap_or_default(),
            caution: o.float("caution", p).unwrap_or_default(),
            alert: o.float("alert", p).unwrap_or_default(),
            footprint,
            energy,
            lower_is_better: o.boolean("lowerIsBetter", p).unwrap_or_default(),
            restrict: restrict_given.unwrap_or_default(),
            remove: o.boolean("remove", p).unwrap_or_default(),
            restrict_given,
        }
    }

    fn sub_cluster(&mut self, o: &Object<'_>) -> SubCluster {
        let name = o.text("name", &mut self.problems);
        if name.is_empty() {
            self.problems.push(Problem::new(o.path_of("name"), "is missing or empty"));
        }
        let nodes = match o.text("nodes", &mut self.problems) {
            text if text == "*" || text.trim().is_empty() => Some(Nodes::Every(text)),
            text => self.checked(o.path_of("nodes"), NodeList::parse(&text)).map(Nodes::List),
        };
        let topology =
            o.object("topology", &mut self.problems).map(|t| self.topology(&t)).unwrap_or_default();
        let p = &mut self.problems;
        SubCluster {
            name,
            nodes: nodes.unwrap_or_default(),
            processor_type: o.text("processorType", p),
            topology,
            flop_rate_scalar: value(o, "flopRateScalar", p),
            flop_rate_simd: value(o, "flopRateSimd", p),
            memory_bandwidth: value(o, "memoryBandwidth", p),
            sockets_per_node: o.integer32("socketsPerNode", p).unwrap_or_default(),
            cores_per_socket: o.integer32("coresPerSocket", p).unwrap_or_default(),
            threads_per_core: o.integer32("threadsPerCore", p).unwrap_or_default(),
            ..SubCluster::default()
        }
    }

    fn topology(&mut self, o: &Object<'_>) -> Topology {
        let accelerators = self.items(o, "accelerators", |reader, item| {
            let p = &mut reader.problems;
            Accelerator { id: item.text("id", p), kind: item.text("type", p), model: item.text("model", p) }
        });
        Topology {
            node: o.get("node").map(|list| self.threads(list, &o.path_of("node"))).unwrap_or_default(),
            socket: self.groups(o, "socket"),
            memory_domain: self.groups(o, "memoryDomain"),
            die: self.groups(o, "die"),
            core: self.groups(o, "core"),
            accelerators,
        }
    }

    fn groups(&mut self, o: &Object<'_>, key: &str) -> Vec<Vec<u32>> {
        let Some(items) = o.array(key, &mut self.problems) else { return Vec::new() };
        items.map(|(path, list)| self.threads(list, &path)).collect()
    }

    /// Hardware thread ids; `null` for the list or an element (seen in `die`) is nothing.
    fn threads(&mut self, list: &Value, path: &str) -> Vec<u32> {
        let items = match list {
            Value::Array(items) => items.as_slice(),
            Value::Null => &[],
            other => {
                self.problems
                    .push(Problem::new(path, format!("expected an array, got {}", json::kind(other))));
                &[]
            }
        };
        let mut ids = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.is_null()) {
            match item.as_u64().and_then(|id| u32::try_from(id).ok()) {
                Some(id) => ids.push(id),
                None => self.problems.push(Problem::new(
                    format!("{path}[{index}]"),
                    "expected the number of a hardware thread",
                )),
            }
        }
        ids
    }
}

fn unit(o: &Object<'_>, problems: &mut Vec<Problem>) -> Unit {
    o.object("unit", problems)
        .map(|unit| Unit::new(unit.text("base", problems), unit.text("prefix", problems)))
        .unwrap_or_default()
}

fn value(o: &Object<'_>, key: &str, problems: &mut Vec<Problem>) -> MetricValue {
    o.object(key, problems)
        .map(|value| MetricValue {
            unit: unit(&value, problems),
            value: value.float("value", problems).unwrap_or_default(),
        })
        .unwrap_or_default()
}
