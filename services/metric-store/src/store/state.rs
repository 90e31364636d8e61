//! State files in the store's directory: the registry as it was given, and the pins. Both are small, written whole, and durable.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use cc_model::Cluster;
use cc_runtime::files;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Store;
use super::pins::{Pin, Pins};
use crate::error::Error;
use crate::registry::{Registry, Rule};

const REGISTRY: &str = "registry.json";
const PINS: &str = "pins.json";
const ID: &str = "store-id.json";

/// A cluster file as it was given.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ClusterFile {
    name: String,
    file: Box<RawValue>,
}

impl Store {
    /// Takes the cluster files of the site as the registry, and keeps them for the next start. Samples of metrics that stay are kept.
    /// Returns what could not be taken, in words: broken files are left out.
    ///
    /// # Errors
    /// The state file cannot be written; the registry holds in memory all the same.
    pub fn configure<'a>(
        &self,
        clusters: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Vec<String>, Error> {
        let mut problems = Vec::new();
        let (mut parsed, mut kept) = (Vec::new(), Vec::new());
        for (name, json) in clusters {
            if let Some((cluster, file)) = parse(name, json, &mut problems) {
                parsed.push(cluster);
                kept.push(ClusterFile { name: name.to_owned(), file });
            } else {
                tracing::error!(cluster.name = name, "cluster file of {name} is left out");
            }
        }
        self.set_registry(|generation| Registry::of_clusters(parsed, generation));
        let text = serde_json::to_vec(&kept).map_err(|error| Error::Invalid(error.to_string()))?;
        files::write_atomic(self.directory().join(REGISTRY), text)?;
        Ok(problems)
    }

    /// Takes one list of metrics for every cluster: the stand-alone server's. It is in the configuration, so nothing is kept.
    pub fn configure_metrics(&self, metrics: impl IntoIterator<Item = (String, Rule)>) {
        self.set_registry(|generation| Registry::of_metrics(metrics, generation));
    }

    fn set_registry(&self, make: impl FnOnce(u64) -> Registry) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let new = make(registry.generation + 1);
        tracing::info!(metrics = new.len(), "metric registry set: {} metrics", new.len());
        self.configured.send_replace(!new.is_empty());
        self.told.send_replace(true);
        *registry = Arc::new(new);
    }
}

fn parse(name: &str, json: &[u8], problems: &mut Vec<String>) -> Option<(Cluster, Box<RawValue>)> {
    let cluster = match Cluster::from_json(json) {
        Ok(cluster) => cluster,
        Err(error) => {
            problems.push(format!("cluster {name}: {error}"));
            return None;
        }
    };
    problems.extend(cluster.rejected().iter().map(|problem| format!("cluster {name}: {problem}")));
    match serde_json::from_slice(json) {
        Ok(file) => Some((cluster, file)),
        Err(error) => {
            problems.push(format!("cluster {name}: {error}"));
            None
        }
    }
}

/// The registry of the last process; empty if there was none.
pub(super) fn read_registry(directory: &Path) -> Result<Registry, Error> {
    let Some(files) = read::<Vec<ClusterFile>>(directory, REGISTRY)? else { return Ok(Registry::default()) };
    let mut ignored = Vec::new();
    let clusters = files.into_iter().filter_map(|kept| {
        parse(&kept.name, kept.file.get().as_bytes(), &mut ignored).map(|(cluster, _)| cluster)
    });
    Ok(Registry::of_clusters(clusters, 1))
}

/// The pins of the last process.
pub(super) fn read_pins(directory: &Path) -> Result<Pins, Error> {
    Ok(Pins::new(&read::<Vec<Pin>>(directory, PINS)?.unwrap_or_default(), false))
}

/// The store's own number, made at its first start.
pub(super) fn read_id(directory: &Path) -> Result<u64, Error> {
    if let Some(id) = read(directory, ID)? {
        return Ok(id);
    }
    let id = rand::random();
    files::write_atomic(directory.join(ID), format!("{id}"))?;
    Ok(id)
}

/// Keeps the pins for the next process.
pub(super) fn write_pins(directory: &Path, pins: &[Pin]) -> Result<(), Error> {
    let text = serde_json::to_vec(pins).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(files::write_atomic(directory.join(PINS), text)?)
}

fn read<T: serde::de::DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<T>, Error> {
    let path = directory.join(name);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Open { path, source }),
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(Error::BrokenState { path, problem: error.to_string() }),
    }
}
