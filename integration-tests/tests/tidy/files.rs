//! Layout, size and content of files.

use std::{collections::BTreeSet, fs};

use crate::{report, root, tracked};

/// Everything that may stand at the top level.
const TOP: &[&str] = &[
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "clippy.toml",
    "deploy",
    "gateway",
    "integration-tests",
    "proto",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "web",
];

#[test]
fn the_top_level_is_the_planned_one() {
    let top: BTreeSet<String> =
        tracked().iter().map(|path| path.split('/').next().expect("a path").to_owned()).collect();
    let planned: BTreeSet<String> = TOP.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(top, planned);
}

#[test]
fn source_files_can_be_read_in_one_go() {
    const LINES_MAX: usize = 500;
    let mut findings = Vec::new();
    for path in tracked().iter().filter(|path| is_source(path)) {
        let text = fs::read_to_string(root().join(path)).expect("source is UTF-8");
        // Unit tests stand beside the code and do not count.
        let lines = text
            .lines()
            .position(|line| line == "#[cfg(test)]" || line == "mod tests {")
            .unwrap_or_else(|| text.lines().count());
        if lines > LINES_MAX {
            findings.push(format!("{path}: {lines} lines"));
        }
    }
    report("files longer than 500 lines: split by meaning", &findings);
}

#[test]
fn nothing_of_a_machine_or_a_registry_is_committed() {
    // Put together here so that this file does not find itself.
    let banned: Vec<String> = [
        ["/wo", "rk/main"],
        ["/wo", "rk/shared"],
        ["/ro", "ot/"],
        ["registry.np", "mjs"],
        ["crates.io", "/api"],
        ["index.cra", "tes.io"],
        ["deb.deb", "ian.org"],
        ["pypi", ".org"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    let mut findings = Vec::new();
    for path in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(word.as_str())) {
                // Cargo.lock names its source by a fixed public identifier.
                if path != "Cargo.lock" {
                    findings.push(format!("{path}:{}: {word}", number + 1));
                }
            }
        }
    }
    report("paths of a machine or hosts of registries", &findings);
}

#[test]
fn no_file_is_large() {
    const BYTES_MAX: u64 = 512 * 1024;
    let mut findings = Vec::new();
    for path in tracked() {
        let size = fs::metadata(root().join(&path)).expect("tracked file").len();
        if size > BYTES_MAX {
            findings.push(format!("{path}: {size} bytes"));
        }
    }
    report("files larger than 512 KiB", &findings);
}

fn is_source(path: &str) -> bool {
    [".rs", ".ts", ".svelte", ".proto", ".py", ".sh"].iter().any(|ending| path.ends_with(ending))
}
