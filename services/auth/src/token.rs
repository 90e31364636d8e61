//! API tokens: JSON web tokens signed with the site's own Ed25519 key (spec auth.md 7).
//!
//! One algorithm, one key, no negotiation: the header says `EdDSA` or the token is refused before its signature is
//! looked at. The texts of [`TokenError`] are those of the reference, which clients log and match.

use cc_runtime::clock::Clock;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::Serialize;

use self::claims::Payload;
pub use self::claims::{Claims, TimeFault};
pub use self::verifier::Verifier;

mod claims;
mod parse;
mod verifier;

/// Longest token that is looked at, in bytes.
pub const BYTES_MAX: usize = 16 * 1024;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token at all.
    #[error("token is malformed: {0}")]
    Malformed(String),
    /// It is signed in a way that is not used here.
    #[error("token is unverifiable: {0}")]
    Unverifiable(&'static str),
    /// The signature is not ours.
    #[error("token signature is invalid: ed25519: verification error")]
    Signature,
    /// There is no `JWT_PUBLIC_KEY`.
    #[error("token signature is invalid: key is invalid")]
    NoKey,
    /// It is ours, and not valid now (or says so in an unreadable way).
    #[error("token has invalid claims: {}", list(.0))]
    Claims(Vec<TimeFault>),
    /// It does not say whose it is.
    #[error("missing 'sub' claim in JWT")]
    NoSubject,
}

impl TokenError {
    /// Whether it was valid once, and nothing else is wrong with it.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Claims(faults) if faults.as_slice() == [TimeFault::Expired])
    }
}

fn list(faults: &[TimeFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks form, algorithm and signature.
fn verify(token: &str, key: Option<&VerifyingKey>) -> Result<Payload, TokenError> {
    let parts = parse::split(token)?;
    let header = parse::header(parts.header)?;
    let payload = parse::payload(parts.payload)?;
    let algorithm = parse::algorithm(&header)?;
    let signature = parse::signature(parts.signature)?;
    if algorithm != parse::Algorithm::EdDsa {
        return Err(TokenError::Unverifiable("error while executing keyfunc: only Ed25519/EdDSA supported"));
    }
    let key = key.ok_or(TokenError::NoKey)?;
    let signature = Signature::from_slice(&signature).map_err(|_| TokenError::Signature)?;
    key.verify_strict(parts.signed.as_bytes(), &signature).map_err(|_| TokenError::Signature)?;
    Ok(Payload::read(&payload))
}

/// What a new token says. The order of the fields is that of the reference (alphabetic).
#[derive(Debug, Serialize)]
struct Minted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    roles: &'a [String],
    sub: &'a str,
}

/// Makes a token for a user, valid from now for `lifetime_s` seconds; for ever without one.
///
/// # Errors
/// Never for values that came out of the user table; the signature says so because JSON encoding can fail in general.
pub fn mint(
    key: &SigningKey,
    username: &str,
    roles: &[String],
    clock: &Clock,
    lifetime_s: Option<i64>,
) -> Result<String, serde_json::Error> {
    let iat = clock.unix();
    let exp = lifetime_s.map(|lifetime_s| iat.saturating_add(lifetime_s));
    Ok(sign(key, &serde_json::to_vec(&Minted { exp, iat, roles, sub: username })?))
}

fn sign(key: &SigningKey, claims: &[u8]) -> String {
    let mut token = parse::encode(br#"{"alg":"EdDSA","typ":"JWT"}"#);
    token.push('.');
    token.push_str(&parse::encode(claims));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&parse::encode(&signature.to_bytes()));
    token
}

#[cfg(test)]
mod tests;
