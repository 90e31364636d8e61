//! What every resolver has at hand: who asks, the services behind the gateway, and the cluster files.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Error, ErrorExtensions as _};
use cc_proto::auth::v1::{LookupUsersRequest, User};
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1::{GetJobRequest, ListPartitionsRequest};
use cc_runtime::caller::{self, Caller, Role};
use cc_runtime::error::{self, Kind};
use tokio::sync::Mutex;
use tonic::Status;

use crate::clusters::ClusterSet;
use crate::series::{self, Loaded, Wanted};
use crate::state::State;

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
}

/// The request's data.
pub(super) fn of<'a>(ctx: &Context<'a>) -> async_graphql::Result<&'a Viewing> {
    ctx.data::<Viewing>()
}

impl Viewing {
    /// Of one request.
    pub(super) fn new(caller: Arc<Caller>, state: State, clusters: Arc<ClusterSet>) -> Self {
        Self { caller, state, clusters, users: Mutex::default() }
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

    /// Looks up the users of a page in one call, for [`Viewing::user`] to find them.
    pub(super) async fn look_up(&self, names: Vec<String>) -> async_graphql::Result<()> {
        let request = self.request(LookupUsersRequest { usernames: names.clone() });
        let answer = self.state.auth().lookup_users(request).await;
        let found = answer.map_err(|status| refused(&status))?.into_inner().users;
        let mut users = self.users.lock().await;
        users.extend(names.into_iter().map(|name| (name, None)));
        users.extend(found.into_iter().map(|user| (user.username.clone(), Some(user))));
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
