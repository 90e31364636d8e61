//! What an event asks of job-db.

use std::future::Future;

use cc_proto::common::v1::Job;
use cc_proto::job_db::v1::StartJobRequest;
use cc_runtime::caller::{self, Caller, How, Role};
use tonic::Status;

use super::event::Event;
use crate::state::State;

/// Whoever applies events.
pub(super) trait Apply: Send + Sync + 'static {
    /// Once.
    fn apply(&self, event: &Event) -> impl Future<Output = Result<(), Status>> + Send;
}

/// job-db.
#[derive(Clone)]
pub(super) struct JobDb {
    state: State,
    caller: Caller,
}

impl JobDb {
    pub(super) fn new(state: State) -> Self {
        // whoever may publish may do what a program with a token may
        let caller = Caller {
            name: "nats".to_owned(),
            roles: vec![Role::Api],
            projects: Vec::new(),
            how: How::ApiToken,
        };
        Self { state, caller }
    }
}

impl Apply for JobDb {
    async fn apply(&self, event: &Event) -> Result<(), Status> {
        let mut job_db = self.state.job_db();
        match event {
            Event::Start(request) => {
                job_db.start_job(caller::request(StartJobRequest::clone(request), &self.caller)).await?;
            }
            Event::Stop(request) => {
                let stopped = job_db.stop_job(caller::request(request.clone(), &self.caller)).await?;
                let Job { id, cluster, job_id, user, start_time, .. } =
                    stopped.into_inner().job.unwrap_or_default();
                tracing::info!(
                    "NATS: archiving job (dbid: {id}): cluster={cluster}, jobId={job_id}, user={user}, startTime={start_time}"
                );
            }
            Event::Nodes(request) => {
                let reported = job_db.report_nodes(caller::request(request.clone(), &self.caller)).await?;
                let skipped = reported.into_inner().skipped;
                if let Some(first) = skipped.first() {
                    tracing::warn!(
                        "NATS: {} nodes are in no subcluster and were skipped, the first is {first}",
                        skipped.len()
                    );
                }
            }
        }
        Ok(())
    }
}
