//! The single binary: every service and the gateway linked into one process (architecture.md 2, 3).
//!
//! - [`compose`]: builds the services in the order of who calls whom and lays the wires between them
//! - [`actions`]: what the command line does besides serving: `-init`, `-add-user`, `-jwt`, `-import-job`, …

pub mod actions;
pub mod compose;
