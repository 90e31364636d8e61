//! Which metrics of a node are fresh (spec metric-store.md 12).

use crate::host::HostData;
use crate::registry::Registry;
use crate::store::Store;

/// A series is stale when so many intervals have passed since its last one.
const STALE_INTERVALS: i64 = 5;

/// How a node's metrics are, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Every metric is fresh.
    Full,
    /// Some are not.
    Partial,
    /// None is, or the node is unknown.
    Failed,
}

impl State {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// The health of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHealth {
    /// The node.
    pub host: String,
    /// All metrics together.
    pub state: State,
    /// Whether the node ever sent anything that is still kept.
    pub known: bool,
    /// Metrics without samples, in the order asked for.
    pub missing: Vec<String>,
    /// Metrics whose samples are old, at least at one component.
    pub degraded: Vec<String>,
}

impl Store {
    /// The health of nodes by these metrics. The nodes' history must be loaded.
    pub fn health(&self, cluster: &str, hosts: &[String], metrics: &[String]) -> Vec<NodeHealth> {
        let now = self.clock().unix();
        hosts
            .iter()
            .map(|host| self.node_health(cluster, host, metrics.iter().map(String::as_str), now))
            .collect()
    }

    /// The health of nodes by all metrics of their subclusters.
    pub fn health_of_cluster(&self, cluster: &str, hosts: &[String]) -> Vec<NodeHealth> {
        let now = self.clock().unix();
        let registry = self.registry();
        let health = |host: &String| {
            let metrics = metrics_of(&registry, cluster, host);
            self.node_health(cluster, host, metrics.iter().map(String::as_str), now)
        };
        hosts.iter().map(health).collect()
    }

    fn node_health<'a>(
        &self,
        cluster: &str,
        name: &str,
        metrics: impl Iterator<Item = &'a str>,
        now: i64,
    ) -> NodeHealth {
        let mut health = NodeHealth {
            host: name.to_owned(),
            state: State::Failed,
            known: false,
            missing: Vec::new(),
            degraded: Vec::new(),
        };
        let Some(host) = self.host(cluster, name) else { return health };
        let data = host.data();
        if !data.has_samples() {
            return health;
        }
        health.known = true;
        let (mut all, mut fresh) = (0, 0);
        for metric in metrics {
            all += 1;
            match self.freshness(&data, metric, now) {
                Some(true) => fresh += 1,
                Some(false) => health.degraded.push(metric.to_owned()),
                None => health.missing.push(metric.to_owned()),
            }
        }
        health.state = match fresh {
            fresh if fresh == all => State::Full,
            0 => State::Failed,
            _ => State::Partial,
        };
        health
    }

    /// Whether all series of a metric are fresh; `None` if there is none.
    fn freshness(&self, data: &HostData, metric: &str, now: i64) -> Option<bool> {
        let metric = self.names().get(metric)?;
        let mut found = None;
        for column in data.everywhere(metric) {
            let Some(((_, last), key)) = data.range(column).zip(data.key(column)) else { continue };
            // The last slot ends half an interval behind its time.
            let end = last + key.interval - key.interval / 2;
            let fresh = now - end <= STALE_INTERVALS * key.interval;
            found = Some(found.unwrap_or(true) && fresh);
        }
        found
    }
}

/// All metrics that a node of the cluster should have.
fn metrics_of(registry: &Registry, cluster: &str, host: &str) -> Vec<String> {
    let Some(file) = registry.cluster(cluster) else { return Vec::new() };
    let metrics = file.sub_cluster_of(host).map_or(&file.metric_config, |sub| &sub.metric_config);
    metrics.iter().map(|metric| metric.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, cluster_file, open, options, write};

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn stale_and_missing_metrics_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(options(directory.path()));
        write(
            &store,
            format!(
                "load,host=h value=1 {NOW}\nodd,host=h value=1 {}\nflops,host=h,type=core,type-id=0 value=1 {NOW}\n\
                 flops,host=h,type=core,type-id=1 value=1 {}\ntick,host=old value=1 {}\n",
                NOW - 330,
                NOW - 331,
                NOW - 900
            ),
        )
        .unwrap();
        let check = |host: &str, metrics: &[&str]| {
            let health = store.health("c", &names(&[host]), &names(metrics)).remove(0);
            (health.state, health.missing, health.degraded)
        };
        assert_eq!(check("h", &["load", "odd"]), (State::Full, vec![], vec![]));
        assert_eq!(
            check("h", &["load", "flops", "tick", "x"]),
            (State::Partial, names(&["tick", "x"]), names(&["flops"]))
        );
        assert_eq!(check("h", &[]), (State::Full, vec![], vec![]));
        assert_eq!(check("old", &["tick"]), (State::Failed, vec![], names(&["tick"])));
        assert_eq!(check("nobody", &["load"]), (State::Failed, vec![], vec![]));
    }

    #[test]
    fn the_metrics_of_a_node_are_those_of_its_subcluster() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(options(directory.path()));
        store.configure([("c", cluster_file("c").as_bytes())]).unwrap();
        write(&store, format!("load,host=f0101 value=1 {NOW}\n")).unwrap();
        let health = store.health_of_cluster("c", &names(&["f0101", "f0102"]));
        assert_eq!(health[0].missing, names(&["flops", "power", "acc"]));
        assert_eq!(
            (health[0].state, health[1].state, health[1].known),
            (State::Partial, State::Failed, false)
        );
    }
}
