//! Tags and metadata: durable with the answer, in the archive at once or after whatever was in the way.

use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use cc_runtime::error::{details, reason};
use jiff::SignedDuration;
use tonic::{Code, Status};

use crate::house::{House, NOW, admin, api, job, user};

fn tag(name: &str, scope: &str) -> common::Tag {
    common::Tag { id: 0, r#type: "app".to_owned(), name: name.to_owned(), scope: scope.to_owned() }
}

async fn archived(house: &House) -> i64 {
    let id = house.start(job(1, NOW - 1_800)).await.unwrap();
    house.stop(1, NOW - 300).await.unwrap();
    house.until_status(id, 3).await;
    id
}

fn note(id: i64, value: Option<&str>) -> proto::EditMetaRequest {
    proto::EditMetaRequest {
        job: Some(proto::edit_meta_request::Job::Id(id)),
        key: "note".to_owned(),
        value: value.map(str::to_owned),
    }
}

#[tokio::test]
async fn the_archive_has_the_change_when_the_answer_comes() {
    let house = House::new().await;
    let id = archived(&house).await;
    let attach = proto::ChangeTagsRequest { id, attach: vec![tag("vasp", "")], detach: Vec::new() };
    let changed = house.client.clone().change_tags(api(attach)).await.unwrap().into_inner();
    let job = changed.job.unwrap();
    assert_eq!((job.tags.len(), job.tags[0].scope.as_str(), job.has_metadata), (1, "global", false));
    let told = house.peers.told(|state| state.updated.pop().unwrap());
    assert_eq!((told.key.unwrap().job_id, told.tags[0].name.as_str()), (1, "vasp"));
    let edited = house.client.clone().edit_meta(api(note(id, Some("a <b>")))).await.unwrap();
    assert_eq!(edited.into_inner().job.unwrap().metadata[0].value, "a <b>");
    let told = house.peers.told(|state| state.updated.pop().unwrap());
    assert_eq!((told.metadata[0].value.as_str(), told.tags.len()), ("a <b>", 1));
}

#[tokio::test]
async fn an_outage_of_the_archive_and_a_restart_lose_no_change() {
    let house = House::new().await;
    let id = archived(&house).await;
    // more than the client tries again by itself
    house.peers.told(|state| state.archive_failures = vec![Status::unavailable("away"); 100]);
    house.client.clone().edit_meta(api(note(id, Some("kept")))).await.unwrap();
    assert!(house.peers.told(|state| state.updated.is_empty()));
    house.peers.told(|state| state.archive_failures.clear());
    let house = house.restart().await;
    house.clock.advance(SignedDuration::from_secs(60));
    house.until("the archive is told", async || house.peers.told(|state| state.updated.len() == 1)).await;
    assert_eq!(house.peers.told(|state| state.updated[0].metadata[0].value.clone()), "kept");
}

#[tokio::test]
async fn refusals_name_what_was_asked_for() {
    let house = House::new().await;
    let id = house.start(job(1, NOW - 1_800)).await.unwrap();
    let refused = |status: &Status| (status.code(), reason(status).unwrap());
    let tag = common::Tag { scope: "global".to_owned(), ..tag("vasp", "") };
    let mine = proto::CreateTagRequest { tag: Some(tag.clone()) };
    let forbidden = house.client.clone().create_tag(user("alice", mine.clone())).await.unwrap_err();
    assert_eq!(refused(&forbidden), (Code::PermissionDenied, "TAG_SCOPE".to_owned()));
    let known = house.client.clone().create_tag(admin(mine.clone())).await.unwrap().into_inner().tag.unwrap();
    let twice = house.client.clone().create_tag(admin(mine)).await.unwrap_err();
    assert_eq!(refused(&twice), (Code::AlreadyExists, "TAG_TAKEN".to_owned()));
    let attach = |tag: common::Tag| proto::ChangeTagsRequest { id, attach: vec![tag], detach: Vec::new() };
    let by_id = common::Tag { id: known.id, ..Default::default() };
    let denied = house.client.clone().change_tags(user("alice", attach(by_id.clone()))).await.unwrap_err();
    assert_eq!(refused(&denied).1, "TAG_SCOPE");
    assert_eq!(details(&denied).get("tag"), Some(&known.id.to_string()));
    let foreign = house.client.clone().change_tags(user("bob", attach(by_id))).await.unwrap_err();
    assert_eq!(refused(&foreign), (Code::NotFound, "JOB_NOT_FOUND".to_owned()));
    let nothing = common::Tag { id: 999, ..Default::default() };
    let unknown = house.client.clone().change_tags(admin(attach(nothing))).await.unwrap_err();
    assert_eq!(refused(&unknown), (Code::NotFound, "TAG_NOT_FOUND".to_owned()));
    let wordless = house.client.clone().change_tags(admin(attach(common::Tag::default()))).await.unwrap_err();
    assert_eq!(refused(&wordless), (Code::InvalidArgument, "INVALID_JOB".to_owned()));
    // people do not edit metadata or delete rows: that is for programs of the site
    let person = house.client.clone().edit_meta(user("alice", note(id, None))).await.unwrap_err();
    assert_eq!(person.code(), Code::PermissionDenied);
    let delete = proto::DeleteJobsRequest { jobs: Some(proto::delete_jobs_request::Jobs::Id(id)) };
    let person = house.client.clone().delete_jobs(user("alice", delete.clone())).await.unwrap_err();
    assert_eq!(person.code(), Code::PermissionDenied);
    for deleted in [1, 0] {
        let answer = house.client.clone().delete_jobs(api(delete.clone())).await.unwrap().into_inner();
        assert_eq!((answer.deleted, answer.id), (deleted, id), "again is no error");
    }
}
