//! From what a scheduler calls cores and GPUs to what the operating system does (spec/integrations.md 9.7).

use cc_model::{Resource, Topology};

/// Hardware threads that one allocation may name; more is no node.
const THREADS_MAX: usize = 65_536;

/// A closed range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// How a scheduler numbers the processors of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Processors {
    /// Nothing is known.
    Unknown,
    /// The whole node.
    All,
    /// Ids of the operating system.
    Threads(Vec<Range>),
    /// Cores by socket.
    Cores(Vec<(u32, Vec<Range>)>),
    /// Abstract ids: core by core, thread by thread.
    Linear(Vec<Range>),
}

/// What a scheduler gave to a job on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) hostname: String,
    pub(crate) processors: Processors,
    /// Ids as in the topology.
    pub(crate) accelerators: Vec<String>,
    /// Positions in the topology's list.
    pub(crate) gpus: Vec<Range>,
}

/// The resource of an allocation; `None` when the topology cannot be what the scheduler speaks of.
pub(crate) fn resource(allocation: &Allocation, topology: &Topology) -> Option<Resource> {
    let mut accelerators = allocation.accelerators.clone();
    for index in ids(&allocation.gpus)? {
        let id = topology.accelerator_id(usize::try_from(index).ok()?)?;
        accelerators.push(id.to_owned());
    }
    Some(Resource {
        hostname: allocation.hostname.clone(),
        configuration: String::new(),
        hwthreads: threads(&allocation.processors, topology)?,
        accelerators,
    })
}

fn threads(processors: &Processors, topology: &Topology) -> Option<Vec<u32>> {
    let mut threads = match processors {
        Processors::Unknown => return Some(Vec::new()),
        Processors::All => topology.node.clone(),
        Processors::Threads(ranges) => ids(ranges)?,
        Processors::Cores(sockets) => {
            let mut threads = Vec::new();
            for (socket, cores) in sockets {
                let of_socket = cores_of_socket(topology, *socket);
                for core in ids(cores)? {
                    threads.extend_from_slice(of_socket.get(usize::try_from(core).ok()?)?);
                }
            }
            threads
        }
        Processors::Linear(ranges) => linear(&ids(ranges)?, topology)?,
    };
    threads.sort_unstable();
    threads.dedup();
    Some(threads)
}

/// The cores of a socket ordered by their smallest thread: the order in which schedulers count them.
fn cores_of_socket(topology: &Topology, socket: u32) -> Vec<&[u32]> {
    let of_socket = topology.socket_threads(socket);
    let mut cores: Vec<&[u32]> = topology
        .core
        .iter()
        .map(Vec::as_slice)
        .filter(|core| core.first().is_some_and(|thread| of_socket.contains(thread)))
        .collect();
    cores.sort_unstable_by_key(|core| core.iter().min().copied());
    cores
}

fn linear(abstract_ids: &[u32], topology: &Topology) -> Option<Vec<u32>> {
    let sockets = u32::try_from(topology.socket.len()).ok()?;
    let cores: Vec<&[u32]> = (0..sockets).flat_map(|socket| cores_of_socket(topology, socket)).collect();
    let threads_per_core = cores.first().map(|core| core.len()).filter(|length| *length > 0)?;
    let thread = |id: &u32| {
        let id = usize::try_from(*id).ok()?;
        let core = cores.get(id / threads_per_core)?;
        core.get(id % threads_per_core).copied()
    };
    abstract_ids.iter().map(thread).collect()
}

/// The ids of ranges in order; `None` for senseless or endless ones.
fn ids(ranges: &[Range]) -> Option<Vec<u32>> {
    let mut ids = Vec::new();
    for range in ranges {
        let length = usize::try_from(range.last.checked_sub(range.first)?).ok()?;
        if ids.len() + length >= THREADS_MAX {
            return None;
        }
        ids.extend(range.first..=range.last);
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sockets, four cores each, two threads per core, numbered as Linux does.
    fn topology() -> Topology {
        let core = |first: u32| vec![first, first + 8];
        Topology {
            node: (0..16).collect(),
            socket: vec![vec![0, 1, 2, 3, 8, 9, 10, 11], vec![4, 5, 6, 7, 12, 13, 14, 15]],
            memory_domain: Vec::new(),
            die: Vec::new(),
            // out of order on purpose: the order is that of the smallest thread
            core: vec![core(3), core(0), core(1), core(2), core(4), core(5), core(6), core(7)],
            accelerators: ["a", "b"]
                .map(|id| cc_model::cluster::Accelerator { id: id.to_owned(), ..Default::default() })
                .to_vec(),
        }
    }

    fn range(first: u32, last: u32) -> Range {
        Range { first, last }
    }

    fn allocation(processors: Processors, gpus: Vec<Range>) -> Allocation {
        Allocation { hostname: "n1".to_owned(), processors, accelerators: Vec::new(), gpus }
    }

    #[test]
    fn every_numbering_ends_in_threads_of_the_operating_system() {
        for (processors, expected) in [
            (Processors::Unknown, vec![]),
            (Processors::All, (0..16).collect()),
            (Processors::Threads(vec![range(0, 2), range(9, 9)]), vec![0, 1, 2, 9]),
            (
                Processors::Cores(vec![(0, vec![range(0, 1)]), (1, vec![range(3, 3)])]),
                vec![0, 1, 7, 8, 9, 15],
            ),
            (Processors::Linear(vec![range(0, 2), range(8, 8)]), vec![0, 1, 4, 8]),
            (Processors::Linear(vec![range(0, 15)]), (0..16).collect()),
        ] {
            let resource = resource(&allocation(processors.clone(), Vec::new()), &topology()).unwrap();
            assert_eq!(resource.hwthreads, expected, "{processors:?}");
        }
        let gpus = resource(&allocation(Processors::Unknown, vec![range(0, 1)]), &topology()).unwrap();
        assert_eq!(gpus.accelerators, ["a", "b"]);
    }

    #[test]
    fn what_the_topology_does_not_have_cannot_be_mapped() {
        for processors in [
            Processors::Cores(vec![(2, vec![range(0, 0)])]),
            Processors::Cores(vec![(0, vec![range(0, 4)])]),
            Processors::Linear(vec![range(0, 16)]),
            Processors::Threads(vec![range(3, 2)]),
            Processors::Threads(vec![range(0, u32::MAX)]),
        ] {
            assert_eq!(
                resource(&allocation(processors.clone(), Vec::new()), &topology()),
                None,
                "{processors:?}"
            );
        }
        assert_eq!(resource(&allocation(Processors::Unknown, vec![range(2, 2)]), &topology()), None);
        assert_eq!(
            resource(&allocation(Processors::Linear(vec![range(0, 0)]), Vec::new()), &Topology::default()),
            None
        );
    }
}
