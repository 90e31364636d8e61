//! Test help: real files.

use std::path::PathBuf;

/// A file of the shared material (`CC_SHARED`, default `../shared` beside the workspace), or nothing, said aloud.
pub(crate) fn shared(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("CC_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let found = std::fs::read(root.join(path)).ok();
    if found.is_none() {
        println!("skipped: {path} is not in the shared material");
    }
    found
}
