//! The two clusters of the demo site: `aurora` (CPU, 1,056 nodes) and `nova` (GPU, 128 nodes).

use serde_json::{Value, json};

/// Seconds between two samples.
pub const STEP: i64 = 30;

/// What the simulator must know of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// Name.
    pub name: &'static str,
    /// First letter of its hosts.
    pub letter: char,
    /// Number of nodes.
    pub nodes: usize,
    /// Hardware threads of a node (one per core).
    pub hwthreads: usize,
    /// GPUs of a node.
    pub gpus: usize,
    /// Memory of a node, GB.
    pub memory_gb: f64,
    /// Partition of its jobs.
    pub partition: &'static str,
}

/// The CPU cluster.
pub const AURORA: Cluster = Cluster {
    name: "aurora",
    letter: 'a',
    nodes: 1056,
    hwthreads: 32,
    gpus: 0,
    memory_gb: 256.0,
    partition: "standard",
};
/// The GPU cluster.
pub const NOVA: Cluster = Cluster {
    name: "nova",
    letter: 'n',
    nodes: 128,
    hwthreads: 32,
    gpus: 4,
    memory_gb: 512.0,
    partition: "gpu",
};

impl Cluster {
    /// A cluster by name.
    pub fn by_name(name: &str) -> Option<Self> {
        [AURORA, NOVA].into_iter().find(|cluster| cluster.name == name)
    }

    /// Host name of the node with this index.
    pub fn host(&self, index: usize) -> String {
        format!("{}{:04}", self.letter, index + 1)
    }

    /// PCI address of a GPU.
    pub fn gpu(index: usize) -> String {
        format!("00000000:{:02X}:00.0", 0x15 + index * 0x20)
    }

    /// The cluster.json.
    pub fn json(&self) -> Value {
        let half = self.hwthreads / 2;
        let all: Vec<usize> = (0..self.hwthreads).collect();
        let sockets = json!([all[..half], all[half..]]);
        let cores: Vec<[usize; 1]> = all.iter().map(|&thread| [thread]).collect();
        let mut topology = json!({"node": all, "socket": sockets, "memoryDomain": sockets, "core": cores});
        if self.gpus > 0 {
            let gpus: Vec<Value> = (0..self.gpus)
                .map(|gpu| json!({"id": Self::gpu(gpu), "type": "Nvidia GPU", "model": "A100"}))
                .collect();
            topology["accelerators"] = json!(gpus);
        }
        json!({
            "name": self.name,
            "metricConfig": self.metrics(),
            "subClusters": [{
                "name": "main",
                "nodes": format!("{0}[0001-{1:04}]", self.letter, self.nodes),
                "processorType": "Intel Xeon Gold 6326",
                "socketsPerNode": 2, "coresPerSocket": half, "threadsPerCore": 1,
                "flopRateScalar": {"unit": {"base": "F/s", "prefix": "G"}, "value": 230},
                "flopRateSimd": {"unit": {"base": "F/s", "prefix": "G"}, "value": 2970},
                "memoryBandwidth": {"unit": {"base": "B/s", "prefix": "G"}, "value": 340},
                "topology": topology
            }]
        })
    }

    fn metrics(&self) -> Vec<Value> {
        let threads = self.hwthreads as f64;
        let memory = self.memory_gb;
        let metric = |name: &str,
                      base: &str,
                      prefix: &str,
                      scope: &str,
                      aggregation: &str,
                      limits: [f64; 4]| {
            let unit = if prefix.is_empty() {
                json!({"base": base})
            } else {
                json!({"base": base, "prefix": prefix})
            };
            json!({"name": name, "unit": unit, "scope": scope, "aggregation": aggregation, "timestep": STEP,
                   "peak": limits[0], "normal": limits[1], "caution": limits[2], "alert": limits[3]})
        };
        let with = |mut value: Value, key: &str, to: Value| {
            value[key] = to;
            value
        };
        let mut list = vec![
            with(
                metric("cpu_load", "", "", "node", "avg", [threads, threads, threads * 0.5, threads * 0.1]),
                "footprint",
                json!("avg"),
            ),
            metric("cpu_user", "%", "", "hwthread", "avg", [100.0, 90.0, 40.0, 10.0]),
            with(
                with(
                    metric(
                        "mem_used",
                        "B",
                        "G",
                        "node",
                        "sum",
                        [memory, memory * 0.6, memory * 0.85, memory * 0.95],
                    ),
                    "footprint",
                    json!("max"),
                ),
                "lowerIsBetter",
                json!(true),
            ),
            with(
                metric("flops_any", "F/s", "G", "hwthread", "sum", [2970.0, 600.0, 100.0, 20.0]),
                "footprint",
                json!("avg"),
            ),
            with(
                metric("mem_bw", "B/s", "G", "socket", "sum", [340.0, 170.0, 60.0, 10.0]),
                "footprint",
                json!("avg"),
            ),
            metric("clock", "Hz", "M", "socket", "avg", [3500.0, 2900.0, 2200.0, 1500.0]),
            with(
                metric("cpu_power", "W", "", "socket", "sum", [410.0, 300.0, 120.0, 60.0]),
                "energy",
                json!("power"),
            ),
            metric("ib_recv", "B/s", "M", "node", "sum", [12_500.0, 2_000.0, 50.0, 1.0]),
            metric("file_write", "B/s", "M", "node", "sum", [2_000.0, 200.0, 5.0, 0.0]),
        ];
        if self.gpus > 0 {
            list.push(with(
                metric("acc_utilization", "%", "", "accelerator", "avg", [100.0, 80.0, 40.0, 10.0]),
                "footprint",
                json!("avg"),
            ));
            list.push(metric("acc_mem_used", "B", "G", "accelerator", "sum", [40.0, 20.0, 5.0, 1.0]));
            list.push(with(
                metric("acc_power", "W", "", "accelerator", "sum", [400.0, 250.0, 100.0, 60.0]),
                "energy",
                json!("power"),
            ));
        }
        list
    }
}
