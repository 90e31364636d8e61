//! The change stream: in commit order, complete, resumable, and only what may be seen.

use cc_runtime::caller::Role;
use futures::{Stream, StreamExt};

use super::{NOW, Running, api, caller, clusters, job, on_both_stores, running};
use crate::app::rest::{StartJob, StopJob};
use crate::app::watch::{Seen, watch};
use crate::error::Error;
use crate::store::Store;
use crate::store::Unit;
use crate::store::change::ChangeKind;
use crate::store::visible::Visible;

async fn start<S: Store>(running: &Running<S>, job_id: i64, user: &str) {
    let job = cc_model::Job { user: user.to_owned(), ..job(job_id, NOW) };
    let start = StartJob::new(job, &api(), &clusters()).unwrap();
    running.writer.run(start).await.unwrap().unwrap();
}

async fn open<S: Store>(
    running: &Running<S>,
    user: &str,
    after: Option<u64>,
) -> Result<impl Stream<Item = Result<Seen, Error>> + Unpin + use<S>, Error> {
    let role = if user == "root" { Role::Admin } else { Role::User };
    let visible = Visible::to(&caller(user, &[role])).unwrap();
    Ok(Box::pin(watch(running.store.clone(), &running.hub, visible, after).await?))
}

/// The next message as (position, what, job id).
async fn next(
    stream: &mut (impl Stream<Item = Result<Seen, Error>> + Unpin),
) -> (u64, Option<ChangeKind>, i64) {
    match stream.next().await.unwrap().unwrap() {
        Seen::Position(position) => (position, None, 0),
        Seen::Change(change) => (change.position, Some(change.kind), change.key.job_id),
    }
}

async fn changes_arrive_in_commit_order_and_can_be_resumed<S: Store>(store: S) {
    let running = running(store).await;
    start(&running, 1, "alice").await;
    let mut admin = open(&running, "root", None).await.unwrap();
    assert_eq!(next(&mut admin).await, (1, None, 0), "from now on");
    let mut alice = open(&running, "alice", Some(0)).await.unwrap();
    assert_eq!(next(&mut alice).await, (0, None, 0));
    assert_eq!(next(&mut alice).await, (1, Some(ChangeKind::Started), 1), "from the log");
    start(&running, 2, "bob").await;
    let stop = StopJob { job_id: 1, cluster: None, start_time: None, stop_time: NOW, state: String::new() };
    running.writer.run(stop).await.unwrap().unwrap();
    assert_eq!(next(&mut admin).await, (2, Some(ChangeKind::Started), 2));
    assert_eq!(next(&mut admin).await, (3, Some(ChangeKind::Stopped), 1));
    assert_eq!(next(&mut alice).await, (3, Some(ChangeKind::Stopped), 1), "bob's job is not shown");
    drop(admin);
    let mut resumed = open(&running, "root", Some(2)).await.unwrap();
    assert_eq!(next(&mut resumed).await, (2, None, 0));
    assert_eq!(next(&mut resumed).await, (3, Some(ChangeKind::Stopped), 1));
}
on_both_stores!(changes_arrive_in_commit_order_and_can_be_resumed);

async fn positions_outside_the_log_ask_for_a_reload<S: Store>(store: S) {
    let running = running(store).await;
    for id in 1..=5 {
        start(&running, id, "alice").await;
    }
    let mut unit = running.store.begin("test").await.unwrap();
    unit.prune_changes(3).await.unwrap();
    unit.commit().await.unwrap();
    for after in [0, 2, 6] {
        assert!(matches!(open(&running, "root", Some(after)).await, Err(Error::Horizon { .. })), "{after}");
    }
    let mut stream = open(&running, "root", Some(3)).await.unwrap();
    assert_eq!(next(&mut stream).await, (3, None, 0));
    assert_eq!(next(&mut stream).await.0, 4);
}
on_both_stores!(positions_outside_the_log_ask_for_a_reload);

async fn a_slow_watcher_misses_nothing<S: Store>(store: S) {
    let running = running(store).await;
    let mut stream = open(&running, "root", None).await.unwrap();
    assert_eq!(next(&mut stream).await, (0, None, 0));
    // more groups than the channel holds
    for _ in 0..1_100 {
        running.hub.publish(vec![crate::store::change::Change::of(ChangeKind::Updated, 0, &job(0, NOW))]);
    }
    for id in 1..=3 {
        start(&running, id, "alice").await;
    }
    for position in 1..=3 {
        assert_eq!(next(&mut stream).await.0, position);
    }
}
on_both_stores!(a_slow_watcher_misses_nothing);
