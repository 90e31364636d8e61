//! What must not start.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output},
};

use cc_integration_tests::{
    server::{Deployment, free_port},
    shared::{binary, root},
    site::Site,
};
use serde_json::json;

use crate::house::{House, site};

/// Starts the server where it cannot: it must end by itself, quickly, with status 1, and say all of these words.
#[track_caller]
pub fn ends_with(site: &Site, deployment: Deployment, words: &[&str]) {
    let output = start(site, deployment);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn start(site: &Site, deployment: Deployment) -> Output {
    // `timeout` ends a server that runs although it must not: status 124.
    let mut command = Command::new("timeout");
    command.arg("30");
    match deployment {
        Deployment::OneProcess => command.arg(binary("cc-backend")).arg("-server"),
        Deployment::Split => command.arg(root().join("deploy/split-local")).args(["-config", "config.json"]),
        Deployment::SplitTls => {
            command.arg(root().join("deploy/split-local")).args(["-config", "config.json", "-tls"])
        }
    };
    command
        .env("CC_BIN", binary("cc-gateway").parent().expect("a folder"))
        .env("TZ", "UTC")
        .current_dir(site.path())
        .output()
        .expect("it runs")
}

fn ports(site: &Site) {
    let (http, grpc) = (free_port(), free_port());
    site.configure(|config| {
        config["main"]["addr"] = json!(format!("127.0.0.1:{http}"));
        config["grpc"] = json!({"addr": format!("127.0.0.1:{grpc}")});
    });
}

pub async fn a_taken_port_is_named(deployment: Deployment) {
    for (section, key) in [("main", "main.addr"), ("grpc", "grpc.addr")] {
        let site = site();
        ports(&site);
        let address = site.config()[section]["addr"].as_str().expect("an address").to_owned();
        let taken = TcpListener::bind(&address).expect("a free port");
        ends_with(&site, deployment, &[key, &address, "listens on"]);
        drop(taken);
        House::of(site, deployment).await.close();
    }
}

pub async fn a_missing_directory_is_named(deployment: Deployment) {
    let site = site();
    ports(&site);
    let good = site.config();
    site.configure(|config| config["archive"] = json!({"kind": "file", "path": "./nosuch/archive"}));
    ends_with(&site, deployment, &["nosuch/archive"]);
    site.configure(|config| {
        config["archive"] = good["archive"].clone();
        config["main"]["db"] = json!("./nosuch/job.db");
    });
    ends_with(&site, deployment, &["nosuch/job.db"]);
    // A file where a directory must be.
    fs::write(site.file("occupied"), "").expect("a file");
    site.configure(|config| {
        *config = good.clone();
        config["metric-store"]["checkpoints"]["directory"] = json!("./occupied/checkpoints");
    });
    ends_with(&site, deployment, &["occupied"]);
    site.configure(|config| *config = good.clone());
    assert!(!site.file("nosuch").exists(), "nothing was made in passing");
    House::of(site, deployment).await.close();
}

pub async fn a_broken_configuration_is_named(deployment: Deployment) {
    let site = site();
    ports(&site);
    let good = site.config();
    let file = site.file("config.json");
    let changes = [
        ("main", "adress", json!("x"), "adress"),
        ("metric-store", "retention-in-memory", json!("soon"), "retention-in-memory"),
        ("archive", "kind", json!("tape"), "kind"),
        ("main", "addr", json!(8080), "addr"),
    ];
    for (section, key, value, word) in changes {
        site.configure(|config| {
            *config = good.clone();
            config[section][key] = value;
        });
        ends_with(&site, deployment, &[word]);
    }
    if deployment == Deployment::OneProcess {
        // The supervisor of a split deployment reads the file before the services do.
        let text = good.to_string();
        fs::write(&file, &text[..text.len() / 2]).expect("a file");
        ends_with(&site, deployment, &["config.json", "line"]);
    }
    fs::write(&file, good.to_string()).expect("a file");
    House::of(site, deployment).await.close();
}
