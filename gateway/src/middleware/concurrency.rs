//! How many requests are answered at once. Who comes too many is told so at once instead of waiting in a queue that
//! nobody sees.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::tail::{self, Watch};
use crate::metrics;
use crate::problem::Problem;
use crate::state::State;

/// The places. Probes and event streams do not count: the first must always pass, the second have limits of their own.
#[derive(Clone, Debug)]
pub struct Places {
    requests: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Places {
    /// Room for that many uploads of samples and as many other requests: the collectors of a whole cluster send in the
    /// same second, and must not keep people out of their pages.
    pub fn new(each: usize) -> Self {
        let each = each.min(Semaphore::MAX_PERMITS);
        Self { requests: Arc::new(Semaphore::new(each)), uploads: Arc::new(Semaphore::new(each)) }
    }

    fn of(&self, path: &str) -> Option<&Arc<Semaphore>> {
        match path.strip_suffix('/').unwrap_or(path) {
            "/healthz" | "/readyz" | "/events" => None,
            "/api/write" => Some(&self.uploads),
            _ => Some(&self.requests),
        }
    }
}

struct Place(OwnedSemaphorePermit);

impl Watch for Place {
    fn passed(&mut self, _bytes: usize) {
        // the place is kept until the body is dropped
        debug_assert_eq!(self.0.num_permits(), 1);
    }
}

/// Middleware: takes a place until the answer has gone out; 503 with `Retry-After` when there is none.
pub async fn limit(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let Some(places) = state.places().of(request.uri().path()) else { return next.run(request).await };
    match Arc::clone(places).try_acquire_owned() {
        Ok(permit) => next.run(request).await.map(|body| tail::follow(body, Place(permit))),
        Err(_full) => {
            metrics::overloaded();
            Problem::unavailable("too many requests at once, try again in a moment").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_and_event_streams_need_no_place() {
        let places = Places::new(0);
        for path in ["/healthz", "/readyz", "/events"] {
            assert!(places.of(path).is_none(), "{path}");
        }
        assert!(Arc::ptr_eq(places.of("/api/write/").unwrap(), &places.uploads));
        assert!(Arc::ptr_eq(places.of("/api/jobs/").unwrap(), &places.requests));
    }
}
