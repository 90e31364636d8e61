//! The job list: complete, in order, however long and whatever happens meanwhile.

use std::collections::BTreeSet;

use crate::fakes::job;
use crate::house::House;

fn ids(list: &serde_json::Value) -> Vec<i64> {
    list["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn the_answer_has_the_shape_of_the_reference() {
    let house = House::new();
    let mut archived = job(7, "alice", 1_700_000_000);
    archived.monitoring_status = 3;
    archived.state = "completed".to_owned();
    let mut broken = archived.clone();
    (broken.id, broken.job_id) = (8, 13);
    house.fakes.job_db.get().jobs = vec![archived, broken, job(9, "bob", 1_700_000_060)];
    let answer = house.get("/api/jobs/?items-per-page=5", "api").await;
    let list = answer.json();
    assert_eq!((list["items"].as_i64(), list["page"].as_i64()), (Some(5), Some(1)));
    assert_eq!(ids(&list), [9, 8, 7]);
    assert!(list["jobs"][0]["statistics"].is_null());
    assert!(list["jobs"][1]["statistics"].is_null(), "an entry that cannot be read is no reason to fail");
    assert_eq!(list["jobs"][2]["statistics"]["cpu_load"]["avg"], 1.5);
    assert!(answer.text().ends_with("],\"items\":5,\"page\":1}\n"));
}

#[tokio::test]
async fn pages_and_filters_are_those_of_the_query() {
    let house = House::new();
    house.fakes.job_db.get().jobs = (1..=10).map(|id| job(id, "alice", 1_700_000_000 + id)).collect();
    let list = house.get("/api/jobs?items-per-page=3&page=2&state=running&cluster=fritz", "api").await.json();
    assert_eq!(ids(&list), [7, 6, 5]);
    assert_eq!(list["page"], 2);
    let none = house.get("/api/jobs/?items-per-page=50&page=9", "api").await;
    assert_eq!(none.text(), "{\"jobs\":[],\"items\":50,\"page\":9}\n");
    let far = house.get("/api/jobs/?items-per-page=50&page=9223372036854775807", "api").await.json();
    assert_eq!(ids(&far), Vec::<i64>::new());
    assert_eq!(
        house.get("/api/jobs/?unknownkey=x", "api").await.error().1,
        "invalid query parameter: unknownkey"
    );
    assert_eq!(house.get("/api/jobs/?page=0", "api").await.error(), (400, "page must be >= 1".to_owned()));
}

#[tokio::test]
async fn people_see_their_own_jobs_only() {
    let house = House::new();
    house.fakes.job_db.get().jobs = vec![job(1, "tester", 5), job(2, "bob", 6)];
    assert_eq!(ids(&house.get("/userapi/jobs/", "support+api").await.json()), [2, 1]);
    assert_eq!(ids(&house.get("/userapi/jobs/", "user+api").await.json()), [1]);
}

#[tokio::test]
async fn everything_is_sent_in_pieces_and_nothing_is_missing_or_doubled() {
    let house = House::new();
    // many of one second, so that pieces end in the middle of it
    let jobs: Vec<_> = (1..=2500).map(|id| job(id, "alice", 1_700_000_000 + id / 700)).collect();
    house.fakes.job_db.get().jobs = jobs;
    let list =
        house.get("/api/jobs/?state=running&items-per-page=9999999&page=1&with-metadata=false", "api").await;
    let found = ids(&list.json());
    assert_eq!(found.len(), 2500);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 2500);
    assert!(house.fakes.job_db.get().lists > 4);
    let second = house.get("/api/jobs/?items-per-page=1000&page=2", "api").await.json();
    assert_eq!(ids(&second), (501..=1500).rev().collect::<Vec<i64>>());
    let third = house.get("/api/jobs/?items-per-page=1000&page=3", "api").await.json();
    assert_eq!(ids(&third), (1..=500).rev().collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_job_that_stops_meanwhile_does_not_hide_another() {
    let house = House::new();
    house.fakes.job_db.get().jobs = (1..=1200).map(|id| job(id, "alice", 1_700_000_000 + id)).collect();
    // of the first piece: by page numbers, five others would slip over the edge of the second
    house.fakes.job_db.get().stops_meanwhile = vec![1200, 1199, 1198, 1197, 1196];
    let list = house.get("/api/jobs/?state=running&items-per-page=9999999", "api").await.json();
    let found: BTreeSet<i64> = ids(&list).into_iter().collect();
    assert!((1..=1195).all(|id| found.contains(&id)));
}

#[tokio::test]
async fn large_jobs_make_smaller_pieces() {
    let house = House::new();
    house.fakes.job_db.get().jobs = (1..=600).map(|id| job(id, "alice", 1_700_000_000 + id)).collect();
    house.fakes.job_db.get().page_max = Some(100);
    let list = house.get("/api/jobs/?items-per-page=9999999&with-metadata", "api").await.json();
    assert_eq!(ids(&list).len(), 600);
}

#[tokio::test]
async fn a_failure_before_the_first_job_has_a_status() {
    let house = House::new();
    house.fakes.job_db.get().down = true;
    assert_eq!(house.get("/api/jobs/", "api").await.status, 503);
}
