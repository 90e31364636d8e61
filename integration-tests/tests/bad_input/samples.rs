//! Line protocol, and questions for series.

use cc_integration_tests::{recording::now, server::Deployment};
use serde_json::json;

use crate::house::{CLUSTER, House, STEP, lines, minute, refused, start};

/// A batch whose middle line is bad; the good ones are 20, 21 and 22.
fn around(bad: &str, first: i64) -> String {
    let good = |value: i64, slot: i64| {
        format!("load,cluster={CLUSTER},hostname=s01,type=node value={value} {}\n", first + slot * STEP)
    };
    format!("{}{bad}\n{}{}", good(20, 0), good(21, 1), good(22, 2))
}

pub async fn a_bad_line_in_the_middle_costs_only_itself(deployment: Deployment) {
    let house = House::open(deployment).await;
    let bad = [
        ("load,cluster=small,hostname=s01,type=node value=", "a value is missing"),
        ("load,cluster=small,hostname=s01,type=node value=\"text\" 1700000000", "text"),
        ("load,cluster=small,hostname=s01,type=node level=3 1700000000", "another field"),
        ("load,cluster=small,hostname=s01,type=node value=1 yesterday", "no time"),
        ("load,cluster=small,hostname=,type=node value=1 1700000000", "an empty tag"),
        ("load cluster=small", "no fields"),
    ];
    for (index, (line, what)) in bad.iter().enumerate() {
        let first = minute() - 3_600 - index as i64 * 100;
        let answer = house.scheduler.write(CLUSTER, around(line, first)).await;
        // The line is named, by its number.
        refused(&answer, 400, &["line 2"]);
        assert_eq!(
            answer.headers.get("x-cc-rejected-lines").map(|count| count.as_bytes()),
            Some(&b"1"[..]),
            "{what}"
        );
        let stored = house.values("load", "s01", first, first + 3 * STEP).await;
        assert_eq!(stored, [Some(20.0), Some(21.0), Some(22.0)], "{what}: the lines around it are stored");
    }
    house.close();
}

pub async fn unknown_names_cost_only_their_lines(deployment: Deployment) {
    let house = House::open(deployment).await;
    let first = minute() - 3_600;
    let unknown = [
        format!("nosuch,cluster={CLUSTER},hostname=s01,type=node value=1 {first}"),
        "this is no line at all".to_owned(),
        format!("load,cluster=../etc,hostname=s01,type=node value=1 {first}"),
        format!("load,cluster={CLUSTER},hostname=a/b,type=node value=1 {first}"),
    ];
    for line in &unknown {
        let answer = house.scheduler.write(CLUSTER, around(line, first)).await.expect(200);
        assert_eq!(answer.text, "", "{line}");
        // For those who look: one line was not taken.
        assert_eq!(
            answer.headers.get("x-cc-rejected-lines").map(|count| count.as_bytes()),
            Some(&b"1"[..]),
            "{line}"
        );
    }
    let stored = house.values("load", "s01", first, first + 3 * STEP).await;
    assert_eq!(stored, [Some(20.0), Some(21.0), Some(22.0)]);
    assert!(house.values("nosuch", "s01", first, first + 3 * STEP).await.is_empty());
    house.close();
}

pub async fn asking_for_what_is_not_there_says_so(deployment: Deployment) {
    let house = House::open(deployment).await;
    let begin = minute() - 300;
    house.scheduler.write(CLUSTER, lines("s01", begin, begin + 240)).await.expect(200);
    house.scheduler.post("/api/jobs/start_job/", &start(1, "s01", begin)).await.expect(201);
    let answer = house.operator.graphql("{jobs{items{id}}}", json!({})).await;
    let id = &answer["jobs"]["items"][0]["id"];
    let query = "query($ids:[ID!]!,$m:[String!]){jobsMetrics(ids:$ids,metrics:$m){id error metrics{name} missing{name reason}}}";
    let answer = house.operator.graphql(query, json!({"ids": [id], "m": ["load", "nosuch"]})).await;
    let job = &answer["jobsMetrics"][0];
    assert_eq!((&job["error"], &job["metrics"]), (&json!(null), &json!([{"name": "load"}])));
    assert_eq!(job["missing"], json!([{"name": "nosuch", "reason": "UNKNOWN_METRIC"}]));

    let answer = house
        .operator
        .try_graphql(
            "query($id:ID!){jobMetrics(id:$id,metrics:[\"load\"],scopes:[\"galaxy\"]){name}}",
            json!({"id": id}),
        )
        .await;
    assert!(answer["errors"][0]["message"].as_str().is_some_and(|text| text.contains("galaxy")), "{answer}");
    let answer = house.operator.try_graphql("query{jobs{items{colour}}}", json!({})).await;
    assert!(answer["errors"][0]["message"].as_str().is_some_and(|text| text.contains("colour")), "{answer}");
    let answer = house.operator.try_graphql("query{job(id:\"4711\"){jobId}}", json!({})).await;
    assert!(answer["errors"].is_array() && answer["data"]["job"].is_null(), "{answer}");
    for (path, words) in [
        ("/api/jobs/?state=vanished", vec!["state"]),
        ("/api/jobs/?colour=blue", vec!["colour"]),
        ("/api/jobs/?start-time=yesterday", vec!["startTime"]),
        ("/api/jobs/?page=0", vec!["page"]),
        ("/api/clusters/?cluster=nosuch", vec!["cluster", "nosuch"]),
    ] {
        refused(&house.scheduler.get(path).await, 400, &words);
    }
    let body = json!({"cluster": CLUSTER, "from": now(), "to": now() - 60, "queries": [{"metric": "load", "host": "s01"}]});
    let answer = house.scheduler.post("/api/query", &body).await;
    assert!(answer.text.contains("range"), "{}: {}", answer.status, answer.text);
    house.close();
}
