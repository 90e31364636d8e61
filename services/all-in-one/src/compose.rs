//! Builds the services, owners before their callers, and lays the wires between them.

use std::sync::Arc;

use cc_database::Database;
use cc_gateway::Gateway;
use cc_proto::access::Peer;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::env::Env;
use cc_runtime::files::lock::Purpose;
use cc_runtime::health::Health;
use cc_runtime::tasks::Tasks;
use cc_runtime::transport::Address;
use cc_runtime::wiring::{self, Wiring};

/// A part did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `job.db`.
    #[error("the job database cannot be opened")]
    Database(#[source] cc_database::Error),
    /// Users and tokens.
    #[error("auth did not start")]
    Auth(#[source] cc_auth::Error),
    /// Samples.
    #[error("metric-store did not start")]
    MetricStore(#[source] cc_metric_store::Error),
    /// Finished jobs and cluster files.
    #[error("archive did not start")]
    Archive(#[source] cc_archive::Error),
    /// Jobs.
    #[error("job-db did not start")]
    JobDb(#[source] cc_job_db::Error),
    /// The outward face.
    #[error("gateway did not start")]
    Gateway(#[source] cc_gateway::Error),
    /// A way between two of them.
    #[error(transparent)]
    Wiring(#[from] wiring::Error),
}

/// What every part is given.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// The environment with `.env`.
    pub env: Arc<dyn Env>,
    /// The time.
    pub clock: Clock,
    /// Background tasks.
    pub tasks: Tasks,
    /// Where each part says that it is ready.
    pub health: Health,
}

/// Starts every service whose address is `in-process`, and the gateway.
///
/// # Errors
/// The first part that does not start.
pub async fn compose(parts: &Parts) -> Result<Gateway, Error> {
    let wires = services(parts).await?;
    cc_gateway::start(cc_gateway::Deps {
        config: Arc::clone(&parts.config),
        env: Arc::clone(&parts.env),
        clock: parts.clock.clone(),
        tasks: parts.tasks.clone(),
        readiness: parts.health.part(Peer::Gateway.name()),
        health: parts.health.clone(),
        auth: wires.to(Peer::Gateway, Peer::Auth)?,
        job_db: wires.to(Peer::Gateway, Peer::JobDb)?,
        archive: wires.to(Peer::Gateway, Peer::Archive)?,
        metric_store: wires.to(Peer::Gateway, Peer::MetricStore)?,
    })
    .map_err(Error::Gateway)
}

/// Starts every service whose address is `in-process`; the wires lead to all of them, wherever they are.
///
/// # Errors
/// The first service that does not start.
pub async fn services(parts: &Parts) -> Result<Wiring, Error> {
    let Parts { config, env, clock, tasks, health } = parts;
    let here: Vec<Peer> = Peer::ALL
        .into_iter()
        .filter(|peer| config.services.get(*peer).is_none_or(|entry| entry.address == Address::InProcess))
        .collect();
    let runs = |peer: Peer| here.contains(&peer);
    let mut wires = Wiring::new(Arc::clone(config), clock.clone(), tasks.clone(), &here)?;
    let purpose = Purpose::Serve { auth: runs(Peer::Auth), job_db: runs(Peer::JobDb) };
    let database = match purpose {
        Purpose::Serve { auth: false, job_db: false } => None,
        _ => Some(Database::of_process(config, tasks, purpose).await.map_err(Error::Database)?),
    };

    if let Some(database) = database.clone().filter(|_| runs(Peer::Auth)) {
        let readiness = health.part(Peer::Auth.name());
        let routes = cc_auth::start(cc_auth::Deps {
            config: Arc::clone(config),
            env: Arc::clone(env),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            database,
        });
        wires.add(Peer::Auth, routes.await.map_err(Error::Auth)?, &readiness);
    }
    if runs(Peer::MetricStore) {
        let readiness = health.part(Peer::MetricStore.name());
        let routes = cc_metric_store::start(cc_metric_store::Deps {
            config: Arc::clone(config),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            health: health.clone(),
        });
        wires.add(Peer::MetricStore, routes.await.map_err(Error::MetricStore)?, &readiness);
    }
    if runs(Peer::Archive) {
        let readiness = health.part(Peer::Archive.name());
        let routes = cc_archive::start(cc_archive::Deps {
            config: Arc::clone(config),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            metric_store: wires.to(Peer::Archive, Peer::MetricStore)?,
        });
        wires.add(Peer::Archive, routes.await.map_err(Error::Archive)?, &readiness);
    }
    if let Some(database) = database.filter(|_| runs(Peer::JobDb)) {
        let readiness = health.part(Peer::JobDb.name());
        let routes = cc_job_db::start(cc_job_db::Deps {
            config: Arc::clone(config),
            clock: clock.clone(),
            tasks: tasks.clone(),
            readiness: readiness.clone(),
            database,
            archive: wires.to(Peer::JobDb, Peer::Archive)?,
            metric_store: wires.to(Peer::JobDb, Peer::MetricStore)?,
        });
        wires.add(Peer::JobDb, routes.await.map_err(Error::JobDb)?, &readiness);
    }
    Ok(wires)
}
