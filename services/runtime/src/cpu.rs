//! Work for the processor that takes longer than 0.5 ms (rust-anchors.md rule 20): compression, JSON of job data,
//! resampling, bcrypt. It leaves the async threads for a bounded number of others.

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinError;

use crate::error::{Failure, Kind};

/// Waiting pieces of work per thread; more are refused as `Busy`.
const QUEUE_PER_THREAD: usize = 64;

/// A bounded pool.
#[derive(Debug)]
struct Pool {
    threads: Semaphore,
    /// Running and waiting.
    places: Semaphore,
}

static POOL: LazyLock<Pool> =
    LazyLock::new(|| Pool::new(available_parallelism().map_or(1, std::num::NonZero::get)));

/// Runs `work` on a thread for the processor and waits for it. As many run at a time as the machine has
/// processors; a bounded number waits, in order. Work whose caller is gone before it begins is dropped; begun work
/// runs to its end.
///
/// # Errors
/// [`Kind::Busy`] when too many wait, [`Kind::Internal`] when `work` panics.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    POOL.run(work).await
}

/// As [`run`], but waits for a place where that one refuses. For what was begun already and may not end half-way, and for
/// work in the background; who uses it sees to it that a bounded number waits.
///
/// # Errors
/// As [`run`], never [`Kind::Busy`].
pub async fn wait<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    POOL.wait(work).await
}

fn busy() -> Failure {
    Failure::new(Kind::Busy, "CPU_BUSY", "too much work is waiting")
}

impl Pool {
    fn new(threads: usize) -> Self {
        Self { threads: Semaphore::new(threads), places: Semaphore::new(threads * (1 + QUEUE_PER_THREAD)) }
    }

    async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let place = self.places.try_acquire().map_err(|_full| busy())?;
        self.work(place, work).await
    }

    async fn wait<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        // never closed; in order, and before those who only try
        let place = self.places.acquire().await.map_err(|_closed| busy())?;
        self.work(place, work).await
    }

    async fn work<T: Send + 'static>(
        &'static self,
        place: SemaphorePermit<'static>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        // never closed
        let thread = self.threads.acquire().await.map_err(|_closed| busy())?;
        let span = tracing::Span::current();
        let joined = tokio::task::spawn_blocking(move || {
            // the thread's place is free when the work is over, not when its caller has lost interest
            let _held = (place, thread);
            span.in_scope(work)
        })
        .await;
        joined.map_err(|error| lost(&error))
    }
}

fn lost(error: &JoinError) -> Failure {
    if error.is_panic() {
        tracing::error!(%error, "work for the processor panicked");
        return Failure::new(Kind::Internal, "PANIC", "internal error");
    }
    Failure::new(Kind::Unavailable, "SHUTTING_DOWN", "the process is ending")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt as _;

    use super::*;

    fn pool(threads: usize) -> &'static Pool {
        Box::leak(Box::new(Pool::new(threads)))
    }

    #[tokio::test]
    async fn the_result_comes_back() {
        assert_eq!(run(|| 6 * 7).await, Ok(42));
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_failure_and_frees_its_thread() {
        let pool = pool(1);
        for _ in 0..3 {
            let failure = pool.run(|| panic!("boom")).await.map(|(): ()| ()).unwrap_err();
            assert_eq!((failure.kind(), failure.reason()), (Kind::Internal, "PANIC"));
            assert!(!failure.message().contains("boom"));
        }
        assert_eq!(pool.run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn more_than_the_queue_is_refused_and_it_recovers() {
        let pool = pool(1);
        let (release, gate) = mpsc::channel::<()>();
        let mut running = Box::pin(pool.run(move || gate.recv().is_ok()));
        assert!(running.as_mut().now_or_never().is_none());
        let mut waiting: Vec<_> =
            (0..QUEUE_PER_THREAD).map(|index| Box::pin(pool.run(move || index))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let refused = pool.run(|| ()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.reason()), (Kind::Busy, "CPU_BUSY"));
        let mut begun = Box::pin(pool.wait(|| 3));
        assert!(begun.as_mut().now_or_never().is_none(), "what may not be refused waits");
        release.send(()).unwrap();
        assert_eq!(running.await, Ok(true));
        for (index, one) in waiting.into_iter().enumerate() {
            assert_eq!(one.await, Ok(index));
        }
        assert_eq!(begun.await, Ok(3));
        assert_eq!(pool.run(|| 2).await, Ok(2));
    }

    #[tokio::test]
    async fn work_nobody_waits_for_any_more_is_not_begun() {
        let pool = pool(1);
        let (release, gate) = mpsc::channel::<()>();
        let mut running = Box::pin(pool.run(move || gate.recv().is_ok()));
        assert!(running.as_mut().now_or_never().is_none());
        let (begun, seen) = mpsc::channel::<()>();
        let mut abandoned = Box::pin(pool.run(move || begun.send(()).is_ok()));
        assert!(abandoned.as_mut().now_or_never().is_none());
        drop(abandoned);
        release.send(()).unwrap();
        assert_eq!(running.await, Ok(true));
        assert_eq!(pool.run(|| 3).await, Ok(3));
        assert!(seen.try_recv().is_err());
    }
}
