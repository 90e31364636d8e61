//! Stores for tests, and a plain way to look into them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cc_model::cluster::Aggregation;
use cc_runtime::clock::Clock;

use crate::disk::{Disk, RealDisk};
use crate::ingest::report::Report;
use crate::registry::Rule;
use crate::store::{Options, Pinning, Store};
use crate::{Durability, Error, Ingest};

/// The present of tests, a multiple of 3600.
pub(crate) const NOW: i64 = 1_700_000_000 / 3600 * 3600;

pub(crate) fn clock() -> Clock {
    Clock::fixed(jiff_timestamp(NOW))
}

fn jiff_timestamp(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap()
}

pub(crate) fn options(directory: &Path) -> Options {
    Options {
        directory: directory.join("checkpoints.ccx"),
        retention: Duration::from_hours(48),
        memory_cap: 0,
        checkpoint_interval: Duration::from_hours(12),
        workers: 1,
        durability: Durability::Background,
        pinning: Pinning::None,
        reference: None,
    }
}

/// The metrics of the tests: `load` (avg), `flops` (sum), `odd` (no aggregation), all every minute; `tick` every ten seconds.
pub(crate) fn metrics() -> Vec<(String, Rule)> {
    let rule = |name: &str, interval, aggregation| (name.to_owned(), Rule { interval, aggregation });
    vec![
        rule("load", 60, Aggregation::Avg),
        rule("flops", 60, Aggregation::Sum),
        rule("odd", 60, Aggregation::None),
        rule("tick", 10, Aggregation::Sum),
    ]
}

/// Opens a configured store and loads it.
pub(crate) fn open(options: Options) -> Arc<Store> {
    open_on(options, RealDisk)
}

pub(crate) fn open_on(options: Options, disk: impl Disk + 'static) -> Arc<Store> {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let store = Store::open_on(options, clock(), &disk).unwrap();
    store.configure_metrics(metrics());
    store.load().unwrap();
    store
}

/// Sends one batch.
pub(crate) fn write(store: &Arc<Store>, text: impl AsRef<[u8]>) -> Result<Report, Error> {
    let mut ingest = Ingest::new(store, "c")?;
    ingest.push(text.as_ref())?;
    ingest.finish()
}

/// All samples of the store as sorted text, one series a line: the answer that must survive everything.
pub(crate) fn dump(store: &Store) -> String {
    let mut lines = Vec::new();
    for host in store.shards().iter().flat_map(|shard| shard.hosts(None)) {
        let data = host.data();
        for column in 0..data.columns() {
            let Some((first, last)) = data.range(column) else { continue };
            let key = data.key(column).unwrap();
            let (grid, lane) = data.lane(column).unwrap();
            let mut values = vec![0.0; usize::try_from((last - first) / key.interval + 1).unwrap()];
            grid.read(lane, first, &mut values);
            let samples: Vec<String> = (0..)
                .zip(&values)
                .filter(|(_, value)| !value.is_nan())
                .map(|(step, value)| format!("{}={value:?}", first + step * key.interval - NOW))
                .collect();
            let metric = store.names().name(key.metric);
            let (cluster, host) = (&host.key.cluster, &host.key.host);
            let path = [key.component, key.sub_component].join("/");
            lines.push(format!("{cluster}/{host}/{path} {metric} {}", samples.join(" ")));
        }
    }
    lines.sort();
    lines.join("\n")
}

/// A cluster file: hosts f0101 to f0104 with two sockets of two cores; metrics `load` (node, avg), `flops` (hwthread, sum), `power`
/// (socket, sum), `acc` (accelerator, avg), all every minute. One accelerator.
pub(crate) fn cluster_file(name: &str) -> String {
    let metric = |metric: &str, scope: &str, aggregation: &str| {
        format!(
            r#"{{"name":"{metric}","unit":{{"base":"F/s","prefix":"G"}},"scope":"{scope}","aggregation":"{aggregation}","timestep":60,
            "peak":4,"normal":3,"caution":2,"alert":1}}"#
        )
    };
    let metrics = [
        metric("load", "node", "avg"),
        metric("flops", "hwthread", "sum"),
        metric("power", "socket", "sum"),
        metric("acc", "accelerator", "avg"),
    ];
    format!(
        r#"{{"name":"{name}","metricConfig":[{}],"subClusters":[{{"name":"main","nodes":"f[0101-0104]","processorType":"x",
        "socketsPerNode":2,"coresPerSocket":2,"threadsPerCore":1,"flopRateScalar":{{"unit":{{"base":"F/s"}},"value":1}},
        "flopRateSimd":{{"unit":{{"base":"F/s"}},"value":1}},"memoryBandwidth":{{"unit":{{"base":"B/s"}},"value":1}},
        "topology":{{"node":[0,1,2,3],"socket":[[0,1],[2,3]],"memoryDomain":[[0,1],[2,3]],"core":[[0],[1],[2],[3]],
        "accelerators":[{{"id":"00000000:49:00.0","type":"x","model":"y"}}]}}}}]}}"#,
        metrics.join(",")
    )
}
