//! Samples of the last days in memory: ingest, query, log, checkpoints (spec metric-store.md).
//!
//! | Module | What it is for |
//! |---|---|
//! | `line`, `number`, `value` | the line protocol: text, numbers, which value a sample keeps |
//! | [`ingest`] | a batch of lines: which host and series, then log and memory, then the answer |
//! | `store`, `shard`, `host`, `grid`, `block` | where samples lie: shards of hosts, a slot grid per host and interval, sealed blocks |
//! | `registry`, `names` | which metrics are taken |
//! | `log`, `checkpoint`, `load`, `wire`, `disk` | what survives: segment log, checkpoints, reading them back |
//! | `reference` | the reference's checkpoint files, read and written |
//! | `read`, `raw_query`, [`job_query`], [`health`], `debug` | questions: the reference's query JSON, series of a job, freshness, content |
//! | `external` | the same questions, answered by metric stores elsewhere |
//! | `nats` | samples from the message broker |
//! | `grpc`, `standalone`, `start` | the service of the contract, the stand-alone server, how each is started |
//! | `actions` | what the command line does with checkpoint files |
//! | [`metrics`] | counters |

mod actions;
mod block;
mod checkpoint;
mod debug;
mod disk;
mod error;
mod external;
mod grid;
mod grpc;
pub mod health;
mod host;
pub mod ingest;
pub mod job_query;
mod line;
mod load;
mod log;
pub mod metrics;
mod names;
mod nats;
mod number;
mod raw_query;
mod read;
mod reference;
mod registry;
mod shard;
mod standalone;
mod start;
pub mod store;
#[cfg(test)]
mod testing;
mod value;
mod wire;

pub use actions::{cleanup_checkpoints, export_checkpoints};
pub use block::{Values, decode, encode};
pub use error::Error;
pub use ingest::Ingest;
pub use line::{Scan, scan};
pub use log::Durability;
pub use raw_query::RawQuery;
pub use registry::Rule;
pub use standalone::start_standalone;
pub use start::{Deps, start};
pub use store::Store;
