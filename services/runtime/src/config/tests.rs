use std::path::PathBuf;
use std::time::Duration;

use cc_proto::access::Peer;
use rstest::rstest;
use serde_json::{Value, json};

use super::archive::{Place, Policy, Target};
use super::metric_store::{CheckpointFormat, Cleanup, LogDurability};
use super::operation::Limits;
use super::services::{Address, Entry};
use super::*;
use crate::env::{MapEnv, ProcessEnv};

fn load(value: &Value) -> Result<Loaded, Problems> {
    Config::parse(&value.to_string(), Program::Backend, &MapEnv::new())
}

fn good(value: &Value) -> Config {
    load(value).unwrap().config
}

/// The findings as text, less the file.
fn findings(value: &Value) -> Vec<String> {
    let problems = match load(value) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems.0,
    };
    problems.iter().map(|problem| problem.to_string().replacen("config.json: ", "", 1)).collect()
}

/// A configuration with one more section.
fn with(section: &str, value: Value) -> Value {
    let mut whole = json!({"main": {}});
    whole[section] = value;
    whole
}

#[test]
fn an_empty_main_gives_the_defaults_of_the_reference() {
    let config = good(&json!({"main": {}}));
    assert_eq!(config, Config::default());
    assert_eq!(config.main.addr, "localhost:8080");
    assert_eq!(config.main.session_max_age, Duration::from_hours(168));
    assert_eq!(config.main.short_running_jobs_duration, 300);
    assert_eq!(config.cron.commit_job_worker, Some(Duration::from_mins(2)));
    assert_eq!(config.archive.place, Place::File { path: "./var/job-archive".into() });
    assert_eq!(config.ui.metric_config.job_view_table, ["flops_any", "mem_bw", "mem_used"]);
}

#[test]
fn pages_are_called_as_the_site_says() {
    let site = good(&with("site", json!({"name": "Centre", "contact": "help@example.org"}))).site;
    assert_eq!((site.name.as_str(), site.contact.as_str()), ("Centre", "help@example.org"));
    let site = good(&json!({"main": {}})).site;
    assert_eq!((site.name.as_str(), site.contact.as_str()), ("ClusterCockpit", ""));
}

#[test]
fn every_key_of_main_is_read() {
    let main = good(&json!({"main": {
        "addr": "0.0.0.0:443", "api-allowed-ips": ["*"], "user": "u", "group": "g", "disable-authentication": true,
        "embed-static-files": false, "static-files": "./ui", "db": "./x.db", "enable-job-taggers": true, "validate": true,
        "session-max-age": "24h", "https-cert-file": "c", "https-key-file": "k", "redirect-http-to": "https://x/",
        "machine-state-dir": "./m", "stop-jobs-exceeding-walltime": 60, "short-running-jobs-duration": 5,
        "emission-constant": 317, "systemd-unit": "cc", "resampling": {"minimum-points": 600, "trigger": 300, "resolutions": [240, 60]},
        "api-subjects": {"subject-job-event": "j", "subject-node-state": "n", "job-concurrency": 0},
        "nodestate-retention": {"policy": "move", "target-path": "./t", "age": -1},
        "db-config": {"cache-size-mb": 64, "max-open-connections": 8, "busy-timeout-ms": 0}
    }}))
    .main;
    assert_eq!(main.addr, "0.0.0.0:443");
    assert_eq!((main.user.as_str(), main.group.as_str()), ("u", "g"));
    assert!(
        main.disable_authentication && !main.embed_static_files && main.enable_job_taggers && main.validate
    );
    assert_eq!(main.static_files, PathBuf::from("./ui"));
    assert_eq!(main.session_max_age, Duration::from_hours(24));
    assert_eq!(main.https_cert_file, Some("c".into()));
    assert_eq!(main.redirect_http_to.as_deref(), Some("https://x/"));
    assert_eq!(main.machine_state_dir, Some("./m".into()));
    assert_eq!(
        (main.stop_jobs_exceeding_walltime, main.short_running_jobs_duration, main.emission_constant),
        (60, 5, 317)
    );
    let resampling = main.resampling.unwrap();
    assert_eq!((resampling.minimum_points, resampling.trigger), (Some(600), 300));
    assert_eq!(resampling.resolutions, [240, 60]);
    let subjects = main.api_subjects.unwrap();
    assert_eq!((subjects.job_concurrency, subjects.node_concurrency), (8, 2));
    let nodes = main.nodestate_retention.unwrap();
    assert_eq!((nodes.age_hours, nodes.max_file_size_mb), (24, 128));
    assert_eq!(nodes.target, Target::File { path: "./t".into() });
    assert_eq!((main.db_config.cache_size_mb, main.db_config.max_open_connections), (Some(64), 8));
    assert_eq!(main.db_config.busy_timeout_ms, 60_000);
}

#[test]
fn keys_in_another_case_count_and_the_last_one_wins() {
    let text =
        r#"{"main": {"Addr": ":1", "short-running-jobs-duration": 300, "Short-Running-Jobs-Duration": 5}}"#;
    let config = Config::parse(text, Program::Backend, &MapEnv::new()).unwrap().config;
    assert_eq!(config.main.addr, ":1");
    assert_eq!(config.main.short_running_jobs_duration, 5);
}

#[rstest]
#[case(json!([1]), "[1] is a list, expected an object with sections such as \"main\"")]
#[case(json!({"auth": {"jwts": {}}}), "main configuration must be present")]
#[case(json!({"main": {"foo": 1}}), "main.foo: unknown key")]
#[case(json!({"main": {"adr": ":1"}}), "main.adr: unknown key; did you mean \"addr\"?")]
#[case(json!({"main": {"apiAllowedIPs": []}}), "main.apiAllowedIPs: unknown key; did you mean \"api-allowed-ips\"?")]
#[case(json!({"main": {"validate": "yes"}}), "main.validate: \"yes\" is a text, expected true or false")]
#[case(json!({"main": {"validate": null}}), "main.validate: null is nothing, expected true or false")]
#[case(json!({"main": {"emission-constant": 1.5}}), "main.emission-constant: 1.5 is a number with a fraction or exponent, expected a whole number")]
#[case(json!({"main": {"emission-constant": 60.0}}), "main.emission-constant: 60.0 is a number with a fraction or exponent, expected a whole number")]
#[case(json!({"main": {"api-allowed-ips": ["*", 7]}}), "main.api-allowed-ips[1]: 7 is a number, expected a text")]
#[case(json!({"main": {"addr": "localhost"}}), "main.addr: \"localhost\" is no address to listen on, expected host:port such as \"0.0.0.0:443\" or \":8080\"")]
#[case(json!({"main": {"addr": "::1:80"}}), "main.addr: \"::1:80\" is ambiguous, write an IPv6 address in brackets such as \"[::]:443\"")]
#[case(json!({"main": {"embed-static-files": false}}), "main.static-files: missing: without it the working directory with .env and config.json would be published")]
#[case(json!({"main": {"resampling": {"trigger": 1, "resolutions": []}}}), "main.resampling.resolutions: expected at least one resolution in seconds, each more than 0")]
#[case(json!({"main": {"nodestate-retention": {"policy": "burn"}}}), "main.nodestate-retention.policy: \"burn\" is none of \"delete\", \"move\"")]
#[case(json!({"main": {"nodestate-retention": {}}}), "main.nodestate-retention.policy: missing; expected one of \"delete\", \"move\"")]
#[case(json!({"main": {"db-config": {"cache-size-mb": "1"}}}), "main.db-config.cache-size-mb: \"1\" is a text, expected a whole number")]
#[case(with("auth", json!({"oidc": {"provider": "https://x"}})), "auth.jwts: missing; expected an object, which may be empty")]
#[case(with("auth", json!({"jwts": {"max-age": "7d"}})), "auth.jwts.max-age: unknown unit \"d\" in duration \"7d\" (one of ns, us, ms, s, m, h)")]
#[case(with("archive", json!({"kind": "tape"})), "archive.kind: \"tape\" is none of \"file\", \"s3\", \"sqlite\"")]
#[case(with("archive", json!({"kind": "file"})), "archive.path: missing; this kind of archive needs it")]
#[case(with("archive", json!({"kind": "s3", "bucket": "b", "secret-key": 5})), "archive.secret-key: the value (not shown) is a number, expected a text")]
#[case(with("metric-store", json!({"memory-cap": 16})), "metric-store.retention-in-memory: missing; expected a duration such as \"90s\", \"5m\" or \"1h30m\"")]
#[case(with("metric-store", json!({"memory-cap": 16, "retention-in-memory": "2 days"})), "metric-store.retention-in-memory: unknown unit \" days\" in duration \"2 days\" (one of ns, us, ms, s, m, h)")]
#[case(with("metric-store", json!({"memory-cap": -1, "retention-in-memory": "1h"})), "metric-store.memory-cap: -1 is out of range, expected 0 to 18446744073709551615")]
#[case(with("metric-store", json!({"memory-cap": 1, "retention-in-memory": "1h", "archive": {}})), "metric-store.archive: unknown key; old checkpoints are handled by cleanup {mode, directory}")]
#[case(with("metric-store", json!({"memory-cap": 1, "retention-in-memory": "1h", "cleanup": {}})), "metric-store.cleanup.directory: missing, as is mode; give one of them")]
#[case(with("metric-store", json!({"memory-cap": 1, "retention-in-memory": "1h", "cleanup": null})), "metric-store.cleanup: null is nothing, expected an object")]
#[case(with("metric-store", json!({"memory-cap": 1, "retention-in-memory": "1h", "checkpoint-interval": "0s"})), "metric-store.checkpoint-interval: expected a duration of more than 0")]
#[case(with("metric-store-external", json!([{"scope": "*", "url": "http://x"}])), "metric-store-external[0].token: missing; expected a text")]
#[case(with("ui", json!({"job-list": {"use-paging": "yes"}})), "ui.job-list.use-paging: \"yes\" is a text, expected true or false")]
#[case(with("services", json!({"auth": {"address": "http://x:1"}})), "services.auth.address: \"http://x:1\": services talk over https or a Unix socket only")]
#[case(with("proxy", json!({"trusted-proxies": ["10.0.0.300"]})), "proxy.trusted-proxies[0]: \"10.0.0.300\" is no IP address or network such as 10.0.0.0/8")]
#[case(with("site", json!({"name": " "})), "site.name: expected the name that pages show")]
#[case(with("limits", json!({"shutdown-timeout": "0"})), "limits.shutdown-timeout: expected a duration of more than 0")]
fn mistakes_end_the_program_and_are_named(#[case] value: Value, #[case] text: &str) {
    assert!(load(&value).is_err());
    assert_eq!(findings(&value), [text]);
}

#[rstest]
#[case(json!({"main": {}, "statistics": {}, "auht": {}}), &["statistics: unknown section, ignored", "auht: unknown section, ignored; did you mean \"auth\"?"])]
#[case(with("grpc", json!({"x": 1})), &["grpc.x: unknown key, ignored"])]
#[case(with("cron", json!({"commit-job-worker": "1d"})), &["cron.commit-job-worker: unknown unit \"d\" in duration \"1d\" (one of ns, us, ms, s, m, h): the task is off"])]
#[case(with("archive", json!({"kind": "file", "path": "x", "retention": {"policy": "delete"}})), &["archive.retention.age: missing or 0: every job would be taken, so this policy does not run; expected days, e.g. 365"])]
#[case(json!({"main": {"https-cert-file": "x"}}), &["main: one of https-cert-file and https-key-file is missing: the server speaks plain HTTP"])]
#[case(json!({"main": {"addr": ":80", "disable-authentication": true}}), &["main.disable-authentication: every visitor of the network may see and change everything: addr is no loopback address"])]
#[case(json!({"main": {"api-allowed-ips": ["10.0.0.0/8"]}}), &["main.api-allowed-ips[0]: \"10.0.0.0/8\" is no address and no \"*\", it allows nobody (networks do not work here)"])]
#[case(json!({"main": {"session-max-age": "7d"}}), &["main.session-max-age: unknown unit \"d\" in duration \"7d\" (one of ns, us, ms, s, m, h): 30 days are used"])]
fn what_the_reference_accepts_is_a_warning(#[case] value: Value, #[case] texts: &[&str]) {
    assert!(load(&value).is_ok());
    assert_eq!(findings(&value), texts);
}

#[test]
fn all_problems_are_reported_at_once() {
    let value =
        json!({"main": {"validate": 1, "foo": 1}, "ui": {"job-list": []}, "limits": {"max-body-mb": "x"}});
    assert_eq!(
        findings(&value),
        [
            "main.validate: 1 is a number, expected true or false",
            "main.foo: unknown key",
            "ui.job-list: [] is a list, expected an object",
            "limits.max-body-mb: \"x\" is a text, expected a whole number",
        ]
    );
    let shown = load(&value).unwrap_err().to_string();
    assert!(
        shown.starts_with("config.json: main.validate: 1 is a number, expected true or false; config.json: "),
        "{shown}"
    );
}

#[test]
fn metric_store_is_read() {
    let store = good(&with(
        "metric-store",
        json!({"retention-in-memory": "48h", "memory-cap": 32, "num-workers": -1, "checkpoint-interval": "",
               "checkpoints": {"file-format": "json", "directory": "./c", "max-wal-size": 5},
               "cleanup": {"mode": "archive", "directory": "./a"}, "debug": {"gops": false},
               "nats-subscriptions": [{"subscribe-to": "s", "cluster-tag": "fritz"}]}),
    ))
    .metric_store
    .unwrap();
    assert_eq!(store.retention_in_memory, Duration::from_hours(48));
    assert_eq!(store.memory_cap_gb, 32);
    assert!((1..=10).contains(&store.num_workers));
    assert_eq!(store.checkpoint_interval, Duration::from_hours(12));
    assert_eq!(store.checkpoints.file_format, CheckpointFormat::Json);
    assert_eq!(store.cleanup, Cleanup::Archive { directory: "./a".into() });
    assert_eq!(store.nats_subscriptions[0].cluster_tag, "fritz");
    let directory_only = with(
        "metric-store",
        json!({"retention-in-memory": "-1h", "memory-cap": 0, "cleanup": {"directory": "./a"}}),
    );
    let store = good(&directory_only).metric_store.unwrap();
    assert_eq!((store.cleanup, store.retention_in_memory), (Cleanup::Delete, Duration::ZERO));
}

#[test]
fn services_are_found_where_the_file_says() {
    let services = good(&with(
        "services",
        json!({"tls-directory": "./tls", "auth": {"address": "unix:/run/cc/auth.sock"},
               "archive": {"address": "https://archive.example:9001", "listen": ":9001"},
               "metric-store": {"address": "https://[::1]:9002/"}}),
    ))
    .services;
    assert_eq!(
        services.get(Peer::Auth).and_then(Entry::listen),
        Some(Address::Unix("/run/cc/auth.sock".into()))
    );
    assert_eq!(services.job_db, Entry::default());
    assert_eq!(services.job_db.listen(), None);
    assert_eq!(services.get(Peer::Gateway), None);
    assert_eq!(services.archive.address, Address::Https { host: "archive.example".into(), port: 9001 });
    assert_eq!(services.archive.listen(), Some(Address::Https { host: "0.0.0.0".into(), port: 9001 }));
    assert_eq!(services.metric_store.listen(), Some(Address::Https { host: "::1".into(), port: 9002 }));
    assert_eq!(services.tls_directory, PathBuf::from("./tls"));
    let long = json!({"auth": {"address": format!("unix:/{}", "x".repeat(107))}});
    assert_eq!(
        findings(&with("services", long)),
        [format!(
            "services.auth.address: socket path {:?} has 108 bytes, at most 107 are possible",
            format!("/{}", "x".repeat(107))
        )]
    );
}

#[test]
fn a_server_needs_a_metric_store() {
    assert!(
        good(&json!({"main": {}})).server_problem().unwrap().starts_with("missing metricstore configuration")
    );
    let store = json!({"retention-in-memory": "1h", "memory-cap": 1});
    assert_eq!(good(&with("metric-store", store)).server_problem(), None);
    let external = json!([{"scope": "*", "url": "http://x", "token": "t"}]);
    assert_eq!(good(&with("metric-store-external", external)).server_problem(), None);
    let split = json!({"metric-store": {"address": "unix:/run/m"}});
    assert_eq!(good(&with("services", split)).server_problem(), None);
}

#[test]
fn samples_are_on_the_disk_when_the_site_wants_it() {
    let durability = |log: Value| good(&with("store-log", log)).store_log.durability;
    assert_eq!(good(&json!({"main": {}})).store_log.durability, LogDurability::Background);
    assert_eq!(durability(json!({})), LogDurability::Background);
    assert_eq!(durability(json!({"durability": "sync"})), LogDurability::Sync);
    let wrong = findings(&with("store-log", json!({"durability": "always"})));
    assert_eq!(wrong, [r#"store-log.durability: "always" is none of "background", "sync""#]);
}

#[test]
fn values_from_elsewhere_work_in_our_sections_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("endpoint");
    std::fs::write(&file, "http://collector:4317\n").unwrap();
    let env = MapEnv::new().with("LOGIN_WINDOW", "1m");
    let value = json!({"main": {}, "limits": {"login-window": {"$env": "LOGIN_WINDOW"}},
                       "observability": {"otlp-endpoint": {"$file": file}}});
    let config = Config::parse(&value.to_string(), Program::Backend, &env).unwrap().config;
    assert_eq!(config.limits, Limits { login_window: Duration::from_mins(1), ..Limits::default() });
    assert_eq!(config.observability.otlp_endpoint.as_deref(), Some("http://collector:4317"));
    assert_eq!(
        findings(&json!({"main": {"addr": {"$env": "X"}}, "grpc": {"addr": {"$env": "X"}}})),
        [
            "grpc.addr: environment variable X is not set",
            "main.addr: {\"$env\":\"X\"} is an object, expected a text"
        ]
    );
}

#[test]
fn sections_come_from_other_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let load = |text: &str| {
        write("config.json", text);
        Config::load(directory.path().join("config.json"), Program::Backend, &MapEnv::new())
    };
    write("main.json", r#"{"addr": ":1"}"#);
    write("store.json", r#"{"retention-in-memory": "1h", "memory-cap": 1}"#);
    write("broken.json", "{");
    let loaded = load(r#"{"main-file": "main.json", "metric-store-file": "store.json"}"#).unwrap();
    assert_eq!(loaded.config.main.addr, ":1", "found beside the file that names it");
    assert!(loaded.config.metric_store.is_some());

    let loaded = load(r#"{"main": {}, "auth-file": "nosuch.json"}"#).unwrap();
    assert_eq!(loaded.config.auth, auth::Auth::default());
    assert!(loaded.warnings[0].text.contains("section \"auth\" counts as missing"), "{:?}", loaded.warnings);

    for (text, expected) in [
        (
            r#"{"main": {}, "main-file": "main.json"}"#,
            "section \"main\" is there as well; remove one of them",
        ),
        (r#"{"main": {}, "ui-file": 5}"#, "5 is a number, expected the path of a file"),
        (r#"{"main": {}, "ui-file": "broken.json"}"#, "is not JSON"),
        (r#"{"main-file": "nosuch.json"}"#, "main configuration must be present"),
    ] {
        let problems = load(text).unwrap_err();
        assert!(problems.to_string().contains(expected), "{text}: {problems}");
    }
}

#[rstest]
#[case("", "is empty")]
#[case(r#"{"main": {"#, "is not JSON: EOF")]
#[case(r#"{"main": {},}"#, "is not JSON: trailing comma at line 1 column 13")]
#[case("\u{feff}{}", "byte order mark")]
#[case(r#"{"http-api": {}, "checkpoints": {}}"#, "cc-metric-store before 1.5")]
#[case(r#"{"addr": ":80", "clusters": []}"#, "cc-backend before 1.5")]
fn unusable_files_say_why(#[case] text: &str, #[case] expected: &str) {
    let problems = Config::parse(text, Program::Backend, &MapEnv::new()).unwrap_err();
    assert!(problems.to_string().contains(expected), "{problems}");
}

#[test]
fn missing_files_and_directories_say_so() {
    let problems = Config::load("/nonexistent/config.json", Program::Backend, &MapEnv::new()).unwrap_err();
    assert!(problems.to_string().contains("there is no such file"), "{problems}");
    assert!(problems.to_string().contains("main configuration must be present"), "{problems}");
    let directory = tempfile::tempdir().unwrap();
    let problems = Config::load(directory.path(), Program::Backend, &MapEnv::new()).unwrap_err();
    assert!(problems.to_string().contains("cannot be read"), "{problems}");
}

#[test]
fn text_after_the_object_is_ignored_with_a_warning() {
    let loaded = Config::parse("{\"main\": {}}\n}", Program::Backend, &MapEnv::new()).unwrap();
    assert_eq!(loaded.warnings[0].text, "text after the closing brace is ignored");
}

#[test]
fn the_same_directory_for_two_archives_is_reported() {
    let value = json!({"main": {},
        "metric-store": {"retention-in-memory": "1h", "memory-cap": 1, "cleanup": {"mode": "archive", "directory": "./var/archive/"}},
        "archive": {"kind": "file", "path": "x", "retention": {"policy": "move", "age": 1, "target-path": "./var/archive"}}});
    assert_eq!(
        findings(&value),
        [
            "archive.retention.target-path: is metric-store.cleanup.directory too (./var/archive); use two directories"
        ]
    );
    assert_eq!(good(&value).archive.retention.unwrap().policy, Policy::Move);
}

#[test]
fn the_stand_alone_store_reads_its_own_keys() {
    let key = "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=";
    let value = json!({"main": {"jwt-public-key": key, "backend-url": "http://b", "debug": {"gops": true}},
        "metrics": {"load": {"frequency": 60, "aggregation": null}, "Flops": {"frequency": 10, "aggregation": "sum"}},
        "metric-store": {"retention-in-memory": "1h", "memory-cap": 1}});
    let loaded = Config::parse(&value.to_string(), Program::Store, &MapEnv::new()).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.main.addr, "", "no default address");
    let standalone = loaded.config.standalone.unwrap();
    assert_eq!(standalone.jwt_public_key, key);
    assert_eq!(standalone.metrics["load"].aggregation, None);
    assert_eq!(standalone.metrics["Flops"].aggregation, Some(standalone::Aggregation::Sum));
    // The same file is no configuration of cc-backend, as in the reference.
    assert!(load(&value).is_err());
    // Without `metrics` the program is the split service.
    let split = json!({"main": {"addr": ":1"}});
    let loaded = Config::parse(&split.to_string(), Program::Store, &MapEnv::new()).unwrap();
    assert_eq!(loaded.config.standalone, None);
}

#[rstest]
#[case(json!({"load": {"frequency": 60}}), "metrics.load.aggregation: missing")]
#[case(json!({"load": {"frequency": 0, "aggregation": "avg"}}), "metrics.load.frequency: is 0")]
#[case(json!({"load": {"frequency": 1, "aggregation": "avg", "unit": "B"}}), "metrics.load.unit: unknown key")]
fn mistakes_in_metrics_are_named(#[case] metrics: Value, #[case] expected: &str) {
    let value = json!({"main": {}, "metrics": metrics, "metric-store": {"retention-in-memory": "1h", "memory-cap": 1}});
    let problems = Config::parse(&value.to_string(), Program::Store, &MapEnv::new()).unwrap_err();
    assert!(problems.to_string().contains(expected), "{problems}");
}

#[test]
fn secrets_never_show_in_debug() {
    let value = json!({"main": {}, "nats": {"address": "nats://u:hidden@h", "username": "u", "password": "hidden"},
        "archive": {"kind": "s3", "bucket": "b", "access-key": "hidden", "secret-key": "hidden"},
        "metric-store-external": [{"scope": "*", "url": "http://x", "token": "hidden"}]});
    let shown = format!("{:?}", good(&value));
    assert!(!shown.contains("hidden"), "{shown}");
}

/// The configurations the reference was recorded with.
#[test]
fn recorded_configurations_are_accepted_without_a_word() {
    let shared = ProcessEnv
        .get("CC_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let fixtures = shared.join("fixtures");
    let read = |path: PathBuf| -> Option<Value> {
        // the recorder fills the port in
        let text = std::fs::read_to_string(path).ok()?.replace("{nats_port}", "4222");
        Some(serde_json::from_str(&text).unwrap())
    };
    let Some(hub) = read(fixtures.join("site/hub/config.json")) else {
        println!("skipped: no {}", fixtures.display());
        return;
    };
    let mut all = vec![hub.clone(), read(fixtures.join("site/real/config.json")).unwrap()];
    for part in ["rest", "auth", "ui", "taggers", "nats"] {
        for entry in std::fs::read_dir(fixtures.join("scenarios").join(part)).unwrap() {
            let Some(overlay) = read(entry.unwrap().path()).unwrap()["config"].as_object().cloned() else {
                continue;
            };
            let mut whole = hub.clone();
            for (section, values) in overlay {
                for (key, value) in values.as_object().unwrap() {
                    whole[&section][key] = value.clone();
                }
            }
            all.push(whole);
        }
    }
    assert!(all.len() > 8, "{}", all.len());
    for value in all {
        assert_eq!(findings(&value), [""; 0], "{value}");
    }
}
