//! A user sees own jobs only: in the list, by id, in plots, on an open page, in the API for users.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    house::{House, Person},
    tracked::Tracked,
};

pub async fn users_see_their_own_jobs_only(house: &House, jobs: &[Tracked]) {
    for name in ["alice", "bob", "carol"] {
        let person = house.person(name);
        let (own, others): (Vec<&Tracked>, Vec<&Tracked>) = jobs.iter().partition(|job| job.owner() == name);
        assert!(others.len() > 4, "there must be something to hide");
        let own_ids: BTreeSet<i64> = own.iter().map(|job| job.id).collect();
        assert_eq!(listed(person, json!([])).await, own_ids, "{name}'s list");
        // Asking for another's by name does not help.
        let other = if name == "alice" { "bob" } else { "alice" };
        assert!(
            listed(person, json!([{"user": {"eq": other}}])).await.is_empty(),
            "{name} asks for {other}'s"
        );
        for job in &others {
            hidden(person, job).await;
        }
        pushed_own_only(person, name, own.len());
        many_at_once(person, &own, &others).await;
    }
    let all: BTreeSet<i64> = jobs.iter().map(|job| job.id).collect();
    assert_eq!(listed(house.person("operator"), json!([])).await, all, "the operator sees all");
    neighbours(house, jobs).await;
}

async fn listed(person: &Person, filter: Value) -> BTreeSet<i64> {
    let query = "query($f:[JobFilter!]){jobs(filter:$f,page:{itemsPerPage:1000,page:1}){count items{id}}}";
    let answer = person.client.graphql(query, json!({"f": filter})).await;
    let ids: BTreeSet<i64> = answer["jobs"]["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|job| job["id"].as_i64().expect("an id"))
        .collect();
    assert_eq!(answer["jobs"]["count"], ids.len(), "the count tells nothing of others either");
    ids
}

/// Nothing of a job of somebody else can be had by its id.
async fn hidden(person: &Person, job: &Tracked) {
    let queries = [
        ("query($id:ID!){job(id:$id){jobId user}}", "job"),
        ("query($id:ID!){jobMetrics(id:$id){name}}", "jobMetrics"),
        ("query($id:ID!){jobStats(id:$id){name}}", "jobStats"),
        ("query($id:ID!){scopedJobStats(id:$id){name}}", "scopedJobStats"),
    ];
    for (query, field) in queries {
        let answer = person.client.try_graphql(query, json!({"id": job.id})).await;
        assert!(answer["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{field}: {answer}");
        assert!(answer["data"].is_null() || answer["data"][field].is_null(), "{field}: {answer}");
        assert!(!answer.to_string().contains(job.owner()), "{field} tells whose it is: {answer}");
    }
}

/// The page of a user was told of own jobs, three times each, and of no other.
fn pushed_own_only(person: &Person, name: &str, own: usize) {
    let told: Vec<Value> =
        person.page.all().into_iter().filter(|event| event.name == "job").map(|event| event.data).collect();
    assert!(told.iter().all(|event| event["user"] == name), "{name} was told {told:?}");
    for kind in ["started", "stopped", "archived"] {
        assert_eq!(told.iter().filter(|event| event["kind"] == kind).count(), own, "{name}: {kind}");
    }
}

/// Among the series of many jobs those of others are left out.
async fn many_at_once(person: &Person, own: &[&Tracked], others: &[&Tracked]) {
    let ids: Vec<i64> = own.iter().chain(others).map(|job| job.id).take(100).collect();
    let query = "query($ids:[ID!]!){jobsMetrics(ids:$ids,metrics:[\"cpu_load\"],points:50){id error}}";
    let answer = person.client.graphql(query, json!({"ids": ids})).await;
    let got: Vec<i64> = answer["jobsMetrics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|job| job["id"].as_i64().expect("an id"))
        .collect();
    assert_eq!(got, own.iter().map(|job| job.id).collect::<Vec<_>>());
}

/// Two jobs shared a node: the operator sees both, their owners do not learn of each other.
async fn neighbours(house: &House, jobs: &[Tracked]) {
    let query = "query($id:ID!){job(id:$id){concurrentJobs{count items{jobId}}}}";
    let shared: Vec<&Tracked> = jobs.iter().filter(|job| job.cluster() == "alex").collect();
    let [first, second] = shared.as_slice() else { panic!("two jobs shared a node") };
    for (job, other) in [(first, second), (second, first)] {
        let seen = house.person("operator").client.graphql(query, json!({"id": job.id})).await;
        let items = &seen["job"]["concurrentJobs"]["items"];
        assert_eq!(items, &json!([{"jobId": other.job_id()}]), "the operator's view of {}", job.job_id());
        let own = house.person(job.owner()).client.graphql(query, json!({"id": job.id})).await;
        let items = &own["job"]["concurrentJobs"]["items"];
        assert!(items.as_array().is_none_or(Vec::is_empty), "{}'s view: {own}", job.owner());
    }
}
