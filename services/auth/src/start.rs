//! Brings the service up.

use std::sync::Arc;

use cc_database::Database;
use cc_proto::auth::v1::auth_server::AuthServer;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::env::Env;
use cc_runtime::health::Readiness;
use cc_runtime::tasks::Tasks;
use tonic::service::Routes;

use crate::app::App;
use crate::error::Error;
use crate::grpc::Grpc;
use crate::settings::Settings;
use crate::{janitor, metrics};

/// What the service is made of.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// Where the keys are.
    pub env: Arc<dyn Env>,
    /// The time.
    pub clock: Clock,
    /// Background tasks.
    pub tasks: Tasks,
    /// Ready when the database is open and our tables are there.
    pub readiness: Readiness,
    /// `job.db`.
    pub database: Database,
}

/// Checks keys and tables, starts the periodic work, and gives the routes, without any layer around them.
///
/// # Errors
/// [`Error::Settings`] for keys that are missing, unusable, or published and about to be used in public;
/// [`Error::Database`].
pub async fn start(deps: Deps) -> Result<Routes, Error> {
    metrics::describe();
    let settings = Settings::load(&deps.config, &*deps.env)?;
    settings.check_for_serving(&deps.config)?;
    for warning in settings.keys.warnings() {
        tracing::warn!("{warning}");
    }
    let app = App::open(deps.database, deps.clock, &settings).await?;
    janitor::start(&deps.tasks, app.store().clone());
    deps.readiness.ready();
    Ok(Routes::new(AuthServer::new(Grpc::new(app))))
}
