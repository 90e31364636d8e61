//! What programs send and get: jobs, nodes, clusters.

use std::future::Future as _;

use http::Method;

use crate::fakes::Heard;
use crate::house::House;

#[tokio::test]
async fn a_start_is_handed_on_whole_and_acknowledged() {
    let house = House::new();
    let body = r#"{"jobId":77,"cluster":"fritz","user":"alice","numNodes":1,"resources":[{"hostname":"f0101"}],
        "startTime":1700000000,"metaData":{"jobName":"x"},"tags":[{"type":"app","name":"vasp"}]} trailing"#;
    for method in [Method::POST, Method::PUT] {
        let answer = house.ask(method, "/api/jobs/start_job/", "admin+api", body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (201, "{\"msg\":\"success\"}\n"));
    }
    let heard = house.fakes.job_db.get().heard.clone();
    let Heard::Start(request, caller) = &heard[0] else { panic!("{heard:?}") };
    let job = request.job.clone().unwrap();
    assert_eq!((job.job_id, job.state.as_str(), job.shared.as_str()), (77, "running", "none"));
    assert_eq!((job.monitoring_status, job.tags.len(), job.metadata.len()), (1, 1, 1));
    assert_eq!((caller.name.as_str(), caller.roles.len()), ("tester", 2));
}

#[tokio::test]
async fn refused_starts_have_the_historic_codes() {
    let house = House::new();
    let start = async |body: &'static str| house.post("/api/jobs/start_job/", "api", body).await;
    for (body, status, text) in [
        (
            r#"{"jobId":1}"#,
            422,
            "a job with that jobId, cluster and startTime already exists: dbid: 5, jobid: 1",
        ),
        (r#"{"jobId":2}"#, 400, "no such cluster: nosuch"),
        ("", 400, "parsing request body failed: EOF"),
        ("{\"jobId\": 1,", 400, "parsing request body failed: unexpected EOF"),
        (r#"{"jobId":1,"foo":1}"#, 400, "parsing request body failed: json: unknown field \"foo\""),
    ] {
        assert_eq!(start(body).await.error(), (status, text.to_owned()), "{body}");
    }
    for (body, status) in [(r#"{"jobId":3}"#, 403), (r#"{"jobId":"5"}"#, 400), ("[]", 400)] {
        assert_eq!(start(body).await.status, status, "{body}");
    }
    let busy = start(r#"{"jobId":4}"#).await;
    assert_eq!(busy.status, 503);
    assert_ne!(busy.header("retry-after"), "");
    for answer in [busy, start(r#"{"jobId":5}"#).await] {
        assert!(!answer.text().contains("locked") && !answer.text().contains("UNIQUE"), "{}", answer.text());
        assert_eq!(answer.json()["requestId"], answer.header("x-request-id"));
    }
}

#[tokio::test]
async fn a_stop_answers_the_bare_job() {
    let house = House::new();
    let body = r#"{"jobId":77,"cluster":"fritz","startTime":5,"stopTime":6,"jobState":"failed"}"#;
    let answer = house.ask(Method::PUT, "/api/jobs/stop_job/", "api", body).await;
    let job = answer.json();
    assert_eq!(
        (answer.status.as_u16(), job["jobId"].as_i64(), job["jobState"].as_str()),
        (200, Some(77), Some("failed"))
    );
    assert!(job.get("tags").is_none() && job["metaData"].is_null() && job["statistics"].is_null(), "{job}");
    let heard = house.fakes.job_db.get().heard.clone();
    let Heard::Stop(request) = &heard[0] else { panic!("{heard:?}") };
    assert_eq!(
        (request.cluster.as_deref(), request.start_time, request.stop_time),
        (Some("fritz"), Some(5), 6)
    );
}

#[tokio::test]
async fn refused_stops_have_the_historic_codes() {
    let house = House::new();
    for (body, status, text) in [
        (r#"{"jobId":1}"#, 404, "finding job failed: sql: no rows in result set"),
        (r#"{"jobId":2}"#, 422, "job has already been stopped (state is: failed)"),
        (r#"{"jobId":3}"#, 400, "stopTime 1 must be larger/equal than startTime 2"),
        (r#"{"stopTime":3}"#, 400, "the field 'jobId' is required"),
        ("{", 400, "parsing request body failed: unexpected EOF"),
    ] {
        let answer = house.post("/api/jobs/stop_job/", "api", body).await;
        assert_eq!(answer.error(), (status, text.to_owned()), "{body}");
        let phrase = answer.status.canonical_reason().unwrap();
        assert_eq!(answer.json()["status"], phrase);
    }
}

#[tokio::test]
async fn node_states_are_handed_on_and_answered_with_nothing() {
    let house = House::new();
    let body = r#"{"cluster":"fritz","nodes":[{"hostname":"f0101","states":["IDLE"]},{"hostname":"x1","states":[]}]}"#;
    for (target, roles) in
        [("/api/nodestate/", "api"), ("/api/nodestate", "api"), ("/api/healthcheck/", "user+api")]
    {
        let answer = house.post(target, roles, body).await;
        assert_eq!((answer.status.as_u16(), answer.text(), answer.header("content-type")), (200, "", ""));
    }
    let heard = house.fakes.job_db.get().heard.clone();
    let Heard::Nodes(request, caller) = &heard[2] else { panic!("{heard:?}") };
    assert_eq!((request.nodes.len(), caller.name.as_str()), (2, "tester"));
    assert_eq!(
        house.post("/api/nodestate/", "api", "[").await.error().1,
        "parsing request body failed: unexpected EOF"
    );
}

#[tokio::test]
async fn clusters_are_listed_whole_or_by_name() {
    let house = House::new();
    let all = house.get("/api/clusters/", "api").await.json();
    assert_eq!(all["clusters"].as_array().unwrap().len(), 2);
    let one = house.get("/api/clusters?cluster=alex", "api").await.json();
    let cluster = &one["clusters"][0];
    assert_eq!((one["clusters"].as_array().unwrap().len(), cluster["name"].as_str()), (1, Some("alex")));
    assert_eq!(cluster["metricConfig"][0]["timestep"], 60);
    assert_eq!(cluster["subClusters"][0]["topology"]["core"][1][0], 1);
    for (target, text) in [("?cluster=nosuch", "unknown cluster: nosuch"), ("?cluster=", "unknown cluster: ")]
    {
        let answer = house.get(&format!("/api/clusters/{target}"), "api").await;
        assert_eq!(answer.error(), (400, text.to_owned()));
    }
}

#[tokio::test]
async fn hosts_of_running_jobs_are_told_to_stores() {
    let house = House::new();
    let used = house.get("/api/jobs/used_nodes?ts=101", "api").await.json();
    assert_eq!(used, serde_json::json!({"usedNodes": {"fritz": ["f0101"]}}));
    for (query, text) in [
        ("", "missing required query parameter: ts"),
        ("?ts=abc", "invalid timestamp format: strconv.ParseInt: parsing \"abc\": invalid syntax"),
    ] {
        assert_eq!(
            house.get(&format!("/api/jobs/used_nodes{query}"), "api").await.error(),
            (400, text.to_owned())
        );
    }
}

#[tokio::test]
async fn a_change_is_finished_when_its_client_leaves() {
    let house = House::new();
    let hold = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    house.fakes.job_db.get().hold = Some(std::sync::Arc::clone(&hold));
    let request = crate::house::request(Method::POST, "/api/jobs/start_job/", "api");
    {
        let mut asked = Box::pin(house.open(request.body(r#"{"jobId":77}"#.into()).unwrap()));
        // until the call waits in the service
        while !house.tasks.running().iter().any(|name| name == "start job") {
            let polled = futures::FutureExt::now_or_never(futures::future::poll_fn(|context| {
                std::task::Poll::Ready(asked.as_mut().poll(context).is_ready())
            }));
            assert_eq!(polled, Some(false));
            tokio::task::yield_now().await;
        }
    }
    hold.add_permits(1);
    while house.tasks.running().iter().any(|name| name == "start job") {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.fakes.job_db.get().heard.len(), 1);
}
