//! The job archive on disk and the cluster files in it; archiving of stopped jobs (spec job-archive.md).
//!
//! - [`layout`]: the directory: version, paths, atomic reading and writing of entries
//! - [`clusters`]: the `cluster.json` files, watched for changes
//! - [`archiving`]: a stopped job becomes an entry
//! - [`reading`]: an entry becomes answers
//! - [`importing`]: an entry from outside
//! - [`grpc`]: decode, call, encode
//!
//! [`start()`] makes the service of its [`Deps`].

pub mod archiving;
pub mod clusters;
pub mod error;
mod grpc;
pub mod importing;
pub mod layout;
mod metrics;
pub mod reading;
mod start;

pub use error::Error;
pub use start::{Deps, start};
