//! Samples of the last days in memory: ingest, query, log, checkpoints.
//!
//! The way of a sample: [`line`] text → [`ingest`] (which series, which value) → [`log`] of its host's [`shard`] → [`grid`] of its
//! [`host`]. The way back: [`checkpoint`] and [`log`] → [`load`].

mod block;
mod checkpoint;
mod disk;
mod error;
mod grid;
mod host;
pub mod ingest;
mod line;
mod load;
mod log;
pub mod metrics;
mod names;
mod number;
mod read;
mod registry;
mod shard;
pub mod store;
#[cfg(test)]
mod testing;
mod value;
mod wire;

pub use error::Error;
pub use ingest::Ingest;
pub use log::Durability;
pub use registry::Rule;
pub use store::Store;
