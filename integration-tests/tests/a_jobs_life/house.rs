//! The site of the scenario: real cluster files, a few people, their open pages.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use cc_integration_tests::{
    client::Client,
    oracle::{Cluster, Fed},
    server::{Deployment, Server},
    site::Site,
    sse::Events,
};
use serde_json::json;

use crate::tracked::Tracked;

/// Clusters of the shared archive.
const ARCHIVED: [&str; 3] = ["fritz", "alex", "emmy"];
/// Clusters of recorded clients, and where.
const RECORDED: [(&str, &str); 2] = [("here", "metric-collector"), ("simba", "slurm-adapter")];
/// The scheduler's user: may report jobs and samples.
const SCHEDULER: &str = "scheduler";
/// People with a page open.
const PEOPLE: [(&str, &str); 4] =
    [("operator", "admin"), ("alice", "user"), ("bob", "user"), ("carol", "user")];

/// Somebody with a session and an open page.
#[derive(Debug)]
pub struct Person {
    /// Signed in.
    pub client: Client,
    /// The open page.
    pub page: Events,
}

/// A running site, everybody who uses it, and all samples that it was sent.
#[derive(Debug)]
pub struct House {
    pub shared: PathBuf,
    pub site: Site,
    server: Option<Server>,
    deployment: Deployment,
    pub scheduler: Client,
    pub people: HashMap<&'static str, Person>,
    pub fed: Fed,
    clusters: HashMap<String, Cluster>,
}

/// A site by `-init` with the users, clusters and settings of the scenario.
pub fn site(shared: &Path) -> Site {
    let site = Site::init();
    site.configure_for_tests();
    site.add_user(SCHEDULER, "api", "scheduler");
    for (name, roles) in PEOPLE {
        site.add_user(name, roles, name);
    }
    for (name, path) in cluster_files(shared) {
        site.add_cluster_file(name, &path);
    }
    site
}

/// The token of the scheduler of such a site.
pub fn scheduler_token(site: &Site) -> String {
    site.token(SCHEDULER)
}

fn cluster_files(shared: &Path) -> Vec<(&'static str, PathBuf)> {
    let archived = ARCHIVED.map(|name| (name, shared.join("data/archive").join(name)));
    let recorded = RECORDED.map(|(name, folder)| (name, shared.join("fixtures/clients").join(folder)));
    archived.into_iter().chain(recorded).map(|(name, folder)| (name, folder.join("cluster.json"))).collect()
}

impl House {
    pub async fn open(shared: &Path, deployment: Deployment) -> Self {
        let site = site(shared);
        let clusters = cluster_files(shared)
            .into_iter()
            .map(|(name, path)| (name.to_owned(), Cluster::of(&fs::read(path).expect("a cluster file"))))
            .collect();
        let server = Server::start(&site, deployment).await;
        let scheduler = server.client().with_token(&scheduler_token(&site));
        let people = enter(&server).await;
        Self {
            shared: shared.to_owned(),
            site,
            server: Some(server),
            deployment,
            scheduler,
            people,
            fed: Fed::default(),
            clusters,
        }
    }

    pub fn person(&self, name: &str) -> &Person {
        self.people.get(name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    pub fn cluster(&self, name: &str) -> &Cluster {
        self.clusters.get(name).unwrap_or_else(|| panic!("no cluster {name}"))
    }

    pub fn archive(&self) -> PathBuf {
        self.site.file("var/job-archive")
    }

    /// Sends a batch as a collector does and notes it.
    pub async fn write(&mut self, cluster: &str, lines: String) {
        self.fed.take(cluster, &lines);
        let answer = self.scheduler.write(cluster, lines).await.expect(200);
        assert_eq!(answer.text, "", "the answer to samples is empty");
    }

    /// Stops the server in order, looks into the database file, starts anew: all jobs are as they were.
    pub async fn still_there_after_a_restart(&mut self, jobs: &[Tracked]) {
        self.server.take().expect("it runs").stop();
        self.site.database_is_whole();
        let server = Server::start(&self.site, self.deployment).await;
        self.people = enter(&server).await;
        self.server = Some(server);
        for job in jobs {
            job.is_archived_view(self).await;
        }
        self.server.take().expect("it runs").stop();
    }
}

async fn enter(server: &Server) -> HashMap<&'static str, Person> {
    let mut people = HashMap::new();
    for (name, _) in PEOPLE {
        let client = server.client().signed_in(name, name).await;
        let me = client.graphql("{me{username}}", json!({})).await;
        assert_eq!(me["me"]["username"], name);
        let page = Events::open(&client).await;
        people.insert(name, Person { client, page });
    }
    people
}
