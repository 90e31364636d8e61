//! Handlers that must not be cut in the middle.

use std::future::Future;

use tonic::Status;

use crate::error::{Failure, Kind};
use crate::tasks::Tasks;

/// Runs a mutating handler to its end even if its caller goes away (rust-anchors.md rule 8): a dropped call drops
/// the handler at any `.await`, on every transport. Reads stay inline; they cost a tenth of it.
///
/// # Errors
/// The handler's own, `Internal` when it panicked, `Unavailable` when the process is ending and takes no new work.
pub async fn detached<T: Send + 'static>(
    tasks: &Tasks,
    name: &'static str,
    handler: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    if tasks.token().is_cancelled() {
        return Err(Failure::new(Kind::Unavailable, "SHUTTING_DOWN", "the process is ending").into());
    }
    match tasks.detached(name, handler).await {
        Ok(result) => result,
        // logged where it happened
        Err(_lost) => {
            Err(Failure::new(Kind::Internal, "PANIC", "internal error").with("handler", name).into())
        }
    }
}
