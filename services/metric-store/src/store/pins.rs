//! Hosts whose samples stay beyond the retention: jobs run on them, or wait for being archived.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Store, state};
use crate::error::Error;

/// A host and the time from which its samples are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Cluster.
    pub cluster: String,
    /// Host.
    pub host: String,
    /// Unix seconds.
    pub from: i64,
}

/// The last set of pins.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    hosts: HashMap<String, HashMap<String, i64>>,
    /// Whether they were given to this process: those of an earlier one may lack new jobs.
    pub(crate) fresh: bool,
}

impl Pins {
    /// From these; the earliest of each host counts.
    pub(crate) fn new(pins: &[Pin], fresh: bool) -> Self {
        let mut hosts: HashMap<String, HashMap<String, i64>> = HashMap::new();
        for pin in pins {
            let of_cluster = hosts.entry(pin.cluster.clone()).or_default();
            let from = of_cluster.entry(pin.host.clone()).or_insert(pin.from);
            *from = pin.from.min(*from);
        }
        Self { hosts, fresh }
    }

    /// From when on a host's samples are kept.
    pub(crate) fn from(&self, cluster: &str, host: &str) -> Option<i64> {
        self.hosts.get(cluster)?.get(host).copied()
    }
}

impl Store {
    /// Replaces the set of pins, durably.
    ///
    /// # Errors
    /// The state file cannot be written; the new set holds in memory all the same.
    pub fn pin(&self, pins: &[Pin]) -> Result<(), Error> {
        let new = Arc::new(Pins::new(pins, true));
        *self.pins.write().unwrap_or_else(std::sync::PoisonError::into_inner) = new;
        state::write_pins(self.directory(), pins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_pin_of_a_host_counts() {
        let pin = |host: &str, from| Pin { cluster: "fritz".to_owned(), host: host.to_owned(), from };
        let pins = Pins::new(&[pin("a", 50), pin("a", 20), pin("b", 70)], true);
        assert_eq!((pins.from("fritz", "a"), pins.from("fritz", "b")), (Some(20), Some(70)));
        assert_eq!((pins.from("fritz", "c"), pins.from("alex", "a")), (None, None));
    }
}
