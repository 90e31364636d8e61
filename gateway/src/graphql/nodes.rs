//! Nodes and their states (graphql-api.md 4.5, 8.6 to 8.10).

use async_graphql::{Result, SimpleObject};
use cc_proto::job_db::v1 as proto;
use serde_json::{Map, Value};

use super::context::{Viewing, refused};
use super::inputs::{NodeFilter, OrderByInput, node_filters};
use super::scalars::{Any, MonitoringState, NumericId, SchedulerState};

/// Values of a node in an answer, about.
const NODE_VALUES: usize = 16;

/// The latest state of a node.
#[derive(SimpleObject)]
pub(super) struct Node {
    id: NumericId,
    hostname: String,
    cluster: String,
    sub_cluster: String,
    jobs_running: i64,
    cpus_allocated: Option<i64>,
    memory_allocated: Option<i64>,
    gpus_allocated: Option<i64>,
    scheduler_state: SchedulerState,
    health_state: MonitoringState,
    meta_data: Option<Any>,
    health_data: Option<Any>,
}

impl From<proto::Node> for Node {
    fn from(node: proto::Node) -> Self {
        let metadata: Map<String, Value> =
            node.metadata.into_iter().map(|pair| (pair.key, pair.value.into())).collect();
        let health: Map<String, Value> =
            node.health_data.into_iter().map(|list| (list.name, list.values.into())).collect();
        Self {
            id: NumericId(node.id),
            hostname: node.hostname,
            cluster: node.cluster,
            sub_cluster: node.sub_cluster,
            jobs_running: node.jobs_running,
            cpus_allocated: Some(node.cpus_allocated),
            memory_allocated: Some(node.memory_allocated_mb),
            gpus_allocated: Some(node.gpus_allocated),
            scheduler_state: SchedulerState(node.scheduler_state),
            health_state: MonitoringState(node.health_state),
            meta_data: Some(Any(Value::Object(metadata))),
            health_data: Some(Any(Value::Object(health))),
        }
    }
}

/// Nodes by host name.
#[derive(SimpleObject)]
pub(super) struct NodeStateResultList {
    items: Vec<Node>,
    count: Option<usize>,
}

impl From<Vec<proto::Node>> for NodeStateResultList {
    fn from(nodes: Vec<proto::Node>) -> Self {
        Self { count: Some(nodes.len()), items: nodes.into_iter().map(Node::from).collect() }
    }
}

/// How many nodes are in a state.
#[derive(SimpleObject)]
pub(super) struct NodeStates {
    state: String,
    count: u64,
}

impl From<proto::StateCount> for NodeStates {
    fn from(count: proto::StateCount) -> Self {
        Self { state: count.state, count: count.count }
    }
}

/// The same over time.
#[derive(SimpleObject)]
pub(super) struct NodeStatesTimed {
    state: String,
    counts: Vec<u64>,
    /// Seconds since the epoch.
    times: Vec<i64>,
}

impl From<proto::StateTimes> for NodeStatesTimed {
    fn from(times: proto::StateTimes) -> Self {
        Self { state: times.state, counts: times.counts, times: times.times }
    }
}

/// A count by name.
#[derive(SimpleObject)]
pub(super) struct Count {
    name: String,
    count: u64,
}

impl From<proto::StateCount> for Count {
    fn from(count: proto::StateCount) -> Self {
        Self { name: count.state, count: count.count }
    }
}

/// The nodes that match.
pub(super) async fn list_nodes(
    viewing: &Viewing,
    filter: Option<Vec<NodeFilter>>,
    order: Option<OrderByInput>,
    with_meta: bool,
) -> Result<NodeStateResultList> {
    let request =
        proto::ListNodesRequest { filters: node_filters(filter), order: order.map(Into::into), with_meta };
    let answer = viewing.state.job_db().list_nodes(viewing.request(request)).await;
    let nodes = answer.map_err(|status| refused(&status))?.into_inner().nodes;
    viewing.take_values(nodes.len(), NODE_VALUES)?;
    Ok(nodes.into())
}
