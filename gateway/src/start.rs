//! From dependencies to something that can be served.

use std::fmt;
use std::sync::Arc;

use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::env::Env;
use cc_runtime::health::{Health, Readiness};
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};
use cc_runtime::transport::Transport;

use crate::app;
use crate::error::Error;
use crate::grpc;
use crate::nats;
use crate::ready;
use crate::state::State;

/// What the gateway is given.
pub struct Deps {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The environment.
    pub env: Arc<dyn Env>,
    /// The time.
    pub clock: Clock,
    /// Background tasks.
    pub tasks: Tasks,
    /// Declared ready when clusters are known and the job database answers.
    pub readiness: Readiness,
    /// All parts of the process: the connection to the message broker becomes one of them.
    pub health: Health,
    /// The way to users, tokens, sessions.
    pub auth: Transport,
    /// The way to jobs.
    pub job_db: Transport,
    /// The way to finished jobs and cluster files.
    pub archive: Transport,
    /// The way to samples.
    pub metric_store: Transport,
}

impl fmt::Debug for Deps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Deps").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What the composition root serves.
#[derive(Debug)]
pub struct Gateway {
    /// For `main.addr`. Requests should carry `ConnectInfo<SocketAddr>`; without one the peer counts as local.
    pub http: axum::Router,
    /// For `grpc.addr`; `None` when that is off.
    pub grpc: Option<tonic::service::Routes>,
    /// The shared state.
    pub state: State,
}

/// Makes the gateway and starts its background work: following the cluster files, and its own readiness.
///
/// # Errors
/// When a setting cannot be used.
pub fn start(deps: Deps) -> Result<Gateway, Error> {
    let (tasks, health) = (deps.tasks.clone(), deps.health.clone());
    let state = State::new(deps)?;
    if !state.settings().authentication {
        tracing::warn!("main.disable-authentication: everybody who reaches this server may do everything");
    }
    let following = state.clone();
    tasks.spawn("cluster files", OnError::Log, OnShutdown::Abort, async move {
        following.watched_clusters().follow(&following).await;
    });
    tasks.spawn("gateway readiness", OnError::Log, OnShutdown::Abort, ready::follow(state.clone()));
    nats::start(&state, &health, &tasks);
    let grpc = state.config().grpc.addr.is_some().then(|| grpc::routes(&state));
    Ok(Gateway { http: app::app(&state), grpc, state })
}
