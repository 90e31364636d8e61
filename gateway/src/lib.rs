//! The outward face: REST, live events, sessions, public gRPC and the UI. It keeps nothing on disk and owns no data; it
//! authenticates, checks form, and asks the services (architecture.md 3, 5).
//!
//! - [`app`]: the router, and what every request passes, in order
//! - [`routes`]: every route with its gate
//! - [`auth`]: who asks; [`auth::gate`]: who may
//! - [`rest`], [`graphql`], [`web`], [`grpc`]: the four kinds of clients
//! - `nats`: events without an answer, from the message broker
//! - [`problem`]: how refusals and failures are told
//! - [`state`], [`settings`], [`client`], [`clusters`]: what handlers share
//!
//! [`start()`] makes a [`Gateway`] of its [`Deps`].

pub mod app;
pub mod auth;
pub mod body;
pub mod client;
pub mod clusters;
pub mod error;
pub mod graphql;
pub mod grpc;
pub mod json;
pub mod metrics;
pub mod middleware;
mod nats;
pub mod problem;
mod ready;
pub mod rest;
pub mod routes;
mod series;
pub mod settings;
pub mod start;
pub mod state;
pub mod web;

pub use error::Error;
pub use start::{Deps, Gateway, start};
pub use state::State;
