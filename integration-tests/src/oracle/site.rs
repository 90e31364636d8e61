//! A cluster file, as far as series of jobs depend on it.

use serde_json::Value;

/// A place in a node, or the node. Ordered from fine to coarse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// An accelerator.
    Accelerator,
    /// A hardware thread.
    HwThread,
    /// A core.
    Core,
    /// A memory domain.
    MemoryDomain,
    /// A socket.
    Socket,
    /// A node.
    Node,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Accelerator, Self::HwThread, Self::Core, Self::MemoryDomain, Self::Socket, Self::Node];

    /// Its name everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accelerator => "accelerator",
            Self::HwThread => "hwthread",
            Self::Core => "core",
            Self::MemoryDomain => "memoryDomain",
            Self::Socket => "socket",
            Self::Node => "node",
        }
    }

    /// The scope of a name.
    pub fn of(name: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == name)
            .unwrap_or_else(|| panic!("no scope {name:?}"))
    }
}

/// How series are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Sum,
    Mean,
    Never,
}

/// One entry of `metricConfig`.
#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) join: Join,
    pub(super) step: i64,
    pub(super) unit: Value,
    pub(super) footprint: Option<String>,
    pub(super) energy: Option<String>,
    removed_in: Vec<String>,
    overridden_in: Vec<String>,
}

/// The topology of a subcluster.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    name: String,
    pub(super) node: Vec<u32>,
    pub(super) sockets: Vec<Vec<u32>>,
    pub(super) domains: Vec<Vec<u32>>,
    pub(super) cores: Vec<Vec<u32>>,
}

/// A cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    metrics: Vec<Metric>,
    subs: Vec<Sub>,
}

impl Cluster {
    /// Reads a `cluster.json`.
    pub fn of(json: &[u8]) -> Self {
        let file: Value = serde_json::from_slice(json).expect("cluster.json is JSON");
        let list = |key: &str| file[key].as_array().cloned().unwrap_or_default();
        Self {
            name: text(&file["name"]),
            metrics: list("metricConfig").iter().map(Metric::of).collect(),
            subs: list("subClusters").iter().map(Sub::of).collect(),
        }
    }

    /// The metrics that a subcluster has. Overrides other than `remove` are none of this oracle's business: it refuses them.
    pub(super) fn metrics(&self, sub: &str) -> Vec<&Metric> {
        self.metrics
            .iter()
            .filter(|metric| !metric.removed_in.iter().any(|name| name == sub))
            .inspect(|metric| {
                assert!(
                    !metric.overridden_in.iter().any(|name| name == sub),
                    "{} of {sub} has an override",
                    metric.name
                );
            })
            .collect()
    }

    pub(super) fn sub(&self, name: &str) -> &Sub {
        self.subs
            .iter()
            .find(|sub| sub.name == name)
            .unwrap_or_else(|| panic!("{}: no subcluster {name}", self.name))
    }
}

impl Metric {
    fn of(entry: &Value) -> Self {
        let subs = entry["subClusters"].as_array().cloned().unwrap_or_default();
        let names = |removed: bool| {
            subs.iter()
                .filter(|sub| (sub["remove"] == true) == removed)
                .map(|sub| text(&sub["name"]))
                .collect()
        };
        let word = |key: &str| entry[key].as_str().filter(|word| !word.is_empty()).map(str::to_owned);
        Self {
            name: text(&entry["name"]),
            scope: Scope::of(&text(&entry["scope"])),
            join: match word("aggregation").as_deref() {
                Some("sum") => Join::Sum,
                Some("avg") => Join::Mean,
                _ => Join::Never,
            },
            step: entry["timestep"].as_i64().expect("a timestep"),
            unit: entry["unit"].clone(),
            footprint: word("footprint"),
            energy: word("energy"),
            removed_in: names(true),
            overridden_in: names(false),
        }
    }
}

impl Sub {
    fn of(entry: &Value) -> Self {
        let topology = &entry["topology"];
        let ids = |list: &Value| -> Vec<u32> {
            list.as_array()
                .into_iter()
                .flatten()
                .map(|id| u32::try_from(id.as_u64().expect("an id")).expect("small"))
                .collect()
        };
        let groups = |key: &str| -> Vec<Vec<u32>> {
            topology[key].as_array().into_iter().flatten().map(&ids).collect()
        };
        Self {
            name: text(&entry["name"]),
            node: ids(&topology["node"]),
            sockets: groups("socket"),
            domains: groups("memoryDomain"),
            cores: groups("core"),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
