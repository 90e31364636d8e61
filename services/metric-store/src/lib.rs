//! Samples of the last days in memory: ingest, query, log, checkpoints.
//!
//! The way of a sample: [`line`] text → [`ingest`] (which series, which value) → [`log`] of its host's [`shard`] → [`grid`] of its
//! [`host`]. The way back: [`checkpoint`] and [`log`] → [`load`].

mod block;
mod checkpoint;
mod debug;
mod disk;
mod error;
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
mod number;
mod raw_query;
mod read;
mod registry;
mod shard;
mod standalone;
mod start;
pub mod store;
#[cfg(test)]
mod testing;
mod value;
mod wire;

pub use error::Error;
pub use ingest::Ingest;
pub use line::{Scan, scan};
pub use log::Durability;
pub use raw_query::RawQuery;
pub use registry::Rule;
pub use standalone::start_standalone;
pub use start::{Deps, start};
pub use store::Store;
