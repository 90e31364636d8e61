use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The published sample pair (auth.md 1.3).
const SAMPLE_PRIVATE: &str =
    "dtPC/6dWJFKZK7KZ78CvWuynylOmjBFyMsUWArwmodOTN9itjL5POlqdZkcnmpJ0yPm4pRaCrvgFaFAbpyik/Q==";
/// The token of auth.md 7.4.
const VECTOR: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTcwMDAwMDAwMCwicm9sZXMiOlsiYWRtaW4iLCJhcGkiXSwic3ViIjoiZGVtbyJ9.jM0rizSqM3zM5A3hFrKVB6ZxmTtvw5w28olznpEMu1Aku9wAhHwsaaUaDNqoT-KDE-Ai29mHH5_HMmeNa0ZADA";

const NOW: i64 = 1_795_000_000;

fn key() -> SigningKey {
    let bytes: [u8; 64] = STANDARD.decode(SAMPLE_PRIVATE).unwrap().try_into().unwrap();
    SigningKey::from_keypair_bytes(&bytes).unwrap()
}

fn clock() -> Clock {
    Clock::fixed(Timestamp::from_second(NOW).unwrap())
}

fn verifier() -> Verifier {
    Verifier::new(Some(key().verifying_key()), clock())
}

fn signed(claims: &Value) -> String {
    sign(&key(), claims.to_string().as_bytes())
}

/// A token with any header and any signature.
fn forged(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn text(token: &str) -> String {
    verifier().check(token).unwrap_err().to_string()
}

/// HMAC of RFC 2104 over SHA-256, written out here so that the attack is real.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

#[test]
fn the_token_of_the_reference_verifies() {
    let claims = verifier().check(VECTOR).unwrap();
    assert_eq!(claims.username, "demo");
    assert_eq!(claims.roles, ["admin", "api"]);
    assert_eq!(claims.expires_at, Some(4_102_444_800));
}

#[test]
fn minting_gives_the_token_of_the_reference_byte_for_byte() {
    let clock = Clock::fixed(Timestamp::from_second(1_700_000_000).unwrap());
    let roles = ["admin", "api"].map(str::to_owned);
    let token = mint(&key(), "demo", &roles, &clock, Some(4_102_444_800 - 1_700_000_000)).unwrap();
    assert_eq!(token, VECTOR);
}

#[test]
fn a_token_without_lifetime_has_no_exp_and_one_of_zero_is_expired_at_once() {
    let forever = mint(&key(), "demo", &[], &clock(), None).unwrap();
    assert_eq!(verifier().check(&forever).unwrap().expires_at, None);
    let nothing = mint(&key(), "demo", &[], &clock(), Some(0)).unwrap();
    assert!(verifier().check(&nothing).unwrap_err().is_expired());
}

#[test]
fn no_algorithm_but_eddsa_is_accepted_whatever_the_signature() {
    let claims = json!({"sub": "eve", "roles": ["admin", "api"]});
    let only = "token is unverifiable: error while executing keyfunc: only Ed25519/EdDSA supported";
    let public = key().verifying_key().to_bytes();
    let right = key().sign(b"x").to_bytes();
    for alg in [
        "none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512",
    ] {
        let header = json!({"alg": alg, "typ": "JWT"});
        for signature in [&[] as &[u8], &[0; 32], &[0; 64], &right, &[1; 256]] {
            assert_eq!(text(&forged(&header, &claims, signature)), only, "{alg}");
        }
        // signed as asked, with the public key as secret: in every form an attacker may have it
        for secret in [public.to_vec(), STANDARD.encode(public).into_bytes()] {
            let unsigned = forged(&header, &claims, &[]);
            let signature = hmac_sha256(&secret, unsigned.trim_end_matches('.').as_bytes());
            assert_eq!(text(&forged(&header, &claims, &signature)), only, "{alg}");
        }
    }
    for (alg, expected) in [
        (json!("EDDSA"), "token is unverifiable: signing method (alg) is unavailable"),
        (json!("Ed25519"), "token is unverifiable: signing method (alg) is unavailable"),
        (json!("NONE"), "token is unverifiable: signing method (alg) is unavailable"),
        (json!(""), "token is unverifiable: signing method (alg) is unavailable"),
        (json!(null), "token is unverifiable: signing method (alg) is unspecified"),
        (json!(["EdDSA"]), "token is unverifiable: signing method (alg) is unspecified"),
    ] {
        assert_eq!(text(&forged(&json!({"alg": alg}), &claims, &right)), expected);
    }
    assert_eq!(
        text(&forged(&json!({}), &claims, &right)),
        "token is unverifiable: signing method (alg) is unspecified"
    );
    assert_eq!(
        text(&forged(&json!(null), &claims, &right)),
        "token is unverifiable: signing method (alg) is unspecified"
    );
}

#[test]
fn a_wrong_key_a_changed_claim_and_a_short_signature_are_refused() {
    let wrong = "token signature is invalid: ed25519: verification error";
    let other = SigningKey::from_bytes(&[7; 32]);
    assert_eq!(text(&sign(&other, br#"{"sub":"eve"}"#)), wrong);
    let eddsa = json!({"alg": "EdDSA"});
    for signature in [&[] as &[u8], &[0; 63], &[0; 64], &[0; 65]] {
        assert_eq!(text(&forged(&eddsa, &json!({"sub": "eve"}), signature)), wrong);
    }
    let mut parts: Vec<&str> = VECTOR.split('.').collect();
    let claims = URL_SAFE_NO_PAD.encode(r#"{"roles":["admin","api"],"sub":"eve"}"#);
    parts[1] = &claims;
    assert_eq!(text(&parts.join(".")), wrong);
}

#[test]
fn without_a_key_everything_is_refused() {
    let verifier = Verifier::new(None, clock());
    let error = |token: &str| verifier.check(token).unwrap_err().to_string();
    assert_eq!(error(VECTOR), "token signature is invalid: key is invalid");
    assert_eq!(error("garbage"), "token is malformed: token contains an invalid number of segments");
}

#[test]
fn times_have_no_leeway_and_their_own_texts() {
    let error = |claims: Value| text(&signed(&claims));
    assert_eq!(error(json!({"sub": "x", "exp": NOW})), "token has invalid claims: token is expired");
    assert_eq!(error(json!({"sub": "x", "exp": 1.5})), "token has invalid claims: token is expired");
    assert_eq!(error(json!({"sub": "x", "exp": -1})), "token has invalid claims: token is expired");
    assert_eq!(
        error(json!({"sub": "x", "nbf": NOW + 1})),
        "token has invalid claims: token is not valid yet"
    );
    assert_eq!(
        error(json!({"sub": "x", "exp": 1, "nbf": NOW + 1})),
        "token has invalid claims: token is expired, token is not valid yet"
    );
    for bad in [json!("soon"), json!(null), json!([1]), json!(true)] {
        assert_eq!(
            error(json!({"sub": "x", "exp": bad})),
            "token has invalid claims: invalid type for claim: exp is invalid"
        );
        assert_eq!(
            error(json!({"sub": "x", "nbf": bad})),
            "token has invalid claims: invalid type for claim: nbf is invalid"
        );
    }
    for good in [
        json!({"sub": "x", "exp": NOW + 1}),
        json!({"sub": "x", "nbf": NOW}),
        json!({"sub": "x", "exp": 1e300}),
        json!({"sub": "x", "exp": 0}),
    ] {
        assert!(verifier().check(&signed(&good)).is_ok(), "{good}");
    }
}

#[test]
fn only_expiry_alone_counts_as_expired() {
    let error = |claims: Value| verifier().check(&signed(&claims)).unwrap_err();
    assert!(error(json!({"sub": "x", "exp": 1})).is_expired());
    assert!(!error(json!({"sub": "x", "exp": 1, "nbf": NOW + 1})).is_expired());
    assert!(!error(json!({"sub": "x", "exp": "1"})).is_expired());
    assert!(!error(json!({})).is_expired());
}

#[test]
fn claims_are_mapped_as_in_the_reference() {
    let check = |claims: Value| verifier().check(&signed(&claims)).unwrap();
    assert_eq!(check(json!({"sub": "x", "name": {"values": ["Ada", "L."]}})).name, "Ada L.");
    assert_eq!(check(json!({"sub": "x", "name": "Ada"})).name, "Ada");
    assert_eq!(check(json!({"sub": "x", "name": 7})).name, "");
    for roles in [json!("api"), json!({"a": 1}), json!(null), json!([1, null])] {
        assert!(check(json!({"sub": "x", "roles": roles})).roles.is_empty(), "{roles}");
    }
    assert_eq!(check(json!({"sub": "x", "roles": ["wizard", 1, "api", "service"]})).roles, ["wizard", "api"]);
    let ignored = json!({"sub": "x", "iat": "?", "iss": "x", "aud": 1, "jti": []});
    assert_eq!(check(ignored).username, "x");
    for claims in [json!({}), json!({"sub": ""}), json!({"sub": 5}), json!(null)] {
        assert_eq!(text(&signed(&claims)), "missing 'sub' claim in JWT");
    }
}

#[test]
fn garbage_has_the_texts_of_the_reference() {
    let segments = "token is malformed: token contains an invalid number of segments";
    for garbage in ["", "garbage", "a.b", "a.b.c.d", "...", "Basic YTpi"] {
        assert_eq!(text(garbage), segments, "{garbage}");
    }
    assert_eq!(
        text("a.b.c"),
        "token is malformed: could not base64 decode header: illegal base64 data at input byte 0"
    );
    assert_eq!(
        text("ab=.b.c"),
        "token is malformed: could not base64 decode header: illegal base64 data at input byte 2"
    );
    assert_eq!(
        text("e30.b+.c"),
        "token is malformed: could not base64 decode claim: illegal base64 data at input byte 1"
    );
    assert_eq!(text("e30.e30.ä"), "token is unverifiable: signing method (alg) is unspecified");
    let eddsa = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#);
    assert_eq!(
        text(&format!("{eddsa}.e30.ä")),
        "token is malformed: could not base64 decode signature: illegal base64 data at input byte 0"
    );
    assert!(text("AAAA.e30.").starts_with("token is malformed: could not JSON decode header: "));
    assert!(text(&format!("{eddsa}.W10.")).starts_with("token is malformed: could not JSON decode claim: "));
    assert!(text(&"a".repeat(BYTES_MAX + 1)).starts_with("token is malformed: "));
}

#[test]
fn a_remembered_token_still_expires() {
    let clock = clock();
    let verifier = Verifier::new(Some(key().verifying_key()), clock.clone());
    let token = signed(&json!({"sub": "x", "exp": NOW + 60}));
    assert!(verifier.check(&token).is_ok());
    clock.advance(SignedDuration::from_secs(59));
    assert!(verifier.check(&token).is_ok());
    assert_eq!(verifier.remembered(), 1);
    clock.advance(SignedDuration::from_secs(1));
    assert!(verifier.check(&token).unwrap_err().is_expired());
}

#[test]
fn bad_tokens_leave_no_trace_and_good_ones_a_bounded_one() {
    let verifier = verifier();
    let (head, signature) = VECTOR.rsplit_once('.').unwrap();
    for n in 0..100_000_u32 {
        // a hundred with a signature that has to be computed, the rest refused by form
        let token = if n % 1_000 == 0 {
            format!("{head}.{}{n:06}", &signature[..80])
        } else {
            format!("{n}.{n}.{n}")
        };
        assert!(verifier.check(&token).is_err());
    }
    assert_eq!(verifier.remembered(), 0);
    let mut cache = verifier.lock();
    for n in 0..100_000_u32 {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_le_bytes());
        cache.insert(hash, Arc::new(Payload::read(&serde_json::Map::new())));
    }
    assert!(cache.len() <= 10_000);
}

#[test]
fn recorded_tokens_of_the_reference_verify() {
    let Some(shared) = crate::testing::shared() else { return };
    let site = shared.join("fixtures/site/hub");
    let env = std::fs::read_to_string(site.join("env")).unwrap();
    let public = env.lines().find_map(|line| line.strip_prefix("JWT_PUBLIC_KEY=")).unwrap();
    let public: [u8; 32] = STANDARD.decode(public).unwrap().try_into().unwrap();
    let verifier = Verifier::new(Some(VerifyingKey::from_bytes(&public).unwrap()), clock());
    let site: Value = serde_json::from_slice(&std::fs::read(site.join("site.json")).unwrap()).unwrap();
    let actors = site["actors"].as_object().unwrap();
    assert!(actors.len() > 5);
    for (name, actor) in actors {
        let claims = verifier.check(actor["jwt"].as_str().unwrap()).unwrap();
        assert_eq!(claims.username, actor["user"].as_str().unwrap(), "{name}");
        let roles: Vec<&str> = actor["roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(
            claims.roles,
            roles.into_iter().filter(|role| !role.is_empty()).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(token in ".{0,200}") {
        prop_assert!(verifier().check(&token).is_err());
    }

    #[test]
    fn any_three_segments_are_answered(header in "[-_A-Za-z0-9]{0,40}", claims in "[-_A-Za-z0-9]{0,40}", signature in "[-_A-Za-z0-9]{0,100}") {
        let token = format!("{header}.{claims}.{signature}");
        prop_assert!(verifier().check(&token).is_err());
    }

    #[test]
    fn any_signed_bytes_are_answered(claims in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = verifier().check(&sign(&key(), &claims));
    }

    #[test]
    fn any_claims_are_answered(exp in any::<f64>(), nbf in any::<i64>(), sub in ".{0,20}", role in ".{0,10}") {
        let claims = json!({"exp": exp, "nbf": nbf, "sub": sub, "roles": [role]});
        if let Ok(claims) = verifier().check(&signed(&claims)) {
            prop_assert_eq!(claims.username, sub);
            prop_assert!(nbf <= NOW);
        }
    }

    #[test]
    fn every_changed_letter_of_a_token_is_noticed(at in 0..VECTOR.len(), letter in "[-_A-Za-z0-9.]") {
        let mut token = VECTOR.to_owned();
        token.replace_range(at..=at, &letter);
        // the last letter carries four bits that no decoder looks at
        if token != VECTOR && at != VECTOR.len() - 1 {
            prop_assert!(verifier().check(&token).is_err());
        }
    }
}
