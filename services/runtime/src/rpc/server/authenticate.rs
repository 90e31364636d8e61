//! Who asks: the token in `authorization`, and whether it fits the connection it came by.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tonic::Status;

use crate::error::{Failure, Kind};
use crate::rpc::Identity;
use crate::rpc::identity::{Refused, Verdict};
use crate::rpc::methods::Method;
use crate::transport::PeerInfo;

/// Most verified tokens kept. A check costs 50 µs, looking one up 0.2 µs.
const ENTRIES_MAX: usize = 4096;

/// Verified tokens.
#[derive(Debug)]
pub(super) struct Verdicts {
    identity: Identity,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// The key generation the tokens were verified with.
    generation: u64,
    known: HashMap<HeaderValue, (&'static str, Verdict)>,
}

impl Verdicts {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, cache: Mutex::default() }
    }

    /// The verified token of a request.
    pub(super) fn check<B>(
        &self,
        request: &http::Request<B>,
        method: &'static Method,
        now: i64,
    ) -> Result<Verdict, Status> {
        // fail closed: a request that came by no transport of ours has no peer
        let Some(peer) = request.extensions().get::<PeerInfo>().copied() else {
            return Err(refuse("NO_PEER", "the request did not come by a known transport"));
        };
        let Some(header) = request.headers().get(AUTHORIZATION) else {
            return Err(refuse("NO_CALLER", "request without a caller"));
        };
        let verdict = self
            .verdict(header, method.service, now)
            .map_err(|refused| refuse(refused.reason(), &refused.to_string()))?;
        match peer {
            // who may connect at all is decided by the kernel's word about the other process; its name by the key
            PeerInfo::InProcess | PeerInfo::Unix { .. } => Ok(verdict),
            PeerInfo::Tls { peer, .. } if peer == verdict.issuer => Ok(verdict),
            PeerInfo::Tls { peer, .. } => Err(refuse(
                "TOKEN_OF_ANOTHER_PEER",
                &format!("{} sent a token of {}", peer.name(), verdict.issuer.name()),
            )),
        }
    }

    fn verdict(&self, header: &HeaderValue, service: &'static str, now: i64) -> Result<Verdict, Refused> {
        let generation = self.identity.generation();
        {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            if cache.generation == generation
                && let Some((audience, verdict)) = cache.known.get(header)
                && *audience == service
            {
                return if now <= verdict.expires { Ok(verdict.clone()) } else { Err(Refused::Expired) };
            }
        }
        let token = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
        let verdict = self.identity.verify(token.ok_or(Refused::Malformed)?, service, now)?;
        // only good tokens are kept, so garbage cannot push them out
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).insert(
            generation,
            header.clone(),
            (service, verdict.clone()),
            now,
        );
        Ok(verdict)
    }
}

impl Cache {
    fn insert(&mut self, generation: u64, header: HeaderValue, entry: (&'static str, Verdict), now: i64) {
        if self.generation != generation {
            *self = Self { generation, known: HashMap::new() };
        }
        if self.known.len() >= ENTRIES_MAX {
            self.known.retain(|_, (_, verdict)| now <= verdict.expires);
            if self.known.len() >= ENTRIES_MAX {
                self.known.clear();
            }
        }
        self.known.insert(header, entry);
    }
}

fn refuse(reason: &'static str, text: &str) -> Status {
    tracing::warn!(reason, "refused a call: {text}");
    Failure::new(Kind::Unauthenticated, reason, text).into()
}

#[cfg(test)]
mod tests {
    use cc_proto::access::Peer;

    use super::*;
    use crate::caller::Caller;
    use crate::error::reason;
    use crate::rpc::{House, methods};

    const NOW: i64 = 1_700_000_000;

    fn method() -> &'static Method {
        methods::find("/clustercockpit.archive.v1.Archive/ReadMeta").unwrap()
    }

    fn request(peer: Option<PeerInfo>, token: Option<&str>) -> http::Request<()> {
        let mut request = http::Request::new(());
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_request_needs_a_peer_a_token_and_both_must_agree() {
        let house = House::in_memory();
        let verdicts = Verdicts::new(house.of(Peer::Archive));
        let token = house.of(Peer::Gateway).sign(&Caller::service("gateway"), method().service, NOW).unwrap();
        let bearer = format!("Bearer {token}");
        let local = Some(PeerInfo::InProcess);
        let tls = |peer| Some(PeerInfo::Tls { peer, address: "127.0.0.1:1".parse().unwrap() });
        let outcome = |peer, token: Option<&str>, now| {
            verdicts
                .check(&request(peer, token), method(), now)
                .map(|verdict| verdict.issuer)
                .map_err(|status| reason(&status).unwrap())
        };
        for _first_and_cached in 0..2 {
            assert_eq!(outcome(local, Some(&bearer), NOW), Ok(Peer::Gateway));
            assert_eq!(outcome(Some(PeerInfo::Unix { uid: 1 }), Some(&bearer), NOW), Ok(Peer::Gateway));
            assert_eq!(outcome(tls(Peer::Gateway), Some(&bearer), NOW), Ok(Peer::Gateway));
            assert_eq!(
                outcome(tls(Peer::JobDb), Some(&bearer), NOW),
                Err("TOKEN_OF_ANOTHER_PEER".to_owned())
            );
            assert_eq!(outcome(None, Some(&bearer), NOW), Err("NO_PEER".to_owned()));
            assert_eq!(outcome(local, None, NOW), Err("NO_CALLER".to_owned()));
            assert_eq!(outcome(local, Some(&token), NOW), Err("TOKEN_MALFORMED".to_owned()));
            assert_eq!(outcome(local, Some("Basic YTpi"), NOW), Err("TOKEN_MALFORMED".to_owned()));
        }
        assert_eq!(
            outcome(local, Some(&bearer), NOW + 71),
            Err("TOKEN_EXPIRED".to_owned()),
            "also from the cache"
        );
    }

    #[test]
    fn a_token_for_another_service_does_not_pass_the_cache() {
        let house = House::in_memory();
        let verdicts = Verdicts::new(house.of(Peer::Archive));
        let other = methods::find("/clustercockpit.auth.v1.Auth/GetUser").unwrap();
        let token = house.of(Peer::Gateway).sign(&Caller::service("gateway"), method().service, NOW).unwrap();
        let request = request(Some(PeerInfo::InProcess), Some(&format!("Bearer {token}")));
        assert!(verdicts.check(&request, method(), NOW).is_ok());
        let status = verdicts.check(&request, other, NOW).unwrap_err();
        assert_eq!(reason(&status).as_deref(), Some("TOKEN_AUDIENCE"));
    }

    #[test]
    fn changed_keys_empty_the_cache() {
        let house = House::in_memory();
        let archive = house.of(Peer::Archive);
        let verdicts = Verdicts::new(archive.clone());
        let token = house.of(Peer::Gateway).sign(&Caller::service("gateway"), method().service, NOW).unwrap();
        let request = request(Some(PeerInfo::InProcess), Some(&format!("Bearer {token}")));
        assert!(verdicts.check(&request, method(), NOW).is_ok());
        archive.replace(ed25519_dalek::SigningKey::from_bytes(&[1; 32]), Vec::new());
        let status = verdicts.check(&request, method(), NOW).unwrap_err();
        assert_eq!(reason(&status).as_deref(), Some("TOKEN_ISSUER_UNKNOWN"));
    }

    #[test]
    fn the_number_of_verified_tokens_is_bounded() {
        let mut cache = Cache::default();
        let verdict = Verdict {
            issuer: Peer::Gateway,
            caller: std::sync::Arc::new(Caller::service("gateway")),
            expires: NOW,
        };
        for index in 0..3 * ENTRIES_MAX {
            let header = HeaderValue::try_from(index.to_string()).unwrap();
            cache.insert(0, header, ("a.B", verdict.clone()), NOW);
            assert!(cache.known.len() <= ENTRIES_MAX);
        }
    }
}
