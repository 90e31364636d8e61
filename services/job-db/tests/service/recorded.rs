//! Recorded lists of the reference (fixtures/scenarios/graphql), asked one level below GraphQL.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use cc_proto::job_db::v1 as proto;
use serde_json::Value;
use sqlx::ConnectOptions as _;

use crate::house::{House, admin, shared};
use crate::peers::Peers;

/// The service on the database of a recorded site, without clusters of its own.
async fn site(shared: &Path, name: &str) -> House {
    let folder = tempfile::tempdir().unwrap();
    let packed = std::fs::File::open(shared.join(format!("fixtures/site/{name}/var/job.db.gz"))).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    std::fs::write(folder.path().join("job.db"), bytes).unwrap();
    House::on(folder, Peers::new(BTreeMap::from([crate::house::fritz()]))).await
}

fn steps(shared: &Path, scenario: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(shared.join(format!("fixtures/scenarios/{scenario}.json"))).unwrap();
    let scenario: Value = serde_json::from_str(&text).unwrap();
    scenario["steps"].as_array().unwrap().clone()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn texts(value: &Value) -> Option<proto::StringSet> {
    let values = match value {
        Value::Null => return None,
        Value::Array(list) => list.iter().filter_map(text).collect(),
        single => text(single).into_iter().collect(),
    };
    Some(proto::StringSet { values })
}

fn ids(value: &Value) -> Option<proto::IdSet> {
    let texts = texts(value)?;
    Some(proto::IdSet { values: texts.values.iter().filter_map(|text| text.parse().ok()).collect() })
}

fn string_filter(value: &Value) -> Option<proto::StringFilter> {
    value.as_object()?;
    Some(proto::StringFilter {
        eq: text(&value["eq"]),
        neq: text(&value["neq"]),
        starts_with: text(&value["startsWith"]),
        ends_with: text(&value["endsWith"]),
        contains: text(&value["contains"]),
        r#in: texts(&value["in"]),
    })
}

fn int_range(value: &Value) -> Option<proto::IntRange> {
    Some(proto::IntRange { from: value.get("from")?.as_i64()?, to: value.get("to")?.as_i64()? })
}

fn float_range(value: &Value) -> Option<proto::FloatRange> {
    Some(proto::FloatRange { from: value.get("from")?.as_f64()?, to: value.get("to")?.as_f64()? })
}

/// A time of GraphQL as the gateway reads it; relative ranges are not asked for here.
fn time(value: &Value) -> Option<i64> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    let stamp: jiff::Timestamp = match text.parse() {
        Ok(stamp) => stamp,
        Err(_) => format!("{}Z", text.replace(' ', "T")).parse().unwrap(),
    };
    Some(stamp.as_second())
}

fn time_range(value: &Value) -> Option<proto::TimeRange> {
    value.as_object()?;
    Some(proto::TimeRange { from: time(&value["from"]), to: time(&value["to"]) })
}

fn job_filter(value: &Value) -> proto::JobFilter {
    let stat = |item: &Value| proto::MetricRange {
        metric: text(&item["metricName"]).unwrap(),
        range: float_range(&item["range"]),
    };
    proto::JobFilter {
        db_id: ids(&value["dbId"]),
        job_id: string_filter(&value["jobId"]),
        array_job_id: value["arrayJobId"].as_i64(),
        user: string_filter(&value["user"]),
        project: string_filter(&value["project"]),
        cluster: string_filter(&value["cluster"]),
        sub_cluster: string_filter(&value["subCluster"]),
        partition: string_filter(&value["partition"]),
        job_name: string_filter(&value["jobName"]),
        duration: int_range(&value["duration"]),
        energy: float_range(&value["energy"]),
        num_nodes: int_range(&value["numNodes"]),
        num_accelerators: int_range(&value["numAccelerators"]),
        num_hwthreads: int_range(&value["numHWThreads"]),
        start_time: time_range(&value["startTime"]),
        state: texts(&value["state"]),
        shared: text(&value["shared"]),
        schedule: text(&value["schedule"]),
        tags: ids(&value["tags"]),
        node: string_filter(&value["node"]),
        metric_stats: value["metricStats"].as_array().into_iter().flatten().map(stat).collect(),
    }
}

/// A step that asks for counts and ids and was answered: its filters and the answer.
fn asked(step: &Value) -> Option<(Vec<proto::JobFilter>, u64, Vec<i64>)> {
    let filters = step["gql"]["variables"]["f"].as_array()?;
    let answer = &step["expect"]["json"]["data"]["jobs"];
    let count = answer["count"].as_u64()?;
    let ids = answer["items"].as_array()?.iter().map(|item| item["id"].as_i64().unwrap()).collect();
    // `last30d` is a word of the gateway
    if filters.iter().any(|filter| filter["startTime"]["range"] == "last30d") {
        return None;
    }
    Some((filters.iter().map(job_filter).collect(), count, ids))
}

#[tokio::test]
async fn every_recorded_filter_finds_the_recorded_jobs() {
    let Some(shared) = shared() else { return };
    let house = site(&shared, "real").await;
    let mut compared = 0;
    for scenario in ["graphql/filters-strings", "graphql/filters-ranges"] {
        for step in steps(&shared, scenario) {
            let Some((filters, count, ids)) = asked(&step) else { continue };
            let request = proto::ListJobsRequest {
                filters,
                order: Some(proto::Order { field: "id".to_owned(), ..Default::default() }),
                page: 1,
                page_size: 700,
                with_count: true,
                ..Default::default()
            };
            let answer = house.client.clone().list_jobs(admin(request)).await.unwrap().into_inner();
            let found: Vec<i64> = answer.jobs.iter().map(|job| job.id).collect();
            assert_eq!((answer.count, found), (Some(count), ids), "{scenario}: {}", step["name"]);
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} steps were compared");
}

#[tokio::test]
async fn every_recorded_order_puts_jobs_as_recorded() {
    let Some(shared) = shared() else { return };
    let house = site(&shared, "hub").await;
    let fields = [
        ("startTime", false, false, "jobId"),
        ("duration", false, true, "duration"),
        ("numNodes", false, true, "numNodes"),
        ("numHwthreads", false, false, "numHWThreads"),
        ("numAcc", false, true, "numAcc"),
        ("jobId", false, true, "jobId"),
        ("cpu_load_avg", true, true, "jobId"),
        ("hpcUser", false, false, "user"),
        ("walltime", false, false, "walltime"),
    ];
    let recorded: Vec<Value> = steps(&shared, "graphql/jobs-list");
    for (field, footprint, descending, shown) in fields {
        let direction = if descending { "DESC" } else { "ASC" };
        let name = format!("order by {field} {direction}");
        let step =
            recorded.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name:?}"));
        let items = step["expect"]["json"]["data"]["jobs"]["items"].as_array().unwrap();
        let request = proto::ListJobsRequest {
            order: Some(proto::Order { field: field.to_owned(), footprint, descending }),
            page: 1,
            page_size: u32::try_from(items.len()).unwrap(),
            ..Default::default()
        };
        let jobs = house.client.clone().list_jobs(admin(request)).await.unwrap().into_inner().jobs;
        let value = |job: &cc_proto::common::v1::Job| match shown {
            "jobId" => Value::from(job.job_id),
            "duration" => Value::from(job.duration_s),
            "numNodes" => Value::from(job.num_nodes),
            "numHWThreads" => Value::from(job.num_hwthreads),
            "numAcc" => Value::from(job.num_acc),
            "walltime" => Value::from(job.walltime_s),
            _ => Value::from(job.user.clone()),
        };
        let found: Vec<Value> = jobs.iter().map(value).collect();
        let expected: Vec<Value> = items.iter().map(|item| item[shown].clone()).collect();
        assert_eq!(found, expected, "{name}");
    }
    // BLOBs of the reference decode
    let request = proto::ListJobsRequest { with_metadata: true, with_tags: true, ..Default::default() };
    let all = house.client.clone().list_jobs(admin(request)).await.unwrap().into_inner().jobs;
    assert_eq!(all.len(), 61);
    assert!(all.iter().all(|job| !job.resources.is_empty() && job.has_footprint));
    assert_eq!(all.iter().filter(|job| job.has_metadata).count(), 54, "7 are `null`");
    assert!(all.iter().any(|job| !job.tags.is_empty()));
}

/// Everything of `sqlite_master` that is not ours.
async fn foreign_schema(path: &Path) -> Vec<(String, String, Option<String>)> {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::query_as(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'ccx\\_%' ESCAPE '\\' ORDER BY type, name",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_file_of_the_reference_is_used_and_left_as_it_came() {
    let Some(shared) = shared() else { return };
    for name in ["empty-v11.db", "job-v11.db"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.db");
        std::fs::write(&path, std::fs::read(shared.join("fixtures/db").join(name)).unwrap()).unwrap();
        let before = foreign_schema(&path).await;
        let house = House::on(folder, Peers::new(BTreeMap::from([crate::house::fritz()]))).await;
        // early builds spell this state with hyphens and have no column for health details
        let id = house.start(crate::house::job(900_001, crate::house::NOW - 60)).await.unwrap();
        let stop = proto::StopJobRequest {
            job_id: 900_001,
            stop_time: crate::house::NOW,
            state: "out_of_memory".to_owned(),
            ..Default::default()
        };
        house.client.clone().stop_job(crate::house::api(stop)).await.unwrap();
        assert_eq!(house.until_status(id, 3).await.state, "out_of_memory");
        let filter = proto::JobFilter {
            state: Some(proto::StringSet { values: vec!["out_of_memory".to_owned()] }),
            ..Default::default()
        };
        let request =
            proto::ListJobsRequest { filters: vec![filter], page: 1, page_size: 900, ..Default::default() };
        let found = house.client.clone().list_jobs(admin(request)).await.unwrap().into_inner().jobs;
        assert!(found.iter().any(|job| job.id == id), "{name}");
        let nodes = vec![proto::NodeReport { hostname: "f0001".to_owned(), ..Default::default() }];
        let report = proto::ReportNodesRequest { cluster: "fritz".to_owned(), nodes };
        house.client.clone().report_nodes(crate::house::api(report)).await.unwrap();
        let house = house.restart().await;
        let path = house.database.path().to_owned();
        assert_eq!(foreign_schema(&path).await, before, "{name}");
    }
}
