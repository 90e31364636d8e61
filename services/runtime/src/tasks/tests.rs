use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// True, and the compiler does not know it.
fn tasks_fail() -> bool {
    std::hint::black_box(true)
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::io::Error);

#[tokio::test(start_paused = true)]
async fn a_draining_task_is_waited_for_and_an_aborted_one_is_not() {
    let tasks = Tasks::new();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let token = tasks.token();
    tasks.spawn("drains", OnError::Log, OnShutdown::Drain, async move {
        token.cancelled().await;
        tokio::time::sleep(SECOND).await;
        sender.send("drained").unwrap();
    });
    tasks.spawn("endless", OnError::Log, OnShutdown::Abort, std::future::pending::<()>());
    assert_eq!(tasks.running(), ["drains", "endless"]);
    assert_eq!(tasks.shutdown(10 * SECOND).await, []);
    assert_eq!(receiver.recv().await, Some("drained"));
    assert_eq!(tasks.running(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn late_tasks_and_steps_are_named_and_dropped() {
    let tasks = Tasks::new();
    tasks.spawn("stuck task", OnError::Log, OnShutdown::Drain, std::future::pending::<()>());
    tasks.at(Stage::Flush).on_shutdown("stuck step", std::future::pending());
    let begun = Instant::now();
    let late = tasks.shutdown(20 * SECOND).await;
    assert_eq!(
        late,
        [
            Late { stage: Stage::Producers, name: "stuck task".into() },
            Late { stage: Stage::Flush, name: "stuck step".into() },
        ]
    );
    assert_eq!(
        begun.elapsed(),
        20 * SECOND,
        "15 s is the limit of the first stage, 5 s are left for the second"
    );
    tokio::task::yield_now().await;
    assert_eq!(tasks.running(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn stages_end_in_order() {
    let tasks = Tasks::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    for stage in Stage::ALL.into_iter().rev() {
        let at = tasks.at(stage);
        let (token, seen) = (at.token(), Arc::clone(&order));
        at.spawn(stage.to_string(), OnError::Log, OnShutdown::Drain, async move {
            token.cancelled().await;
            tokio::time::sleep(SECOND).await;
            seen.lock().unwrap().push(stage);
        });
        let seen = Arc::clone(&order);
        at.on_shutdown("step", async move { seen.lock().unwrap().push(stage) });
    }
    assert_eq!(tasks.shutdown(10 * SECOND).await, []);
    let twice: Vec<_> = Stage::ALL.into_iter().flat_map(|stage| [stage, stage]).collect();
    assert_eq!(*order.lock().unwrap(), twice);
}

#[tokio::test]
async fn errors_and_panics_end_the_process_only_when_asked() {
    let tasks = Tasks::new();
    tasks.spawn("harmless", OnError::Log, OnShutdown::Abort, async { Err::<(), _>("broken".to_owned()) });
    tasks.spawn("fatal", OnError::StopProcess, OnShutdown::Abort, async {
        assert!(!tasks_fail(), "on purpose");
    });
    assert_eq!(tasks.failed().await, "fatal");
    assert_eq!(tasks.failed().await, "fatal", "also for those who ask later");
}

#[tokio::test]
async fn a_detached_task_outlives_its_caller() {
    let tasks = Tasks::new();
    let count = Arc::new(AtomicUsize::new(0));
    let (release, held) = oneshot::channel::<()>();
    let inner = Arc::clone(&count);
    let caller = tasks.detached("write", async move {
        held.await.unwrap();
        inner.fetch_add(1, Ordering::SeqCst);
    });
    assert!(caller.now_or_never().is_none(), "the caller goes away");
    release.send(()).unwrap();
    assert_eq!(tasks.at(Stage::Producers).shutdown(SECOND).await, []);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn detached_gives_the_result_or_says_that_it_is_lost() {
    let tasks = Tasks::new();
    assert_eq!(tasks.detached("sum", async { 1 + 1 }).await, Ok(2));
    assert_eq!(tasks.detached("panic", async { panic!("on purpose") }).await, Err::<(), _>(Lost));
    tasks.shutdown(SECOND).await;
    assert_eq!(tasks.detached("too late", async { 1 }).await, Err(Lost));
}

#[tokio::test]
async fn nothing_starts_after_its_stage() {
    let tasks = Tasks::new();
    tasks.shutdown(SECOND).await;
    tasks.spawn("late comer", OnError::Log, OnShutdown::Abort, std::future::pending::<()>());
    assert_eq!(tasks.running(), [""; 0]);
    assert!(tasks.token().is_cancelled());
}

#[test]
fn the_chain_of_an_error_names_every_cause_once() {
    let error = Outer(std::io::Error::other("inner"));
    assert_eq!(chain(&error), "outer: inner");
}
