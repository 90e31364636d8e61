//! Whether the gateway can answer: the archive has told its clusters, and the job database answers.

use std::time::Duration;

use cc_proto::job_db::v1::GetJobRequest;
use cc_runtime::error::{self, Kind};

use crate::state::State;

/// Between looks while something is missing, and afterwards.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(10);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the readiness of the gateway current until the process ends.
pub(crate) async fn follow(state: State) {
    loop {
        let wait = match missing(&state).await {
            None => {
                state.readiness().ready();
                LATER
            }
            Some(reason) => {
                state.readiness().not_ready(reason);
                SOON
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// What is missing, for operators.
async fn missing(state: &State) -> Option<String> {
    if !state.watched_clusters().are_known() {
        return Some("waiting for the cluster files of the archive".to_owned());
    }
    // no job has this id: the question costs one look into an index
    let mut job_db = state.job_db();
    match tokio::time::timeout(PATIENCE, job_db.get_job(GetJobRequest { id: 0 })).await {
        Err(_elapsed) => Some("waiting for the job database: no answer".to_owned()),
        Ok(Err(status)) if error::kind(&status) != Kind::NotFound => {
            Some(format!("waiting for the job database: {}", status.message()))
        }
        Ok(_answered) => None,
    }
}
