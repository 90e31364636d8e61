//! What the reference accepts but nobody means (cluster-config.md 1): found at load, reported as warnings.

use std::collections::{HashMap, HashSet};

use super::{Cluster, EnergyKind, MetricConfig, SubClusterOverride, Topology};
use crate::json::Problem;

/// Lists beyond this size are not compared host by host.
const HOSTS_MAX: usize = 200_000;

pub(super) fn review(cluster: &Cluster) -> Vec<Problem> {
    let mut out = Vec::new();
    duplicates(&mut out, "metricConfig", cluster.metric_config.iter().map(|m| m.name.as_str()));
    duplicates(&mut out, "subClusters", cluster.sub_clusters.iter().map(|s| s.name.as_str()));
    for metric in &cluster.metric_config {
        overrides(&mut out, cluster, metric);
    }
    for sub in &cluster.sub_clusters {
        topology(&mut out, &sub.name, &sub.topology);
    }
    overlap(&mut out, cluster);
    out
}

fn duplicates<'a>(out: &mut Vec<Problem>, path: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            out.push(Problem::new(path, format!("{name:?} is there twice; the first one is used")));
        }
    }
}

fn overrides(out: &mut Vec<Problem>, cluster: &Cluster, metric: &MetricConfig) {
    let path = format!("metricConfig[{}].subClusters", metric.name);
    for o in &metric.sub_clusters {
        if cluster.sub_cluster(&o.name).is_none() {
            out.push(Problem::new(&path, format!("there is no sub-cluster {:?}; ignored", o.name)));
        } else if !o.remove {
            let lost = lost(metric, o);
            if !lost.is_empty() {
                let what = lost.join(", ");
                out.push(Problem::new(
                    &path,
                    format!("the entry of {:?} does not repeat {what}, which drops it", o.name),
                ));
            }
        }
    }
}

/// What the cluster's entry has and a partial override takes away.
fn lost(metric: &MetricConfig, o: &SubClusterOverride) -> Vec<&'static str> {
    let numbers = [
        ("peak", metric.peak, o.peak),
        ("normal", metric.normal, o.normal),
        ("caution", metric.caution, o.caution),
        ("alert", metric.alert, o.alert),
    ];
    let mut lost: Vec<&'static str> = numbers
        .iter()
        .filter(|(_, ours, theirs)| *ours != 0.0 && *theirs == 0.0)
        .map(|(name, ..)| *name)
        .collect();
    let others = [
        ("footprint", metric.footprint.is_some() && o.footprint.is_none()),
        ("energy", metric.energy != EnergyKind::None && o.energy == EnergyKind::None),
        ("lowerIsBetter", metric.lower_is_better && !o.lower_is_better),
    ];
    lost.extend(others.iter().filter(|(_, gone)| *gone).map(|(name, _)| *name));
    lost
}

fn topology(out: &mut Vec<Problem>, sub_cluster: &str, topology: &Topology) {
    let path = |part: &str| format!("subClusters[{sub_cluster}].topology.{part}");
    let node: HashSet<u32> = topology.node.iter().copied().collect();
    for (part, groups) in
        [("socket", &topology.socket), ("memoryDomain", &topology.memory_domain), ("core", &topology.core)]
    {
        let mut seen = HashSet::new();
        let listed: Vec<u32> = groups.iter().flatten().copied().collect();
        let mut notes = Vec::new();
        notes.extend(first_note("is in two groups", listed.iter().copied().filter(|id| !seen.insert(*id))));
        notes.extend(first_note("is not in node", listed.iter().copied().filter(|id| !node.contains(id))));
        if !groups.is_empty() {
            let missing = topology.node.iter().copied().filter(|id| !seen.contains(id));
            notes.extend(first_note("is missing", missing));
        }
        out.extend(notes.into_iter().map(|note| Problem::new(path(part), note)));
    }
    let mut ids = HashSet::new();
    for accelerator in &topology.accelerators {
        if accelerator.id.is_empty() || !ids.insert(accelerator.id.as_str()) {
            out.push(Problem::new(
                path("accelerators"),
                format!("id {:?} is empty or there twice", accelerator.id),
            ));
        }
    }
}

fn first_note(what: &str, mut threads: impl Iterator<Item = u32>) -> Option<String> {
    let first = threads.next()?;
    let more = threads.count();
    Some(if more == 0 {
        format!("hwthread {first} {what}")
    } else {
        format!("hwthread {first} {what} ({more} more)")
    })
}

/// Hosts that two lists name.
fn overlap(out: &mut Vec<Problem>, cluster: &Cluster) {
    let mut owner: HashMap<String, usize> = HashMap::new();
    let mut reported = HashSet::new();
    for (index, sub) in cluster.sub_clusters.iter().enumerate() {
        let Some(hosts) = sub.hosts().and_then(|list| list.expand(HOSTS_MAX).ok()) else { continue };
        for host in hosts {
            let first = *owner.entry(host.clone()).or_insert(index);
            if first != index && reported.insert((first, index)) {
                let other = cluster.sub_clusters.get(first).map(|s| s.name.as_str()).unwrap_or_default();
                out.push(Problem::new(
                    "subClusters",
                    format!("{other:?} and {:?} both name {host}; the shorter list wins", sub.name),
                ));
            }
        }
    }
}
