//! One trace from the page's `traceparent` through the gateway and the services to a receiver.

use std::collections::BTreeSet;

use cc_integration_tests::{
    client::Client,
    recording::now,
    server::{Deployment, Server},
    site::Site,
    small, wait,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use crate::{
    program::SOON,
    receiver::{Receiver, Span},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PAGE: &str = "00f067aa0ba902b7";

/// Spans of calls that the question must lead to: method, who asks, who answers.
const CALLS: [(&str, &str, &str); 4] = [
    ("clustercockpit.auth.v1.Auth/Authenticate", "cc-gateway", "cc-auth"),
    ("clustercockpit.job_db.v1.JobDb/GetJob", "cc-gateway", "cc-job-db"),
    ("clustercockpit.metric_store.v1.MetricStore/QueryJob", "cc-gateway", "cc-metric-store"),
    ("clustercockpit.archive.v1.Archive/ReadSeries", "cc-gateway", "cc-archive"),
];

/// A site with a running job and an archived one, whose processes send traces to `endpoint`; the jobs' ids in the database.
async fn site_with_jobs(endpoint: &str, deployment: Deployment) -> (Site, Server, Value, Value) {
    let site = Site::init();
    site.configure_for_tests();
    site.configure(|config| config["observability"] = json!({"otlp-endpoint": endpoint}));
    site.add_cluster("t", small::cluster("t", "t[1-4]", 10).as_bytes());
    site.add_user("operator", "admin", "operator");
    site.add_user("scheduler", "api", "scheduler");
    let server = Server::start(&site, deployment).await;
    let scheduler = server.client().with_token(&site.token("scheduler"));
    let start = now() - 600;
    for (id, host) in [(1, "t1"), (2, "t2")] {
        let job = json!({
            "jobId": id, "cluster": "t", "user": "u", "project": "p", "partition": "main", "shared": "none", "numNodes": 1,
            "numHwthreads": 4, "walltime": 3600, "startTime": start, "resources": [{"hostname": host}]
        });
        scheduler.post("/api/jobs/start_job/", &job).await.expect(201);
    }
    let stop = json!({"jobId": 2, "cluster": "t", "jobState": "completed", "stopTime": start + 400});
    scheduler.post("/api/jobs/stop_job/", &stop).await.expect(200);
    let operator = server.client().signed_in("operator", "operator").await;
    let (running, archived) = wait::until("one job is archived", SOON, || async {
        let rows = operator.graphql("{jobs{items{id jobId monitoringStatus}}}", json!({})).await;
        let items = rows["jobs"]["items"].as_array().cloned().unwrap_or_default();
        let id = |job: i64, archived: bool| {
            let row =
                items.iter().find(|row| row["jobId"] == job && (row["monitoringStatus"] == 3) == archived)?;
            Some(row["id"].clone())
        };
        id(1, false).zip(id(2, true)).ok_or_else(|| rows.to_string())
    })
    .await;
    (site, server, running, archived)
}

/// Asks for the series of both jobs as a page does, with a token that no cache knows.
async fn ask(page: &Client, jobs: [&Value; 2]) {
    let query = "query($a:ID!,$b:ID!){a:jobMetrics(id:$a){name} b:jobMetrics(id:$b){name}}";
    let request = page
        .request(reqwest::Method::POST, "/query")
        .header("traceparent", format!("00-{TRACE}-{PAGE}-01"))
        .json(&json!({"query": query, "variables": {"a": jobs[0], "b": jobs[1]}}));
    let answer = Client::send(request).await.expect(200).json();
    assert!(answer.get("errors").is_none(), "{answer}");
}

/// The first span of that name and kind, below `parent` where one is given.
fn find<'a>(spans: &'a [Span], name: &str, kind: SpanKind, parent: Option<&str>) -> Result<&'a Span, String> {
    let fits = |span: &&Span| {
        span.name == name && span.kind == kind && parent.is_none_or(|parent| span.parent == parent)
    };
    spans.iter().find(fits).ok_or_else(|| format!("no {kind:?} {name} below {parent:?} in {spans:#?}"))
}

/// Checks the whole trace; says what is still missing.
fn complete(spans: &[Span], deployment: Deployment) -> Result<(), String> {
    let program =
        |split: &'static str| if deployment == Deployment::OneProcess { "cc-backend" } else { split };
    let request = find(spans, "POST /query", SpanKind::Server, Some(PAGE))?;
    assert_eq!(request.program, program("cc-gateway"));
    for (method, from, to) in CALLS {
        let client = find(spans, method, SpanKind::Client, None)?;
        let server = find(spans, method, SpanKind::Server, Some(&client.id))?;
        assert_eq!(
            (client.program.as_str(), server.program.as_str()),
            (program(from), program(to)),
            "{method}"
        );
        // Up to the page, without a gap.
        let mut above = client;
        while above.id != request.id {
            let parent = spans.iter().find(|span| span.id == above.parent);
            above = parent.ok_or_else(|| format!("nothing above {above:?}"))?;
        }
    }
    Ok(())
}

async fn one_trace(deployment: Deployment) {
    let (receiver, address) = Receiver::start().await;
    let (site, server, running, archived) = site_with_jobs(&format!("http://{address}"), deployment).await;
    let page = server.client().signed_in("operator", "operator").await;
    ask(&page, [&running, &archived]).await;
    wait::until("the trace has arrived", SOON, || async { complete(&receiver.of(TRACE), deployment) }).await;
    let ids: Vec<String> = receiver.of(TRACE).into_iter().map(|span| span.id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "a span arrived twice");
    // What the page did not ask for belongs to other traces.
    server.stop();
    drop(site);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_through_one_process() {
    one_trace(Deployment::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_through_five_processes_over_tls() {
    one_trace(Deployment::SplitTls).await;
}

/// A receiver that is not there costs nothing but the traces.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_receiver_everything_else_works() {
    let nowhere = format!("http://127.0.0.1:{}", cc_integration_tests::server::free_port());
    let (_site, server, running, archived) = site_with_jobs(&nowhere, Deployment::OneProcess).await;
    let page = server.client().signed_in("operator", "operator").await;
    ask(&page, [&running, &archived]).await;
    server.stop();
}
