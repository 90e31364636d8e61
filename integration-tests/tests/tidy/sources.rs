//! What must not stand in source text although the compiler takes it.

use std::fs;

use crate::{report, root, tracked};

/// Lines of product code (tests, benches and this crate left out) with their file and number.
fn product_lines(endings: &[&str]) -> Vec<(String, usize, String)> {
    let mut lines = Vec::new();
    for path in tracked() {
        let is_test = path.starts_with("integration-tests/")
            || path.contains("/tests/")
            || path.contains("/tests.rs")
            || path.contains("/benches/")
            || path.ends_with(".test.ts");
        if is_test || !endings.iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).expect("source is UTF-8");
        for (number, line) in text.lines().enumerate() {
            if line == "#[cfg(test)]" {
                break;
            }
            lines.push((path.clone(), number + 1, line.to_owned()));
        }
    }
    lines
}

fn findings(endings: &[&str], bad: impl Fn(&str) -> bool) -> Vec<String> {
    product_lines(endings)
        .into_iter()
        .filter(|(_, _, line)| bad(line))
        .map(|(path, number, line)| format!("{path}:{number}: {}", line.trim()))
        .collect()
}

#[test]
fn no_marks_of_unfinished_work() {
    let marks: Vec<String> =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"]].iter().map(|parts| parts.concat()).collect();
    report(
        "marks of unfinished work",
        &findings(&[".rs", ".ts", ".svelte", ".proto", ".sh"], |line| {
            marks.iter().any(|mark| line.contains(mark.as_str()))
        }),
    );
}

#[test]
fn sql_is_never_put_together_from_text() {
    // Values are bound; names come from allow-lists as &'static str (product.md A2, A4).
    report(
        "text built into SQL",
        &findings(&[".rs"], |line| {
            line.contains("format!")
                && ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", " WHERE "]
                    .iter()
                    .any(|word| line.contains(word))
        }),
    );
}

#[test]
fn templates_have_no_inline_style_script_or_raw_html() {
    report(
        "inline style, script or raw HTML (Content Security Policy, product.md A6)",
        &findings(&[".svelte", ".html"], |line| {
            line.contains("style=\"")
                || line.contains("style={")
                || line.contains("style:") && line.contains('<')
                || line.contains("{@html")
                || line.contains("onclick=\"")
        }),
    );
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    report(
        "#[allow] or #[expect] without a reason",
        &findings(&[".rs"], |line| {
            let line = line.trim_start();
            line.starts_with("#[allow(") || line.starts_with("#![allow(")
        }),
    );
}

#[test]
fn background_tasks_and_clocks_live_in_their_rooms() {
    report(
        "tokio::spawn or a raw clock outside cc-runtime",
        &findings(&[".rs"], |line| {
            line.contains("tokio::spawn(")
                || line.contains("SystemTime::now(")
                || line.contains("Timestamp::now(")
        })
        .into_iter()
        .filter(|finding| !finding.starts_with("services/runtime/src/"))
        .collect::<Vec<_>>(),
    );
}
