//! Recordings and real data beside the checkout: found by `CC_SHARED` (default `../shared`), skipped aloud where missing.

use std::path::{Path, PathBuf};

/// The workspace root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// The folder of shared data, if it is there.
pub fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("CC_SHARED")
        .map_or_else(|| root().parent().expect("a parent").join("shared"), PathBuf::from);
    path.join("fixtures").is_dir().then(|| path.canonicalize().expect("it is a directory"))
}

/// As [`shared`]; says aloud that `test` is skipped where it is missing. `CC_NO_SKIP` makes that a failure.
pub fn shared_or_skip(test: &str) -> Option<PathBuf> {
    let found = shared();
    if found.is_none() {
        assert!(std::env::var_os("CC_NO_SKIP").is_none(), "{test} must not be skipped here");
        println!("skipped: {test}: no shared data (set CC_SHARED)");
    }
    found
}

/// A binary of this workspace, built by `cargo build --workspace --bins`.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("CC_BIN").map_or_else(
        || {
            let exe = std::env::current_exe().expect("own path");
            // target/<profile>/deps/<test> or target/<profile>/<program>
            let folder = exe.parent().expect("a folder");
            if folder.ends_with("deps") {
                folder.parent().expect("a folder").to_owned()
            } else {
                folder.to_owned()
            }
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}
