//! Lanes over a played job-db, with a played clock.

use std::collections::BTreeSet;
use std::sync::Mutex;

use cc_proto::common::v1::Job;
use cc_proto::job_db::v1::{StartJobRequest, StopJobRequest};
use cc_runtime::error::Failure;
use cc_runtime::nats::{Broker, Word};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use super::*;

/// Knows jobs, if it is there.
#[derive(Clone, Default)]
struct Played(Arc<Mutex<Jobs>>);

#[derive(Default)]
struct Jobs {
    running: BTreeSet<i64>,
    asked: Vec<Instant>,
    away: bool,
    silent: bool,
}

impl Apply for Played {
    async fn apply(&self, event: &Event) -> Result<(), Status> {
        let silent = {
            let mut jobs = self.0.lock().unwrap();
            jobs.asked.push(Instant::now());
            if jobs.away {
                return Err(Failure::new(Kind::Unavailable, "AWAY", "job-db is away").into());
            }
            jobs.silent
        };
        if silent {
            std::future::pending::<()>().await;
        }
        let mut jobs = self.0.lock().unwrap();
        match (event, job_id(event).unwrap_or(0)) {
            (Event::Stop(_), id) if !jobs.running.remove(&id) => {
                Err(Failure::new(Kind::NotFound, "JOB_NOT_FOUND", "no such job").into())
            }
            (Event::Stop(_) | Event::Nodes(_), _) => Ok(()),
            (Event::Start(_), id) => {
                jobs.running.insert(id);
                Ok(())
            }
        }
    }
}

/// What the broker hears of a message.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Word>>>);

impl Broker for Heard {
    fn tell(&self, word: Word) -> BoxFuture<'_, Result<(), String>> {
        self.0.lock().unwrap().push(word);
        std::future::ready(Ok(())).boxed()
    }
}

impl Heard {
    fn all(&self) -> Vec<Word> {
        self.0.lock().unwrap().clone()
    }

    fn receipt(&self, again: Duration) -> Receipt {
        Receipt::durable(Arc::new(self.clone()), again, None)
    }
}

struct House {
    job_db: Played,
    stop: CancellationToken,
    events: mpsc::Sender<Work>,
    lane: JoinHandle<()>,
}

#[expect(clippy::disallowed_methods, reason = "a test ends with its tasks")]
fn house() -> House {
    let (job_db, stop) = (Played::default(), CancellationToken::new());
    let common = Common::new(Arc::default(), stop.clone());
    let (events, receiver) = mpsc::channel(10_000);
    let lane = tokio::spawn(Lane::new(job_db.clone(), common).run(receiver));
    House { job_db, stop, events, lane }
}

impl House {
    async fn send(&self, event: Event, receipt: Receipt) -> oneshot::Receiver<()> {
        let (done, dealt_with) = oneshot::channel();
        self.events.send(Work::new(event, receipt, done)).await.unwrap();
        dealt_with
    }

    fn asked(&self) -> usize {
        self.job_db.0.lock().unwrap().asked.len()
    }

    /// The process ends.
    async fn end(self) {
        self.stop.cancel();
        drop(self.events);
        self.lane.await.unwrap();
    }
}

fn start(job_id: i64) -> Event {
    let job = Some(Job { job_id, ..Job::default() });
    Event::Start(Box::new(StartJobRequest { job }))
}

fn stop(job_id: i64) -> Event {
    Event::Stop(StopJobRequest { job_id, ..StopJobRequest::default() })
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_until_its_start_would_have_come_again() {
    let again = Duration::from_mins(5);
    let (house, heard) = (house(), Heard::default());
    let _waits = house.send(stop(1), heard.receipt(again)).await;
    tokio::time::sleep((again * 2).saturating_sub(Duration::from_secs(20))).await;
    assert_eq!(heard.all(), [], "it waits still");
    assert!(house.asked() < 60, "it looks ever less often: {}", house.asked());
    // at another gateway
    house.job_db.0.lock().unwrap().running.insert(1);
    tokio::time::sleep(LOOK_EVERY_MAX).await;
    assert_eq!(heard.all(), [Word::Done]);
    assert!(house.job_db.0.lock().unwrap().running.is_empty(), "the job is stopped");
    house.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_job_never_starts_is_refused_in_time() {
    for (again, park) in [(Duration::from_secs(1), PARK), (Duration::from_mins(2), Duration::from_mins(4))] {
        let (house, heard) = (house(), Heard::default());
        let _waits = house.send(stop(1), heard.receipt(again)).await;
        tokio::time::sleep(park.saturating_sub(Duration::from_millis(10))).await;
        assert_eq!(heard.all(), []);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(heard.all(), [Word::Done], "refused for good after {park:?}");
        house.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_wakes_the_stop_of_its_job_only() {
    let (house, heard) = (house(), Heard::default());
    for id in 0..500 {
        let _waits = house.send(stop(id), Receipt::none()).await;
    }
    let _waits = house.send(stop(1000), heard.receipt(Duration::from_secs(30))).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = house.asked();
    let _dealt_with = house.send(start(1000), Receipt::none()).await.await.is_err();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(heard.all(), [Word::Done]);
    assert_eq!(house.asked() - before, 2);
    house.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_left_undone_keeps_its_message_in_the_stream() {
    let (house, heard) = (house(), Heard::default());
    let receipt = heard.receipt(Duration::from_secs(30));
    let _waits = house.send(stop(1), receipt.share()).await;
    let _dealt_with = house.send(start(2), receipt.share()).await.await.is_err();
    house.end().await;
    receipt.done().await;
    assert_eq!(heard.all(), [Word::Lost]);
}

#[tokio::test(start_paused = true)]
async fn without_job_db_the_end_comes_soon_and_everything_left_is_told() {
    for silent in [false, true] {
        let (house, heard) = (house(), Heard::default());
        {
            let mut jobs = house.job_db.0.lock().unwrap();
            (jobs.away, jobs.silent) = (!silent, silent);
        }
        for id in 0..1000 {
            let _waits = house.send(start(id), heard.receipt(Duration::from_secs(30))).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (began, asked, job_db) = (Instant::now(), house.asked(), house.job_db.clone());
        house.end().await;
        assert!(began.elapsed() <= LAST_ANSWER, "{:?}", began.elapsed());
        let more = job_db.0.lock().unwrap().asked.len() - asked;
        assert!(more <= 3, "it asked {more} times for the rest");
        assert_eq!(heard.all(), vec![Word::Lost; 1000], "silent: {silent}");
    }
}
