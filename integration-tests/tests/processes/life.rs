//! From the start to the ordered end.

use std::process::Command;

use cc_integration_tests::{
    client::Client, recording::now, server::free_port, shared::binary, site::Site, small, wait,
};
use reqwest::Method;
use serde_json::json;

use crate::program::{Ended, Program, SOON};

/// The services of a split deployment, owners before their callers: name of the service, its binary.
pub const SERVICES: [(&str, &str); 5] = [
    ("auth", "cc-auth"),
    ("metric-store", "cc-metric-store"),
    ("archive", "cc-archive"),
    ("job-db", "cc-job-db"),
    ("gateway", "cc-gateway"),
];

/// The file of the cluster.
pub fn cluster() -> String {
    small::cluster("p", "p[1-4]", 10)
}

/// A site with one cluster, where every process has a port for operators.
pub fn site() -> Site {
    let site = Site::init();
    site.configure_for_tests();
    site.add_cluster("p", cluster().as_bytes());
    site.add_user("operator", "admin", "operator");
    site.add_user("scheduler", "api", "scheduler");
    let port = free_port();
    site.configure(|config| {
        config["main"]["addr"] = json!(format!("127.0.0.1:{port}"));
        config["observability"] = json!({"metrics-addr": "127.0.0.1:0", "access-log": true});
        config["site"] = json!({"name": "Centre of Tests", "contact": "help@tests.example"});
    });
    site
}

/// The same site with a service per process, over Unix sockets or TLS.
pub fn split(site: &Site, tls: bool) {
    site.cli_ok(&["-init-tls"]);
    let entry = |name: &str| {
        let address =
            if tls { format!("https://127.0.0.1:{}", free_port()) } else { format!("unix:{name}.sock") };
        json!({"address": address, "metrics-addr": "127.0.0.1:0"})
    };
    site.configure(|config| {
        config["services"] =
            SERVICES[..4].iter().map(|(name, _)| ((*name).to_owned(), entry(name))).collect();
    });
}

#[test]
fn every_program_tells_its_version() {
    for name in SERVICES.map(|(_, binary)| binary).into_iter().chain(["cc-backend"]) {
        let empty = tempfile::tempdir().expect("a folder");
        for flag in ["-version", "--version"] {
            let output =
                Command::new(binary(name)).arg(flag).current_dir(empty.path()).output().expect("it runs");
            let text = String::from_utf8(output.stdout).expect("UTF-8");
            assert!(output.status.success() && output.stderr.is_empty(), "{name}: {:?}", output.status);
            let value = |label: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(label));
                line.unwrap_or_else(|| panic!("{name}: no {label} in {text}")).trim().to_owned()
            };
            assert_eq!(value("Version:"), "1.5.4", "{name}");
            assert!(!value("Git hash:").is_empty() && !value("Build time:").is_empty(), "{name}");
            assert_eq!(value("Product version:"), env!("CARGO_PKG_VERSION"), "{name}");
        }
        assert_eq!(empty.path().read_dir().expect("a folder").count(), 0, "{name} left something behind");
    }
}

/// `<6>[INFO]     file.rs:12: text`, with the priority that belongs to the level.
fn has_the_form(line: &str) -> bool {
    const LEVELS: [(&str, bool); 5] = [
        ("<7>[DEBUG]    ", false),
        ("<6>[INFO]     ", true),
        ("<4>[WARNING]  ", true),
        ("<3>[ERROR]    ", true),
        ("<2>[CRITICAL] ", true),
    ];
    LEVELS.iter().any(|(prefix, located)| {
        let Some(rest) = line.strip_prefix(prefix) else { return false };
        let source = rest.split_once(": ").map_or("", |(source, _)| source);
        let (file, number) = source.rsplit_once(':').unwrap_or_default();
        !located || file.ends_with(".rs") && number.parse::<u32>().is_ok()
    })
}

/// The value of a metric, summed over the series that have all of these labels.
fn value(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    series
        .filter(|(found, _)| found.is_empty() || found.starts_with('{'))
        .filter(|(found, _)| labels.iter().all(|label| found.contains(label)))
        .map(|(_, value)| value.parse::<f64>().expect("a number"))
        .sum()
}

/// Liveness and readiness, with the headers that every answer has.
async fn answers_like_every_page(client: &Client, name: &str) {
    assert_eq!(client.get("/healthz").await.expect(200).text, "ok", "{name}");
    for path in ["/healthz", "/readyz"] {
        let headers = client.get(path).await.expect(200).headers;
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none';"), "{name} {path}: {policy}");
        let found = ["x-content-type-options", "x-frame-options", "referrer-policy", "cache-control"]
            .map(|header| headers.get(header).map_or("", |value| value.to_str().expect("text")));
        assert_eq!(found, ["nosniff", "DENY", "same-origin", "no-store"], "{name} {path}");
    }
}

/// What every program does between start and end, whatever it serves.
async fn lives(program: &Program, parts: &[&str]) {
    let name = program.name;
    assert!(program.tells("READY=1").contains("READY=1\n"), "{name}");
    let report = program.ready("metrics").await;
    assert_eq!(report["ready"], true);
    let found: Vec<&str> = report["parts"].as_object().expect("parts").keys().map(String::as_str).collect();
    assert_eq!(found, parts, "{name}: parts of {report}");
    let own = program.client("metrics");
    answers_like_every_page(&own, name).await;
    let metrics = own.get("/metrics").await.expect(200).text;
    let built = format!("program=\"{name}\"");
    assert!((value(&metrics, "build_info", &[&built]) - 1.0).abs() < f64::EPSILON, "{name}: {metrics}");
    assert!(value(&metrics, "process_resident_memory_bytes", &[]) > 1e6, "{name}: {metrics}");
}

/// Whether each service answered calls of the others, by its own count.
async fn was_called(program: &Program, service: &str) {
    let metrics = program.client("metrics").get("/metrics").await.expect(200).text;
    let service = format!("service=\"clustercockpit.{service}\"");
    let calls = value(&metrics, "rpc_server_requests_total", &[&service, "code=\"ok\""]);
    assert!(calls > 0.0, "{} answered {calls} calls: {metrics}", program.name);
}

fn in_order(ended: &Ended, name: &str) {
    assert!(ended.status.success(), "{name} ended with {}: {}", ended.status, ended.stderr);
    assert!(ended.stdout.ends_with("Graceful shutdown completed!\n"), "{name}: {}", ended.stdout);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    for line in &lines {
        assert!(has_the_form(line), "{name}: {line}");
    }
    for text in [format!("{name} serves"), "SIGTERM: shutting down".to_owned()] {
        assert!(
            lines.iter().any(|line| line.ends_with(&text)),
            "{name}: no line {text:?} in {}",
            ended.stderr
        );
    }
    let bad = |line: &&&str| line.starts_with("<3>") || line.starts_with("<2>");
    assert_eq!(lines.iter().find(bad), None, "{name} ended with an error");
}

/// What an administrator writes for everybody stands in the pages of who is signed in, as text, until it is taken away.
async fn shows_its_notice(web: &Client, operator: &Client) {
    let write = |text: &'static str| async move {
        let form = operator.request(Method::POST, "/config/notice/").form(&[("new-content", text)]);
        Client::send(form).await.expect(200);
    };
    let shown = "<meta name=\"cc-notice\" content=\"Down on &lt;i&gt;Friday&lt;/i&gt;\"";
    write("Down on <i>Friday</i>").await;
    for page in ["/", "/monitoring/jobs/"] {
        let text = operator.get(page).await.expect(200).text;
        assert!(text.contains(shown), "{page}: {text}");
    }
    assert!(!web.get("/login").await.text.contains("Friday"), "it is for who is signed in");
    write("").await;
    let text = operator.get("/").await.expect(200).text;
    assert!(!text.contains("Friday"), "{text}");
}

/// A job's life, told to whoever answers on `http`, so that every service has something to do.
async fn a_job_lives(gateway: &Program, site: &Site) {
    let web = gateway.client("http");
    let scheduler = web.with_token(&site.token("scheduler"));
    let start = now() - 100;
    let job = json!({
        "jobId": 1, "cluster": "p", "user": "u", "project": "p", "partition": "main", "shared": "none", "numNodes": 1,
        "numHwthreads": 4, "walltime": 3600, "startTime": start, "resources": [{"hostname": "p1"}]
    });
    scheduler.post("/api/jobs/start_job/", &job).await.expect(201);
    let operator = web.signed_in("operator", "operator").await;
    let row = || async {
        let rows = operator.graphql("{jobs{items{id monitoringStatus}}}", json!({})).await;
        rows["jobs"]["items"][0].clone()
    };
    let query = "query($id:ID!){jobMetrics(id:$id){name}}";
    operator.graphql(query, json!({"id": row().await["id"]})).await;
    let stop = json!({"jobId": 1, "cluster": "p", "jobState": "completed", "stopTime": start + 80});
    scheduler.post("/api/jobs/stop_job/", &stop).await.expect(200);
    wait::until("the job is archived", SOON, || async {
        let row = row().await;
        if row["monitoringStatus"] == 3 { Ok(()) } else { Err(row.to_string()) }
    })
    .await;
    assert_eq!(web.get("/metrics").await.status.as_u16(), 404, "metrics never stand on the public address");
    answers_like_every_page(&web, "the web port").await;
    let login = web.get("/login").await.expect(200).text;
    assert!(login.contains("<title>Login - Centre of Tests</title>"), "{login}");
    assert!(login.contains("help@tests.example"), "{login}");
    shows_its_notice(&web, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_lives_and_ends_in_order() {
    let site = site();
    let program = Program::start("cc-backend", &["-server"], site.path());
    lives(&program, &["archive", "auth", "gateway", "job-db", "metric-store"]).await;
    a_job_lives(&program, &site).await;
    for service in ["auth.v1.Auth", "archive.v1.Archive", "metric_store.v1.MetricStore", "job_db.v1.JobDb"] {
        was_called(&program, service).await;
    }
    program.terminate();
    program.tells("STOPPING=1");
    let ended = program.ended();
    in_order(&ended, "cc-backend");
    let told = |line: &str| {
        line.starts_with("<6>[INFO]     ") && line.contains(": POST /api/jobs/start_job/ (201, ")
    };
    assert!(ended.stderr.lines().any(told), "no line of the access log: {}", ended.stderr);
    site.database_is_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_five_processes_lives_and_ends_in_order() {
    let site = site();
    split(&site, false);
    let programs = SERVICES.map(|(_, binary)| Program::start(binary, &[], site.path()));
    for (program, (service, _)) in programs.iter().zip(SERVICES) {
        lives(program, &[service]).await;
    }
    a_job_lives(&programs[4], &site).await;
    let called = ["auth.v1.Auth", "metric_store.v1.MetricStore", "archive.v1.Archive", "job_db.v1.JobDb"];
    for (program, service) in programs.iter().zip(called) {
        was_called(program, service).await;
    }
    // Callers before those whom they call, as the units' order has it.
    for program in programs.into_iter().rev() {
        let name = program.name;
        program.terminate();
        program.tells("STOPPING=1");
        in_order(&program.ended(), name);
    }
    let sockets: Vec<_> = SERVICES[..4].iter().map(|(name, _)| site.file(&format!("{name}.sock"))).collect();
    for socket in sockets {
        assert!(!socket.exists(), "{} is left behind", socket.display());
    }
    site.database_is_whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_processes_may_be_ended_at_once() {
    let site = site();
    split(&site, false);
    let programs = SERVICES.map(|(_, binary)| Program::start(binary, &[], site.path()));
    for program in &programs {
        program.ready("metrics").await;
    }
    a_job_lives(&programs[4], &site).await;
    for program in &programs {
        program.terminate();
    }
    for program in programs {
        let name = program.name;
        let ended = program.ended();
        assert!(ended.status.success(), "{name} ended with {}: {}", ended.status, ended.stderr);
        assert!(ended.stdout.ends_with("Graceful shutdown completed!\n"), "{name}: {}", ended.stdout);
    }
    site.database_is_whole();
}
