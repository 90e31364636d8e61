//! Which of the reference's files a shard holds in its own checkpoints already. They are not read again, so that what was freed since
//! stays freed.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use cc_runtime::files;
use serde::{Deserialize, Serialize};

const NAME: &str = "imported.json";

/// How a file is told from one that was written anew under its name, and the end of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    pub(crate) modified_ns: i128,
    pub(crate) to: i64,
    /// Whether bytes of it are left out: it is not deleted then.
    #[serde(default)]
    pub(crate) torn: bool,
}

impl Stamp {
    /// Of a file whose window ends at `to`.
    pub(crate) fn new(metadata: &Metadata, to: i64) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { bytes: metadata.len(), modified_ns, to, torn: false }
    }

    /// Whether it is the same file still.
    pub(crate) fn fits(&self, metadata: &Metadata) -> bool {
        *self == Self { torn: self.torn, ..Self::new(metadata, self.to) }
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// By `cluster/host/name`.
    files: BTreeMap<String, Stamp>,
    /// Whether `files` says more than what was kept.
    unkept: bool,
    /// By cluster and host: up to when the directory holds its samples.
    ends: HashMap<String, HashMap<String, i64>>,
}

impl Imported {
    /// What was kept in a shard's directory; nothing if it cannot be read: then files are read once more.
    pub(crate) fn read(directory: &Path) -> Self {
        let path = directory.join(NAME);
        let parsed = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => Err(error.to_string()),
            Ok(text) => serde_json::from_slice(&text).map_err(|error| error.to_string()),
        };
        let files = parsed.unwrap_or_else(|error| {
            let path = path.display();
            tracing::warn!(
                file.path = %path,
                error,
                "{path} is damaged ({error}): checkpoint files that were imported already are read again"
            );
            BTreeMap::new()
        });
        Self { files, ..Self::default() }
    }

    /// What is known of a file.
    pub(crate) fn get(&self, key: &str) -> Option<Stamp> {
        self.files.get(key).copied()
    }

    /// Whether a file is one that is known.
    pub(crate) fn knows(&self, key: &str, metadata: &Metadata) -> bool {
        self.get(key).is_some_and(|stamp| stamp.fits(metadata))
    }

    /// What is known of the files of a host.
    pub(crate) fn of_host(&self, cluster: &str, host: &str) -> BTreeMap<String, Stamp> {
        let prefix = super::import::key_of(cluster, host, "");
        let of_host = self.files.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        of_host.map(|(key, stamp)| (key.clone(), *stamp)).collect()
    }

    /// Takes the files that were found at this start: the others are gone.
    pub(crate) fn replace(&mut self, files: BTreeMap<String, Stamp>) {
        if self.files != files {
            self.files = files;
            self.unkept = true;
        }
    }

    /// Whether a checkpoint should be made, so that it needs not be read again.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.unkept
    }

    /// What is known of a file if a durable checkpoint of ours holds it.
    pub(crate) fn held(&self, key: &str, metadata: &Metadata) -> Option<Stamp> {
        self.get(key).filter(|stamp| !self.unkept && stamp.fits(metadata))
    }

    /// Keeps it for the next start, after a checkpoint that holds the samples.
    pub(crate) fn keep(&mut self, directory: &Path) -> Result<(), files::Error> {
        if !self.unkept {
            return Ok(());
        }
        // Texts and numbers cannot fail to be JSON.
        let text = serde_json::to_vec(&self.files).unwrap_or_default();
        files::write_atomic(directory.join(NAME), text)?;
        self.unkept = false;
        Ok(())
    }

    /// Notes that the directory holds a host's samples up to `to`.
    pub(crate) fn extend(&mut self, cluster: &str, host: &str, to: i64) {
        let hosts = self.ends.entry(cluster.to_owned()).or_default();
        let end = hosts.entry(host.to_owned()).or_insert(to);
        *end = to.max(*end);
    }

    /// Up to when the directory holds a host's samples.
    pub(crate) fn end(&self, cluster: &str, host: &str) -> Option<i64> {
        self.ends.get(cluster)?.get(host).copied()
    }
}
