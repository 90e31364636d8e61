//! One job and what must be seen of it at each moment of its life.

use std::time::{Duration, Instant};

use cc_integration_tests::{
    oracle::{self, Data, Job, Scope},
    recording::now,
    wait,
};
use serde_json::{Value, json};

use crate::house::{House, Person};

/// How soon after its event a job must be in lists and on open pages.
const SOON: Duration = Duration::from_secs(2);
/// How soon it must be archived: nothing is said about that, so this is a bound for a hanging test only.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(60);

const LIST: &str = "query($f:[JobFilter!]){jobs(filter:$f,page:{itemsPerPage:100,page:1}){count items{id jobId user project cluster \
    subCluster partition startTime duration walltime numNodes numHWThreads numAcc shared arrayJobId monitoringStatus state jobName \
    resources{hostname hwthreads accelerators} footprint{name stat value} energy metaData}}}";
const METRICS: &str = "query($id:ID!,$scopes:[MetricScope!]){jobMetrics(id:$id,scopes:$scopes,resolution:0){name scope metric{unit{base \
    prefix} timestep nativeTimestep firstTime series{hostname id statistics{avg min max} data} statisticsSeries{min median max}}}}";

/// A job that the server was told of.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// Body of `start_job`.
    pub body: Value,
    /// Database id.
    pub id: i64,
    /// What its series depend on.
    pub job: Job,
    /// State and duration, once it is stopped.
    pub end: Option<(String, i64)>,
}

impl Tracked {
    /// A job whose start was just acknowledged: seen by its owner and the operator, soon.
    pub async fn started(house: &House, body: Value, sub_cluster: &str, answered: Instant) -> Self {
        let job = Job::of(&body, sub_cluster);
        let mut tracked = Self { body, id: 0, job, end: None };
        tracked.id = tracked.pushed(house, "started", "running", answered).await;
        tracked.listed(house, "running", answered).await;
        tracked
    }

    /// Its stop was just acknowledged.
    pub async fn stopped(&mut self, house: &House, state: &str, stop_time: i64, answered: Instant) {
        self.end = Some((state.to_owned(), stop_time - self.job.start));
        self.pushed(house, "stopped", state, answered).await;
        self.listed(house, state, answered).await;
    }

    pub fn cluster(&self) -> &str {
        self.body["cluster"].as_str().expect("a cluster")
    }

    pub fn job_id(&self) -> i64 {
        self.body["jobId"].as_i64().expect("a job id")
    }

    pub fn owner(&self) -> &str {
        self.body["user"].as_str().expect("a user")
    }

    fn name(&self) -> String {
        format!("job {} of {} on {}", self.job_id(), self.owner(), self.cluster())
    }

    /// Those who must see it: its owner and the operator.
    fn viewers<'a>(&self, house: &'a House) -> [&'a Person; 2] {
        [house.person(self.owner()), house.person("operator")]
    }

    async fn pushed(&self, house: &House, kind: &str, state: &str, answered: Instant) -> i64 {
        let mut id = 0;
        for person in self.viewers(house) {
            let what = format!("{} {kind}", self.name());
            let tells = |event: &cc_integration_tests::sse::Event| {
                event.tells(kind, self.cluster(), self.job_id(), self.job.start)
            };
            let event = person.page.expect(&what, answered, SOON, tells).await;
            assert_eq!((&event.data["state"], &event.data["user"]), (&json!(state), &self.body["user"]));
            id = event.data["id"].as_i64().expect("an id");
        }
        id
    }

    /// In the list, with everything the scheduler said; within the limit, measured from the acknowledgement.
    async fn listed(&self, house: &House, state: &str, answered: Instant) {
        for person in self.viewers(house) {
            let left = SOON.saturating_sub(answered.elapsed());
            let row = wait::until(&format!("{} is listed", self.name()), left, || async {
                let row = self.row(person).await.ok_or("not there")?;
                if row["state"] == state { Ok(row) } else { Err(format!("state {}", row["state"])) }
            })
            .await;
            self.row_is_right(&row, state);
        }
    }

    async fn row(&self, person: &Person) -> Option<Value> {
        let filter =
            json!({"f": [{"jobId": {"eq": self.job_id().to_string()}, "cluster": {"eq": self.cluster()}}]});
        let answer = person.client.graphql(LIST, filter).await;
        let items = answer["jobs"]["items"].as_array().expect("items").clone();
        assert!(items.len() <= 1, "{} is listed {} times", self.name(), items.len());
        items.into_iter().next()
    }

    fn row_is_right(&self, row: &Value, state: &str) {
        let names = [
            ("jobId", "jobId"),
            ("user", "user"),
            ("project", "project"),
            ("cluster", "cluster"),
            ("partition", "partition"),
            ("walltime", "walltime"),
            ("numNodes", "numNodes"),
            ("numHWThreads", "numHwthreads"),
            ("numAcc", "numAcc"),
            ("shared", "shared"),
            ("arrayJobId", "arrayJobId"),
        ];
        for (column, key) in names {
            let (got, want) = (&row[column], &self.body[key]);
            let absent = want.is_null() && (*got == json!(0) || *got == json!(""));
            assert!(got == want || absent, "{}: {column}: {got} instead of {want}", self.name());
        }
        assert_eq!(row["subCluster"], self.job.sub_cluster);
        assert_eq!(row["jobName"], self.body["metaData"]["jobName"]);
        let resources = row["resources"].as_array().expect("resources");
        for (got, want) in resources.iter().zip(self.body["resources"].as_array().expect("resources")) {
            for key in ["hostname", "hwthreads", "accelerators"] {
                assert_eq!(got[key], want[key], "{}: {key}", self.name());
            }
        }
        if let Some((_, duration)) = self.end.as_ref().filter(|_| state != "running") {
            assert_eq!(row["duration"], *duration, "{}", self.name());
        }
    }

    /// The plots of the running job show the samples sent so far. Answers how many values were compared.
    pub async fn shows_samples(&self, house: &House) -> usize {
        let want = self.series(house, now());
        let mut compared = 0;
        for person in self.viewers(house) {
            compared += self.view(person, &self.job.scopes(), &want).await;
        }
        compared
    }

    fn series(&self, house: &House, until: i64) -> Data {
        oracle::expected(&house.fed, house.cluster(self.cluster()), &self.job, until, &self.job.scopes())
    }

    async fn view(&self, person: &Person, scopes: &[Scope], want: &Data) -> usize {
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let answer = person.client.graphql(METRICS, json!({"id": self.id, "scopes": scopes})).await;
        for entry in answer["jobMetrics"].as_array().expect("metrics") {
            // Live or archived, the first value stands for the start of the job.
            assert_eq!(entry["metric"]["firstTime"], self.job.start, "{}: {}", self.name(), entry["name"]);
            assert_eq!(entry["metric"]["nativeTimestep"], entry["metric"]["timestep"]);
        }
        oracle::job_metrics(&answer["jobMetrics"], want)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    /// Its entry in the archive is right value by value, and the job view reads it. Answers how many values were compared.
    pub async fn is_archived(&self, house: &House) -> usize {
        for person in self.viewers(house) {
            let what = format!("{} archived", self.name());
            let tells = |event: &cc_integration_tests::sse::Event| {
                event.tells("archived", self.cluster(), self.job_id(), self.job.start)
            };
            person.page.expect(&what, Instant::now(), ARCHIVED_WITHIN, tells).await;
        }
        let (state, duration) = self.end.clone().expect("it was stopped");
        let want = self.series(house, self.job.start + duration);
        let fail = |error: String| -> usize { panic!("{}: {error}", self.name()) };
        let entry = oracle::entry(&house.archive(), self.cluster(), self.job_id(), self.job.start)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let cluster = house.cluster(self.cluster());
        let members = oracle::meta(&entry.meta, &self.body, (&state, duration), &self.job, cluster, &want);
        assert!(members.unwrap_or_else(fail) > 0);
        let compared = oracle::data(&entry.data, &want).unwrap_or_else(fail);
        assert_eq!(entry.data_bytes.1, entry.data_bytes.0 > 2000, "small data is not packed, other is");
        assert_eq!(entry.meta["id"], self.id);
        compared + self.is_archived_view(house).await
    }

    /// The job view reads the archive and shows what it showed before.
    pub async fn is_archived_view(&self, house: &House) -> usize {
        let (state, duration) = self.end.clone().expect("it was stopped");
        let want = self.series(house, self.job.start + duration);
        let mut compared = 0;
        for person in self.viewers(house) {
            let row = self.row(person).await.expect("it is listed");
            assert_eq!(
                (&row["state"], &row["monitoringStatus"]),
                (&json!(state), &json!(3)),
                "{}",
                self.name()
            );
            self.row_is_right(&row, &state);
            self.footprint_is_right(house, &row, duration, &want);
            compared += self.view(person, &Scope::ALL, &want).await;
        }
        compared
    }

    fn footprint_is_right(&self, house: &House, row: &Value, duration: i64, want: &Data) {
        let (footprint, _, energy) =
            oracle::finished(&self.job, duration, house.cluster(self.cluster()), want);
        let list = row["footprint"].as_array().cloned().unwrap_or_default();
        assert_eq!(list.len(), footprint.len(), "{}: {list:?}", self.name());
        for value in &list {
            let key = format!(
                "{}_{}",
                value["name"].as_str().expect("name"),
                value["stat"].as_str().expect("stat")
            );
            let got = value["value"].as_f64().expect("a value");
            assert!((got - footprint[&key]).abs() < 0.011, "{}: {key}: {got} {footprint:?}", self.name());
        }
        let got = row["energy"].as_f64().expect("energy");
        assert!((got - energy).abs() < 0.011, "{}: energy {got} instead of {energy}", self.name());
    }
}
