//! What the tests of this crate share.

use std::path::PathBuf;

use cc_runtime::env::Env as _;

pub(crate) use self::double::{Fault, Server};

mod double;

/// The recordings, or `None` after saying so.
pub(crate) fn shared() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let path =
        cc_runtime::env::ProcessEnv.get("CC_SHARED").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if path.join("fixtures").is_dir() {
        return Some(path);
    }
    println!("skipped: no recordings in {} (set CC_SHARED)", path.display());
    None
}
