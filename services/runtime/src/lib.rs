//! What every process needs: config, logging, tracing, TLS, transport, listeners, tasks, shutdown, health.

pub mod caller;
pub mod clock;
pub mod config;
pub mod cpu;
pub mod env;
pub mod error;
pub mod files;
pub mod flags;
pub mod health;
pub mod listener;
pub mod logging;
pub mod metrics;
pub mod nats;
pub mod privileges;
pub mod process;
pub mod rpc;
pub mod systemd;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod transport;
pub mod wiring;
