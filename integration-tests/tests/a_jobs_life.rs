//! A job's life on real input, from the first event to the archive, in one process and split over TLS.
//!
//! What the scheduler and the collectors send was recorded from the real programs; all times are moved so that the last event is now.
//! What must come back is computed by `cc_integration_tests::oracle`, which shares no code with the product.

#[path = "a_jobs_life/adapter.rs"]
mod adapter;
#[path = "a_jobs_life/collector.rs"]
mod collector;
#[path = "a_jobs_life/house.rs"]
mod house;
#[path = "a_jobs_life/imports.rs"]
mod imports;
#[path = "a_jobs_life/replay.rs"]
mod replay;
#[path = "a_jobs_life/rights.rs"]
mod rights;
#[path = "a_jobs_life/synthetic.rs"]
mod synthetic;
#[path = "a_jobs_life/tracked.rs"]
mod tracked;

use cc_integration_tests::{server::Deployment, shared::shared_or_skip};
use house::House;
use tokio::sync::Mutex;

/// One site at a time: pushes have a time limit, and the machine may have two cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn life(deployment: Deployment) {
    let Some(shared) = shared_or_skip("a_jobs_life") else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut house = House::open(&shared, deployment).await;
    let mut jobs = collector::recorded_batches_are_read_back_by_a_job(&mut house).await;
    jobs.extend(adapter::recorded_requests_get_the_recorded_answers(&mut house).await);
    jobs.extend(synthetic::jobs_on_the_big_clusters(&mut house).await);
    rights::users_see_their_own_jobs_only(&house, &jobs).await;
    imports::real_archived_jobs_are_imported(&mut house).await;
    house.still_there_after_a_restart(&jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() {
    life(Deployment::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn split_over_tls() {
    life(Deployment::SplitTls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_jobs_over_grpc_in_one_process() {
    replay::recorded_events_get_the_outcomes_of_the_table(Deployment::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_jobs_over_grpc_split_over_tls() {
    replay::recorded_events_get_the_outcomes_of_the_table(Deployment::SplitTls).await;
}
