//! Who signs, and whose signature counts.
//!
//! A caller travels between services as a compact JWS (`EdDSA`) in `authorization: Bearer …`, at most 60 s old:
//! issued by one service, for one service, on behalf of one caller (architecture.md 8 "Keys"). The keys are never
//! those of the JWTs that people use.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cc_proto::access::Peer;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::caller::{Caller, How, Role};

/// How long a token is good, in seconds.
pub const TOKEN_LIFETIME_S: i64 = 60;
/// How far the clocks of two machines may differ, in seconds.
pub const CLOCK_SKEW_S: i64 = 10;
/// Longest token in bytes: together with the other headers it must stay below the 16 KiB of HTTP/2.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// `{"alg":"EdDSA","typ":"JWT"}`; the only header that is written or accepted.
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;

/// The public keys of the services, shared by all who verify.
#[derive(Clone, Default)]
pub struct Keyring(Arc<RwLock<HashMap<Peer, VerifyingKey>>>);

impl Keyring {
    pub(crate) fn new(keys: impl IntoIterator<Item = (Peer, VerifyingKey)>) -> Self {
        Self(Arc::new(RwLock::new(keys.into_iter().collect())))
    }

    fn key(&self, peer: Peer) -> Option<VerifyingKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&peer).copied()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Keyring").finish_non_exhaustive()
    }
}

/// One service as it signs and verifies. Clones share the keys.
#[derive(Clone)]
pub struct Identity {
    peer: Peer,
    signing: Arc<RwLock<SigningKey>>,
    keyring: Keyring,
    /// Counts key changes, so that tokens signed by a former key are not used again.
    generation: Arc<AtomicU64>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The identities of all services linked into one process, with keys that never leave its memory.
#[derive(Debug, Clone)]
pub struct House(HashMap<Peer, Identity>);

impl House {
    /// Makes fresh keys for every service.
    pub fn in_memory() -> Self {
        let keys: Vec<(Peer, SigningKey)> =
            Peer::ALL.into_iter().map(|peer| (peer, SigningKey::from_bytes(&rand::random()))).collect();
        let keyring = Keyring::new(keys.iter().map(|(peer, key)| (*peer, key.verifying_key())));
        Self(keys.into_iter().map(|(peer, key)| (peer, Identity::new(peer, key, keyring.clone()))).collect())
    }

    /// The identity of one service.
    pub fn of(&self, peer: Peer) -> Identity {
        match self.0.get(&peer) {
            Some(identity) => identity.clone(),
            // `in_memory` makes one for each; an identity nobody knows would be refused everywhere
            None => Identity::new(peer, SigningKey::from_bytes(&rand::random()), Keyring::default()),
        }
    }
}

/// A verified token.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The service that vouches for the caller.
    pub(crate) issuer: Peer,
    /// The caller.
    pub(crate) caller: Arc<Caller>,
    /// Unix seconds after which it must not be accepted any more.
    pub(crate) expires: i64,
}

/// Why a token is not accepted. The texts are for logs; callers see one fixed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's issuer is not known")]
    UnknownIssuer,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is from the future")]
    Future,
    #[error("the token is for another service")]
    Audience,
}

impl Refused {
    /// Stable reason.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "TOKEN_MALFORMED",
            Self::UnknownIssuer => "TOKEN_ISSUER_UNKNOWN",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::Expired => "TOKEN_EXPIRED",
            Self::Future => "TOKEN_FROM_FUTURE",
            Self::Audience => "TOKEN_AUDIENCE",
        }
    }
}

/// A caller with so many projects that its token would not fit into a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the caller's token has {0} bytes, at most {TOKEN_BYTES_MAX} fit into a header")]
pub(crate) struct TooLong(pub(crate) usize);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    roles: Vec<Role>,
    projects: Vec<String>,
    how: How,
    iat: i64,
    exp: i64,
}

impl Identity {
    pub(crate) fn new(peer: Peer, signing: SigningKey, keyring: Keyring) -> Self {
        Self { peer, signing: Arc::new(RwLock::new(signing)), keyring, generation: Arc::default() }
    }

    /// The service.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes over changed keys.
    pub(crate) fn replace(&self, signing: SigningKey, public: Vec<(Peer, VerifyingKey)>) {
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = signing;
        *self.keyring.0.write().unwrap_or_else(PoisonError::into_inner) = public.into_iter().collect();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// A token for `audience` (a full gRPC service name) that is good from `now` on.
    pub(crate) fn sign(&self, caller: &Caller, audience: &str, now: i64) -> Result<String, TooLong> {
        let claims = serde_json::json!(Claims {
            iss: self.peer.name().to_owned(),
            aud: audience.to_owned(),
            sub: caller.name.clone(),
            roles: caller.roles.clone(),
            projects: caller.projects.clone(),
            how: caller.how,
            iat: now,
            exp: now + TOKEN_LIFETIME_S,
        })
        .to_string();
        let mut token = URL_SAFE_NO_PAD.encode(HEADER);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signing.read().unwrap_or_else(PoisonError::into_inner).sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TooLong(token.len()));
        }
        Ok(token)
    }

    /// The caller that a token for `audience` names, when a service of the keyring vouches for it.
    pub(crate) fn verify(&self, token: &str, audience: &str, now: i64) -> Result<Verdict, Refused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refused::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        if URL_SAFE_NO_PAD.decode(header).ok().as_deref() != Some(HEADER.as_bytes()) {
            return Err(Refused::Malformed);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Refused::Malformed)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refused::Malformed)?;
        let issuer = Peer::from_name(&claims.iss).ok_or(Refused::UnknownIssuer)?;
        let key = self.keyring.key(issuer).ok_or(Refused::UnknownIssuer)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::Malformed)?;
        let signature = Signature::from_slice(&signature).map_err(|_| Refused::Malformed)?;
        key.verify_strict(signed.as_bytes(), &signature).map_err(|_| Refused::Signature)?;

        if claims.iat > now + CLOCK_SKEW_S {
            return Err(Refused::Future);
        }
        if now > claims.exp + CLOCK_SKEW_S || claims.exp - claims.iat > TOKEN_LIFETIME_S {
            return Err(Refused::Expired);
        }
        if claims.aud != audience {
            return Err(Refused::Audience);
        }
        let caller =
            Caller { name: claims.sub, roles: claims.roles, projects: claims.projects, how: claims.how };
        // only a service itself may speak as that service
        if (caller.has(Role::Service) || caller.how == How::Service)
            && caller != Caller::service(issuer.name())
        {
            return Err(Refused::Malformed);
        }
        Ok(Verdict { issuer, caller: Arc::new(caller), expires: claims.exp + CLOCK_SKEW_S })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn alice() -> Caller {
        Caller {
            name: "alice".to_owned(),
            roles: vec![Role::User, Role::Manager],
            projects: vec!["p1".to_owned()],
            how: How::Session,
        }
    }

    #[test]
    fn a_caller_survives_signing_and_verifying() {
        let house = House::in_memory();
        let token = house.of(Peer::Gateway).sign(&alice(), "a.B", NOW).unwrap();
        let verdict = house.of(Peer::Archive).verify(&token, "a.B", NOW + 59).unwrap();
        assert_eq!(*verdict.caller, alice());
        assert_eq!(verdict.issuer, Peer::Gateway);
        assert_eq!(verdict.expires, NOW + 70);
    }

    #[test]
    fn time_bounds_hold_with_the_clock_skew() {
        let house = House::in_memory();
        let token = house.of(Peer::Gateway).sign(&alice(), "a.B", NOW).unwrap();
        let archive = house.of(Peer::Archive);
        assert!(archive.verify(&token, "a.B", NOW + 70).is_ok());
        assert_eq!(archive.verify(&token, "a.B", NOW + 71).unwrap_err(), Refused::Expired);
        assert!(archive.verify(&token, "a.B", NOW - 10).is_ok());
        assert_eq!(archive.verify(&token, "a.B", NOW - 11).unwrap_err(), Refused::Future);
    }

    #[test]
    fn foreign_audience_key_and_changed_bytes_are_refused() {
        let house = House::in_memory();
        let archive = house.of(Peer::Archive);
        let token = house.of(Peer::Gateway).sign(&alice(), "a.B", NOW).unwrap();
        assert_eq!(archive.verify(&token, "a.C", NOW).unwrap_err(), Refused::Audience);
        let foreign = House::in_memory().of(Peer::Gateway).sign(&alice(), "a.B", NOW).unwrap();
        assert_eq!(archive.verify(&foreign, "a.B", NOW).unwrap_err(), Refused::Signature);
        for position in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // the last character of each part has bits that base64 must not ignore either
            assert!(archive.verify(&changed, "a.B", NOW).is_err(), "changed at {position}");
        }
        for text in ["", ".", "..", "a.b", "a.b.c", &"x".repeat(9000)] {
            assert_eq!(archive.verify(text, "a.B", NOW).unwrap_err(), Refused::Malformed);
        }
    }

    #[test]
    fn nobody_speaks_as_another_service() {
        let house = House::in_memory();
        let archive = house.of(Peer::Archive);
        let gateway = house.of(Peer::Gateway);
        let own = gateway.sign(&Caller::service("gateway"), "a.B", NOW).unwrap();
        assert_eq!(archive.verify(&own, "a.B", NOW).unwrap().caller.name, "service:gateway");
        let other = gateway.sign(&Caller::service("job-db"), "a.B", NOW).unwrap();
        assert_eq!(archive.verify(&other, "a.B", NOW).unwrap_err(), Refused::Malformed);
        let person = Caller { how: How::Session, ..Caller::service("gateway") };
        let person = gateway.sign(&person, "a.B", NOW).unwrap();
        assert_eq!(archive.verify(&person, "a.B", NOW).unwrap_err(), Refused::Malformed);
    }

    #[test]
    fn a_token_that_fits_no_header_is_not_made() {
        let caller = Caller { projects: vec!["project".to_owned(); 1000], ..alice() };
        assert!(House::in_memory().of(Peer::Gateway).sign(&caller, "a.B", NOW).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused(text in "[ -~]{0,300}", claims in "[ -~]{0,300}", signature: [u8; 64]) {
            let archive = House::in_memory().of(Peer::Archive);
            proptest::prop_assert!(archive.verify(&text, "a.B", NOW).is_err());
            // well-formed outside, anything inside
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let token = format!("{}.{}.{}", encode(HEADER.as_bytes()), encode(claims.as_bytes()), encode(&signature));
            proptest::prop_assert!(archive.verify(&token, "a.B", NOW).is_err());
        }
    }
}
