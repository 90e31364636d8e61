use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::cluster::{Accelerator, Cluster};
use crate::testing::shared;

/// 2 sockets, 4 domains, 8 cores of 2 threads; the second thread of core n is n + 8. Two accelerators.
fn topology() -> Topology {
    let group = |size: u32| -> Vec<Vec<u32>> {
        (0..8 / size)
            .map(|g| (g * size..(g + 1) * size).flat_map(|core| [core, core + 8]).collect())
            .collect()
    };
    let accelerator = |id: &str| Accelerator { id: id.into(), ..Accelerator::default() };
    Topology {
        node: (0..16).collect(),
        socket: group(4),
        memory_domain: group(2),
        core: group(1),
        accelerators: vec![accelerator("B"), accelerator("A")],
        ..Topology::default()
    }
}

fn metric(native: MetricScope) -> MetricConfig {
    MetricConfig::new("m", native, Aggregation::Sum, 60)
}

/// `id: parts` per group.
fn shown(native: MetricScope, share: Share<'_>, requested: MetricScope) -> Vec<String> {
    let plan = plan(&topology(), &metric(native), share, requested);
    assert_eq!(plan.scope, native.coarser(requested));
    assert_eq!((plan.aggregate, plan.aggregation), (plan.scope != native, Aggregation::Sum));
    plan.groups
        .iter()
        .map(|group| {
            let series: Vec<String> = group.series.iter().map(ToString::to_string).collect();
            format!("{}: {}", group.id.as_deref().unwrap_or("-"), series.join(" "))
        })
        .collect()
}

/// A job on cores 5 and 2 (one thread of the latter) with one accelerator.
fn job() -> Resource {
    Resource { hwthreads: vec![13, 5, 10], accelerators: vec!["A".into(), "A".into()], ..Resource::node("n") }
}

use MetricScope::{Accelerator as Acc, Core, HwThread, MemoryDomain, Node, Socket};

#[test]
fn the_same_scope_is_one_series_per_part() {
    let job = job();
    let job = Share::Job(&job);
    assert_eq!(shown(Node, job, Node), ["-: "]);
    assert_eq!(shown(Socket, job, Socket), ["0: socket0", "1: socket1"]);
    assert_eq!(shown(MemoryDomain, job, MemoryDomain), ["1: memoryDomain1", "2: memoryDomain2"]);
    assert_eq!(shown(Core, job, Core), ["2: core2", "5: core5"]);
    assert_eq!(shown(HwThread, job, HwThread), ["5: hwthread5", "10: hwthread10", "13: hwthread13"]);
    assert_eq!(shown(Acc, job, Acc), ["A: acceleratorA"]);
}

#[test]
fn a_finer_request_gets_the_native_scope() {
    let job = job();
    for (native, requested) in [(Node, Core), (Socket, HwThread), (Core, Acc), (MemoryDomain, Core)] {
        assert_eq!(shown(native, Share::Job(&job), requested), shown(native, Share::Job(&job), native));
    }
}

#[test]
fn node_scope_takes_what_the_job_touches() {
    let job = job();
    let job = Share::Job(&job);
    assert_eq!(shown(HwThread, job, Node), ["5: hwthread5 hwthread10 hwthread13"]);
    assert_eq!(shown(Core, job, Node), ["2: core2 core5"]);
    assert_eq!(shown(MemoryDomain, job, Node), ["1: memoryDomain1 memoryDomain2"]);
    assert_eq!(shown(Socket, job, Node), ["0: socket0 socket1"]);
    assert_eq!(shown(Acc, job, Node), ["A: acceleratorA"]);
}

#[test]
fn scopes_between_take_whole_groups() {
    let job = job();
    let job = Share::Job(&job);
    assert_eq!(shown(HwThread, job, Core), ["2: hwthread2 hwthread10", "5: hwthread5 hwthread13"]);
    assert_eq!(
        shown(HwThread, job, MemoryDomain),
        ["1: hwthread2 hwthread3 hwthread10 hwthread11", "2: hwthread4 hwthread5 hwthread12 hwthread13"]
    );
    assert_eq!(shown(Core, job, MemoryDomain), ["1: core2 core3", "2: core4 core5"]);
    assert_eq!(shown(Core, job, Socket), ["0: core0 core1 core2 core3", "1: core4 core5 core6 core7"]);
    assert_eq!(
        shown(MemoryDomain, job, Socket),
        ["0: memoryDomain0 memoryDomain1", "1: memoryDomain2 memoryDomain3"]
    );
    assert_eq!(shown(HwThread, job, Socket).len(), 2);
    assert_eq!(shown(HwThread, job, Socket)[0].split(' ').count(), 9);
}

#[test]
fn accelerators_lie_in_no_part_of_the_processor() {
    let job = job();
    for requested in [HwThread, Core, MemoryDomain, Socket] {
        assert_eq!(shown(Acc, Share::Job(&job), requested), Vec::<String>::new());
    }
    assert_eq!(shown(Acc, Share::Job(&Resource::node("n")), Node), Vec::<String>::new());
    assert_eq!(shown(Acc, Share::Node, Node), ["B: acceleratorB acceleratorA"]);
}

#[test]
fn no_threads_listed_means_the_whole_node() {
    let whole = Resource::node("n");
    assert_eq!(shown(Core, Share::Job(&whole), Core), shown(Core, Share::Node, Core));
    assert_eq!(shown(Core, Share::Node, Core).len(), 8);
}

#[test]
fn requests_are_lifted_and_made_unique() {
    assert_eq!(effective_scopes(HwThread, &[Node, Core, Acc, HwThread]), [HwThread, Core, Node]);
    assert_eq!(effective_scopes(Node, &[Core, Acc]), [Node]);
    assert_eq!(effective_scopes(Acc, &[Acc, Node]), [Acc, Node]);
}

#[test]
fn real_clusters_have_a_plan_for_every_metric() {
    for file in ["alex", "emmy", "fritz"] {
        let Some(bytes) = shared(&format!("data/archive/{file}/cluster.json")) else { continue };
        let cluster = Cluster::from_json(&bytes).unwrap();
        for sub in &cluster.sub_clusters {
            for metric in &sub.metric_config {
                let accelerator = metric.scope == Acc;
                let at = |scope| plan(&sub.topology, metric, Share::Node, scope).groups;
                assert_eq!(at(Node).len(), 1, "{file} {}", metric.name);
                assert_eq!(
                    at(Socket).len(),
                    match metric.scope {
                        Acc => 0,
                        Node => 1,
                        _ => sub.topology.socket.len(),
                    }
                );
                assert!(accelerator || !at(MemoryDomain).is_empty(), "{file} {}", metric.name);
                assert!(at(Node).iter().all(|g| g.id.is_some() == (metric.scope != Node)));
            }
        }
    }
}

proptest! {
    /// Whatever the share: ids ascend, no series is in two groups, groups are not empty.
    #[test]
    fn groups_are_disjoint_and_sorted(threads in prop::collection::vec(0u32..20, 0..20), native in 0usize..6, requested in 0usize..6) {
        let (native, requested) = (MetricScope::ALL[native], MetricScope::ALL[requested]);
        let resource = Resource { hwthreads: threads, accelerators: vec!["A".into()], ..Resource::node("n") };
        let plan = plan(&topology(), &metric(native), Share::Job(&resource), requested);
        let mut seen = BTreeSet::new();
        for group in &plan.groups {
            prop_assert!(!group.series.is_empty());
            for component in &group.series {
                prop_assert_eq!(component.scope(), native);
                prop_assert!(seen.insert(component.clone()));
            }
            prop_assert!(group.series.is_sorted());
        }
        let ids: Vec<u32> = plan.groups.iter().filter_map(|g| g.id.as_ref()?.parse().ok()).collect();
        prop_assert!(ids.is_sorted_by(|a, b| a < b));
    }
}
