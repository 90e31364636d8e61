//! The crates and their directions, read from `cargo metadata` (architecture: "Who may know whom").

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

use crate::{report, root};

/// Crate, folder, and the crates of ours that it may depend on.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("cc-model", "services/model", &[]),
    ("cc-proto", "proto", &["cc-model"]),
    ("cc-runtime", "services/runtime", &["cc-model", "cc-proto"]),
    ("cc-database", "services/database", &["cc-model", "cc-proto", "cc-runtime"]),
    ("cc-archive", "services/archive", &["cc-model", "cc-proto", "cc-runtime"]),
    ("cc-job-db", "services/job-db", &["cc-model", "cc-proto", "cc-runtime", "cc-database"]),
    ("cc-auth", "services/auth", &["cc-model", "cc-proto", "cc-runtime", "cc-database"]),
    ("cc-metric-store", "services/metric-store", &["cc-model", "cc-proto", "cc-runtime"]),
    ("cc-slurm-adapter", "services/slurm-adapter", &["cc-model", "cc-proto", "cc-runtime"]),
    ("cc-web", "web", &[]),
    ("cc-gateway", "gateway", &["cc-model", "cc-proto", "cc-runtime", "cc-web"]),
    (
        "cc-backend",
        "services/all-in-one",
        &[
            "cc-model",
            "cc-proto",
            "cc-runtime",
            "cc-database",
            "cc-archive",
            "cc-job-db",
            "cc-auth",
            "cc-metric-store",
            "cc-gateway",
        ],
    ),
    ("cc-integration-tests", "integration-tests", &["cc-model", "cc-proto"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

#[test]
fn crates_lie_where_the_plan_puts_them_and_know_only_what_they_may() {
    let metadata = metadata();
    let plan: BTreeMap<&str, (&str, BTreeSet<&str>)> =
        CRATES.iter().map(|(name, folder, may)| (*name, (*folder, may.iter().copied().collect()))).collect();
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        let Some((folder, may)) = plan.get(name) else {
            findings.push(format!("{name} is not in the plan"));
            continue;
        };
        seen.insert(name.to_owned());
        let manifest = package["manifest_path"].as_str().expect("manifest_path");
        if manifest != root().join(folder).join("Cargo.toml").to_str().expect("UTF-8") {
            findings.push(format!("{name} lies at {manifest}, not in {folder}"));
        }
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let other = dependency["name"].as_str().expect("name");
            // A crate's tests may use more than the crate itself, but only downwards as well.
            if plan.contains_key(other) && other != name && !may.contains(other) {
                findings.push(format!("{name} depends on {other}"));
            }
        }
    }
    for name in plan.keys().filter(|name| !seen.contains(**name)) {
        findings.push(format!("{name} is missing"));
    }
    report("crates and their directions", &findings);
}

#[test]
fn versions_stand_in_the_workspace_table_only() {
    let mut findings = Vec::new();
    for (_, folder, _) in CRATES {
        let path = root().join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).expect("manifest");
        let mut in_dependencies = false;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
                findings.push(format!("{folder}/Cargo.toml:{}: {line}", number + 1));
            }
        }
    }
    report("dependencies come from [workspace.dependencies]", &findings);
}
