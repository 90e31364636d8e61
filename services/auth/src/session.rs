//! The secret in the cookie `cc_session`: 256 random bits that mean nothing by themselves (architecture.md 8).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A session's secret. Its debug form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A new one from the system's random numbers.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The secret of a cookie's value; `None` for anything that this service never made.
    pub fn from_cookie(value: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The cookie's value: base64url, 43 letters.
    pub fn to_cookie(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What is stored instead of it. A plain hash will do: nobody can guess 256 random bits.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_cookie_and_every_one_is_new() {
        let secret = Secret::random();
        let cookie = secret.to_cookie();
        assert_eq!(cookie.len(), 43);
        assert_eq!(Secret::from_cookie(&cookie), Some(secret.clone()));
        assert_ne!(Secret::random(), secret);
        assert!(!format!("{secret:?}").contains(&cookie));
        assert_ne!(secret.hash(), secret.0);
    }

    #[test]
    fn foreign_cookies_are_no_secrets() {
        // the last one is the session cookie of the reference (auth.md 4.2), shortened
        for cookie in
            ["", "abc", &"A".repeat(42), &"A".repeat(44), "MTcwMDAwMDAwMHxEWDhFQVFMX2dBQUJFQUVRQUFBTV80RUNB="]
        {
            assert_eq!(Secret::from_cookie(cookie), None, "{cookie}");
        }
    }
}
