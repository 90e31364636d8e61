//! Looking whether everything that was acknowledged is there, and there once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use cc_integration_tests::{
    oracle::{self, Job, Scope},
    sse::Events,
    wait,
};
use serde_json::{Value, json};

use crate::{
    book::{CLUSTER, Plan, STEP, Stage},
    work::Work,
};

/// Samples of so many jobs are asked for after each kill; the archive has all of them in the end.
const LOOKED_AT: usize = 20;
/// Until everything is archived: longer than the pauses of a deferred attempt.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(120);

/// Sessions, jobs and samples that were acknowledged before now.
pub async fn nothing_acknowledged_is_lost(work: &Work) {
    let (jobs, sessions) = {
        let book = work.book();
        (book.jobs.clone(), book.sessions.clone())
    };
    for session in &sessions {
        let me = session.graphql("{me{username}}", json!({})).await;
        assert_eq!(me["me"]["username"], "operator", "a session was lost");
    }
    let rows = rows(work).await;
    for (id, (plan, stage)) in &jobs {
        let row = rows.get(id).unwrap_or_else(|| panic!("job {id} ({stage:?}) is lost"));
        assert_eq!((&row["user"], &row["jobName"]), (&plan.body["user"], &plan.body["metaData"]["jobName"]));
        if *stage == Stage::Stopped {
            assert_eq!(
                (&row["state"], &row["duration"]),
                (&json!(plan.state), &json!(plan.stop - plan.start)),
                "the stop of job {id}"
            );
        }
    }
    let fed: Vec<&Plan> =
        jobs.values().filter(|(_, stage)| *stage >= Stage::Fed).map(|(plan, _)| plan).collect();
    for plan in fed.iter().rev().take(LOOKED_AT) {
        samples_are_there(work, plan).await;
    }
}

/// Every row by job id; none comes twice.
async fn rows(work: &Work) -> BTreeMap<i64, Value> {
    let query = "{jobs(page:{itemsPerPage:-1,page:1}){count items{id jobId user jobName state duration monitoringStatus}}}";
    let answer = work.operator().graphql(query, json!({})).await;
    let items = answer["jobs"]["items"].as_array().expect("items");
    let rows: BTreeMap<i64, Value> =
        items.iter().map(|row| (row["jobId"].as_i64().expect("an id"), row.clone())).collect();
    assert_eq!(rows.len(), items.len(), "a job is there twice");
    assert_eq!(answer["jobs"]["count"], items.len());
    rows
}

/// The samples of a job's host, asked of the store itself.
async fn samples_are_there(work: &Work, plan: &Plan) {
    let query = json!({
        "cluster": CLUSTER, "from": plan.start, "to": plan.stop, "with-data": true, "with-stats": false,
        "queries": [{"metric": "load", "host": plan.host}]
    });
    let answer = work.senders.ask("/api/query", &query).await;
    let got: Vec<f64> = answer["results"][0][0]["data"]
        .as_array()
        .unwrap_or_else(|| panic!("no samples of {}: {answer}", plan.host))
        .iter()
        .map(|value| value.as_f64().unwrap_or(f64::NAN))
        .collect();
    let want = oracle::expected(&work.book().fed, &work.cluster, &job(plan), plan.stop, &[Scope::Node]);
    let want = &want[&("load".to_owned(), Scope::Node)].rows[0].values;
    assert_eq!(got.len(), want.len(), "samples of job {}", plan.id);
    for (slot, (got, want)) in got.iter().zip(want).enumerate() {
        assert!(
            (got - want).abs() < 0.001,
            "job {} on {} at {}: {got} instead of {want}",
            plan.id,
            plan.host,
            plan.start + slot as i64 * STEP
        );
    }
}

fn job(plan: &Plan) -> Job {
    Job::of(&plan.body, "main")
}

/// Every stopped job has one row that says archived, one entry with all samples, and was told to be archived once.
pub async fn each_job_is_archived_once(work: &Work) {
    let jobs = work.book().jobs.clone();
    assert!(jobs.values().all(|(_, stage)| *stage == Stage::Stopped), "all work came to its end");
    let rows = wait::until("all jobs are archived", ARCHIVED_WITHIN, || async {
        let rows = rows(work).await;
        let open: Vec<i64> =
            rows.iter().filter(|(_, row)| row["monitoringStatus"] != 3).map(|(id, _)| *id).collect();
        if open.is_empty() {
            Ok(rows)
        } else {
            Err(format!("{} are not, such as {:?}", open.len(), &open[..open.len().min(5)]))
        }
    })
    .await;
    assert_eq!(rows.keys().collect::<Vec<_>>(), jobs.keys().collect::<Vec<_>>(), "jobs that were never sent");
    let archive = work.site.file("var/job-archive");
    let mut compared = 0;
    for (plan, _) in jobs.values() {
        let fail = |error: String| -> usize { panic!("job {}: {error}", plan.id) };
        let entry =
            oracle::entry(&archive, CLUSTER, plan.id, plan.start).unwrap_or_else(|error| panic!("{error}"));
        let job = job(plan);
        let want = oracle::expected(&work.book().fed, &work.cluster, &job, plan.stop, &job.scopes());
        compared += oracle::data(&entry.data, &want).unwrap_or_else(fail);
        let end = (plan.state, plan.stop - plan.start);
        compared +=
            oracle::meta(&entry.meta, &plan.body, end, &job, &work.cluster, &want).unwrap_or_else(fail);
        assert_eq!(entry.meta["id"], rows[&plan.id]["id"], "job {}: an entry of another row", plan.id);
    }
    assert!(compared > jobs.len() * 50, "{compared} values");
    assert_eq!(entries(&archive.join(CLUSTER)), jobs.len(), "entries in the archive");
    told_once(work, &jobs.keys().copied().collect()).await;
}

/// Folders with files below a cluster's folder.
fn entries(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += entries(&path);
        } else if path.file_name().is_some_and(|name| name == "meta.json") {
            count += 1;
        } else {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(
                ["data.json", "data.json.gz", "cluster.json"].contains(&name.as_str()),
                "left behind: {}",
                path.display()
            );
        }
    }
    count
}

/// A page that comes back after everything is told of each archived job once.
async fn told_once(work: &Work, jobs: &BTreeSet<i64>) {
    let page = Events::open_after(&work.operator(), 0);
    let archived = |page: &Events| -> Vec<i64> {
        let told =
            page.all().into_iter().filter(|event| event.name == "job" && event.data["kind"] == "archived");
        told.map(|event| event.data["jobId"].as_i64().expect("an id")).collect()
    };
    let last = wait::until("a page is told", Duration::from_secs(30), || async {
        let told = archived(&page);
        if told.len() >= jobs.len() { Ok(told) } else { Err(format!("{} of {}", told.len(), jobs.len())) }
    })
    .await;
    let once: BTreeSet<i64> = last.iter().copied().collect();
    assert_eq!((last.len(), &once), (jobs.len(), jobs), "told to be archived");
}
