//! Pages and files.

use http::{Method, Request, header};

use crate::fakes::{Heard, job};
use crate::house::{House, request};

#[tokio::test]
async fn pages_have_their_titles_and_may_be_revalidated() {
    let house = House::new();
    house.fakes.job_db.get().jobs = vec![job(5, "alice", 1_700_000_000)];
    let session = house.fakes.auth.get().open("alice", &["user"]);
    for (target, title) in [
        ("/", "<title>ClusterCockpit</title>"),
        ("/monitoring/jobs/?cluster=alex&state=running", "<title>Jobs - ClusterCockpit</title>"),
        ("/monitoring/job/5", "<title>Job 5 - ClusterCockpit</title>"),
        ("/monitoring/user/al%3Cb%3E", "<title>User al&lt;b&gt; - ClusterCockpit</title>"),
    ] {
        let page = house.browse(target, &session).await;
        assert_eq!(page.status, 200, "{target}");
        assert!(!cc_web::is_built() || page.text().contains(title), "{target}: {}", page.text());
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "private, no-cache");
        let again = Request::get(target)
            .header(header::COOKIE, format!("cc_session={session}"))
            .header("if-none-match", page.header("etag"));
        assert_eq!(house.send(again.body("".into()).unwrap()).await.status, 304, "{target}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_gets_the_login_page_with_the_way_back() {
    let house = House::new();
    for target in ["/", "/monitoring/jobs/?cluster=alex", "/monitoring/job/1", "/monitoring/user/x"] {
        let page = house.get(target, "").await;
        assert_eq!(page.status, 401, "{target}");
        assert!(page.header("content-type").starts_with("text/html"));
        assert_eq!(page.header("cache-control"), "no-store");
        if cc_web::is_built() {
            assert!(page.text().contains("Please sign in"), "{}", page.text());
            assert!(
                page.text().contains(&format!("value=\"{}\"", target.replace('&', "&amp;"))),
                "{}",
                page.text()
            );
        }
        let script = request(Method::GET, target, "").header("accept", "application/json");
        assert_eq!(house.send(script.body("".into()).unwrap()).await.error().0, 401, "{target}");
    }
}

#[tokio::test]
async fn a_job_that_is_not_there_is_404_and_one_of_somebody_else_403() {
    let house = House::new();
    house.fakes.job_db.get().jobs = vec![job(5, "bob", 1_700_000_000)];
    let session = house.fakes.auth.get().open("alice", &["user"]);
    for (target, status) in [
        ("/monitoring/job/5", 403),
        ("/monitoring/job/6", 404),
        ("/monitoring/job/abc", 404),
        ("/monitoring/job/-5", 404),
        ("/monitoring/job/99999999999999999999", 404),
        ("/monitoring/nosuch/", 404),
    ] {
        let page = house.browse(target, &session).await;
        assert_eq!(page.status.as_u16(), status, "{target}");
        assert!(page.header("content-type").starts_with("text/html"), "{target}");
        assert_eq!(page.header("cache-control"), "no-store", "{target}");
        if cc_web::is_built() {
            assert!(
                page.text().contains(&format!("name=\"cc-status\" content=\"{status}\"")),
                "{}",
                page.text()
            );
            let needs = if status == 403 { "support" } else { "" };
            assert!(page.text().contains(&format!("name=\"cc-needs\" content=\"{needs}\"")), "{target}");
        }
    }
    let staff = house.fakes.auth.get().open("helga", &["support"]);
    assert_eq!(house.browse("/monitoring/job/5", &staff).await.status, 200);
}

#[tokio::test]
async fn a_page_appears_although_the_database_is_away() {
    let house = House::new();
    house.fakes.job_db.get().down = true;
    let session = house.fakes.auth.get().open("alice", &["user"]);
    let page = house.browse("/monitoring/job/5", &session).await;
    assert_eq!(page.status, 200);
    // the script then loads its data again once it listens
    assert!(
        !cc_web::is_built() || page.text().contains("name=\"cc-position\" content=\"\""),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn a_page_carries_where_its_events_begin() {
    let house = House::new();
    house.fakes.job_db.get().jobs = vec![job(5, "alice", 1_700_000_000)];
    let session = house.fakes.auth.get().open("alice", &["user"]);
    for target in ["/", "/monitoring/jobs/", "/monitoring/user/alice", "/monitoring/job/5"] {
        house.fakes.job_db.get().heard.clear();
        let page = house.browse(target, &session).await;
        let asked = |heard: &Heard| matches!(heard, Heard::Watch(request, caller) if request.after.is_none() && caller.name == "alice");
        assert!(house.fakes.job_db.get().heard.iter().any(asked), "{target}");
        if cc_web::is_built() {
            assert!(page.text().contains("name=\"cc-position\" content=\"7\""), "{target}: {}", page.text());
        }
    }
}

#[tokio::test]
async fn unknown_pages_say_so_to_strangers_too() {
    let house = House::new();
    for target in
        ["/nosuch/page", "/build/nosuch.js", "/../config.json", "/.env", "/%2e%2e/Cargo.toml", "/index.html"]
    {
        let page = house.get(target, "").await;
        assert_eq!(page.status, 404, "{target}");
        assert!(!cc_web::is_built() || page.text().to_lowercase().contains("not found"), "{target}");
        assert!(page.header("content-type").starts_with("text/html"), "{target}");
    }
    assert_eq!(house.post("/nosuch", "", "").await.status, 404);
}

#[tokio::test]
async fn the_other_spelling_of_an_address_leads_to_the_page() {
    let house = House::new();
    for (target, location) in [
        ("/monitoring/jobs?state=failed", "/monitoring/jobs/?state=failed"),
        ("/monitoring/job/5/", "/monitoring/job/5"),
        ("/monitoring/user/al%20ice/", "/monitoring/user/al%20ice"),
    ] {
        let answer = house.get(target, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, location));
    }
}

#[tokio::test]
async fn the_login_page_carries_harmless_addresses_only() {
    let house = House::new();
    let page = house.get("/login?redirect=%2Fmonitoring%2Fjobs%2F", "").await;
    assert_eq!(page.status, 200);
    let hostile = house.get("/login?redirect=%2F%2Fevil.example", "").await;
    assert!(!hostile.text().contains("evil.example"));
    if cc_web::is_built() {
        assert!(page.text().contains("value=\"/monitoring/jobs/\""));
        assert!(page.text().contains("name=\"username\""));
        assert!(page.text().contains("<title>Login - ClusterCockpit</title>"));
    }
}

#[tokio::test]
async fn files_of_the_ui_are_kept_for_good_or_revalidated() {
    if !cc_web::is_built() {
        println!("skipped: the UI is not built (web/dist)");
        return;
    }
    let house = House::new();
    // large enough to be worth packing
    let page = house.get("/", "user").await;
    let script = page
        .text()
        .split('"')
        .find(|text| text.starts_with("/assets/index-") && text.contains(".js"))
        .unwrap();
    for (accepted, encoding) in [("br, gzip", "br"), ("gzip", "gzip"), ("identity", "")] {
        let asked =
            request(Method::GET, script, "").header("accept-encoding", accepted).body("".into()).unwrap();
        let file = house.send(asked).await;
        assert_eq!((file.status.as_u16(), file.header("content-encoding")), (200, encoding));
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(file.header("content-type").starts_with("text/javascript"));
        let again = request(Method::GET, script, "").header("accept-encoding", accepted);
        let again = again.header("if-none-match", file.header("etag")).body("".into()).unwrap();
        let unchanged = house.send(again).await;
        assert_eq!((unchanged.status.as_u16(), unchanged.text()), (304, ""));
    }
    let icon = house.get("/favicon.svg", "").await;
    assert_eq!((icon.status.as_u16(), icon.header("cache-control")), (200, "public, no-cache"));
    assert_eq!(house.post(script, "", "").await.status, 404);
}
