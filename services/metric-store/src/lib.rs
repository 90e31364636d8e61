//! Samples of the last days in memory: ingest, query, log, checkpoints.

mod block;
mod grid;
mod line;
mod number;
mod host;
mod names;
mod registry;
mod value;
