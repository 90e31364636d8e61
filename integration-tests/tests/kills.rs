//! SIGKILL of each process at named points while work is going on: nothing acknowledged is lost, and each stopped job is archived once.
//!
//! `CC_KILLS` is the number of kills per deployment (5 where it is not set), `CC_SEED` chooses delays and order; both are printed. The
//! points are met from outside: by a delay after the request that leads there, or by watching for the file that appears there.

#[path = "kills/book.rs"]
mod book;
#[path = "kills/points.rs"]
mod points;
#[path = "kills/strike.rs"]
mod strike;
#[path = "kills/verify.rs"]
mod verify;
#[path = "kills/work.rs"]
mod work;

use std::time::Instant;

use cc_integration_tests::{server::Deployment, simulator::Dice};
use tokio::sync::Mutex;
use work::Work;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Kills per deployment in `make test`.
const KILLS: usize = 5;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number: {text}")))
}

async fn kills(deployment: Deployment) {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (count, seed) = (number("CC_KILLS", KILLS as u64) as usize, number("CC_SEED", 1));
    println!("{deployment:?}: {count} kills, seed {seed}");
    let mut dice = Dice::new(seed);
    let mut work = Work::begin(deployment).await;
    for (index, target) in points::order(deployment, count, &mut dice).into_iter().enumerate() {
        let before = work.book().counts();
        work.some_more();
        let seen = strike::at(&mut work, target, &mut dice).await;
        let acknowledged = work.book().counts().since(&before);
        let began = Instant::now();
        work.back().await;
        println!(
            "{deployment:?}: kill {} of {count}: {target}, {seen}; acknowledged since the last: {acknowledged}; back after {:?}",
            index + 1,
            began.elapsed()
        );
        assert!(acknowledged.any(), "a kill of an idle server shows nothing");
        verify::nothing_acknowledged_is_lost(&work).await;
    }
    let total = work.finish().await;
    println!("{deployment:?}: {count} kills survived; acknowledged in all: {total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_one_process() {
    kills(Deployment::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn split_over_tls() {
    kills(Deployment::SplitTls).await;
}
