//! A small cluster of the suites' own: four hardware threads in two sockets, a metric of the node and one of sockets.

/// Its `cluster.json`: hosts of a list such as `k[01-64]`, interval in seconds.
pub fn cluster(name: &str, hosts: &str, step: i64) -> String {
    let metric = |name: &str, scope: &str, aggregation: &str, footprint: &str| {
        format!(
            r#"{{"name":"{name}","unit":{{"base":"B/s","prefix":"G"}},"scope":"{scope}","aggregation":"{aggregation}","timestep":{step},
            "peak":100,"normal":50,"caution":20,"alert":10,"footprint":"{footprint}"}}"#
        )
    };
    let speed = |base: &str| format!(r#"{{"unit":{{"base":"{base}","prefix":"G"}},"value":1}}"#);
    format!(
        r#"{{"name":"{name}","metricConfig":[{},{}],"subClusters":[{{"name":"main","nodes":"{hosts}","processorType":"test",
        "socketsPerNode":2,"coresPerSocket":2,"threadsPerCore":1,
        "flopRateScalar":{},"flopRateSimd":{},"memoryBandwidth":{},
        "topology":{{"node":[0,1,2,3],"socket":[[0,1],[2,3]],"memoryDomain":[[0,1],[2,3]],"core":[[0],[1],[2],[3]]}}}}]}}"#,
        metric("load", "node", "avg", "avg"),
        metric("bw", "socket", "sum", "max"),
        speed("F/s"),
        speed("F/s"),
        speed("B/s"),
    )
}
