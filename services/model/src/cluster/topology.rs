//! What a node consists of, and which part contains which (cluster-config.md 5, 10).

use std::collections::BTreeSet;

use serde::{Serialize, Serializer, ser::SerializeSeq};

/// The hardware of a node. Numbers are hardware thread ids (OS processor ids); the index of a group is its id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// All hardware threads.
    #[serde(serialize_with = "list_or_null")]
    pub node: Vec<u32>,
    /// Hardware threads per socket.
    #[serde(serialize_with = "list_or_null")]
    pub socket: Vec<Vec<u32>>,
    /// Hardware threads per memory (NUMA) domain.
    #[serde(serialize_with = "list_or_null")]
    pub memory_domain: Vec<Vec<u32>>,
    /// Hardware threads per die; for people only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub die: Vec<Vec<u32>>,
    /// Hardware threads per physical core.
    #[serde(serialize_with = "list_or_null")]
    pub core: Vec<Vec<u32>>,
    /// Accelerators in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accelerators: Vec<Accelerator>,
}

/// An accelerator of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accelerator {
    /// Its id, as in samples and in the resources of jobs, e.g. `00000000:0E:00.0`.
    pub id: String,
    /// `Nvidia GPU`, `AMD GPU`, `Intel GPU` or empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// Model name.
    pub model: String,
}

impl Topology {
    /// Ids of the sockets that contain any of these hardware threads, ascending.
    pub fn sockets_of(&self, hwthreads: &[u32]) -> Vec<u32> {
        touched(&self.socket, hwthreads)
    }

    /// Ids of the cores that contain any of these hardware threads, ascending.
    pub fn cores_of(&self, hwthreads: &[u32]) -> Vec<u32> {
        touched(&self.core, hwthreads)
    }

    /// Ids of the memory domains that contain any of these hardware threads, ascending.
    pub fn memory_domains_of(&self, hwthreads: &[u32]) -> Vec<u32> {
        touched(&self.memory_domain, hwthreads)
    }

    /// Hardware threads of a socket; nothing if there is no such socket.
    pub fn socket_threads(&self, socket: u32) -> &[u32] {
        group(&self.socket, socket)
    }

    /// Hardware threads of a memory domain; nothing if there is no such domain.
    pub fn memory_domain_threads(&self, domain: u32) -> &[u32] {
        group(&self.memory_domain, domain)
    }

    /// Hardware threads of a core; nothing if there is no such core.
    pub fn core_threads(&self, core: u32) -> &[u32] {
        group(&self.core, core)
    }

    /// Ids of the memory domains of a socket, ascending: a domain belongs to the socket of its first hardware thread.
    pub fn memory_domains_of_socket(&self, socket: u32) -> Vec<u32> {
        let threads = self.socket_threads(socket);
        ids(&self.memory_domain, |domain| domain.first().is_some_and(|first| threads.contains(first)))
    }

    /// The socket of a memory domain; nothing if the domain is unknown, empty or lies in no socket.
    pub fn socket_of_memory_domain(&self, domain: u32) -> Option<u32> {
        let first = self.memory_domain_threads(domain).first()?;
        self.sockets_of(&[*first]).first().copied()
    }

    /// Whether these hardware threads are all of the given groups' ones, so that nobody else uses those groups.
    pub fn covers(groups: &[Vec<u32>], ids: &[u32], hwthreads: &[u32]) -> bool {
        let given: BTreeSet<u32> = hwthreads.iter().copied().collect();
        ids.iter().all(|id| group(groups, *id).iter().all(|thread| given.contains(thread)))
    }

    /// Ids of the accelerators in the order of the file.
    pub fn accelerator_ids(&self) -> impl Iterator<Item = &str> {
        self.accelerators.iter().map(|accelerator| accelerator.id.as_str())
    }

    /// Id of the accelerator at a position, as schedulers count them.
    pub fn accelerator_id(&self, index: usize) -> Option<&str> {
        self.accelerators.get(index).map(|accelerator| accelerator.id.as_str())
    }
}

fn group(groups: &[Vec<u32>], id: u32) -> &[u32] {
    usize::try_from(id).ok().and_then(|index| groups.get(index)).map(Vec::as_slice).unwrap_or_default()
}

fn touched(groups: &[Vec<u32>], hwthreads: &[u32]) -> Vec<u32> {
    let given: BTreeSet<u32> = hwthreads.iter().copied().collect();
    ids(groups, |threads| threads.iter().any(|thread| given.contains(thread)))
}

fn ids(groups: &[Vec<u32>], keep: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    (0u32..).zip(groups).filter(|(_, threads)| keep(threads)).map(|(id, _)| id).collect()
}

/// A list that is not in the file is written as `null`, as in the reference.
#[expect(clippy::ptr_arg, reason = "serde passes the field as it is")]
fn list_or_null<T: Serialize, S: Serializer>(list: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error> {
    if list.is_empty() {
        return serializer.serialize_unit();
    }
    let mut out = serializer.serialize_seq(Some(list.len()))?;
    list.iter().try_for_each(|item| out.serialize_element(item))?;
    out.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        Topology {
            node: (0..8).collect(),
            socket: vec![(0..4).collect(), (4..8).collect()],
            memory_domain: vec![vec![0, 1], vec![2, 3], vec![4, 5, 6, 7]],
            core: vec![vec![0, 1], vec![2, 3], vec![4, 5], vec![6, 7]],
            accelerators: vec![
                Accelerator { id: "b".into(), ..Accelerator::default() },
                Accelerator { id: "a".into(), ..Accelerator::default() },
            ],
            ..Topology::default()
        }
    }

    #[test]
    fn threads_lead_to_their_groups() {
        let t = topology();
        assert_eq!(t.sockets_of(&[7, 1]), [0, 1]);
        assert_eq!(t.cores_of(&[7, 2]), [1, 3]);
        assert_eq!(t.memory_domains_of(&[5, 6]), [2]);
        assert_eq!(t.memory_domains_of(&[99]), Vec::<u32>::new());
        assert_eq!(t.core_threads(3), [6, 7]);
        assert_eq!(t.core_threads(4), [0u32; 0]);
    }

    #[test]
    fn domains_belong_to_the_socket_of_their_first_thread() {
        let t = topology();
        assert_eq!(t.memory_domains_of_socket(0), [0, 1]);
        assert_eq!(t.memory_domains_of_socket(1), [2]);
        assert_eq!(t.memory_domains_of_socket(9), Vec::<u32>::new());
        assert_eq!(t.socket_of_memory_domain(2), Some(1));
        assert_eq!(t.socket_of_memory_domain(3), None);
    }

    #[test]
    fn coverage_tells_exclusive_use() {
        let t = topology();
        assert!(Topology::covers(&t.socket, &[0], &[0, 1, 2, 3, 4]));
        assert!(!Topology::covers(&t.socket, &[0, 1], &[0, 1, 2, 3, 4]));
    }

    #[test]
    fn accelerators_keep_the_order_of_the_file() {
        let t = topology();
        assert_eq!(t.accelerator_ids().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!((t.accelerator_id(1), t.accelerator_id(2)), (Some("a"), None));
    }

    #[test]
    fn absent_groups_are_null() {
        let text = serde_json::to_string(&Topology { node: vec![0], ..Topology::default() }).unwrap();
        assert_eq!(text, r#"{"node":[0],"socket":null,"memoryDomain":null,"core":null}"#);
    }
}
