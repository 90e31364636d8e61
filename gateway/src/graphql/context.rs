//! What every resolver has at hand: who asks, the services behind the gateway, and the cluster files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_graphql::{Context, Error, ErrorExtensions as _};
use cc_proto::auth::v1::{LookupUsersRequest, User};
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1::{GetJobRequest, ListPartitionsRequest};
use cc_runtime::caller::{self, Caller, Role};
use cc_runtime::error::{self, Kind};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tonic::Status;

use crate::clusters::ClusterSet;
use crate::series::{self, Loaded, Wanted};
use crate::state::State;

/// Names of one call of `LookupUsers`, as its contract allows.
const NAMES_AT_ONCE: usize = 1_000;
/// Expensive fields of one request that are worked on at the same time; aliases make as many as they like.
const EXPENSIVE_AT_ONCE: usize = 2;
/// Samples of nodes that one request may read.
const SAMPLES_MAX: u64 = 50_000_000;
/// Samples and other values in the lists of one answer: each takes 72 bytes there before it is text.
const VALUES_MAX: u64 = 20_000_000;
/// Bins of all histograms of metrics of one request: each becomes an object of the answer.
const BINS_MAX: u64 = 100_000;
/// Tiles of all heat maps of one request: 200 by 200 on the largest picture of a page.
const TILES_MAX: u64 = 40_000;

/// One request.
pub(super) struct Viewing {
    /// Who asks.
    pub(super) caller: Arc<Caller>,
    /// The services behind the gateway.
    pub(super) state: State,
    /// The cluster files as they are now.
    pub(super) clusters: Arc<ClusterSet>,
    /// Users that were looked up, `None`: not in the table.
    users: Mutex<HashMap<String, Option<User>>>,
    /// For the expensive fields.
    turns: Semaphore,
    /// What may still be used.
    left: Left,
}

/// What the fields of a request may use together, as far as it is not used yet: a limit of each field alone is none, as
/// aliases make as many fields as they like.
struct Left {
    samples: AtomicU64,
    values: AtomicU64,
    bins: AtomicU64,
    tiles: AtomicU64,
}

/// Takes a part, if there is as much.
fn take(left: &AtomicU64, part: u64) -> bool {
    let rest = |left: u64| left.checked_sub(part);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
}

/// The request's data.
pub(super) fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Viewing> {
    ctx.data::<Viewing>()
}

impl Viewing {
    /// Of one request.
    pub(super) fn new(caller: Arc<Caller>, state: State, clusters: Arc<ClusterSet>) -> Self {
        Self {
            caller,
            state,
            clusters,
            users: Mutex::default(),
            turns: Semaphore::new(EXPENSIVE_AT_ONCE),
            left: Left {
                samples: AtomicU64::new(SAMPLES_MAX),
                values: AtomicU64::new(VALUES_MAX),
                bins: AtomicU64::new(BINS_MAX),
                tiles: AtomicU64::new(TILES_MAX),
            },
        }
    }

    /// Waits until an expensive field may begin; to be held until its data is there.
    pub(super) async fn turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        // never closed
        self.turns.acquire().await.map_err(|_closed| error("UNAVAILABLE", "the server is stopping"))
    }

    /// Takes as many samples of nodes from what this request may read.
    pub(super) fn take_samples(&self, samples: u64) -> async_graphql::Result<()> {
        if take(&self.left.samples, samples) {
            return Ok(());
        }
        Err(error(
            "INVALID",
            format!(
                "from, to: about {samples} samples would be read, and a request has at most {SAMPLES_MAX}: ask for fewer \
                 nodes, fewer metrics or a shorter time"
            ),
        ))
    }

    /// Takes a list of so many things, of about so many values each, from what the answer may hold.
    pub(super) fn take_values(&self, count: usize, values: usize) -> async_graphql::Result<()> {
        if take(&self.left.values, u64::try_from(count.saturating_mul(values)).unwrap_or(u64::MAX)) {
            return Ok(());
        }
        let text = format!(
            "the answer has more than {VALUES_MAX} values: ask for fewer jobs or series, or for a coarser resolution"
        );
        Err(error("INVALID", text))
    }

    /// Takes the bins of some histograms from those of the request.
    pub(super) fn take_bins(&self, bins: u32, histograms: usize) -> async_graphql::Result<()> {
        let histograms = u64::try_from(histograms).unwrap_or(u64::MAX);
        if take(&self.left.bins, u64::from(bins).saturating_mul(histograms)) {
            return Ok(());
        }
        let text = format!(
            "numMetricBins: {histograms} metrics of {bins} bins each are more than what is left of the {BINS_MAX} bins of one request"
        );
        Err(error("INVALID", text))
    }

    /// Takes the tiles of a heat map from those of the request.
    pub(super) fn take_tiles(&self, rows: usize, columns: usize) -> async_graphql::Result<()> {
        if take(&self.left.tiles, u64::try_from(rows.saturating_mul(columns)).unwrap_or(u64::MAX)) {
            return Ok(());
        }
        let text = format!(
            "rows, cols: {rows} by {columns} tiles are more than what is left of the {TILES_MAX} tiles of one request"
        );
        Err(error("INVALID", text))
    }

    /// The metrics that a request names, when they are not too many.
    pub(super) fn metric_names(&self, names: Vec<String>) -> async_graphql::Result<Vec<String>> {
        self.clusters.metric_names(names).map_err(|status| refused(&status))
    }

    /// The same where none means all.
    pub(super) fn some_metrics(
        &self,
        names: Option<Vec<String>>,
    ) -> async_graphql::Result<Option<Vec<String>>> {
        names.map(|names| self.metric_names(names)).transpose()
    }

    /// A message on behalf of the caller.
    pub(super) fn request<T>(&self, message: T) -> tonic::Request<T> {
        caller::request(message, &self.caller)
    }

    /// A job that the caller may open: a token of a program may list jobs, but not look into one (graphql-api.md 6.2).
    pub(super) async fn job(&self, id: i64) -> async_graphql::Result<common::Job> {
        let answer = self.state.job_db().get_job(self.request(GetJobRequest { id })).await;
        let job = answer.map_err(|status| refused(&status))?.into_inner().job.ok_or_else(missing_job)?;
        let opens =
            job.user == self.caller.name || self.caller.has_any(&[Role::Admin, Role::Support, Role::Manager]);
        if opens { Ok(job) } else { Err(forbidden("you are not allowed to see this job")) }
    }

    /// Series of a job that the caller may open.
    pub(super) async fn series(&self, job: &common::Job, wanted: Wanted) -> Result<Loaded, Status> {
        series::of_job(&self.state, &self.caller, job, wanted).await
    }

    /// The resolution where the request names none.
    pub(super) fn default_resolution(&self) -> u32 {
        series::default_resolution(&self.state)
    }

    /// A user by name; `None` when the table has none. Who may see whom is decided by the auth service.
    pub(super) async fn user(&self, name: &str) -> async_graphql::Result<Option<User>> {
        let sees =
            name == self.caller.name || self.caller.has_any(&[Role::Admin, Role::Support, Role::Manager]);
        if !sees {
            return Err(forbidden("forbidden"));
        }
        if let Some(known) = self.users.lock().await.get(name) {
            return Ok(known.clone());
        }
        self.look_up(vec![name.to_owned()]).await?;
        Ok(self.users.lock().await.get(name).cloned().flatten())
    }

    /// Looks up the users of a page in few calls, for [`Viewing::user`] to find them.
    pub(super) async fn look_up(&self, names: Vec<String>) -> async_graphql::Result<()> {
        for names in names.chunks(NAMES_AT_ONCE) {
            let request = self.request(LookupUsersRequest { usernames: names.to_vec() });
            let answer = self.state.auth().lookup_users(request).await;
            let found = answer.map_err(|status| refused(&status))?.into_inner().users;
            let mut users = self.users.lock().await;
            users.extend(names.iter().map(|name| (name.clone(), None)));
            users.extend(found.into_iter().map(|user| (user.username.clone(), Some(user))));
        }
        Ok(())
    }

    /// Partitions seen in jobs of a cluster.
    pub(super) async fn partitions(&self, cluster: &str) -> async_graphql::Result<Vec<String>> {
        let request = self.request(ListPartitionsRequest { cluster: cluster.to_owned() });
        let answer = self.state.job_db().list_partitions(request).await;
        Ok(answer.map_err(|status| refused(&status))?.into_inner().partitions)
    }
}

/// An error with a stable `reason` that pages read. Not `code`: clients of the reference take one of those for an error of
/// the protocol.
pub(super) fn error(reason: &'static str, message: impl Into<String>) -> Error {
    Error::new(message.into()).extend_with(|_, extensions| extensions.set("reason", reason))
}

/// Known, but not for this caller.
pub(super) fn forbidden(message: &str) -> Error {
    error("FORBIDDEN", message)
}

/// The recorded text for a row that is not there: scripts look for it.
pub(super) fn missing_job() -> Error {
    error("NOT_FOUND", "sql: no rows in result set")
}

/// A refusal of a service, in the words of this interface.
pub(super) fn refused(status: &Status) -> Error {
    let details = error::details(status);
    if let Some("JOB_NOT_FOUND" | "NODE_NOT_FOUND") = error::reason(status).as_deref() {
        if details.get("forbidden").is_some_and(|value| value == "true") {
            // The row exists: people are told whom to ask, and with the text that scripts know.
            let needs = details.get("needs").cloned().unwrap_or_default();
            return Error::new("sql: no rows in result set").extend_with(|_, extensions| {
                extensions.set("reason", "FORBIDDEN");
                extensions.set("needs", needs.clone());
            });
        }
        return missing_job();
    }
    match error::kind(status) {
        Kind::Forbidden => forbidden("user has no or unknown roles"),
        kind => error(word(kind), error::public_text(status)),
    }
}

/// A refusal of a change of tags; `forbidden` says what the caller may not.
pub(super) fn refused_tag(status: &Status, forbidden_text: impl FnOnce() -> String) -> Error {
    match error::reason(status).as_deref() {
        Some("TAG_SCOPE") => forbidden(&forbidden_text()),
        _ => refused(status),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::TooLarge | Kind::Conflict => "INVALID",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::Forbidden => "FORBIDDEN",
        Kind::NotFound => "NOT_FOUND",
        Kind::Busy => "BUSY",
        Kind::Deadline => "DEADLINE",
        Kind::Unavailable => "UNAVAILABLE",
        Kind::Internal => "INTERNAL",
    }
}
