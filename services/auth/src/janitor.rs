//! Periodic work: removes what is past its end.

use std::time::Duration;

use cc_runtime::error::chain;
use cc_runtime::tasks::{OnError, OnShutdown, Tasks};

use crate::metrics;
use crate::store::Store;

/// Time between two rounds.
const PERIOD: Duration = Duration::from_mins(10);

/// Starts the rounds: the first at once, then one each ten minutes until the process ends.
pub(crate) fn start(tasks: &Tasks, store: Store) {
    let stop = tasks.token();
    tasks.spawn("auth: prune sessions and audit log", OnError::Log, OnShutdown::Drain, async move {
        let mut timer = tokio::time::interval(PERIOD);
        while stop.run_until_cancelled(timer.tick()).await.is_some() {
            // a full or locked database is no reason to stop trying
            if let Err(error) = round(&store).await {
                tracing::warn!(error = %chain(&error), "pruning sessions and audit log failed, next try in ten minutes");
            }
        }
    });
}

/// One round.
pub(crate) async fn round(store: &Store) -> cc_database::Result<()> {
    let sessions = store.prune_sessions().await?;
    let rows = store.prune_audit().await?;
    ::metrics::counter!(metrics::SESSIONS_PRUNED).increment(sessions);
    ::metrics::counter!(metrics::AUDIT_PRUNED).increment(rows);
    tracing::debug!(sessions, rows, "pruned {sessions} sessions and {rows} rows of the audit log");
    Ok(())
}
