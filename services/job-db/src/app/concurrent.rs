//! Jobs that shared a host with a job (spec/graphql-api.md 7.3).

use std::fmt::Write as _;

use cc_model::{Job, Sharing};

use crate::error::Error;
use crate::store::visible::Visible;
use crate::store::{DbId, Overlap, Store};

/// Shorter jobs have none.
const DURATION_MIN: i32 = 600;
/// Jobs must overlap by more than this at either end, in seconds.
const MARGIN: i64 = 200;

/// Jobs on the same host at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Concurrent {
    /// (database id, scheduler's id); the job itself is among them when it qualifies.
    pub(crate) items: Vec<(DbId, i64)>,
    /// Query of the page that lists them.
    pub(crate) list_query: String,
}

/// The visible jobs on the first host of a job; `None` where the question makes no sense (not shared, or short).
/// The job's duration must be that of now.
///
/// # Errors
/// [`Error::InvalidJob`] for a job without hosts; database errors.
pub(crate) async fn concurrent<S: Store>(
    store: &S,
    visible: &Visible,
    job: &Job,
) -> Result<Option<Concurrent>, Error> {
    if job.shared == Sharing::None || job.duration <= DURATION_MIN {
        return Ok(None);
    }
    let Some(host) = job.resources.first() else {
        let problem = "job has no resources defined".to_owned();
        return Err(Error::InvalidJob { field: "resources", problem });
    };
    let stop = job.start_time.saturating_add(i64::from(job.duration));
    let span = Overlap {
        cluster: &job.cluster,
        host: &host.hostname,
        before: stop.saturating_sub(MARGIN),
        after: job.start_time.saturating_add(MARGIN),
    };
    let items = store.overlapping(visible, &span).await?;
    let mut list_query = format!("cluster={}", job.cluster);
    for (_, job_id) in &items {
        // writing to a text cannot fail
        let _ = write!(list_query, "&jobId={job_id}");
    }
    Ok(Some(Concurrent { items, list_query }))
}
