//! The work that goes on: jobs are started, fed and stopped by several senders at a time, each of which repeats a request whose answer it
//! did not get, as the real ones do.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cc_integration_tests::{
    client::{Answer, Client},
    oracle::Cluster,
    recording::now,
    server::{Deployment, Server},
    site::Site,
    small, wait,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    book::{Book, CLUSTER, Counts, Plan, STEP},
    verify,
};

/// Lives of jobs that begin with each round.
const LIVES: usize = 10;
/// How long a sender tries before the test has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Password of the operator.
const PASSWORD: &str = "operator";

/// The site, its server and those who send.
#[derive(Debug)]
pub struct Work {
    pub site: Site,
    pub deployment: Deployment,
    server: Option<Server>,
    pub senders: Senders,
    pub cluster: Cluster,
    lives: JoinSet<()>,
}

/// What senders share.
#[derive(Clone, Debug)]
pub struct Senders {
    book: Arc<Mutex<Book>>,
    next: Arc<AtomicU64>,
    base: i64,
    scheduler: Client,
    anybody: Client,
}

fn cluster_json() -> String {
    small::cluster(CLUSTER, "k[01-64]", STEP)
}

impl Work {
    /// A site with a server, and somebody signed in.
    pub async fn begin(deployment: Deployment) -> Self {
        let site = Site::init();
        site.configure_for_tests();
        site.configure(|config| config["metric-store"]["checkpoint-interval"] = json!("2s"));
        site.add_cluster(CLUSTER, cluster_json().as_bytes());
        site.add_user("scheduler", "api", "scheduler");
        site.add_user("operator", "admin", PASSWORD);
        let server = Server::start(&site, deployment).await;
        let scheduler = server.client().with_token(&site.token("scheduler"));
        let senders = Senders {
            book: Arc::default(),
            next: Arc::default(),
            base: (now() - 40 * 3600).div_euclid(STEP) * STEP,
            scheduler,
            anybody: server.client(),
        };
        senders.sign_in().await;
        let cluster = Cluster::of(cluster_json().as_bytes());
        Self { site, deployment, server: Some(server), senders, cluster, lives: JoinSet::new() }
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.senders.book()
    }

    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("it runs")
    }

    /// The operator, with a session from before all kills.
    pub fn operator(&self) -> Client {
        self.book().sessions.first().expect("signed in").clone()
    }

    /// More lives begin.
    pub fn some_more(&mut self) {
        for _ in 0..LIVES {
            self.live();
        }
    }

    /// One more life begins.
    pub fn live(&mut self) {
        let senders = self.senders.clone();
        self.lives.spawn(async move { senders.live().await });
    }

    /// The life of a job that has begun goes on to its end.
    pub fn goes_on(&mut self, plan: &Plan) {
        let (senders, plan) = (self.senders.clone(), plan.clone());
        self.lives.spawn(async move { senders.stop(&plan).await });
    }

    /// Somebody else signs in.
    pub fn sign_in(&mut self) {
        let senders = self.senders.clone();
        self.lives.spawn(async move { senders.sign_in().await });
    }

    /// Waits until events and samples were acknowledged since `before`.
    pub async fn acknowledged(&self, before: &Counts) {
        wait::until("work is acknowledged", PATIENCE, || async {
            let since = self.book().counts().since(before);
            if since.any() { Ok(()) } else { Err(format!("only {since}")) }
        })
        .await;
    }

    /// After a kill: one process is started again, a split one by its supervisor; ready means that all is loaded.
    pub async fn back(&mut self) {
        if self.deployment == Deployment::OneProcess {
            self.server = Some(Server::launch(&self.site, self.deployment));
        }
        self.server().ready().await;
    }

    /// Lets all work come to its end, looks at everything, stops in order.
    pub async fn finish(mut self) -> Counts {
        while let Some(life) = self.lives.join_next().await {
            life.expect("a life that succeeded");
        }
        verify::nothing_acknowledged_is_lost(&self).await;
        verify::each_job_is_archived_once(&self).await;
        self.server.take().expect("it runs").stop();
        self.site.database_is_whole();
        self.book().counts()
    }
}

impl Senders {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self) -> Plan {
        Plan::of(self.next.fetch_add(1, Ordering::Relaxed), self.base)
    }

    /// A job from start to stop.
    pub async fn live(&self) {
        let plan = self.begun().await;
        self.stop(&plan).await;
    }

    /// A job that is started and whose samples are all there.
    pub async fn begun(&self) -> Plan {
        let plan = self.plan();
        // A start that is refused as a duplicate was taken the first time, when its answer was lost.
        until_definite(&[201], 422, || self.scheduler.try_post("/api/jobs/start_job/", &plan.body)).await;
        self.book().started(&plan);
        let lines = plan.lines();
        until_definite(&[200], 200, || self.scheduler.try_write(CLUSTER, lines.clone())).await;
        self.book().fed(&plan, &lines);
        plan
    }

    pub async fn stop(&self, plan: &Plan) {
        let body = plan.stop_body();
        until_definite(&[200], 422, || self.scheduler.try_post("/api/jobs/stop_job/", &body)).await;
        self.book().stopped(plan);
    }

    /// POSTs a question and takes the answer.
    pub async fn ask(&self, path: &str, body: &Value) -> Value {
        self.scheduler.post(path, body).await.expect(200).json()
    }

    pub async fn sign_in(&self) {
        let session =
            wait::until("the sign-in", PATIENCE, || self.anybody.try_signed_in("operator", PASSWORD)).await;
        self.book().signed_in(session);
    }
}

/// Sends until there is an answer that says what became of it. `repeated` is good only for a request that may have been taken before.
async fn until_definite<F, Fut>(good: &[u16], repeated: u16, send: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Answer, String>>,
{
    let mut sent = false;
    wait::until("an answer that says what became of it", PATIENCE, || {
        let answer = send();
        let again = std::mem::replace(&mut sent, true);
        async move {
            let answer = answer.await?;
            match answer.status.as_u16() {
                status if good.contains(&status) || (again && status == repeated) => Ok(()),
                status if status >= 500 || status == 429 => Err(format!("{status}: {}", answer.text)),
                status => panic!("{status}: {}", answer.text),
            }
        }
    })
    .await;
}
