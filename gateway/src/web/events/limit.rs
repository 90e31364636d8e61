//! How many streams may be open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use crate::metrics;
use crate::problem::Problem;

/// Of one user: one per open tab, and HTTP/1.1 browsers open six connections at most.
pub(crate) const PER_USER_MAX: usize = 16;
/// Of everybody.
pub(crate) const TOTAL_MAX: usize = 4096;

/// The open streams by user. Users without a stream have no entry, so the map is bounded by the total.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<String, usize>>>,
    per_user_max: usize,
    total_max: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(PER_USER_MAX, TOTAL_MAX)
    }
}

impl Streams {
    pub(crate) fn new(per_user_max: usize, total_max: usize) -> Self {
        Self { open: Arc::default(), per_user_max, total_max }
    }

    /// Takes a place, given back when it is dropped.
    ///
    /// # Errors
    /// 429 when the user has too many, 503 when everybody together has.
    pub(crate) fn enter(&self, user: &str) -> Result<Place, Problem> {
        let mut open = self.open();
        let total: usize = open.values().sum();
        if total >= self.total_max {
            return Err(Problem::unavailable("too many event streams are open, try again later"));
        }
        let own = open.entry(user.to_owned()).or_default();
        if *own >= self.per_user_max {
            let mut problem = Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "you have too many event streams open, close some pages",
            );
            problem.retry_after_s = Some(10);
            return Err(problem);
        }
        *own += 1;
        metrics::event_streams(total + 1);
        Ok(Place { streams: self.clone(), user: user.to_owned() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place of one stream.
#[derive(Debug)]
pub(crate) struct Place {
    streams: Streams,
    user: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open();
        if let Some(own) = open.get_mut(&self.user) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.remove(&self.user);
            }
        }
        metrics::event_streams(open.values().sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_the_places_of_others() {
        let streams = Streams::new(2, 3);
        let first = streams.enter("a").unwrap();
        let _second = streams.enter("a").unwrap();
        assert_eq!(streams.enter("a").unwrap_err().status, 429);
        let _third = streams.enter("b").unwrap();
        assert_eq!(streams.enter("c").unwrap_err().status, 503);
        drop(first);
        streams.enter("a").unwrap();
    }

    #[test]
    fn users_without_streams_leave_nothing_behind() {
        let streams = Streams::new(2, 3);
        for user in 0..1000 {
            drop(streams.enter(&user.to_string()).unwrap());
        }
        assert!(streams.open().is_empty());
    }
}
