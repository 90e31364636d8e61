//! Answers of the auth service, kept for as long as it allows and never longer than the credential lives.
//!
//! Bounded (product.md A11): entries live in a young and an old half; when the young one is full it becomes the old
//! one. Keys are digests: a core dump of the gateway holds no credential.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Identity;
use super::credential::Credential;

/// Entries at most, about 1 KiB each.
const CAPACITY: usize = 8192;

type Half = HashMap<[u8; 32], Entry>;

#[derive(Clone, Debug)]
struct Entry {
    identity: Identity,
    /// Unix seconds.
    good_until: i64,
}

#[derive(Debug, Default)]
struct Halves {
    young: Half,
    old: Half,
}

/// The cache.
#[derive(Debug)]
pub struct Identities {
    halves: Mutex<Halves>,
    half: usize,
}

impl Identities {
    /// For at most `capacity` entries (at least 2).
    pub fn new(capacity: usize) -> Self {
        Self { halves: Mutex::default(), half: (capacity / 2).max(1) }
    }

    /// The identity behind a credential, if it was asked for lately enough.
    pub(super) fn get(&self, credential: &Credential, now: i64) -> Option<Identity> {
        let key = credential.digest();
        let mut halves = self.halves();
        let young = halves.young.get(&key).cloned();
        let entry = young.or_else(|| {
            halves.old.remove(&key).inspect(|entry| self.insert(&mut halves, key, entry.clone()))
        })?;
        if now < entry.good_until {
            return Some(entry.identity);
        }
        halves.young.remove(&key);
        None
    }

    /// Keeps an answer that was asked for at `asked_at`.
    pub(super) fn put(&self, credential: &Credential, identity: &Identity, asked_at: i64, cache_s: u32) {
        let good_until = asked_at.saturating_add(cache_s.into());
        let good_until = identity.expires_at.map_or(good_until, |end| good_until.min(end));
        if good_until > asked_at {
            let entry = Entry { identity: identity.clone(), good_until };
            self.insert(&mut self.halves(), credential.digest(), entry);
        }
    }

    /// Forgets a credential: it was refused, or its session was ended here.
    pub fn forget(&self, credential: &Credential) {
        let key = credential.digest();
        let mut halves = self.halves();
        halves.young.remove(&key);
        halves.old.remove(&key);
    }

    fn insert(&self, halves: &mut Halves, key: [u8; 32], entry: Entry) {
        if halves.young.len() >= self.half && !halves.young.contains_key(&key) {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.old.remove(&key);
        halves.young.insert(key, entry);
    }

    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Identities {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> Credential {
        Credential::Bearer(number.to_string())
    }

    fn identity(expires_at: Option<i64>) -> Identity {
        Identity { expires_at, ..Identity::unauthenticated() }
    }

    #[test]
    fn answers_are_kept_as_long_as_allowed() {
        let cache = Identities::default();
        cache.put(&token(1), &identity(None), 100, 60);
        assert!(cache.get(&token(1), 159).is_some());
        assert!(cache.get(&token(1), 160).is_none());
        assert!(cache.get(&token(1), 101).is_none(), "an entry that was too old is gone");
        assert!(cache.get(&token(2), 100).is_none());
    }

    #[test]
    fn never_beyond_the_end_of_the_credential() {
        let cache = Identities::default();
        cache.put(&token(1), &identity(Some(110)), 100, 60);
        assert!(cache.get(&token(1), 109).is_some());
        assert!(cache.get(&token(1), 110).is_none());
        cache.put(&token(2), &identity(None), 100, 0);
        assert!(cache.get(&token(2), 100).is_none());
    }

    #[test]
    fn forgotten_ones_are_asked_again() {
        let cache = Identities::default();
        cache.put(&token(1), &identity(None), 100, 60);
        cache.forget(&token(1));
        assert!(cache.get(&token(1), 100).is_none());
    }

    #[test]
    fn a_million_tokens_leave_a_bounded_cache() {
        let cache = Identities::new(100);
        cache.put(&token(0), &identity(None), 0, 60);
        for number in 1..10_000 {
            cache.put(&token(number), &identity(None), 0, 60);
            assert!(cache.get(&token(0), 1).is_some(), "what is used stays");
            let halves = cache.halves();
            assert!(halves.young.len() + halves.old.len() <= 100);
        }
    }
}
