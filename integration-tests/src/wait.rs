//! Waiting for a state: bounded, by looking again, never by hoping.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until `look` gives a value; panics with `what` and the last refusal after `limit`.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let began = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(why) => assert!(began.elapsed() < limit, "{what}: not within {limit:?}; last: {why}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The same for code without a runtime.
pub fn until_blocking<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(why) => assert!(began.elapsed() < limit, "{what}: not within {limit:?}; last: {why}"),
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
