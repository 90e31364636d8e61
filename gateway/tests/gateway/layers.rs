//! What every request passes: headers, CORS, limits, names, panics, compression.

use std::sync::Arc;

use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use cc_gateway::app;
use cc_gateway::auth::gate::Gate;
use cc_gateway::routes::Routes;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::fakes::job;
use crate::house::{House, request};

#[tokio::test]
async fn security_headers_are_on_every_kind_of_answer() {
    let house = House::new();
    for (target, roles) in [
        ("/api/jobs/", "api"),
        ("/api/jobs/", ""),
        ("/login", ""),
        ("/nosuch", ""),
        ("/api/nosuch", ""),
        ("/", "user"),
        ("/", ""),
        ("/api/jobs/start_job/", "api"),
    ] {
        let answer = house.get(target, roles).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{target}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{target}");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             font-src 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; base-uri 'self'",
            "{target}"
        );
        assert_eq!(answer.header("strict-transport-security"), "", "{target}");
        assert!(
            answer.header("cache-control").contains("no-"),
            "{target}: {}",
            answer.header("cache-control")
        );
        assert_eq!(answer.header("x-request-id").len(), 16, "{target}");
    }
}

#[tokio::test]
async fn hsts_is_sent_where_the_way_is_encrypted() {
    let forwarded =
        || request(Method::GET, "/login", "").header("x-forwarded-proto", "https").body("".into()).unwrap();
    let house = House::new();
    let behind_proxy = house.send(forwarded()).await;
    assert_eq!(behind_proxy.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
    let named = House::with(|config| config.proxy.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(named.send(forwarded()).await.header("strict-transport-security"), "");
    let tls = request(Method::GET, "/login", "").extension(cc_runtime::listener::Secure(true));
    let direct = named.send(tls.body("".into()).unwrap()).await;
    assert_ne!(direct.header("strict-transport-security"), "");
}

#[tokio::test]
async fn other_origins_may_read_answers_and_send_tokens_only() {
    let house = House::new();
    let with_origin = request(Method::GET, "/api/jobs/", "api").header("origin", "https://portal.example");
    let answer = house.send(with_origin.body("".into()).unwrap()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let preflight = |method: &str| {
        request(Method::OPTIONS, "/api/jobs/", "")
            .header("origin", "https://portal.example")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization")
            .body(Body::empty())
            .unwrap()
    };
    let allowed = house.send(preflight("GET")).await;
    assert_eq!((allowed.status.as_u16(), allowed.text()), (200, ""));
    assert_eq!(allowed.header("access-control-allow-methods"), "GET");
    let refused = house.send(preflight("DELETE")).await;
    assert_eq!((refused.status.as_u16(), refused.header("access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn changes_on_behalf_of_other_sites_are_refused_before_anything_else() {
    let house = House::new();
    let from = |site: &str, method: Method, target: &str| {
        request(method, target, "api").header("sec-fetch-site", site).body(Body::empty()).unwrap()
    };
    for (method, target) in [
        (Method::POST, "/login"),
        (Method::POST, "/api/jobs/start_job/"),
        (Method::DELETE, "/api/jobs/delete_job/1"),
        (Method::POST, "/query"),
        (Method::POST, "/nosuch"),
    ] {
        let answer = house.send(from("cross-site", method, target)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (403, "cross-site request blocked\n"),
            "{target}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(house.fakes.auth.get().asked, 0);
    assert_eq!(house.send(from("cross-site", Method::GET, "/api/clusters/")).await.status, 200);
    assert_ne!(house.send(from("same-site", Method::POST, "/api/jobs/start_job/")).await.status, 403);
}

#[tokio::test]
async fn the_clients_name_for_a_request_is_kept_if_it_is_harmless() {
    let house = House::new();
    let named = request(Method::GET, "/api/nosuch", "").header("x-request-id", "trace-7");
    let answer = house.send(named.body("".into()).unwrap()).await;
    assert_eq!(
        (answer.header("x-request-id"), answer.json()["requestId"].as_str()),
        ("trace-7", Some("trace-7"))
    );
    let hostile = request(Method::GET, "/api/nosuch", "").header("x-request-id", "a\"b");
    assert_ne!(house.send(hostile.body("".into()).unwrap()).await.header("x-request-id"), "a\"b");
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    async fn trip() -> &'static str {
        panic!("secret of the handler")
    }
    let house = House::new();
    let routes = Routes::default().add(&[Method::GET], &["/trip"], Gate::Open, &get(trip));
    let app = app::wrap(&house.gateway.state, routes);
    for _ in 0..2 {
        let response = app.clone().oneshot(Request::get("/trip").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["error"], "internal error");
        assert_eq!(json["requestId"].as_str().unwrap().len(), 16);
    }
}

#[tokio::test]
async fn too_many_at_once_are_told_so_and_probes_of_others_go_on() {
    let house = House::with(|config| config.limits.max_requests = 1);
    let hold = Arc::new(tokio::sync::Semaphore::new(0));
    house.fakes.job_db.get().hold = Some(Arc::clone(&hold));
    let start = request(Method::POST, "/api/jobs/start_job/", "api").body(r#"{"jobId":77}"#.into()).unwrap();
    let (slow, refused) = tokio::join!(house.send(start), async {
        while !house.tasks.running().iter().any(|name| name == "start job") {
            tokio::task::yield_now().await;
        }
        let refused = house.get("/api/clusters/", "api").await;
        let upload = house.post("/api/write", "api", "").await;
        assert_eq!(upload.status, 200, "samples have places of their own");
        hold.add_permits(1);
        refused
    });
    assert_eq!((slow.status.as_u16(), refused.status.as_u16()), (201, 503));
    assert_ne!(refused.header("retry-after"), "");
    assert_eq!(house.get("/api/clusters/", "api").await.status, 200, "the place is free again");
}

#[tokio::test]
async fn long_answers_are_compressed_as_the_client_likes() {
    let house = House::new();
    house.fakes.job_db.get().jobs = (1..=20).map(|id| job(id, "alice", 1_700_000_000)).collect();
    for (accepted, encoding) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=0", ""),
        ("", ""),
        ("br;q=0.1, gzip", "gzip"),
    ] {
        let asked = request(Method::GET, "/api/jobs/", "api").header("accept-encoding", accepted);
        let answer = house.send(asked.body("".into()).unwrap()).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        let vary: Vec<_> =
            answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").to_ascii_lowercase().contains("accept-encoding"), "{vary:?}");
    }
    let short = request(Method::GET, "/api/nosuch", "").header("accept-encoding", "gzip");
    assert_eq!(house.send(short.body("".into()).unwrap()).await.header("content-encoding"), "");
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let house = House::new();
    for (target, roles) in [("/api/jobs/", "api"), ("/login", ""), ("/", "user"), ("/api/nosuch", "")] {
        let (head, get) = (house.ask(Method::HEAD, target, roles, "").await, house.get(target, roles).await);
        assert_eq!((head.status, head.text()), (get.status, ""), "{target}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_beyond_their_limit_are_refused_unread() {
    let house = House::new();
    let announced = |target: &str, length: usize| {
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        request(Method::POST, target, "api").header("content-length", length).body(endless).unwrap()
    };
    for (target, length) in [
        ("/api/jobs/stop_job/", (1 << 20) + 1),
        ("/api/query", (1 << 20) + 1),
        ("/login", (1 << 20) + 1),
        ("/api/jobs/start_job/", (16 << 20) + 1),
        ("/api/write", (64 << 20) + 1),
    ] {
        let answer = house.send(announced(target, length)).await;
        assert_eq!(answer.status, 413, "{target}");
        assert_eq!(answer.json()["status"], "Payload Too Large");
    }
    let large = format!(r#"{{"jobId":77,"metaData":{{"jobScript":"{}"}}}}"#, "x".repeat(2 << 20));
    assert_eq!(house.post("/api/jobs/start_job/", "api", large).await.status, 201);
}

#[tokio::test]
async fn what_the_client_accepts_or_sends_as_type_is_no_reason_to_refuse() {
    let house = House::new();
    let odd = request(Method::POST, "/api/jobs/stop_job/", "api")
        .header("accept", "application/ld+json")
        .header("content-type", "text/plain");
    assert_eq!(house.send(odd.body(r#"{"jobId":7}"#.into()).unwrap()).await.status, 200);
}

/// A body of that many pieces of 64 KiB, and how many of them were read.
fn counted(pieces: usize) -> (Body, Arc<std::sync::atomic::AtomicUsize>) {
    let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let stream = futures::stream::iter(std::iter::repeat_n((), pieces).map(move |()| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 64 * 1024]))
    }));
    (Body::from_stream(stream), read)
}

#[tokio::test]
async fn an_early_answer_reads_what_the_client_still_sends_within_bounds() {
    use std::sync::atomic::Ordering;

    let house = House::new();
    for target in ["/api/nosuch", "/api/jobs/stop_job/", "/nosuch"] {
        let (body, read) = counted(48);
        assert!(house.post(target, "user", body).await.status.is_client_error(), "{target}");
        assert_eq!(read.load(Ordering::Relaxed), 48, "{target}");
    }
    let (endless, read) = counted(100_000);
    assert_eq!(house.post("/api/nosuch", "", endless).await.status, 404);
    assert!(read.load(Ordering::Relaxed) < 100);
    let (waiting, read) = counted(48);
    let polite =
        request(Method::POST, "/api/nosuch", "").header("expect", "100-continue").body(waiting).unwrap();
    assert_eq!(house.send(polite).await.status, 404);
    assert_eq!(read.load(Ordering::Relaxed), 0, "who asked first has nothing under way");
}
