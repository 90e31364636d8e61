//! What a job must show and what its archive entry must hold, computed anew from the lines that were sent and the cluster files.
//!
//! Imports nothing from `services/`: a mistake there must not be repeated here. The rules are those of the specifications:
//! metric-store.md 6, 7 and 10 (slots, ranges, scopes), job-archive.md 4, 5, 12 and 13 (files, statistics, footprint, energy).

mod check;
mod expect;
mod fed;
mod meta;
mod site;

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

pub use check::{data, job_metrics};
pub use expect::{Data, Job, Row, Rows, expected, statistics};
pub use fed::Fed;
pub use meta::{finished, meta};
pub use site::{Cluster, Scope};

/// Metrics of jobs on more nodes than this are kept per node only.
pub const CORE_NODES_MAX: usize = 8;

/// The entry of a job as it lies in the archive.
#[derive(Debug)]
pub struct Entry {
    /// Its folder.
    pub folder: PathBuf,
    /// `meta.json`.
    pub meta: Value,
    /// `data.json` or `data.json.gz`.
    pub data: Value,
    /// Length of the data unpacked, and whether it was packed.
    pub data_bytes: (usize, bool),
}

/// Folder of a job below the root of an archive.
pub fn folder(cluster: &str, job_id: i64, start: i64) -> String {
    format!("{cluster}/{}/{:03}/{start}", job_id / 1000, job_id % 1000)
}

/// Reads an entry; says what is wrong with it where it cannot be read or holds other files.
pub fn entry(root: &Path, cluster: &str, job_id: i64, start: i64) -> Result<Entry, String> {
    let folder = root.join(folder(cluster, job_id, start));
    let mut names: Vec<String> = fs::read_dir(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))?
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let packed = match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["data.json", "meta.json"] => false,
        ["data.json.gz", "meta.json"] => true,
        _ => return Err(format!("{} holds {names:?}", folder.display())),
    };
    let read = |name: &str| fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let json = |bytes: &[u8], name: &str| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|error| format!("{}: {name}: {error}", folder.display()))
    };
    let meta = json(&read("meta.json")?, "meta.json")?;
    let mut bytes = read(if packed { "data.json.gz" } else { "data.json" })?;
    if packed {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut plain)
            .map_err(|error| format!("{}: data.json.gz: {error}", folder.display()))?;
        bytes = plain;
    }
    let data = json(&bytes, "data")?;
    Ok(Entry { data, meta, data_bytes: (bytes.len(), packed), folder })
}

/// Rounded to two decimals, half away from zero.
pub(crate) fn round2(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
