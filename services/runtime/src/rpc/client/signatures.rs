//! Tokens made a moment ago, so that a signature (25 µs) is not made for every call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;

use crate::caller::Caller;
use crate::rpc::identity::{TOKEN_LIFETIME_S, TooLong};
use crate::rpc::{Identity, TOKEN_BYTES_MAX};

/// A token is used again while it is younger, in seconds; the rest of its life is for the way and for clock skew.
const REUSE_S: i64 = TOKEN_LIFETIME_S / 2;
/// Most tokens kept.
const ENTRIES_MAX: usize = 4096;

/// Tokens by service asked and caller.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<Cache>);

#[derive(Debug, Default)]
struct Cache {
    /// The key generation the tokens were made with.
    generation: u64,
    services: HashMap<String, HashMap<Arc<Caller>, Entry>>,
    entries: usize,
}

#[derive(Debug)]
struct Entry {
    token: HeaderValue,
    made: i64,
}

impl Entry {
    /// Also false for a token from the future: the clock was set back.
    fn is_fresh(&self, now: i64) -> bool {
        (self.made..self.made + REUSE_S).contains(&now)
    }
}

impl Signatures {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A header value with a token for `audience`, made now or within the last [`REUSE_S`] seconds.
    pub(super) fn token(
        &self,
        identity: &Identity,
        caller: &Arc<Caller>,
        audience: &str,
        now: i64,
    ) -> Result<HeaderValue, TooLong> {
        let generation = identity.generation();
        {
            let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let found = cache.services.get(audience).and_then(|callers| callers.get(&**caller));
            if cache.generation == generation
                && let Some(entry) = found.filter(|entry| entry.is_fresh(now))
            {
                return Ok(entry.token.clone());
            }
        }
        // outside of the lock: two threads may sign the same, which harms nobody
        let text = format!("Bearer {}", identity.sign(caller, audience, now)?);
        let mut token = HeaderValue::try_from(text).map_err(|_| TooLong(TOKEN_BYTES_MAX))?;
        token.set_sensitive(true);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(
            generation,
            audience,
            Arc::clone(caller),
            Entry { token: token.clone(), made: now },
        );
        Ok(token)
    }
}

impl Cache {
    fn insert(&mut self, generation: u64, audience: &str, caller: Arc<Caller>, entry: Entry) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
        if self.entries >= ENTRIES_MAX {
            self.make_room(entry.made);
        }
        let callers = match self.services.get_mut(audience) {
            Some(callers) => callers,
            None => self.services.entry(audience.to_owned()).or_default(),
        };
        if callers.insert(caller, entry).is_none() {
            self.entries += 1;
        }
    }

    fn make_room(&mut self, now: i64) {
        for callers in self.services.values_mut() {
            callers.retain(|_, entry| entry.is_fresh(now));
        }
        self.entries = self.services.values().map(HashMap::len).sum();
        if self.entries >= ENTRIES_MAX {
            self.services.clear();
            self.entries = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use cc_proto::access::Peer;

    use super::*;
    use crate::rpc::House;

    fn caller(name: &str) -> Arc<Caller> {
        Arc::new(Caller { name: name.to_owned(), ..Caller::service("x") })
    }

    #[test]
    fn a_token_is_used_again_for_half_its_life() {
        let (signatures, identity) = (Signatures::new(), House::in_memory().of(Peer::Gateway));
        let alice = caller("alice");
        let first = signatures.token(&identity, &alice, "a.B", 1000).unwrap();
        assert!(first.is_sensitive());
        assert_eq!(signatures.token(&identity, &alice, "a.B", 1029).unwrap(), first);
        assert_ne!(signatures.token(&identity, &alice, "a.B", 1030).unwrap(), first);
        assert_ne!(signatures.token(&identity, &alice, "a.C", 1029).unwrap(), first);
        assert_ne!(signatures.token(&identity, &caller("bob"), "a.B", 1029).unwrap(), first);
        let earlier = signatures.token(&identity, &alice, "a.B", 900).unwrap();
        assert_ne!(earlier, first, "the clock was set back");
    }

    #[test]
    fn new_keys_make_new_tokens() {
        let (signatures, identity) = (Signatures::new(), House::in_memory().of(Peer::Gateway));
        let alice = caller("alice");
        let first = signatures.token(&identity, &alice, "a.B", 1000).unwrap();
        identity.replace(ed25519_dalek::SigningKey::from_bytes(&[7; 32]), Vec::new());
        assert_ne!(signatures.token(&identity, &alice, "a.B", 1000).unwrap(), first);
    }

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let mut cache = Cache::default();
        for index in 0..3 * ENTRIES_MAX {
            let entry = Entry { token: HeaderValue::from_static("x"), made: 1000 };
            cache.insert(0, "a.B", caller(&index.to_string()), entry);
            assert!(cache.entries <= ENTRIES_MAX);
            assert_eq!(cache.entries, cache.services.values().map(HashMap::len).sum::<usize>());
        }
    }
}
