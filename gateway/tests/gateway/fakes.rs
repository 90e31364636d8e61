//! The services behind the gateway, played.

mod archive;
mod auth;
mod job_db;
mod metric_store;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use cc_proto::archive::v1::archive_server::ArchiveServer;
use cc_proto::auth::v1::auth_server::AuthServer;
use cc_proto::job_db::v1::job_db_server::JobDbServer;
use cc_proto::metric_store::v1::metric_store_server::MetricStoreServer;
use cc_runtime::clock::Clock;
use futures::Stream;
use tonic::Status;
use tonic::service::Routes;

pub(crate) use self::auth::AuthState;
pub(crate) use self::job_db::{Heard, JobDbState, job};
pub(crate) use self::metric_store::StoreState;

/// A stream of answers.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// State that a test looks at and changes while the service answers.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    pub(crate) fn get(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// All four.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fakes {
    pub(crate) auth: Shared<AuthState>,
    pub(crate) job_db: Shared<JobDbState>,
    pub(crate) store: Shared<StoreState>,
}

impl Fakes {
    pub(crate) fn auth_routes(&self, clock: &Clock) -> Routes {
        Routes::new(AuthServer::new(auth::FakeAuth { state: self.auth.clone(), clock: clock.clone() }))
    }

    pub(crate) fn job_db_routes(&self) -> Routes {
        Routes::new(JobDbServer::new(job_db::FakeJobDb { state: self.job_db.clone() }))
    }

    pub(crate) fn archive_routes() -> Routes {
        Routes::new(ArchiveServer::new(archive::FakeArchive))
    }

    pub(crate) fn store_routes(&self) -> Routes {
        Routes::new(MetricStoreServer::new(metric_store::FakeStore { state: self.store.clone() }))
    }
}
