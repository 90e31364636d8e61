//! What one GraphQL request may cost: bounds that hold before anything is read.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use http::{Method, header};
use serde_json::{Value, json};

use crate::fakes::job;
use crate::house::{Answer, House, request};

async fn ask(house: &House, query: &str, variables: Value) -> Answer {
    let body = json!({"query": query, "variables": variables}).to_string();
    let asked = request(Method::POST, "/query", "admin").header(header::CONTENT_TYPE, "application/json");
    house.send(asked.body(body.into()).unwrap()).await
}

/// The first error, or nothing.
async fn error(house: &House, query: &str, variables: Value) -> String {
    let answer = ask(house, query, variables).await;
    assert_eq!(answer.status, 200, "{query} {answer:?}");
    answer.json()["errors"][0]["message"].as_str().unwrap_or_default().to_owned()
}

async fn code(house: &House, query: &str) -> String {
    let answer = ask(house, query, json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
}

fn with_a_job() -> House {
    let house = House::new();
    house.fakes.job_db.get().jobs = vec![job(5, "alice", 1_700_000_000)];
    house
}

/// The same field under many names.
fn aliases(field: &str, count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|index| format!("a{index}:{field}")).collect();
    format!("{{{}}}", fields.join(" "))
}

#[tokio::test]
async fn histograms_of_running_jobs_have_no_more_bins_than_those_of_archived_ones() {
    let house = with_a_job();
    let query = "query($bins:Int){jobsStatistics(filter:[{state:[running]}],metrics:[\"cpu_load\"],numMetricBins:$bins)\
                 {histMetrics{data{count}}}}";
    let refused = error(&house, query, json!({"bins": 20_000_000})).await;
    assert_eq!(refused, "numMetricBins 20000000 is more than 10000");
    assert_eq!(error(&house, query, json!({"bins": 0})).await, "numMetricBins 0 is not 1 or more");
    assert_eq!(error(&house, query, json!({"bins": 10_000})).await, "");
}

#[tokio::test]
async fn bins_and_tiles_are_bounded_over_all_fields_of_a_request() {
    let house = with_a_job();
    let bins = "jobsStatistics(filter:[{state:[running]}],metrics:[\"cpu_load\"],numMetricBins:10000){histMetrics{metric}}";
    assert_eq!(error(&house, &aliases(bins, 10), json!({})).await, "");
    let refused = error(&house, &aliases(bins, 11), json!({})).await;
    assert_eq!(
        refused,
        "numMetricBins: 1 metrics of 10000 bins each are more than what is left of the 100000 bins of one request"
    );
    let tiles = "rooflineHeatmap(filter:[],rows:100,cols:200,minX:1,minY:1,maxX:9,maxY:9)";
    assert_eq!(error(&house, &aliases(tiles, 2), json!({})).await, "");
    let refused = error(&house, &aliases(tiles, 3), json!({})).await;
    assert!(refused.starts_with("rows, cols: 100 by 200 tiles are more"), "{refused}");
}

#[tokio::test]
async fn fragments_that_multiply_are_refused_at_once() {
    let house = House::new();
    let mut bomb = "{...f0}".to_owned();
    for level in 0..40 {
        write!(bomb, " fragment f{level} on Query{{...f{next} ...f{next}}}", next = level + 1).unwrap();
    }
    bomb.push_str(" fragment f40 on Query{__typename}");
    let began = Instant::now();
    assert_eq!(code(&house, &bomb).await, "COMPLEXITY_LIMIT_EXCEEDED");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn aliases_do_not_repeat_expensive_fields_without_bound() {
    let house = with_a_job();
    for (field, allowed) in [
        ("rooflineHeatmap(filter:[],rows:2,cols:2,minX:1,minY:1,maxX:9,maxY:9)", 25),
        ("jobsFootprints(filter:[],metrics:[\"cpu_load\"]){metrics{metric}}", 24),
        ("jobsMetricStats(filter:[],metrics:[\"cpu_load\"]){id}", 24),
        ("jobsMetrics(ids:[5]){id}", 24),
        ("jobMetrics(id:5){name}", 49),
        ("jobStats(id:5){name}", 49),
    ] {
        assert_eq!(code(&house, &aliases(field, allowed)).await, "", "{field}");
        assert_eq!(code(&house, &aliases(field, allowed + 1)).await, "COMPLEXITY_LIMIT_EXCEEDED", "{field}");
    }
    let large = "{rooflineHeatmap(filter:[],rows:1000,cols:41,minX:1,minY:1,maxX:9,maxY:9)}";
    let refused = error(&house, large, json!({})).await;
    assert_eq!(
        refused,
        "rows, cols: 1000 by 41 tiles are more than what is left of the 40000 tiles of one request"
    );
}

#[tokio::test]
async fn names_of_metrics_are_few_and_each_is_read_once() {
    let house = with_a_job();
    let names = |count: usize| vec!["cpu_load"; count];
    let told = "metrics: 65 are more than the 64 of one request";
    for query in [
        "query($m:[String!]){jobMetrics(id:5,metrics:$m){name}}",
        "query($m:[String!]){jobStats(id:5,metrics:$m){name}}",
        "query($m:[String!]){scopedJobStats(id:5,metrics:$m){name}}",
        "query($m:[String!]){jobsMetrics(ids:[5],metrics:$m){id}}",
        "query($m:[String!]){jobsMetricStats(metrics:$m){id}}",
        "query($m:[String!]!){jobsFootprints(metrics:$m){metrics{metric}}}",
        "query($m:[String!]){jobsStatistics(metrics:$m){totalJobs}}",
        "query($m:[String!]){clusterMetrics(cluster:\"fritz\",metrics:$m,from:\"2026-01-01T00:00:00Z\",\
         to:\"2026-01-01T01:00:00Z\"){nodeCount}}",
    ] {
        assert_eq!(error(&house, query, json!({"m": names(65)})).await, told, "{query}");
    }
    assert!(house.fakes.store.get().queries.is_empty());
    let posted = |count: usize| {
        let body = serde_json::to_vec(&names(count)).unwrap();
        house.post("/api/jobs/5", "api", body)
    };
    assert_eq!(posted(65).await.error(), (400, told.to_owned()));
    assert_eq!(posted(64).await.status, 200);
    let query = "query($m:[String!]){jobMetrics(id:5,metrics:$m){name metric{series{hostname}}}}";
    let answer = ask(&house, query, json!({"m": names(64)})).await.json();
    assert_eq!(answer["data"]["jobMetrics"].as_array().map(Vec::len), Some(1));
    for asked in &house.fakes.store.get().queries {
        assert_eq!(asked.metrics, ["cpu_load"]);
    }
    let many = format!("/api/jobs/metrics/5?{}", "metric=x&".repeat(65));
    let refused = house.get(&many, "api").await;
    assert_eq!(
        (refused.json()["error"]["message"].as_str(), refused.header("x-error-status")),
        (Some(told), "400")
    );
}

#[tokio::test]
async fn samples_of_nodes_are_bounded_over_all_fields_of_a_request() {
    let house = House::new();
    let sums = |from: &str, to: &str| {
        format!(
            "clusterMetrics(cluster:\"fritz\",from:\"{from}T00:00:00Z\",to:\"{to}T00:00:00Z\"){{nodeCount}}"
        )
    };
    let all = format!("{{{}}}", sums("1971-01-01", "2100-01-01"));
    let refused = error(&house, &all, json!({})).await;
    assert!(refused.ends_with("ask for fewer nodes, fewer metrics or a shorter time"), "{refused}");
    assert!(house.fakes.store.get().queries.is_empty());
    let year = sums("2025-01-01", "2026-01-01");
    assert_eq!(error(&house, &format!("{{{year}}}"), json!({})).await, "");
    assert!(!error(&house, &aliases(&year, 2), json!({})).await.is_empty());
    assert_eq!(house.fakes.store.get().queries.len(), 2);
}

#[tokio::test]
async fn owners_of_a_large_page_are_all_known() {
    let house = House::new();
    house.fakes.job_db.get().jobs = (0..2_500).map(|id| job(id, &format!("u{id}"), 1_700_000_000)).collect();
    let query = "{jobs(page:{itemsPerPage:10000,page:1}){items{user userData{username}}}}";
    let answer = ask(&house, query, json!({})).await.json();
    let items = answer["data"]["jobs"]["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(items.len(), 2_500, "{}", answer["errors"]);
    assert!(items.iter().all(|item| item["user"] == item["userData"]["username"]));
}

#[tokio::test]
async fn values_of_an_answer_are_bounded_over_all_fields_of_a_request() {
    let house = House::new();
    house.fakes.job_db.get().jobs = (0..9_000).map(|id| job(id, "alice", 1_700_000_000)).collect();
    let page = "jobs(page:{itemsPerPage:10000,page:1}){count}";
    assert_eq!(error(&house, &aliases(page, 4), json!({})).await, "");
    let refused = error(&house, &aliases(page, 80), json!({})).await;
    assert!(refused.starts_with("the answer has more than 20000000 values"), "{refused}");
}
