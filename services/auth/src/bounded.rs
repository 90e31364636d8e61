//! A map that cannot grow beyond its capacity (product.md A11): the only kind of cache in this crate.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::Hash;

/// A map of at most `capacity` entries that forgets what was not used for longest, roughly: entries live in a young
/// and an old half; a full young half becomes the old one, and what is read from the old half moves to the young one.
/// So an entry survives at least `capacity / 2` other insertions after its last use.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    half: usize,
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    /// An empty map for at most `capacity` entries (at least 2).
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    /// The value of a key, for reading or changing; counts as a use.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get_mut(key)
    }

    /// Adds or replaces an entry.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Entries held, at most the capacity.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_holds_more_than_its_capacity() {
        let mut map = Bounded::new(100);
        for key in 0..10_000_u32 {
            map.insert(key, key);
            assert!(map.len() <= 100);
        }
        assert!(map.young.capacity() + map.old.capacity() < 400);
        assert_eq!(map.get_mut(&9_999), Some(&mut 9_999));
        assert_eq!(map.get_mut(&0), None);
    }

    #[test]
    fn what_is_used_stays() {
        let mut map = Bounded::new(10);
        map.insert(0, "kept");
        for key in 1..1_000 {
            map.insert(key, "other");
            assert_eq!(map.get_mut(&0), Some(&mut "kept"), "after {key}");
        }
    }

    #[test]
    fn an_entry_has_one_value() {
        let mut map = Bounded::new(4);
        for key in [1, 2, 3, 1] {
            map.insert(key, key);
        }
        map.insert(1, 7);
        assert_eq!(map.get_mut(&1), Some(&mut 7));
        assert_eq!(map.len(), 3);
    }
}
