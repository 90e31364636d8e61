//! The keys of a site, from the environment (spec auth.md 1.3, config-and-cli.md 5.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cc_runtime::env::Env;
use ed25519_dalek::{SigningKey, VerifyingKey};

/// The public key of the pair that the reference publishes: everybody can sign tokens with it.
const PUBLISHED_JWT_PUBLIC_KEY: &str = "kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=";
/// The session key that the reference publishes.
const PUBLISHED_SESSION_KEY: &str = "67d829bf61dc5f87a73fd814e2c9f629";

const PUBLIC: &str = "JWT_PUBLIC_KEY";
const PRIVATE: &str = "JWT_PRIVATE_KEY";
const SESSION: &str = "SESSION_KEY";

/// A key that cannot be used, or is missing and needed. Never shows the value.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not set, and no `NAME_FILE` either.
    #[error(
        "environment variable '{name}' not set (set {name} or {name}_FILE in .env or the environment; -init makes new keys)"
    )]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// No base64.
    #[error("environment variable '{name}' is no standard base64 with padding")]
    Base64 {
        /// The variable.
        name: &'static str,
        /// Where it goes wrong.
        #[source]
        source: base64::DecodeError,
    },
    /// Not as long as such a key is.
    #[error(
        "environment variable '{name}' has {found} bytes, an Ed25519 key has {wanted} (base64 of {what})"
    )]
    Length {
        /// The variable.
        name: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes wanted.
        wanted: usize,
        /// What they are.
        what: &'static str,
    },
    /// The bytes are no key.
    #[error("environment variable '{name}' is no Ed25519 key")]
    NoKey {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        #[source]
        source: ed25519_dalek::SignatureError,
    },
}

/// The keys of a site.
#[derive(Clone, Default)]
pub struct Keys {
    verifying: Option<VerifyingKey>,
    signing: Option<SigningKey>,
    published: bool,
    warnings: Vec<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keys")
            .field("verifying", &self.verifying.is_some())
            .field("signing", &self.signing.is_some())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads `SESSION_KEY`, `JWT_PUBLIC_KEY` and `JWT_PRIVATE_KEY`. Sessions of ours need no key; the variable must be
    /// there and readable all the same, so that a site can go back to the reference with the same `.env`.
    ///
    /// # Errors
    /// [`KeyError`] for a session key that is missing, and for any key that is there and unusable. Missing JWT keys are
    /// warnings: tokens are then refused, or cannot be made.
    pub fn from_env(env: &dyn Env) -> Result<Self, KeyError> {
        let session = env.get(SESSION).filter(|value| !value.is_empty());
        let session = session.ok_or(KeyError::Missing { name: SESSION })?;
        decode(SESSION, &session)?;
        let mut keys = Self::default();
        keys.read_public(env)?;
        keys.read_private(env)?;
        if session.trim() == PUBLISHED_SESSION_KEY {
            keys.warnings.push("SESSION_KEY is the published sample key, make an own one".to_owned());
        }
        if keys.published {
            keys.warnings
                .push("Using default JWT keys - not recommended for production environments".to_owned());
        }
        Ok(keys)
    }

    fn read_public(&mut self, env: &dyn Env) -> Result<(), KeyError> {
        let Some(text) = env.get(PUBLIC).filter(|value| !value.is_empty()) else {
            self.warnings
                .push(format!("environment variable '{PUBLIC}' not set: all API tokens will be refused"));
            return Ok(());
        };
        let bytes = fixed::<32>(PUBLIC, &text, "the public key")?;
        let key =
            VerifyingKey::from_bytes(&bytes).map_err(|source| KeyError::NoKey { name: PUBLIC, source })?;
        self.published = STANDARD.encode(bytes) == PUBLISHED_JWT_PUBLIC_KEY;
        self.verifying = Some(key);
        Ok(())
    }

    fn read_private(&mut self, env: &dyn Env) -> Result<(), KeyError> {
        let Some(text) = env.get(PRIVATE).filter(|value| !value.is_empty()) else {
            self.warnings.push(format!("environment variable '{PRIVATE}' not set: no API token can be made"));
            return Ok(());
        };
        let bytes = fixed::<64>(PRIVATE, &text, "seed and public key")?;
        let key = SigningKey::from_keypair_bytes(&bytes)
            .map_err(|source| KeyError::NoKey { name: PRIVATE, source })?;
        if self.verifying.is_some_and(|public| public != key.verifying_key()) {
            self.warnings.push(format!(
                "{PUBLIC} does not belong to {PRIVATE}: tokens made here will be refused here"
            ));
        }
        self.signing = Some(key);
        Ok(())
    }

    /// The key that tokens are checked with.
    pub fn verifying(&self) -> Option<VerifyingKey> {
        self.verifying
    }

    /// The key that tokens are made with.
    ///
    /// # Errors
    /// [`KeyError::Missing`].
    pub fn signing(&self) -> Result<&SigningKey, KeyError> {
        self.signing.as_ref().ok_or(KeyError::Missing { name: PRIVATE })
    }

    /// Whether anybody can sign tokens, since the pair is a published one.
    pub fn are_published(&self) -> bool {
        self.published
    }

    /// What an operator should hear about.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Standard base64; line breaks inside are ignored, as the reference does.
fn decode(name: &'static str, text: &str) -> Result<Vec<u8>, KeyError> {
    let text: String = text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
    STANDARD.decode(text).map_err(|source| KeyError::Base64 { name, source })
}

fn fixed<const N: usize>(name: &'static str, text: &str, what: &'static str) -> Result<[u8; N], KeyError> {
    let bytes = decode(name, text)?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| KeyError::Length {
        name,
        found: bytes.len(),
        wanted: N,
        what,
    })
}

#[cfg(test)]
mod tests {
    use cc_runtime::env::MapEnv;

    use super::*;

    const PRIVATE_SAMPLE: &str =
        "dtPC/6dWJFKZK7KZ78CvWuynylOmjBFyMsUWArwmodOTN9itjL5POlqdZkcnmpJ0yPm4pRaCrvgFaFAbpyik/Q==";

    fn env() -> MapEnv {
        MapEnv::new()
            .with(SESSION, "AAAA")
            .with(PUBLIC, PUBLISHED_JWT_PUBLIC_KEY)
            .with(PRIVATE, PRIVATE_SAMPLE)
    }

    fn fails(env: &MapEnv, with: &str) {
        let error = Keys::from_env(env).unwrap_err();
        let text = cc_runtime::error::chain(&error);
        assert!(text.contains(with), "{text}");
        assert!(!text.contains("%%%") && !format!("{error:?}").contains("dtPC"), "{error:?}");
    }

    #[test]
    fn the_published_pair_is_a_pair_and_is_told_apart() {
        let keys = Keys::from_env(&env()).unwrap();
        assert!(keys.are_published());
        assert_eq!(keys.signing().unwrap().verifying_key(), keys.verifying().unwrap());
        assert_eq!(keys.warnings(), ["Using default JWT keys - not recommended for production environments"]);
        assert!(!format!("{keys:?}").contains("dtPC"));
    }

    #[test]
    fn a_session_key_must_be_there_and_may_have_any_length() {
        fails(&MapEnv::new(), "environment variable 'SESSION_KEY' not set");
        fails(&env().with(SESSION, ""), "SESSION_KEY");
        fails(&env().with(SESSION, "%%%"), "'SESSION_KEY' is no standard base64");
        fails(&env().with(SESSION, "AA-_"), "'SESSION_KEY' is no standard base64");
        fails(&env().with(SESSION, "AAA"), "'SESSION_KEY' is no standard base64");
        let keys = Keys::from_env(&env().with(SESSION, PUBLISHED_SESSION_KEY)).unwrap();
        assert_eq!(keys.warnings().len(), 2);
    }

    #[test]
    fn missing_jwt_keys_are_warnings() {
        let keys = Keys::from_env(&MapEnv::new().with(SESSION, "AAAA")).unwrap();
        assert!(keys.verifying().is_none());
        assert!(
            keys.signing()
                .unwrap_err()
                .to_string()
                .starts_with("environment variable 'JWT_PRIVATE_KEY' not set")
        );
        assert_eq!(keys.warnings().len(), 2);
    }

    #[test]
    fn unusable_jwt_keys_are_refused_by_name() {
        fails(&env().with(PRIVATE, "%%%"), "'JWT_PRIVATE_KEY' is no standard base64");
        fails(&env().with(PUBLIC, "AAAA"), "'JWT_PUBLIC_KEY' has 3 bytes, an Ed25519 key has 32");
        fails(
            &env().with(PRIVATE, PUBLISHED_JWT_PUBLIC_KEY),
            "'JWT_PRIVATE_KEY' has 32 bytes, an Ed25519 key has 64",
        );
        let not_a_pair = STANDARD.encode([7; 64]);
        fails(&env().with(PRIVATE, not_a_pair), "'JWT_PRIVATE_KEY' is no Ed25519 key");
    }

    #[test]
    fn line_breaks_inside_a_key_do_not_matter() {
        let (head, tail) = PRIVATE_SAMPLE.split_at(40);
        assert!(Keys::from_env(&env().with(PRIVATE, format!("{head}\r\n{tail}\n"))).is_ok());
    }

    #[test]
    fn keys_that_do_not_belong_together_are_noted() {
        let other = SigningKey::from_bytes(&[7; 32]);
        let keys = Keys::from_env(&env().with(PRIVATE, STANDARD.encode(other.to_keypair_bytes()))).unwrap();
        assert!(keys.warnings().iter().any(|text| text.contains("does not belong")));
    }
}
