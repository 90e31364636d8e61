//! What every process needs: config, logging, tracing, TLS, transport, listeners, tasks, shutdown, health.

pub mod caller;
pub mod clock;
pub mod config;
pub mod cpu;
pub mod env;
pub mod error;
pub mod files;
pub mod health;
pub mod rpc;
pub mod tasks;
pub mod tls;
pub mod transport;
pub mod wiring;
