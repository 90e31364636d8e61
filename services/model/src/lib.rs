//! The field's vocabulary: job, cluster, metric, unit, node list. Pure types, no I/O.
//!
//! - [`job`]: a job as schedulers report it and as it is stored and shown
//! - [`cluster`]: `cluster.json`: metrics, sub-clusters, topology, which host belongs where
//! - [`node_list`]: host list expressions such as `f[0101-0188],w1`
//! - [`scope`], [`mod@unit`], [`names`], [`duration`], [`number`], [`json`]: small words used by all of them
//! - [`series`]: the metric data of a job (`data.json`), its statistics, its encoding
//! - [`resample`]: thinning a series (LTTB, average, every n-th)
//! - [`plan`]: which native series of a host make up a metric at a scope
//! - [`footprint`]: footprint and energy of a job from its statistics

pub mod cluster;
pub mod duration;
pub mod footprint;
pub mod job;
pub mod json;
pub mod names;
pub mod node_list;
pub mod number;
pub mod plan;
pub mod resample;
pub mod scope;
pub mod series;
pub mod unit;

#[cfg(test)]
mod testing;

pub use cluster::{Cluster, Clusters, MetricConfig, SubCluster, Topology};
pub use job::{Job, JobKey, JobState, MonitoringStatus, Resource, Sharing, Tag};
pub use node_list::NodeList;
pub use scope::MetricScope;
pub use unit::Unit;
