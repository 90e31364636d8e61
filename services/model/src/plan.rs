//! Which native series of a host make up a metric at a scope (metric-store.md 10.1, cluster-config.md 10).
//!
//! A metric is measured at one scope. Asked for a coarser one, its series are grouped by the topology and aggregated;
//! asked for a finer one, the native scope is delivered. Groups come in ascending order of their numbers.

use std::{collections::BTreeSet, fmt};

use crate::{
    cluster::{Aggregation, MetricConfig, Topology},
    job::Resource,
    scope::MetricScope,
};

/// The part of a host that is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Share<'a> {
    /// The whole node with all its accelerators.
    Node,
    /// What a job uses: no hardware threads listed means all of them, no accelerators listed means none.
    Job(&'a Resource),
}

/// A part of a node that has series of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The node itself.
    Node,
    /// A socket.
    Socket(u32),
    /// A memory domain.
    MemoryDomain(u32),
    /// A core.
    Core(u32),
    /// A hardware thread.
    HwThread(u32),
    /// An accelerator.
    Accelerator(String),
}

impl Component {
    /// The scope of its series.
    pub const fn scope(&self) -> MetricScope {
        match self {
            Self::Node => MetricScope::Node,
            Self::Socket(_) => MetricScope::Socket,
            Self::MemoryDomain(_) => MetricScope::MemoryDomain,
            Self::Core(_) => MetricScope::Core,
            Self::HwThread(_) => MetricScope::HwThread,
            Self::Accelerator(_) => MetricScope::Accelerator,
        }
    }

    /// Its number or id as text; nothing for the node.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::Node => None,
            Self::Socket(n) | Self::MemoryDomain(n) | Self::Core(n) | Self::HwThread(n) => {
                Some(n.to_string())
            }
            Self::Accelerator(id) => Some(id.clone()),
        }
    }
}

/// Its name as a selector of the metric store: `hwthread12`, `socket0`, `accelerator00000000:0E:00.0`; empty for the
/// node, whose series hang at the host itself.
impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => Ok(()),
            Self::Accelerator(id) => write!(f, "accelerator{id}"),
            Self::Socket(n) | Self::MemoryDomain(n) | Self::Core(n) | Self::HwThread(n) => {
                write!(f, "{}{n}", self.scope())
            }
        }
    }
}

/// What becomes one series of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `id` of the series: the number of the core, socket or domain, the id of the accelerator. At node scope nothing
    /// for a metric of nodes, else the first part's, which readers of archives know from the reference.
    pub id: Option<String>,
    /// The native series it is made of, never empty.
    pub series: Vec<Component>,
}

/// How to answer for one metric and host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The scope that is delivered: the coarser one of native and requested.
    pub scope: MetricScope,
    /// Whether the series of a group are aggregated (otherwise each group is one series).
    pub aggregate: bool,
    /// How they are aggregated.
    pub aggregation: Aggregation,
    /// The groups; none if the host has nothing of the kind.
    pub groups: Vec<Group>,
}

/// Makes the plan for a metric on a host at the requested scope.
pub fn plan(topology: &Topology, metric: &MetricConfig, share: Share<'_>, requested: MetricScope) -> Plan {
    let native = metric.scope;
    let scope = native.coarser(requested);
    let host = Host::new(topology, share);
    let groups = if scope == native {
        host.components(native)
            .into_iter()
            .map(|component| Group { id: component.id(), series: vec![component] })
            .collect()
    } else {
        host.grouped(native, scope)
    };
    Plan { scope, aggregate: scope != native, aggregation: metric.aggregation, groups }
}

/// The scopes that answer a request, each once: for every requested scope the coarser one of it and the native one.
pub fn effective_scopes(native: MetricScope, requested: &[MetricScope]) -> Vec<MetricScope> {
    let effective: BTreeSet<MetricScope> = requested.iter().map(|scope| native.coarser(*scope)).collect();
    effective.into_iter().collect()
}

struct Host<'a> {
    topology: &'a Topology,
    hwthreads: Vec<u32>,
    accelerators: Vec<&'a str>,
}

impl<'a> Host<'a> {
    fn new(topology: &'a Topology, share: Share<'a>) -> Self {
        let (listed, accelerators): (&[u32], Vec<&str>) = match share {
            Share::Node => (&[], topology.accelerator_ids().collect()),
            Share::Job(resource) => {
                (&resource.hwthreads, resource.accelerators.iter().map(String::as_str).collect())
            }
        };
        let listed = if listed.is_empty() { &topology.node } else { listed };
        let hwthreads: BTreeSet<u32> = listed.iter().copied().collect();
        let mut seen = BTreeSet::new();
        Self {
            topology,
            hwthreads: hwthreads.into_iter().collect(),
            accelerators: accelerators.into_iter().filter(|id| seen.insert(*id)).collect(),
        }
    }

    /// The parts of a scope that the share touches.
    fn components(&self, scope: MetricScope) -> Vec<Component> {
        let t = self.topology;
        match scope {
            MetricScope::Node => vec![Component::Node],
            MetricScope::Socket => all(t.sockets_of(&self.hwthreads), Component::Socket),
            MetricScope::MemoryDomain => all(t.memory_domains_of(&self.hwthreads), Component::MemoryDomain),
            MetricScope::Core => all(t.cores_of(&self.hwthreads), Component::Core),
            MetricScope::HwThread => all(self.hwthreads.clone(), Component::HwThread),
            MetricScope::Accelerator => {
                self.accelerators.iter().map(|id| Component::Accelerator((*id).to_owned())).collect()
            }
        }
    }

    /// Native parts grouped by the parts of a coarser scope. At node scope only what the share touches; below, the
    /// whole of each socket, domain or core, as in the reference.
    fn grouped(&self, native: MetricScope, scope: MetricScope) -> Vec<Group> {
        if scope == MetricScope::Node {
            let series = self.components(native);
            let id = series.first().and_then(Component::id);
            return if series.is_empty() { Vec::new() } else { vec![Group { id, series }] };
        }
        self.components(scope)
            .into_iter()
            .filter_map(|outer| {
                let series = self.inside(&outer, native);
                (!series.is_empty()).then(|| Group { id: outer.id(), series })
            })
            .collect()
    }

    /// The parts of a finer scope inside of a part.
    fn inside(&self, outer: &Component, native: MetricScope) -> Vec<Component> {
        let t = self.topology;
        let threads = match outer {
            Component::Socket(n) => t.socket_threads(*n),
            Component::MemoryDomain(n) => t.memory_domain_threads(*n),
            Component::Core(n) => t.core_threads(*n),
            Component::Node | Component::HwThread(_) | Component::Accelerator(_) => &[],
        };
        match (native, outer) {
            (MetricScope::HwThread, _) => {
                all(threads.iter().copied().collect::<BTreeSet<u32>>(), Component::HwThread)
            }
            (MetricScope::Core, _) => all(t.cores_of(threads), Component::Core),
            (MetricScope::MemoryDomain, Component::Socket(n)) => {
                all(t.memory_domains_of_socket(*n), Component::MemoryDomain)
            }
            // accelerators lie in no socket, domain or core
            _ => Vec::new(),
        }
    }
}

fn all(ids: impl IntoIterator<Item = u32>, component: fn(u32) -> Component) -> Vec<Component> {
    ids.into_iter().map(component).collect()
}

#[cfg(test)]
mod tests;
