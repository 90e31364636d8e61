//! An entry of the archive that cannot be read.

use std::{fs, time::Duration};

use cc_integration_tests::{client::Answer, oracle, server::Deployment, wait};
use serde_json::{Value, json};

use crate::house::{CLUSTER, House, lines, minute, start, stop};

pub async fn an_unreadable_entry_harms_no_other(deployment: Deployment) {
    let house = House::open(deployment).await;
    let (begin, end) = (minute() - 4_000, minute() - 10);
    for id in 1..=3 {
        let host = format!("s0{id}");
        house.scheduler.write(CLUSTER, lines(&host, begin, end)).await.expect(200);
        house.scheduler.post("/api/jobs/start_job/", &start(id, &host, begin)).await.expect(201);
        house.scheduler.post("/api/jobs/stop_job/", &stop(id, end)).await.expect(200);
    }
    wait::until("all are archived", Duration::from_secs(60), || async {
        let jobs = house.jobs().await;
        if jobs.iter().all(|job| job.3 == 3) { Ok(()) } else { Err(format!("{jobs:?}")) }
    })
    .await;
    let folder = |id: i64| house.site.file("var/job-archive").join(oracle::folder(CLUSTER, id, begin));
    let cut = |name: &str, id: i64| {
        let file = folder(id).join(name);
        let bytes = fs::read(&file).expect("a file");
        fs::write(&file, &bytes[..bytes.len() / 2]).expect("a file");
    };
    cut("data.json.gz", 1);
    cut("meta.json", 2);

    let answer =
        house.operator.graphql("{jobs(page:{itemsPerPage:10,page:1}){items{id jobId}}}", json!({})).await;
    let id = |job: i64| -> Value {
        let items = answer["jobs"]["items"].as_array().expect("items");
        items.iter().find(|item| item["jobId"] == job).expect("listed")["id"].clone()
    };
    let query = "query($id:ID!){jobMetrics(id:$id){name}}";
    let broken = house.operator.try_graphql(query, json!({"id": id(1)})).await;
    let text = broken["errors"][0]["message"].as_str().expect("an error");
    assert!(text.contains("data.json.gz"), "{text}");
    assert!(
        !text.contains(house.site.path().to_str().expect("a path")),
        "a reader of the page learns no path of the server: {text}"
    );
    for job in [2, 3] {
        let good = house.operator.graphql(query, json!({"id": id(job)})).await;
        assert_eq!(
            good["jobMetrics"].as_array().map(Vec::len),
            Some(3),
            "series of job {job}: load, and bw at two scopes"
        );
    }
    // Among many, the broken one says so and the others are there.
    let query = "query($ids:[ID!]!){jobsMetrics(ids:$ids,metrics:[\"load\"]){id error metrics{name}}}";
    let many = house.operator.graphql(query, json!({"ids": [id(1), id(3)]})).await;
    assert!(
        many["jobsMetrics"][0]["error"].as_str().is_some_and(|text| text.contains("data.json.gz")),
        "{many}"
    );
    assert_eq!(
        (&many["jobsMetrics"][1]["error"], many["jobsMetrics"][1]["metrics"][0]["name"].as_str()),
        (&Value::Null, Some("load"))
    );

    // The list for programs has all three; statistics are missing only where the file is damaged.
    let list: Answer = house.scheduler.get("/api/jobs/").await.expect(200);
    let jobs = list.json();
    for job in jobs["jobs"].as_array().expect("jobs") {
        assert_eq!(job["statistics"].is_object(), job["jobId"] != 2, "{job}");
    }
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(3));
    // Whoever runs the site is told which file.
    let log = fs::read_to_string(house.site.file("server.log")).expect("the log");
    for (name, id) in [("data.json.gz", 1), ("meta.json", 2)] {
        let path = oracle::folder(CLUSTER, id, begin) + "/" + name;
        assert!(log.contains(&path), "{path} is not in the log");
    }
    house.close();
}
