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

/// Two jobs shared a node: the operator sees both, their owners do not learn of each other. A job is among its own neighbours, as in the
/// reference.
async fn neighbours(house: &House, jobs: &[Tracked]) {
    let query = "query($id:ID!){job(id:$id){concurrentJobs{count listQuery items{jobId}}}}";
    let shared: Vec<&Tracked> = jobs.iter().filter(|job| job.cluster() == "alex").collect();
    let both: BTreeSet<i64> = shared.iter().map(|job| job.job_id()).collect();
    assert_eq!(both.len(), 2, "two jobs shared a node");
    for job in shared {
        for (person, want) in [("operator", both.clone()), (job.owner(), BTreeSet::from([job.job_id()]))] {
            let seen = house.person(person).client.graphql(query, json!({"id": job.id})).await;
            let neighbours = &seen["job"]["concurrentJobs"];
            let items = neighbours["items"].as_array().expect("a list");
            let ids: BTreeSet<i64> =
                items.iter().map(|item| item["jobId"].as_i64().expect("an id")).collect();
            assert_eq!(
                (&ids, &neighbours["count"]),
                (&want, &json!(want.len())),
                "{person}'s view of {}",
                job.job_id()
            );
            let other = both.iter().find(|id| !want.contains(id));
            assert!(other.is_none_or(|other| !seen.to_string().contains(&other.to_string())), "{seen}");
        }
    }
}
