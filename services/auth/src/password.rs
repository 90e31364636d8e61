//! Passwords are bcrypt hashes that the reference can still verify after a site has switched back (spec auth.md 3).
//!
//! Everything here takes some 50 ms of CPU: call it through `cc_runtime::cpu`.

use std::borrow::Cow;

/// Cost of new hashes: what the reference writes.
const COST: u32 = 10;

/// Longest password that can be set, in bytes. Verification uses the first so many, as the reference does.
pub const BYTES_MAX: usize = 72;

/// A hash of the same cost as ours that belongs to nobody: verified against when there is no hash, so that an unknown
/// name takes as long as a wrong password.
const NOBODY: &str = "$2a$10$abcdefghijklmnopqrstuu3XEy7sAuqf0awFQrE8Rakk7J.cSBot2";

/// A password that cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Longer than bcrypt can tell apart.
    #[error("bcrypt: password length exceeds 72 bytes")]
    TooLong,
    /// The system gave no random salt.
    #[error("failed to hash the password")]
    Hash(#[source] bcrypt::BcryptError),
}

/// The hash to store, in the form `$2a$10$…`.
///
/// # Errors
/// [`PasswordError::TooLong`] above [`BYTES_MAX`].
pub fn hash(password: &str) -> Result<String, PasswordError> {
    if password.len() > BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let parts = bcrypt::hash_with_result(password, COST).map_err(PasswordError::Hash)?;
    Ok(parts.format_for_version(bcrypt::Version::TwoA))
}

/// Whether a password belongs to a stored hash. Without a hash (unknown user, user without password) the answer is
/// "no" after the same work. An empty password never verifies.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    let stored = stored.filter(|hash| !hash.is_empty()).and_then(readable);
    let hash = stored.as_deref().unwrap_or(NOBODY);
    let matches = bcrypt::verify(password, hash).unwrap_or(false);
    matches && stored.is_some() && !password.is_empty()
}

/// A stored hash in the form that the library reads: `$2$` becomes `$2a$`, unused bits of the salt become zero (the
/// reference ignores them). `None` for anything but `$2$`, `$2a$`, `$2b$`, `$2y$` (`$2x$` marks a broken algorithm).
fn readable(stored: &str) -> Option<Cow<'_, str>> {
    const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const LAST_OF_SALT: usize = 28;
    let hash = match stored.strip_prefix("$2$") {
        Some(rest) => Cow::Owned(format!("$2a${rest}")),
        None => Cow::Borrowed(stored),
    };
    if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)) {
        return None;
    }
    let last = *hash.as_bytes().get(LAST_OF_SALT)?;
    let value = ALPHABET.iter().position(|&letter| letter == last)?;
    let clean = *ALPHABET.get(value & 0b11_0000)?;
    if clean == last {
        return Some(hash);
    }
    let mut bytes = hash.into_owned().into_bytes();
    *bytes.get_mut(LAST_OF_SALT)? = clean;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair of auth.md 3.
    const DEMO: &str = "$2a$10$abcdefghijklmnopqrstuu3XEy7sAuqf0awFQrE8Rakk7J.cSBot2";

    #[test]
    fn the_pair_of_the_specification_verifies() {
        assert!(verify("demo", Some(DEMO)));
        assert!(!verify("Demo", Some(DEMO)));
        assert!(!verify("", Some(DEMO)));
    }

    #[test]
    fn every_prefix_the_reference_accepts_verifies() {
        for prefix in ["$2$", "$2a$", "$2b$", "$2y$"] {
            let hash = DEMO.replacen("$2a$", prefix, 1);
            assert!(verify("demo", Some(&hash)), "{hash}");
        }
        for prefix in ["$2x$", "$1$", "$2c$", "$argon2id$", ""] {
            let hash = DEMO.replacen("$2a$", prefix, 1);
            assert!(!verify("demo", Some(&hash)), "{hash}");
        }
    }

    #[test]
    fn unused_bits_of_the_salt_do_not_matter() {
        // 'u' (48), 'v', '0' … '9' differ only in the four bits that the 22nd letter has too many
        assert!(verify("demo", Some(&DEMO.replacen("stuu3", "stuv3", 1))));
        assert!(!verify("demo", Some(&DEMO.replacen("stuu3", "stue3", 1))));
    }

    #[test]
    fn a_missing_empty_or_broken_hash_never_verifies() {
        for stored in
            [None, Some(""), Some("*"), Some("demo"), Some("$2a$10$"), Some("$2a$99$äbcdefghijklmnopqrstuu")]
        {
            assert!(!verify("demo", stored), "{stored:?}");
            assert!(!verify("", stored), "{stored:?}");
        }
    }

    #[test]
    fn new_hashes_are_those_of_the_reference() {
        let stored = hash("pw:with:colons").unwrap();
        assert!(stored.starts_with("$2a$10$"), "{stored}");
        assert_eq!(stored.len(), 60);
        assert!(verify("pw:with:colons", Some(&stored)));
        assert_ne!(stored, hash("pw:with:colons").unwrap(), "the salt is new each time");
    }

    #[test]
    fn seventy_two_bytes_are_the_limit_for_setting_and_what_counts_when_verifying() {
        let longest = "x".repeat(72);
        let stored = hash(&longest).unwrap();
        assert!(verify(&longest, Some(&stored)));
        assert!(verify(&"x".repeat(80), Some(&stored)));
        assert!(!verify(&"x".repeat(71), Some(&stored)));
        let error = hash(&"x".repeat(73)).unwrap_err();
        assert_eq!(error.to_string(), "bcrypt: password length exceeds 72 bytes");
    }
}
