//! The check of every request with a token, with a bounded memory of signatures that were right.

use std::sync::{Arc, Mutex, PoisonError};

use cc_runtime::clock::Clock;
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use super::claims::Payload;
use super::{BYTES_MAX, Claims, TokenError, verify};
use crate::bounded::Bounded;

/// Most tokens that are remembered.
const TOKENS_MAX: usize = 10_000;

/// Checks tokens. Only tokens with a right signature are remembered (by their SHA-256), so bad ones cost no memory;
/// times are compared at every check.
#[derive(Debug)]
pub struct Verifier {
    key: Option<VerifyingKey>,
    clock: Clock,
    verified: Mutex<Bounded<[u8; 32], Arc<Payload>>>,
}

impl Verifier {
    /// A verifier for tokens signed with the counterpart of `key`; without a key it refuses everything.
    pub fn new(key: Option<VerifyingKey>, clock: Clock) -> Self {
        Self { key, clock, verified: Mutex::new(Bounded::new(TOKENS_MAX)) }
    }

    /// Who the token belongs to.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn check(&self, token: &str) -> Result<Claims, TokenError> {
        self.payload(token)?.at(self.clock.unix())
    }

    fn payload(&self, token: &str) -> Result<Arc<Payload>, TokenError> {
        if token.len() > BYTES_MAX {
            return verify(token, None).map(Arc::new); // says that it is too long
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let known = self.lock().get_mut(&hash).map(|payload| Arc::clone(payload));
        if let Some(payload) = known {
            return Ok(payload);
        }
        let payload = Arc::new(verify(token, self.key.as_ref())?);
        self.lock().insert(hash, Arc::clone(&payload));
        Ok(payload)
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Bounded<[u8; 32], Arc<Payload>>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tokens remembered now.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.lock().len()
    }
}
