//! Which adapter a credential introduced itself as. The messages of `Publish` do not repeat the name that `Hello` gave;
//! an adapter may put it into the metadata `x-adapter-id`, which also works when another gateway took the `Hello`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tonic::Status;
use tonic::metadata::MetadataMap;

use super::refusal;

/// The metadata key.
pub(super) const ADAPTER_ID: &str = "x-adapter-id";

/// Longest name of an adapter.
const NAME_BYTES_MAX: usize = 128;
/// Introductions kept; a site has a handful of adapters.
const INTRODUCED_MAX: usize = 1024;

/// By credential and epoch: the adapter's name.
#[derive(Debug, Default)]
pub(super) struct Adapters(Mutex<HashMap<(String, u64), String>>);

impl Adapters {
    /// A `Hello` was answered.
    pub(super) fn introduced(&self, user: &str, epoch: u64, name: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= INTRODUCED_MAX {
            // adapters say Hello again whenever they connect
            known.clear();
        }
        known.insert((user.to_owned(), epoch), name.to_owned());
    }

    /// The adapter behind a batch.
    pub(super) fn of(&self, user: &str, epoch: u64) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(user.to_owned(), epoch)).cloned()
    }
}

/// The name in the metadata, if there is one.
pub(super) fn named(metadata: &MetadataMap) -> Result<Option<String>, Status> {
    let Some(value) = metadata.get(ADAPTER_ID) else { return Ok(None) };
    let name = value.to_str().unwrap_or_default();
    check(name)?;
    Ok(Some(name.to_owned()))
}

/// Refuses a name that cannot be kept.
pub(super) fn check(name: &str) -> Result<(), Status> {
    let harmless = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if harmless {
        return Ok(());
    }
    Err(refusal::invalid(
        "ADAPTER_ID",
        format!("adapter_id must have 1 to {NAME_BYTES_MAX} printable characters"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_known_by_credential_and_epoch_within_bounds() {
        let adapters = Adapters::default();
        adapters.introduced("slurm", 7, "slurm-a");
        assert_eq!(adapters.of("slurm", 7).as_deref(), Some("slurm-a"));
        assert_eq!(adapters.of("slurm", 8), None);
        assert_eq!(adapters.of("other", 7), None);
        for epoch in 0..10_000 {
            adapters.introduced("slurm", epoch, "x");
            assert!(adapters.0.lock().unwrap().len() <= INTRODUCED_MAX);
        }
    }

    #[test]
    fn names_are_short_and_printable() {
        assert!(check("slurm-master.example").is_ok());
        for name in ["", "a\nb", &"x".repeat(129)] {
            assert_eq!(check(name).unwrap_err().code(), tonic::Code::InvalidArgument, "{name:?}");
        }
    }
}
