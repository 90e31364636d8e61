//! Tags, metadata and deletion, all or nothing, and the archive's copy of them (rest-api.md 6.9 to 6.16).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cc_model::job::JobStatistics;
use cc_model::{Job, JobState, MonitoringStatus, Tag};
use cc_runtime::caller::{Caller, Role};
use tokio::sync::oneshot;

use super::{NOW, Running, api, apply, caller, clusters, job, key, on_both_stores, running, stored};
use crate::app::archiver::{Archive, Failed};
use crate::app::copies::{Busy, Copied, Copies};
use crate::app::edits::{ChangeTags, CreateTag, DeleteJobs, DeleteTags, EditMeta, Named, TagsChanged, Which};
use crate::app::rest::{ImportJob, StartJob};
use crate::error::Error;
use crate::store::change::ChangeKind;
use crate::store::visible::{TagScopes, Visible};
use crate::store::{Keep, Store, Unit};

fn tag(kind: &str, name: &str, scope: &str) -> Tag {
    Tag { id: 0, kind: kind.to_owned(), name: name.to_owned(), scope: scope.to_owned() }
}

fn by_id(id: i64) -> Tag {
    Tag { id, ..Tag::default() }
}

fn change(id: i64, caller: &Caller, attach: Vec<Tag>, detach: Vec<Tag>) -> ChangeTags {
    ChangeTags {
        id,
        attach: Named::of(attach).unwrap(),
        detach: Named::of(detach).unwrap(),
        visible: Visible::to(caller).unwrap(),
        caller: caller.clone(),
    }
}

fn names(changed: &TagsChanged) -> Vec<&str> {
    changed.job.tags.iter().map(|tag| tag.name.as_str()).collect()
}

/// A job that ended and is archived.
async fn archived<S: Store>(store: &S, job_id: i64, start_time: i64) -> i64 {
    let ended = Job { state: JobState::Completed, duration: 60, ..job(job_id, start_time) };
    apply(store, NOW, ImportJob::new(ended, &api(), &clusters()).unwrap()).await.unwrap()
}

async fn start<S: Store>(store: &S, job_id: i64, start_time: i64) -> i64 {
    apply(store, NOW, StartJob::new(job(job_id, start_time), &api(), &clusters()).unwrap()).await.unwrap()
}

async fn tags_change_as_a_whole<S: Store>(store: S) {
    let id = archived(&store, 1, NOW - 900).await;
    let two = vec![tag("app", "vasp", ""), tag("ops", "watch", "admin")];
    let changed = apply(&store, NOW, change(id, &api(), two.clone(), Vec::new())).await.unwrap();
    assert_eq!(names(&changed), ["vasp"], "a program does not read what only staff may");
    assert_eq!(
        changed.attached.iter().map(|tag| tag.scope.as_str()).collect::<Vec<_>>(),
        ["global", "admin"]
    );
    let again = apply(&store, NOW, change(id, &api(), two, Vec::new())).await.unwrap();
    assert_eq!(again.attached, changed.attached, "attached already is no error");
    // one of several is not allowed: none is attached
    let mixed = vec![tag("app", "lammps", "global"), tag("x", "y", "bob")];
    let refused = apply(&store, NOW, change(id, &api(), mixed, Vec::new())).await;
    assert!(matches!(refused, Err(Error::TagScope { scope }) if scope == "bob"));
    let taken = apply(&store, NOW, change(id, &api(), vec![tag("app", "vasp", "adapter")], Vec::new())).await;
    assert!(matches!(taken, Err(Error::TagTaken { .. })));
    assert!(store.begin("test").await.unwrap().tag("app", "lammps").await.unwrap().is_none());
    let unknown = vec![tag("app", "vasp", "global"), tag("no", "such", "global")];
    let refused = apply(&store, NOW, change(id, &api(), Vec::new(), unknown)).await.unwrap_err();
    assert_eq!(refused.to_string(), "tag does not exist (name, type, scope): such, no, global");
    let vasp = changed.attached[0].id;
    let admin = caller("ruth", &[Role::Admin]);
    let left = apply(&store, NOW, change(id, &admin, Vec::new(), vec![by_id(vasp)])).await.unwrap();
    assert_eq!(names(&left), ["watch"]);
    assert_eq!(store.tags(&TagScopes::Every).await.unwrap().len(), 2, "a tag without jobs stays");
}
on_both_stores!(tags_change_as_a_whole);

async fn people_tag_what_they_see_with_what_they_may<S: Store>(store: S) {
    let id = archived(&store, 1, NOW - 900).await;
    let (alice, bob) = (caller("alice", &[Role::User]), caller("bob", &[Role::User]));
    let own =
        apply(&store, NOW, CreateTag::new(tag("note", "check", "alice"), &alice).unwrap()).await.unwrap();
    let global =
        apply(&store, NOW, CreateTag::new(tag("app", "x", "global"), &api()).unwrap()).await.unwrap();
    let twice = apply(&store, NOW, CreateTag::new(tag("note", "check", "bob"), &bob).unwrap()).await;
    assert!(matches!(twice, Err(Error::TagTaken { .. })), "whatever the scope");
    for scope in ["global", "admin", "bob", ""] {
        let refused = CreateTag::new(tag("a", "b", scope), &alice);
        assert!(matches!(refused, Err(Error::TagScope { .. })), "{scope:?}");
    }
    let changed = apply(&store, NOW, change(id, &alice, vec![by_id(own.id)], Vec::new())).await.unwrap();
    assert_eq!(names(&changed), ["check"]);
    let foreign = apply(&store, NOW, change(id, &bob, Vec::new(), Vec::new())).await;
    assert!(matches!(foreign, Err(Error::JobNotVisible)));
    for (attach, detach) in [(vec![by_id(global.id)], Vec::new()), (Vec::new(), vec![by_id(global.id)])] {
        let refused = apply(&store, NOW, change(id, &alice, attach, detach)).await;
        assert!(matches!(refused, Err(Error::TagForbidden { id }) if id == global.id));
    }
    let unknown = apply(&store, NOW, change(id, &alice, vec![by_id(999)], Vec::new())).await;
    assert!(matches!(unknown, Err(Error::TagIdNotFound { id: 999 })));
    let delete = |caller: &Caller, tags: Vec<Tag>| DeleteTags {
        tags: Named::of(tags).unwrap(),
        caller: caller.clone(),
    };
    let both = vec![by_id(own.id), by_id(global.id)];
    let refused = apply(&store, NOW, delete(&alice, both)).await;
    assert!(matches!(refused, Err(Error::TagForbidden { .. })));
    assert_eq!(store.tags(&TagScopes::Every).await.unwrap().len(), 2, "none of them");
    let first = store.copy_of(id).await.unwrap().expect("the archive is to learn of the tag");
    assert_eq!(apply(&store, NOW, delete(&alice, vec![by_id(own.id)])).await.unwrap(), [own.id]);
    let second = store.copy_of(id).await.unwrap().expect("and that it is gone");
    assert_ne!(second.generation, first.generation);
}
on_both_stores!(people_tag_what_they_see_with_what_they_may);

async fn one_key_of_the_metadata_changes<S: Store>(store: S) {
    let id = archived(&store, 1, NOW - 900).await;
    let alice = Visible::to(&caller("alice", &[Role::User])).unwrap();
    let edit = |which: Which, key: &str, value: Option<&str>| {
        EditMeta::new(which, key.to_owned(), value.map(str::to_owned)).unwrap()
    };
    let mine = || Which::Id(id, alice.clone());
    apply(&store, NOW, edit(mine(), "note", Some("a <b>"))).await.unwrap();
    let newest = Which::Newest { job_id: 1, cluster: None, start_time: Some(NOW - 900) };
    let edited = apply(&store, NOW, edit(newest, "jobName", Some("x"))).await.unwrap();
    let metadata = |job: &Job| job.meta_data.clone().unwrap_or_default().into_iter().collect::<Vec<_>>();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(metadata(&edited), [pair("jobName", "x"), pair("note", "a <b>")]);
    apply(&store, NOW, edit(mine(), "note", None)).await.unwrap();
    assert_eq!(metadata(&stored(&store, &key(1, NOW - 900)).await.unwrap()), [pair("jobName", "x")]);
    let nobodys = Which::Newest { job_id: 2, cluster: None, start_time: None };
    assert!(matches!(apply(&store, NOW, edit(nobodys, "a", None)).await, Err(Error::JobNotFound)));
    assert!(EditMeta::new(mine(), String::new(), None).is_err());
}
on_both_stores!(one_key_of_the_metadata_changes);

async fn old_jobs_go_and_those_that_matter_stay<S: Store>(store: S) {
    let mut ids = Vec::new();
    for number in 1..=4 {
        ids.push(archived(&store, number, NOW - 1_000 * number).await);
    }
    let running = start(&store, 5, NOW - 9_000).await;
    let tagged = |id: i64, tag: Tag| apply(&store, NOW, change(id, &api(), vec![tag], Vec::new()));
    tagged(ids[0], tag("app", "vasp", "global")).await.unwrap();
    tagged(ids[1], tag("review", "todo", "global")).await.unwrap();
    let found = async |keep: Keep, with_running: bool| {
        store.started_before(NOW, keep, with_running, 0, 100).await.unwrap()
    };
    assert_eq!(found(Keep::Nothing, true).await, [ids.clone(), vec![running]].concat());
    assert_eq!(found(Keep::Nothing, false).await, ids);
    assert_eq!(found(Keep::Tagged, false).await, ids[2..]);
    assert_eq!(found(Keep::TaggedByPeople, false).await, [ids[0], ids[2], ids[3]]);
    assert_eq!(store.started_before(NOW, Keep::Nothing, true, ids[1], 1).await.unwrap(), [ids[2]]);
    assert_eq!(store.started_before(NOW - 2_000, Keep::Nothing, false, 0, 9).await.unwrap(), ids[2..]);
    let deleted = apply(&store, NOW, DeleteJobs::Ids(vec![ids[0], 999, ids[3]])).await.unwrap();
    assert_eq!(deleted, [ids[0], ids[3]]);
    assert!(store.copy_of(ids[0]).await.unwrap().is_none(), "nothing is copied for a row that is gone");
    let last = store.changes(0, 1_000).await.unwrap().pop().unwrap();
    assert_eq!((last.kind, last.id), (ChangeKind::Deleted, ids[3]));
    let newest = |job_id| DeleteJobs::Newest(Which::Newest { job_id, cluster: None, start_time: None });
    assert_eq!(apply(&store, NOW, newest(2)).await.unwrap(), [ids[1]]);
    assert!(matches!(apply(&store, NOW, newest(2)).await, Err(Error::JobNotFound)));
}
on_both_stores!(old_jobs_go_and_those_that_matter_stay);

/// What the archive was told, and its next answers.
#[derive(Debug, Clone, Default)]
struct Fake(Arc<Mutex<Script>>);

/// Job, names of its tags, metadata.
type Told = (i64, Vec<String>, Option<BTreeMap<String, String>>);

#[derive(Debug, Default)]
struct Script {
    failures: Vec<Failed>,
    told: Vec<Told>,
    /// The next call says that it has begun and waits for the word to go on.
    slow: Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>,
}

impl Archive for Fake {
    async fn archive(&self, _: &Job) -> Result<BTreeMap<String, JobStatistics>, Failed> {
        Ok(BTreeMap::new())
    }

    async fn update_meta(&self, job: &Job) -> Result<Copied, Failed> {
        let slow = self.0.lock().unwrap().slow.take();
        if let Some((begun, go_on)) = slow {
            begun.send(()).unwrap();
            go_on.await.unwrap();
        }
        let mut script = self.0.lock().unwrap();
        if let Some(failed) = script.failures.pop() {
            return Err(failed);
        }
        let tags = job.tags.iter().map(|tag| tag.name.clone()).collect();
        script.told.push((job.job_id, tags, job.meta_data.clone()));
        Ok(Copied::Yes)
    }
}

fn copies<S: Store>(running: &Running<S>, archive: &Fake) -> Copies<S, Fake> {
    Copies {
        store: running.store.clone(),
        writer: running.writer.clone(),
        archive: archive.clone(),
        clock: running.clock.clone(),
        wake: Arc::default(),
        busy: Busy::default(),
    }
}

async fn the_archive_learns_every_change_once<S: Store>(store: S) {
    let id = archived(&store, 1, NOW - 900).await;
    let admin = tag("ops", "watch", "admin");
    apply(&store, NOW, change(id, &api(), vec![admin], Vec::new())).await.unwrap();
    let running = running(store).await;
    let archive = Fake::default();
    archive.0.lock().unwrap().failures.push(Failed { retry: true, text: "away".to_owned() });
    let copies = copies(&running, &archive);
    copies.now(id).await;
    assert!(archive.0.lock().unwrap().told.is_empty());
    let note = running.store.copy_of(id).await.unwrap().unwrap();
    assert_eq!(note.attempts, 1, "an outage loses nothing");
    assert_eq!(copies.round().await.unwrap(), Duration::from_secs(1), "it is tried again, later");
    running.clock.advance(jiff::SignedDuration::from_secs(1));
    copies.round().await.unwrap();
    let told = std::mem::take(&mut archive.0.lock().unwrap().told);
    assert_eq!(told, [(1, vec!["watch".to_owned()], None)], "all tags, whoever may read them");
    assert!(running.store.copy_of(id).await.unwrap().is_none());
    assert_eq!(copies.round().await.unwrap(), Duration::from_mins(1));
}
on_both_stores!(the_archive_learns_every_change_once);

async fn of_two_changes_the_newer_one_is_written_last<S: Store>(store: S) {
    let id = archived(&store, 1, NOW - 900).await;
    let edit = |value: &str| {
        let everything = Visible::to(&api()).unwrap();
        EditMeta::new(Which::Id(id, everything), "note".to_owned(), Some(value.to_owned())).unwrap()
    };
    apply(&store, NOW, edit("first")).await.unwrap();
    let running = running(store).await;
    let archive = Fake::default();
    let copies = copies(&running, &archive);
    let ((begun, has_begun), (go_on, may_go_on)) = (oneshot::channel(), oneshot::channel());
    archive.0.lock().unwrap().slow = Some((begun, may_go_on));
    let second = async {
        has_begun.await.unwrap();
        apply(&running.store, NOW, edit("second")).await.unwrap();
        // both wait for each other's turn: the second copy is begun before the first one is let go
        let now = copies.now(id);
        let mut now = std::pin::pin!(now);
        assert!(futures::poll!(now.as_mut()).is_pending());
        go_on.send(()).unwrap();
        now.await;
    };
    tokio::join!(copies.now(id), second);
    let notes = |told: &[Told]| -> Vec<String> {
        told.iter().map(|(.., metadata)| metadata.as_ref().unwrap()["note"].clone()).collect()
    };
    assert_eq!(notes(&archive.0.lock().unwrap().told), ["first", "second"]);
    assert!(running.store.copy_of(id).await.unwrap().is_none(), "nothing is left to be copied");
}
on_both_stores!(of_two_changes_the_newer_one_is_written_last);

async fn a_job_that_is_being_archived_waits_for_its_entry<S: Store>(store: S) {
    let id = start(&store, 1, NOW - 900).await;
    let edit = |value: &str| {
        let everything = Visible::to(&api()).unwrap();
        EditMeta::new(Which::Id(id, everything), "note".to_owned(), Some(value.to_owned())).unwrap()
    };
    apply(&store, NOW, edit("while running")).await.unwrap();
    assert!(store.copy_of(id).await.unwrap().is_none(), "archiving will read it");
    let stop = crate::app::rest::StopJob {
        job_id: 1,
        cluster: None,
        start_time: None,
        stop_time: NOW,
        state: String::new(),
    };
    apply(&store, NOW, stop).await.unwrap();
    apply(&store, NOW, edit("after its end")).await.unwrap();
    let running = running(store).await;
    let archive = Fake::default();
    let copies = copies(&running, &archive);
    copies.now(id).await;
    assert!(archive.0.lock().unwrap().told.is_empty());
    let mut unit = running.store.begin("test").await.unwrap();
    unit.monitoring(id, MonitoringStatus::Archived).await.unwrap();
    unit.commit().await.unwrap();
    running.clock.advance(jiff::SignedDuration::from_secs(5));
    copies.round().await.unwrap();
    let told = archive.0.lock().unwrap().told.pop().unwrap();
    assert_eq!(told.2.unwrap()["note"], "after its end");
}
on_both_stores!(a_job_that_is_being_archived_waits_for_its_entry);
