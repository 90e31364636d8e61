//! Metric names as small numbers, for the life of the process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// A metric name by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MetricId(pub(crate) u32);

/// All metric names of the store: those of the registry and those found on disk.
#[derive(Debug, Default)]
pub(crate) struct MetricNames(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    numbers: HashMap<Arc<str>, MetricId>,
    names: Vec<Arc<str>>,
}

impl MetricNames {
    /// The number of a name, if it has one.
    pub(crate) fn get(&self, name: &str) -> Option<MetricId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(name).copied()
    }

    /// The number of a name. Callers only pass names that are configured or were once stored.
    pub(crate) fn number(&self, name: &str) -> MetricId {
        if let Some(number) = self.get(name) {
            return number;
        }
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = inner.numbers.get(name) {
            return number;
        }
        let number = MetricId(u32::try_from(inner.names.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = name.into();
        inner.names.push(Arc::clone(&name));
        inner.numbers.insert(name, number);
        number
    }

    /// The name behind a number.
    pub(crate) fn name(&self, number: MetricId) -> Arc<str> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.names.get(number.0 as usize).map_or_else(|| "".into(), Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers() {
        let names = MetricNames::default();
        let (load, power) = (names.number("load"), names.number("power"));
        assert_eq!((names.number("load"), names.get("power"), names.get("none")), (load, Some(power), None));
        assert_eq!(&*names.name(power), "power");
    }
}
