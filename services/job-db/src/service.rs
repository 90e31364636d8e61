//! Putting the service together: database, writer, background work, routes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cc_database::Database;
use cc_proto::job_db::v1::job_db_server::JobDbServer;
use cc_runtime::clock::Clock;
use cc_runtime::config::Config;
use cc_runtime::config::main::NodestatePolicy;
use cc_runtime::health::Readiness;
use cc_runtime::tasks::{OnError, OnShutdown, Stage, Tasks};
use cc_runtime::transport::Transport;
use tonic::service::Routes;

use crate::app::archiver::{Archiver, Refusals};
use crate::app::clusters::ClusterState;
use crate::app::copies::{Busy, Copies};
use crate::app::footprints::Footprints;
use crate::app::janitor::{DrainBuffer, Janitor};
use crate::app::nodes::ReportTimes;
use crate::app::peers::{self, RemoteArchive, RemoteStore, StoreSync};
use crate::app::tagging::{Runs, Tagging};
use crate::app::watch::{Hub, wake_on};
use crate::app::writer::{self, Writer};
use crate::error::Error;
use crate::grpc::Service;
use crate::store::Store;
use crate::store::change::{Change, ChangeKind};
use crate::store::sqlite::SqliteStore;
use crate::tagger::Directory;
use crate::{convert, metrics};

/// Retention of samples when the metric store has no section of its own in the configuration.
const RETENTION_DEFAULT: Duration = Duration::from_hours(48);

/// Where the rules of the taggers are, as with the reference (spec/taggers.md 2).
const TAGGER_RULES: &str = "./var/tagger";

/// Largest request: a start may bring a job script of 16 MiB.
const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// What the service needs.
#[derive(Debug)]
pub struct Deps {
    /// The whole configuration.
    pub config: Arc<Config>,
    /// Time.
    pub clock: Clock,
    /// Where background work is registered.
    pub tasks: Tasks,
    /// Ready once the cluster files have arrived.
    pub readiness: Readiness,
    /// The open `job.db`; whoever opened it closes it after the stage [`Stage::Flush`] of the shutdown.
    pub database: Database,
    /// The archive.
    pub archive: Transport,
    /// The metric store.
    pub metric_store: Transport,
}

/// Starts the service: prepares the side tables, takes over what the reference left behind, starts background work.
/// The routes are without layers; the caller wraps them.
///
/// # Errors
/// [`Error::Database`].
pub async fn start(deps: Deps) -> Result<Routes, Error> {
    metrics::describe();
    let store = SqliteStore::open(deps.database.clone()).await?;
    let hub = Hub::default();
    let clusters = ClusterState::default();
    let writer = start_writer(&deps, &store, &clusters, &hub);
    let (moved, known) = writer.run(DrainBuffer).await?;
    if moved > 0 || known > 0 {
        tracing::info!("took {moved} buffered jobs over, {known} of the buffer were known already");
    }
    let copies = Copies {
        store: store.clone(),
        writer: writer.clone(),
        archive: RemoteArchive::new(deps.archive.clone()),
        clock: deps.clock.clone(),
        wake: Arc::default(),
        busy: Busy::default(),
    };
    let tasks = deps.tasks.at(Stage::Producers);
    tasks.spawn("job-db.copies", OnError::Log, OnShutdown::Abort, copies.clone().run());
    let tagging = Tagging {
        store: store.clone(),
        writer: writer.clone(),
        archive: RemoteArchive::new(deps.archive.clone()),
        clusters: clusters.clone(),
        clock: deps.clock.clone(),
        directory: Directory::new(Path::new(TAGGER_RULES)),
        runs: Runs::default(),
        copies: Arc::clone(&copies.wake),
    };
    if deps.config.main.enable_job_taggers {
        follow(&deps, &hub, tagging.clone());
    }
    start_background(&deps, &store, &writer, &clusters, &hub);
    let service = Service {
        store,
        writer,
        hub,
        clusters,
        metric_store: RemoteStore::new(deps.metric_store),
        clock: deps.clock,
        report_times: ReportTimes::default(),
        tasks: deps.tasks.at(Stage::Requests),
        limits: deps.config.grpc.ingest.clone(),
        copies,
        tagging,
        short_below: deps.config.main.short_running_jobs_duration,
    };
    Ok(Routes::new(JobDbServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX)))
}

/// The writer outlives requests and producers: it commits what they handed over.
fn start_writer(deps: &Deps, store: &SqliteStore, clusters: &ClusterState, hub: &Hub) -> Writer<SqliteStore> {
    let group_max = usize::try_from(deps.config.grpc.ingest.commit_batch).unwrap_or(usize::MAX);
    let (writer, task) =
        writer::new(store.clone(), deps.clock.clone(), clusters.clone(), hub.clone(), group_max);
    let tasks = deps.tasks.at(Stage::Flush);
    let stop = tasks.token().cancelled_owned();
    tasks.spawn("job-db.writer", OnError::StopProcess, OnShutdown::Drain, task.run(stop));
    writer
}

fn start_background(
    deps: &Deps,
    store: &SqliteStore,
    writer: &Writer<SqliteStore>,
    clusters: &ClusterState,
    hub: &Hub,
) {
    let tasks = deps.tasks.at(Stage::Producers);
    let spawn = |name: &'static str, future: futures::future::BoxFuture<'static, ()>| {
        tasks.spawn(name, OnError::Log, OnShutdown::Abort, future);
    };
    spawn("job-db.clusters", Box::pin(peers::follow_clusters(deps.archive.clone(), clusters.clone())));
    spawn("job-db.readiness", Box::pin(announce(deps.readiness.clone(), clusters.clone())));

    let (wake, task) = wake_on(hub, |change: &Change| change.kind == ChangeKind::Stopped);
    spawn("job-db.archive-wake", Box::pin(task));
    let archiver = Archiver {
        store: store.clone(),
        writer: writer.clone(),
        archive: RemoteArchive::new(deps.archive.clone()),
        clusters: clusters.clone(),
        clock: deps.clock.clone(),
        refusals: Refusals::default(),
    };
    let stop = tasks.token().cancelled_owned();
    // a job that is being archived is finished; the entry of one that is late stays for the next start
    tasks.spawn("job-db.archiver", OnError::StopProcess, OnShutdown::Drain, archiver.run(wake, stop));

    let (wake, task) = wake_on(hub, |change: &Change| change.kind != ChangeKind::Updated);
    spawn("job-db.pin-wake", Box::pin(task));
    let sync = StoreSync {
        store: store.clone(),
        remote: RemoteStore::new(deps.metric_store.clone()),
        clusters: clusters.clone(),
    };
    spawn("job-db.store-sync", Box::pin(sync.run(wake)));
    if let Some(period) = deps.config.cron.footprint_worker {
        let footprints = Footprints {
            store: store.clone(),
            writer: writer.clone(),
            remote: RemoteStore::new(deps.metric_store.clone()),
            clusters: clusters.clone(),
            clock: deps.clock.clone(),
        };
        spawn("job-db.footprints", Box::pin(footprints.run(period)));
    }
    start_janitor(
        deps,
        Janitor { store: store.clone(), writer: writer.clone(), clock: deps.clock.clone() },
        clusters,
    );
}

/// The taggers follow the log of changes.
fn follow(deps: &Deps, hub: &Hub, tagging: Tagging<SqliteStore, RemoteArchive>) {
    let tasks = deps.tasks.at(Stage::Producers);
    let tagged = |change: &Change| matches!(change.kind, ChangeKind::Started | ChangeKind::Archived);
    let (wake, task) = wake_on(hub, tagged);
    tasks.spawn("job-db.tagger-wake", OnError::Log, OnShutdown::Abort, task);
    tasks.spawn("job-db.taggers", OnError::Log, OnShutdown::Abort, tagging.follow(wake));
}

fn start_janitor<S: Store>(deps: &Deps, janitor: Janitor<S>, clusters: &ClusterState) {
    let tasks = deps.tasks.at(Stage::Producers);
    let spawn = |name: &'static str, future: futures::future::BoxFuture<'static, Result<(), Error>>| {
        tasks.spawn(name, OnError::Log, OnShutdown::Abort, future);
    };
    let endless = |future: futures::future::BoxFuture<'static, ()>| {
        Box::pin(async move {
            future.await;
            Ok(())
        })
    };
    if let Some(period) = deps.config.cron.duration_worker {
        spawn("job-db.durations", endless(Box::pin(janitor.clone().durations(period))));
    }
    let grace = deps.config.main.stop_jobs_exceeding_walltime;
    if grace > 0 {
        spawn("job-db.overdue", endless(Box::pin(janitor.clone().overdue(grace))));
    }
    if let Some(retention) = &deps.config.main.nodestate_retention
        && retention.policy == NodestatePolicy::Delete
    {
        spawn(
            "job-db.node-states",
            endless(Box::pin(janitor.clone().node_states(Duration::from_hours(retention.age_hours.into())))),
        );
    }
    spawn("job-db.replaced", endless(Box::pin(janitor.clone().replaced())));
    let days = deps.config.grpc.ingest.dead_letter_days;
    spawn("job-db.prune", endless(Box::pin(janitor.clone().prune(days))));
    let parked = janitor.clone().parked(clusters.clone(), convert::decode_parked);
    spawn("job-db.parked", endless(Box::pin(parked)));
    let retention =
        deps.config.metric_store.as_ref().map_or(RETENTION_DEFAULT, |store| store.retention_in_memory);
    spawn("job-db.unarchived", Box::pin(janitor.queue_unarchived(retention)));
}

/// Ready with the first cluster files: without them every start would be refused.
async fn announce(readiness: Readiness, clusters: ClusterState) {
    readiness.not_ready("waiting for the cluster files of the archive");
    let mut news = clusters.subscribe();
    if news.wait_for(Option::is_some).await.is_ok() {
        readiness.ready();
    }
}
