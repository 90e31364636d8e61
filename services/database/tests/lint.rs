//! SQL injection is impossible by construction: this test keeps the construction.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_statement_is_put_together_from_values() {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for service in ["database", "job-db", "auth"] {
        rust_files(&services.join(service).join("src"), &mut files);
    }
    assert!(files.len() > 10);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // sqlx takes `&'static str` or one of these two; only the wrapper may use the builder
        assert!(!text.contains("AssertSqlSafe"), "{}", file.display());
        let wrapper = file.ends_with("database/src/sql.rs");
        assert!(wrapper || !text.contains("QueryBuilder"), "{}", file.display());
    }
}
