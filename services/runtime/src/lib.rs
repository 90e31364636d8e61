//! What every process needs: config, logging, tracing, TLS, transport, listeners, tasks, shutdown, health.

pub mod caller;
pub mod error;
pub mod rpc;
pub mod transport;
