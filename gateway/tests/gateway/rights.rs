//! Who may use which route: every route times every role.

use cc_gateway::auth::gate::Gate;
use cc_gateway::routes;
use cc_gateway::settings::Settings;
use cc_runtime::config::Config;
use http::Method;

use crate::fakes::job;
use crate::house::House;

/// Roles as a token has them. A token without a known role is somebody, too.
const ROLES: [&str; 11] = [
    "",
    "wizard",
    "user",
    "manager",
    "support",
    "api",
    "admin",
    "admin+api",
    "user+api",
    "manager+api",
    "support+api",
];

/// The roles that pass a gate, from auth.md 12.1: written down here once more, independently of the code.
fn passes(gate: Gate) -> &'static [&'static str] {
    match gate {
        Gate::Open => &ROLES,
        Gate::Web => ROLES.split_first().unwrap().1,
        Gate::Api => &["api", "admin+api"],
        Gate::Store => &["api", "admin+api", "user+api", "manager+api"],
        Gate::UserApi => &["api", "admin+api", "user+api", "manager+api", "support+api"],
        // a session is needed, and here are tokens only
        Gate::Config | Gate::Front => &[],
    }
}

/// A request that the route answers well, and the status it then has.
fn example(method: &Method, path: &str) -> (String, &'static str, u16) {
    let own = |body, status| (path.to_owned(), body, status);
    let read = *method == Method::GET;
    match path.trim_end_matches('/') {
        "/api/jobs/start_job" => own(r#"{"jobId":77,"cluster":"fritz"}"#, 201),
        "/api/jobs/stop_job" => own(r#"{"jobId":77}"#, 200),
        "/api/jobs/used_nodes" => (format!("{path}?ts=5"), "", 200),
        "/api/nodestate" | "/api/healthcheck" => own(r#"{"cluster":"fritz","nodes":[]}"#, 200),
        "/api/free" => (format!("{path}?to=5"), "[]", 200),
        "/api/query" => own("{}", 200),
        "/api/jobs/{id}" | "/userapi/jobs/{id}" => (path.replace("{id}", "5"), "[]", 200),
        "/api/jobs/metrics/{id}" | "/userapi/jobs/metrics/{id}" => (path.replace("{id}", "5"), "", 200),
        "/api/jobs/tag_job/{id}" => ("/api/jobs/tag_job/5".to_owned(), "[]", 200),
        "/api/tags" => own("[]", 200),
        "/api/jobs/edit_meta/{id}" => ("/api/jobs/edit_meta/5".to_owned(), r#"{"key":"a","value":"b"}"#, 200),
        "/api/jobs/edit_meta" => own(r#"{"jobId":5,"payload":{"key":"a","value":"b"}}"#, 200),
        "/api/jobs/delete_job/{id}" => ("/api/jobs/delete_job/5".to_owned(), "", 200),
        "/api/jobs/delete_job" => own(r#"{"jobId":5}"#, 200),
        "/api/jobs/delete_job_before/{ts}" => ("/api/jobs/delete_job_before/5".to_owned(), "", 200),
        // not configured in this house
        "/api/machine_state/{cluster}/{host}" => ("/api/machine_state/fritz/f0101".to_owned(), "{}", 404),
        "/query" => own(r#"{"query":"{__typename}"}"#, 200),
        "/monitoring/jobs" if !path.ends_with('/') => own("", 308),
        "/monitoring/job/{id}" if path.ends_with('/') => ("/monitoring/job/5/".to_owned(), "", 308),
        "/monitoring/user/{name}" if path.ends_with('/') => ("/monitoring/user/alice/".to_owned(), "", 308),
        "/monitoring/job/{id}" => ("/monitoring/job/5".to_owned(), "", 200),
        "/monitoring/user/{name}" => ("/monitoring/user/alice".to_owned(), "", 200),
        // the form without credentials
        "/login" if !read => own("", 401),
        "/api/user/{id}" => own(r#"{"add-role":"api"}"#, 200),
        "/config/users" if read => own("", 200),
        "/config/users" | "/config/user/{id}" | "/config/notice" => own("add-role=api", 200),
        "/config/taggers/run" => own("name=AppTagger", 200),
        "/api/users" | "/config/roles" | "/config/taggers" | "/api/jobs" | "/api/clusters" | "/api/write"
        | "/api/debug" | "/userapi/jobs" | "" | "/monitoring/jobs" | "/events" | "/login" | "/logout" => {
            own("", 200)
        }
        _ => panic!("{method} {path} has no row here: add what it answers"),
    }
}

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    let house = House::new();
    house.fakes.job_db.get().jobs.push(job(5, "tester", 1_700_000_000));
    let list = routes::all(&Settings::new(&Config::default()).unwrap());
    assert!(list.list().len() > 25);
    for route in list.list() {
        let (target, body, good) = example(&route.method, route.path);
        for roles in ROLES {
            let admitted = passes(route.gate).contains(&roles);
            let request = crate::house::request(route.method.clone(), &target, roles).header(
                "content-type",
                if route.path == "/query" { "application/json" } else { "text/plain" },
            );
            let status = house.open(request.body(body.into()).unwrap()).await.status().as_u16();
            let expected = match (admitted, route.path, roles) {
                // admitted, and then the owner of the rows wants a role that it knows
                // or the handler wants an administrator
                (true, "/events" | "/monitoring/job/{id}", "wizard")
                | (true, "/api/users" | "/api/users/" | "/api/user/{id}", "api") => 403,
                (true, ..) => good,
                (false, ..) => 401,
            };
            assert_eq!(status, expected, "{} {} as {roles:?}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn wrong_methods_and_unknown_paths_need_no_token() {
    let house = House::new();
    for (method, target) in [
        (Method::GET, "/api/jobs/start_job/"),
        (Method::DELETE, "/api/jobs/start_job/"),
        (Method::DELETE, "/api/jobs/"),
        (Method::POST, "/api/jobs/"),
        (Method::PATCH, "/api/clusters/"),
        (Method::GET, "/api/write/"),
        (Method::OPTIONS, "/api/jobs/"),
        (Method::GET, "/logout"),
    ] {
        let answer = house.ask(method.clone(), target, "", "").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (405, ""), "{method} {target}");
        assert_ne!(answer.header("allow"), "", "{method} {target}");
    }
    for target in ["/api/nosuch", "/api/jobs/stop_job/500000", "/config/x/y", "/api/"] {
        let answer = house.get(target, "").await;
        let json = answer.json();
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(json["status"], "Resource not found");
        assert_eq!(json["error"], "the requested endpoint does not exist");
    }
}

#[tokio::test]
async fn below_two_prefixes_the_gate_comes_first() {
    let house = House::new();
    for target in ["/userapi/x/y", "/userapi", "/frontend/x", "/frontend"] {
        assert_eq!(house.get(target, "").await.error(), (401, "unauthorized".to_owned()), "{target}");
    }
    assert_eq!(house.get("/userapi/x", "user+api").await.status, 404);
    assert_eq!(house.get("/userapi/x", "user").await.status, 401);
    assert_eq!(house.get("/userapiary", "").await.status, 404);
    assert_eq!(house.ask(Method::DELETE, "/userapi/jobs/", "", "").await.status, 401);
    assert_eq!(house.ask(Method::DELETE, "/userapi/jobs/", "api", "").await.status, 405);
    let session = house.fakes.auth.get().open("alice", &["user"]);
    assert_eq!(house.browse("/frontend/x", &session).await.status, 404);
}

#[tokio::test]
async fn texts_of_the_gates_are_those_recorded() {
    let house = House::new();
    let error = async |target, roles| house.get(target, roles).await.error();
    assert_eq!(error("/api/jobs/", "").await, (401, "no user for secured check".to_owned()));
    assert_eq!(error("/userapi/jobs/", "").await, (401, "unauthorized".to_owned()));
    let (status, text) = error("/api/jobs/", "user").await;
    assert_eq!(status, 401);
    assert!(text.starts_with("unauthorized: ") && text.contains("role is api"), "{text}");
    let garbage =
        crate::house::request(Method::GET, "/api/jobs/", "").header("authorization", "Bearer garbage");
    let answer = house.send(garbage.body("".into()).unwrap()).await;
    let text = "token is malformed: token contains an invalid number of segments";
    assert_eq!(answer.error(), (401, text.to_owned()));
    assert_eq!(answer.json()["status"], "Unauthorized");
}

#[tokio::test]
async fn a_token_beats_a_cookie_and_a_session_is_none_for_programs() {
    let house = House::new();
    let session = house.fakes.auth.get().open("ruth", &["admin", "api"]);
    assert_eq!(house.browse("/api/jobs/", &session).await.status, 401);
    let both = crate::house::request(Method::GET, "/", "user").header("cookie", "cc_session=gone");
    assert_eq!(house.send(both.body("".into()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn addresses_count_for_api_only_and_cannot_be_forged_from_afar() {
    let house = House::with(|config| config.main.api_allowed_ips = vec!["10.1.2.3".to_owned()]);
    let jobs = house.get("/api/jobs/", "api").await;
    assert_eq!(jobs.error(), (401, "unknown ip: 127.0.0.1".to_owned()));
    assert_eq!(house.get("/userapi/jobs/", "api").await.status, 200);
    assert_eq!(house.post("/api/write/", "api", "").await.status, 200);
    let forwarded = |peer: &str| {
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        let request = crate::house::request(Method::GET, "/api/jobs/", "api").header("x-real-ip", "10.1.2.3");
        request.extension(axum::extract::ConnectInfo(peer)).body("".into()).unwrap()
    };
    assert_eq!(house.send(forwarded("127.0.0.1:1")).await.status, 200);
    assert_eq!(house.send(forwarded("192.0.2.1:1")).await.error().1, "unknown ip: 192.0.2.1");
}

#[tokio::test]
async fn without_authentication_everybody_is_admin_and_nobody_logs_in() {
    let house = House::with(|config| config.main.disable_authentication = true);
    for target in
        ["/api/jobs/", "/api/clusters/?cluster=fritz", "/userapi/jobs/", "/", "/login", "/monitoring/jobs/"]
    {
        assert_eq!(house.get(target, "").await.status, 200, "{target}");
    }
    assert_eq!(house.post("/api/jobs/start_job/", "", r#"{"jobId":77}"#).await.status, 201);
    assert_eq!(house.post("/login", "", "username=alice&password=x").await.status, 405);
    assert_eq!(house.post("/logout", "", "").await.status, 404);
    assert_eq!(house.fakes.auth.get().asked, 0);
}

#[tokio::test]
async fn an_outage_of_the_auth_service_is_no_refusal() {
    let house = House::new();
    house.fakes.auth.get().down = true;
    let answer = house.get("/api/jobs/", "api").await;
    assert_eq!(answer.status, 503);
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(house.get("/", "user").await.status, 503);
}

#[tokio::test]
async fn answers_of_the_auth_service_are_kept_as_long_as_it_allows() {
    let house = House::new();
    house.fakes.auth.get().cache_s = 30;
    for _ in 0..3 {
        assert_eq!(house.get("/api/jobs/", "api").await.status, 200);
    }
    assert_eq!(house.fakes.auth.get().asked, 1);
    house.clock.advance(jiff::SignedDuration::from_secs(31));
    assert_eq!(house.get("/api/jobs/", "api").await.status, 200);
    assert_eq!(house.fakes.auth.get().asked, 2);
}
