//! Doing what leads to a point, and killing there.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cc_integration_tests::{oracle, server::sigkill, simulator::Dice};
use tokio::task::JoinSet;

use crate::{
    book::{CLUSTER, Plan},
    points::{Point, Target},
    work::Work,
};

/// Requests that are on their way at a kill.
const AT_ONCE: usize = 8;
/// Jobs that are stopped together.
const STOPPED: usize = 4;
/// How long a file may take to appear.
const APPEARS_WITHIN: Duration = Duration::from_secs(20);

/// Kills the target at its point; answers what was seen there.
pub async fn at(work: &mut Work, target: Target, dice: &mut Dice) -> String {
    let before = work.book().counts();
    work.acknowledged(&before).await;
    let pid = work.server().pid(target.service);
    let seen = match target.point {
        Point::BeforeCommit => in_flight(work, pid, dice.range(0, 3_000)).await,
        Point::AfterCommit => in_flight(work, pid, dice.range(3_000, 40_000)).await,
        Point::AfterAnswer => after_answer(work, pid).await,
        Point::AfterWrite => after_write(work, pid).await,
        Point::DuringWrite => during_write(work, pid, dice.range(0, 20_000)).await,
        Point::DuringCheckpoint => during_checkpoint(work, pid).await,
        Point::WhileArchiving => while_archiving(work, pid, dice.range(0, 60_000)).await,
        Point::DuringRename => during_rename(work, pid, dice.range(0, 4_000)).await,
        Point::DuringLogin => during_login(work, pid, dice.range(0, 150_000)).await,
        Point::AfterLogin => after_login(work, pid).await,
    };
    tokio::task::block_in_place(|| work.server().killed(target.service, pid));
    seen
}

/// The delay is what is tried out here, not a way to wait for something.
async fn kill_after(pid: i32, micros: i64) -> String {
    tokio::time::sleep(Duration::from_micros(micros.unsigned_abs())).await;
    sigkill(pid);
    format!("{micros} µs after the requests")
}

async fn in_flight(work: &mut Work, pid: i32, micros: i64) -> String {
    for _ in 0..AT_ONCE {
        work.live();
    }
    kill_after(pid, micros).await
}

async fn after_answer(work: &mut Work, pid: i32) -> String {
    let plan = work.senders.begun().await;
    work.senders.stop(&plan).await;
    sigkill(pid);
    format!("job {} stopped", plan.id)
}

async fn after_write(work: &mut Work, pid: i32) -> String {
    let plan = work.senders.begun().await;
    sigkill(pid);
    // Its end comes like that of any other job.
    work.goes_on(&plan);
    format!("samples of job {} taken", plan.id)
}

async fn during_write(work: &mut Work, pid: i32, micros: i64) -> String {
    // Lives that have their start behind them are writing now.
    for _ in 0..AT_ONCE {
        work.live();
    }
    let before = work.book().counts();
    work.acknowledged(&before).await;
    kill_after(pid, micros).await
}

async fn during_checkpoint(work: &mut Work, pid: i32) -> String {
    let directory = work.site.file("var/checkpoints.ccx");
    let (file, took) = appears("an unfinished checkpoint", work, |_| {
        folders(&directory).iter().find_map(|folder| unfinished(folder))
    })
    .await;
    sigkill(pid);
    format!("{} was there after {took:?}", file.file_name().expect("a name").to_string_lossy())
}

/// Jobs that run and have all samples.
async fn begun(work: &Work) -> Vec<Plan> {
    let mut jobs = JoinSet::new();
    for _ in 0..STOPPED {
        let senders = work.senders.clone();
        jobs.spawn(async move { senders.begun().await });
    }
    jobs.join_all().await
}

/// Their stops, on the way.
fn stops(work: &Work, plans: Vec<Plan>) -> JoinSet<()> {
    let mut stops = JoinSet::new();
    for plan in plans {
        let senders = work.senders.clone();
        stops.spawn(async move { senders.stop(&plan).await });
    }
    stops
}

async fn while_archiving(work: &mut Work, pid: i32, micros: i64) -> String {
    let plans = begun(work).await;
    stops(work, plans).join_all().await;
    kill_after(pid, micros).await
}

async fn during_rename(work: &mut Work, pid: i32, micros: i64) -> String {
    let archive = work.site.file("var/job-archive");
    let plans = begun(work).await;
    let folders: Vec<PathBuf> =
        plans.iter().map(|plan| archive.join(oracle::folder(CLUSTER, plan.id, plan.start))).collect();
    // Their answers are not waited for: the first entry may appear before the last answer.
    let stops = stops(work, plans);
    let (folder, took) =
        appears("an entry", work, |_| folders.iter().find(|folder| folder.is_dir()).cloned()).await;
    let delay = Duration::from_micros(micros.unsigned_abs());
    tokio::time::sleep(delay).await;
    let names = names(&folder);
    sigkill(pid);
    stops.join_all().await;
    format!("{delay:?} after the entry appeared ({took:?}), which held {names:?}")
}

async fn during_login(work: &mut Work, pid: i32, micros: i64) -> String {
    for _ in 0..3 {
        work.sign_in();
    }
    kill_after(pid, micros).await
}

async fn after_login(work: &mut Work, pid: i32) -> String {
    work.senders.sign_in().await;
    sigkill(pid);
    "signed in".to_owned()
}

/// Looks again and again, without a pause longer than a file operation, until something is there.
async fn appears<T: Send>(
    what: &str,
    work: &mut Work,
    look: impl Fn(&Work) -> Option<T> + Send,
) -> (T, Duration) {
    let began = Instant::now();
    let mut fed = Instant::now();
    loop {
        if let Some(found) = look(work) {
            return (found, began.elapsed());
        }
        assert!(began.elapsed() < APPEARS_WITHIN, "{what}: not within {APPEARS_WITHIN:?}");
        // Without new work nothing would be written.
        if fed.elapsed() > Duration::from_millis(200) {
            fed = Instant::now();
            work.live();
        }
        tokio::task::yield_now().await;
    }
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn unfinished(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    entries.find(|entry| entry.file_name().to_string_lossy().starts_with('.')).map(|entry| entry.path())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
