//! What programs change of single jobs: tags, metadata, rows; and the job with its series.

use cc_proto::job_db::v1::{OmitTagged, delete_jobs_request, edit_meta_request};
use http::Method;

use crate::fakes::{Heard, job};
use crate::house::House;

fn house() -> House {
    let house = House::new();
    house.fakes.job_db.get().jobs = vec![job(5, "alice", 1_700_000_000)];
    house
}

fn heard(house: &House) -> Heard {
    house.fakes.job_db.get().heard.pop().unwrap()
}

#[tokio::test]
async fn tags_are_attached_in_one_call_and_shown_as_they_were_written() {
    let house = house();
    let body = r#"[{"type":"app","name":"vasp"},{"type":"ops","name":"x","scope":"admin"}]"#;
    let job = house.post("/api/jobs/tag_job/5", "api", body).await.json();
    let tags: Vec<_> =
        job["tags"].as_array().unwrap().iter().map(|tag| tag["scope"].as_str().unwrap()).collect();
    assert_eq!(tags, ["", "admin"], "also a tag that the caller writes but does not read");
    assert!(job["metaData"].is_null());
    let Heard::Tags(request, caller) = heard(&house) else { panic!("no tags") };
    assert_eq!(caller.name, "tester");
    assert_eq!((request.id, request.attach.len(), request.detach.len()), (5, 2, 0));
    let forbidden = house.post("/api/jobs/tag_job/5", "api", r#"[{"type":"a","name":"forbidden"}]"#).await;
    assert_eq!(forbidden.status, 403);
    assert!(forbidden.error().1.starts_with("adding tag failed: "));
    let unknown = house.post("/api/jobs/tag_job/6", "api", "[]").await;
    assert_eq!(unknown.error(), (404, "finding job failed: sql: no rows in result set".to_owned()));
    let bad = house.post("/api/jobs/tag_job/x", "api", "[]").await;
    let text = "parsing job ID failed: strconv.ParseInt: parsing \"x\": invalid syntax";
    assert_eq!(bad.error(), (400, text.to_owned()));
    for body in [r#"{"type":"a"}"#, r#"[{"type":"a","id":1}]"#, "nope", ""] {
        let (status, text) = house.post("/api/jobs/tag_job/5", "api", body).await.error();
        assert!(status == 400 && text.starts_with("decoding request failed: "), "{body}: {status} {text}");
    }
}

#[tokio::test]
async fn private_tags_are_passed_over_when_tags_are_removed() {
    let house = house();
    let body = r#"[{"type":"a","name":"b"},{"type":"a","name":"c","scope":"alice"}]"#;
    assert_eq!(house.ask(Method::DELETE, "/api/jobs/tag_job/5", "api", body).await.status, 200);
    let Heard::Tags(request, _) = heard(&house) else { panic!("no tags") };
    let names: Vec<_> = request.detach.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["b"]);
    let body = r#"[{"type":"a","name":"nosuch","scope":"global"}]"#;
    let unknown = house.ask(Method::DELETE, "/api/jobs/tag_job/5", "api", body).await;
    assert_eq!(unknown.error(), (404, "removing tag failed: tag does not exist".to_owned()));
    let body = r#"[{"type":"a","name":"b","scope":"global"},{"type":"a","name":"c","scope":"alice"}]"#;
    let everywhere = house.ask(Method::DELETE, "/api/tags/", "api", body).await;
    assert_eq!(everywhere.text(), "Deleted Tags from DB: 1 successfull of 2 requested\n");
    let Heard::DeleteTags(request) = heard(&house) else { panic!("no tags") };
    assert_eq!(request.tags[0].name, "b");
    assert!(everywhere.header("content-type").starts_with("text/plain"));
}

#[tokio::test]
async fn metadata_is_edited_by_id_and_by_description() {
    let house = house();
    let patch = async |path: &str, body: &'static str| house.ask(Method::PATCH, path, "api", body).await;
    assert_eq!(patch("/api/jobs/edit_meta/5", r#"{"key":"note","value":null}"#).await.json()["id"], 5);
    let Heard::Edit(request, caller) = heard(&house) else { panic!("no edit") };
    assert_eq!(caller.name, "tester");
    assert_eq!((request.key.as_str(), request.value), ("note", None));
    let body = r#"{"jobId":9,"cluster":"fritz","payload":{"key":"a","value":"b"}}"#;
    assert_eq!(patch("/api/jobs/edit_meta/", body).await.status, 200);
    let Heard::Edit(request, _) = heard(&house) else { panic!("no edit") };
    let Some(edit_meta_request::Job::Selector(selector)) = request.job else { panic!("no description") };
    assert_eq!((selector.job_id, selector.cluster.as_deref(), selector.start_time), (9, Some("fritz"), None));
    let missing = "finding job failed: sql: no rows in result set".to_owned();
    let by_id = patch("/api/jobs/edit_meta/99", r#"{"key":"a","value":"b"}"#).await;
    assert_eq!(by_id.error(), (404, missing.clone()));
    let described = patch("/api/jobs/edit_meta", r#"{"jobId":99,"payload":{"key":"a","value":"b"}}"#).await;
    assert_eq!(described.error(), (422, missing));
    let nothing = patch("/api/jobs/edit_meta/", r#"{"payload":{"key":"a","value":"b"}}"#).await;
    assert_eq!(nothing.error(), (400, "the field 'jobId' is required".to_owned()));
    let (status, text) = patch("/api/jobs/edit_meta/5", r#"{"note":"x"}"#).await.error();
    assert!(status == 400 && text.contains("unknown field \"note\""), "{text}");
}

#[tokio::test]
async fn rows_are_deleted_by_id_by_description_and_by_age() {
    let house = house();
    let delete = async |path: &str, body: &'static str| house.ask(Method::DELETE, path, "api", body).await;
    assert_eq!(delete("/api/jobs/delete_job/5", "").await.json()["msg"], "Successfully deleted job 5");
    let described = delete("/api/jobs/delete_job/", r#"{"jobId":1}"#).await.json();
    assert_eq!(described["msg"], "Successfully deleted job 7");
    assert_eq!(delete("/api/jobs/delete_job/", r#"{"jobId":99}"#).await.status, 422);
    assert_eq!(delete("/api/jobs/delete_job", "{").await.status, 400);
    let old = delete("/api/jobs/delete_job_before/77?omit-tagged=user", "").await.json();
    assert_eq!(old["msg"], "Successfully deleted 3 jobs");
    let Heard::Delete(request, caller) = heard(&house) else { panic!("no deletion") };
    let Some(delete_jobs_request::Jobs::Before(before)) = request.jobs else { panic!("no time") };
    assert_eq!((before.start_time, before.omit(), before.include_running), (77, OmitTagged::User, false));
    assert_eq!(caller.name, "tester");
    for (path, text) in [
        ("5?omit-tagged=some", "omit-tagged must be one of: none, all, user"),
        ("5?include-running=1", "include-running must be one of: true, false"),
        ("abc", "integer expected in path for ts: strconv.ParseInt: parsing \"abc\": invalid syntax"),
    ] {
        let answer = delete(&format!("/api/jobs/delete_job_before/{path}"), "").await;
        assert_eq!(answer.error(), (400, text.to_owned()));
    }
}

#[tokio::test]
async fn a_job_comes_with_its_series_where_they_are_asked_for() {
    let house = house();
    let bare = house.get("/api/jobs/5", "api").await.json();
    assert_eq!((bare["Meta"]["id"].as_i64(), bare["Data"].is_null()), (Some(5), true));
    assert!(house.get("/api/jobs/5?all-metrics=1", "api").await.json()["Data"].is_null());
    let all = house.get("/api/jobs/5?all-metrics=true", "api").await;
    assert!(all.text().contains(r#""statistics":{"min":1.00,"avg":1.50,"max":2.00},"data":[1.00,null]}"#));
    assert_eq!(all.json()["Data"]["cpu_load"]["node"]["timestep"], 60);
    let query = house.fakes.store.get().queries.pop().unwrap();
    assert_eq!((query.resolution_s, query.scopes.len()), (60, 1), "no finer than the coarsest metric");
    let list = house.post("/api/jobs/5", "api", r#"["cpu_load"] trailing"#).await.json();
    assert_eq!(
        (list["Data"][0]["name"].as_str(), list["Data"][0]["scope"].as_str()),
        (Some("cpu_load"), Some("node"))
    );
    assert_eq!(house.post("/api/jobs/5", "api", r#"["nosuch"]"#).await.json()["Data"], serde_json::json!([]));
    let (status, text) = house.post("/api/jobs/5", "api", r#"{"metrics":[]}"#).await.error();
    assert!(status == 400 && text.starts_with("decoding request failed: "), "{text}");
    let missing = house.get("/api/jobs/99", "api").await;
    let text = "finding job with db id 99 failed: sql: no rows in result set";
    assert_eq!(missing.error(), (422, text.to_owned()));
    assert_eq!(house.get("/userapi/jobs/5", "user+api").await.status, 422, "somebody else's");
    house.fakes.store.get().full = true;
    assert_eq!(house.get("/api/jobs/5?all-metrics=true", "api").await.status, 503);
}

#[tokio::test]
async fn series_in_an_envelope_always_answer_200() {
    let house = house();
    let good = house.get("/api/jobs/metrics/5?metric=cpu_load&scope=node", "api").await;
    assert_eq!(good.json()["data"]["jobMetrics"][0]["metric"]["series"][0]["hostname"], "f0101");
    assert!(good.json()["error"].is_null());
    for (path, status, text) in [
        ("/api/jobs/metrics/x", "400", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("/api/jobs/metrics/99", "404", "sql: no rows in result set"),
    ] {
        let answer = house.get(path, "api").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-error-status")), (200, status));
        assert_eq!(answer.json()["error"]["message"], text);
        assert!(answer.json()["data"].is_null());
    }
    let scope = house.get("/api/jobs/metrics/5?scope=rack", "api").await;
    let text = "unmarshaling scope failed: SCHEMA/METRICS > rack is not a valid MetricScope";
    assert_eq!(scope.error(), (400, text.to_owned()));
}

#[tokio::test]
async fn machine_states_are_stored_whole_and_stay_in_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("machines");
    let house = House::with(|config| config.main.machine_state_dir = Some(directory.clone()));
    let put = async |path: &str, body: &'static str| house.ask(Method::PUT, path, "api", body).await;
    let answer = put("/api/machine_state/fritz/f0601", "{\"a\": 1}").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (201, ""));
    assert_eq!(std::fs::read(directory.join("fritz/f0601.json")).unwrap(), b"{\"a\": 1}");
    assert_eq!(house.get("/api/machine_state/fritz/f0601", "api").await.json()["a"], 1);
    assert_eq!(house.get("/api/machine_state/fritz/none", "api").await.status, 404);
    assert_eq!(put("/api/machine_state/fritz/f0601", "{\"a\":").await.status, 400);
    assert_eq!(house.get("/api/machine_state/fritz/f0601", "api").await.json()["a"], 1);
    let away = put("/api/machine_state/fritz/..%2Fx", "{}").await;
    assert_eq!(away.error(), (400, "invalid host name".to_owned()));
    assert_eq!(put("/api/machine_state/..%2F/x", "{}").await.error().1, "invalid cluster name");
}
