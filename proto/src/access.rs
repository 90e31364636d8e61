//! The one table of every method: who may call it, which roles the caller needs, how long it may take.
//!
//! The server stack of `cc-runtime` decides by it, the client stack takes its default deadline and its retry rule from it, and a
//! test compares it with the descriptor set, so a method without a row cannot exist.

use std::time::Duration;

/// A process of this product, as its key or certificate names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The outward face.
    Gateway,
    /// Jobs, tags, nodes.
    JobDb,
    /// The job archive.
    Archive,
    /// Samples.
    MetricStore,
    /// Users and sessions.
    Auth,
}

impl Peer {
    /// All of them, in start order.
    pub const ALL: [Self; 5] = [Self::Auth, Self::MetricStore, Self::Archive, Self::JobDb, Self::Gateway];

    /// The name in configuration, certificates and identity tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::JobDb => "job-db",
            Self::Archive => "archive",
            Self::MetricStore => "metric-store",
            Self::Auth => "auth",
        }
    }

    /// The peer of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }
}

/// What the identity in a request must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A process acting for itself (`service:<name>`), or for anybody whom it has not authenticated yet.
    Service,
    /// A person or token with at least one of these roles, or a process acting for itself. Roles as in `auth.md` 2.3.
    AnyOf(&'static [&'static str]),
    /// Anybody who is authenticated, whatever the roles.
    Authenticated,
}

/// One method of one service.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// Path on the wire: `/package.Service/Method`.
    pub path: &'static str,
    /// Processes that may call it; empty: the public contract, which the gateway guards itself.
    pub callers: &'static [Peer],
    /// What the caller's identity must be.
    pub needs: Needs,
    /// Deadline that the client stack sets when the call has none. `None` only for streams that live as long as their reader.
    pub deadline: Option<Duration>,
    /// True: the client stack may send it again after UNAVAILABLE.
    pub idempotent: bool,
}

const ANY_ROLE: Needs = Needs::AnyOf(&["api", "user", "manager", "support", "admin"]);
const STAFF: Needs = Needs::AnyOf(&["admin", "support"]);
const ADMIN: Needs = Needs::AnyOf(&["admin"]);
const API: Needs = Needs::AnyOf(&["api"]);

const fn rpc(
    path: &'static str,
    callers: &'static [Peer],
    needs: Needs,
    deadline_s: u64,
    idempotent: bool,
) -> Rpc {
    let deadline = if deadline_s == 0 { None } else { Some(Duration::from_secs(deadline_s)) };
    Rpc { path, callers, needs, deadline, idempotent }
}

use Peer::{Archive, Gateway, JobDb};

/// Every method of every package of `cc-proto`.
pub const TABLE: &[Rpc] = &[
    rpc("/clustercockpit.auth.v1.Auth/Login", &[Gateway], Needs::Service, 20, false),
    rpc("/clustercockpit.auth.v1.Auth/Logout", &[Gateway], Needs::Service, 10, true),
    rpc("/clustercockpit.auth.v1.Auth/Authenticate", &[Gateway], Needs::Service, 10, true),
    rpc("/clustercockpit.auth.v1.Auth/GetUser", &[Gateway], Needs::Authenticated, 10, true),
    rpc("/clustercockpit.auth.v1.Auth/LookupUsers", &[Gateway], Needs::Authenticated, 10, true),
    rpc("/clustercockpit.auth.v1.Auth/GetSettings", &[Gateway], Needs::Authenticated, 10, true),
    rpc("/clustercockpit.auth.v1.Auth/PutSetting", &[Gateway], Needs::Authenticated, 10, true),
    rpc("/clustercockpit.auth.v1.Auth/ListUsers", &[Gateway], ADMIN, 20, true),
    rpc("/clustercockpit.auth.v1.Auth/CreateUser", &[Gateway], ADMIN, 20, false),
    rpc("/clustercockpit.auth.v1.Auth/DeleteUser", &[Gateway], ADMIN, 20, true),
    rpc("/clustercockpit.auth.v1.Auth/ChangeUser", &[Gateway], ADMIN, 20, false),
    rpc("/clustercockpit.archive.v1.Archive/ListClusters", &[Gateway, JobDb], Needs::Authenticated, 10, true),
    rpc("/clustercockpit.archive.v1.Archive/WatchClusters", &[Gateway, JobDb], Needs::Service, 0, true),
    rpc("/clustercockpit.archive.v1.Archive/ArchiveJob", &[JobDb], Needs::Service, 600, true),
    rpc("/clustercockpit.archive.v1.Archive/ImportJob", &[JobDb], Needs::Service, 120, true),
    rpc("/clustercockpit.archive.v1.Archive/UpdateMeta", &[JobDb], Needs::Service, 20, true),
    rpc("/clustercockpit.archive.v1.Archive/ReadMeta", &[Gateway, JobDb], ANY_ROLE, 20, true),
    rpc("/clustercockpit.archive.v1.Archive/ReadStatistics", &[Gateway, JobDb], ANY_ROLE, 30, true),
    rpc("/clustercockpit.archive.v1.Archive/ReadSeries", &[Gateway], ANY_ROLE, 60, true),
    rpc("/clustercockpit.metric_store.v1.MetricStore/Configure", &[JobDb], Needs::Service, 30, true),
    rpc("/clustercockpit.metric_store.v1.MetricStore/PinRunning", &[JobDb], Needs::Service, 30, true),
    rpc("/clustercockpit.metric_store.v1.MetricStore/Write", &[Gateway], API, 120, false),
    rpc(
        "/clustercockpit.metric_store.v1.MetricStore/QueryJob",
        &[Gateway, JobDb, Archive],
        ANY_ROLE,
        60,
        true,
    ),
    rpc("/clustercockpit.metric_store.v1.MetricStore/RawQuery", &[Gateway], API, 60, true),
    rpc("/clustercockpit.metric_store.v1.MetricStore/Debug", &[Gateway], API, 60, true),
    rpc("/clustercockpit.metric_store.v1.MetricStore/Free", &[Gateway], API, 60, true),
    rpc("/clustercockpit.metric_store.v1.MetricStore/CheckHealth", &[Gateway, JobDb], ANY_ROLE, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/StartJob", &[Gateway], API, 60, false),
    rpc("/clustercockpit.job_db.v1.JobDb/StopJob", &[Gateway], API, 60, false),
    rpc("/clustercockpit.job_db.v1.JobDb/Hello", &[Gateway], API, 30, true),
    rpc("/clustercockpit.job_db.v1.JobDb/Ingest", &[Gateway], API, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ListJobs", &[Gateway], ANY_ROLE, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/CountJobs", &[Gateway], ANY_ROLE, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/JobStatistics", &[Gateway], ANY_ROLE, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/GetJob", &[Gateway], ANY_ROLE, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ListTags", &[Gateway], Needs::Authenticated, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ChangeTags", &[Gateway], ANY_ROLE, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/CreateTag", &[Gateway], ANY_ROLE, 30, false),
    rpc("/clustercockpit.job_db.v1.JobDb/DeleteTags", &[Gateway], ANY_ROLE, 60, false),
    rpc("/clustercockpit.job_db.v1.JobDb/EditMeta", &[Gateway], API, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/DeleteJobs", &[Gateway], API, 600, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ListPartitions", &[Gateway], Needs::Authenticated, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ReportNodes", &[Gateway], API, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ListNodes", &[Gateway], STAFF, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/GetNode", &[Gateway], Needs::Authenticated, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/CountNodeStates", &[Gateway], STAFF, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/TimeNodeStates", &[Gateway], STAFF, 30, true),
    rpc("/clustercockpit.job_db.v1.JobDb/AllocatedNodes", &[Gateway], Needs::Authenticated, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/UsedNodes", &[Gateway], API, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ConcurrentJobs", &[Gateway], ANY_ROLE, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ImportJob", &[], Needs::Service, 60, true),
    rpc("/clustercockpit.job_db.v1.JobDb/ListTaggers", &[Gateway], ADMIN, 20, true),
    rpc("/clustercockpit.job_db.v1.JobDb/RunTagger", &[Gateway], ADMIN, 20, false),
    rpc("/clustercockpit.job_db.v1.JobDb/Watch", &[Gateway], ANY_ROLE, 0, true),
    rpc("/clustercockpit.scheduler.v1.SchedulerIngest/Hello", &[], API, 30, true),
    rpc("/clustercockpit.scheduler.v1.SchedulerIngest/Publish", &[], API, 0, false),
    rpc("/clustercockpit.scheduler.v1.SchedulerIngest/PublishBatch", &[], API, 60, true),
];

/// The row of a path.
pub fn find(path: &str) -> Option<&'static Rpc> {
    TABLE.iter().find(|rpc| rpc.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;

    use super::*;

    #[test]
    fn every_method_of_the_descriptor_set_has_exactly_one_row() {
        let set = prost_types::FileDescriptorSet::decode(crate::DESCRIPTOR_SET).unwrap();
        let mut methods = BTreeSet::new();
        for file in set.file {
            for service in &file.service {
                for method in &service.method {
                    methods.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        let rows: BTreeSet<String> = TABLE.iter().map(|rpc| rpc.path.to_owned()).collect();
        assert_eq!(rows.len(), TABLE.len(), "a path stands twice in the table");
        assert_eq!(methods, rows);
    }

    #[test]
    fn calls_between_services_form_no_cycle() {
        // Edges caller -> owner; the start order of Peer::ALL must put every owner before its callers.
        let order = |peer: Peer| Peer::ALL.iter().position(|&other| other == peer).unwrap();
        for rpc in TABLE {
            let owner = match rpc.path.split('.').nth(1).unwrap() {
                "auth" => Peer::Auth,
                "archive" => Peer::Archive,
                "metric_store" => Peer::MetricStore,
                "job_db" => Peer::JobDb,
                "scheduler" => continue,
                other => panic!("unknown package {other}"),
            };
            for &caller in rpc.callers {
                assert!(order(owner) < order(caller), "{} is called by {}", rpc.path, caller.name());
            }
        }
    }

    #[test]
    fn only_endless_streams_have_no_deadline() {
        let endless: Vec<&str> =
            TABLE.iter().filter(|rpc| rpc.deadline.is_none()).map(|rpc| rpc.path).collect();
        assert_eq!(
            endless,
            [
                "/clustercockpit.archive.v1.Archive/WatchClusters",
                "/clustercockpit.job_db.v1.JobDb/Watch",
                "/clustercockpit.scheduler.v1.SchedulerIngest/Publish"
            ]
        );
    }
}
