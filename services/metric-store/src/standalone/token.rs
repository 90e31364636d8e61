//! Tokens of the stand-alone server: JWT signed with Ed25519 (spec metric-store.md 3.6).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cc_runtime::clock::Clock;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;

use super::header_text;
use crate::error::Error;

/// Tokens whose signature is remembered as good.
const REMEMBERED_MAX: usize = 1024;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Why a request is refused. The texts are the reference's where it has any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No token.
    #[error("Use JWT Authentication")]
    NoToken,
    /// Not three parts.
    #[error("token contains an invalid number of segments")]
    Segments,
    /// A part that cannot be read.
    #[error("token is malformed: {0}")]
    Malformed(&'static str),
    /// Another algorithm.
    #[error("only Ed25519/EdDSA supported")]
    Algorithm,
    /// Not signed with our key.
    #[error("ed25519: verification error")]
    Signature,
    /// Its time is over.
    #[error("Token is expired")]
    Expired,
    /// Its time has not come.
    #[error("Token is not valid yet")]
    NotYet,
    /// Issued in the future.
    #[error("Token used before issued")]
    IssuedInFuture,
    /// It lacks the role.
    #[error("the token needs the role api, and user, manager or admin besides if it has several")]
    Role,
}

/// What matters of a token's claims.
#[derive(Clone, Debug, Default, Deserialize)]
struct Claims {
    #[serde(default)]
    exp: Option<f64>,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    roles: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Checks tokens.
pub(super) struct Keys {
    key: DecodingKey,
    /// Every valid token will do, as with the reference.
    any_role: bool,
    clock: Clock,
    /// Claims of tokens whose signature was good.
    remembered: Mutex<HashMap<String, Claims>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("any_role", &self.any_role).finish_non_exhaustive()
    }
}

impl Keys {
    /// The public key as base64.
    ///
    /// # Errors
    /// It is no base64 of 32 bytes.
    pub(super) fn new(public_key: &str, any_role: bool, clock: Clock) -> Result<Self, Error> {
        let wrong = || {
            Error::Invalid("main.jwt-public-key is not the base64 of a 32-byte Ed25519 public key".to_owned())
        };
        let raw = STANDARD.decode(public_key.trim()).map_err(|_| wrong())?;
        if raw.len() != 32 {
            return Err(wrong());
        }
        Ok(Self { key: DecodingKey::from_ed_der(&raw), any_role, clock, remembered: Mutex::default() })
    }

    /// Whether the request may pass.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = token(headers).filter(|token| !token.is_empty()).ok_or(Refusal::NoToken)?;
        let claims = self.claims(token)?;
        self.check_times(&claims)?;
        if self.any_role || has_role(&claims) { Ok(()) } else { Err(Refusal::Role) }
    }

    fn claims(&self, token: &str) -> Result<Claims, Refusal> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = remembered.get(token) {
            return Ok(claims.clone());
        }
        drop(remembered);
        let claims = self.verify(token)?;
        remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, claims| self.check_times(claims).is_ok());
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
        }
        remembered.insert(token.to_owned(), claims.clone());
        Ok(claims)
    }

    fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed("it is too long"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Segments);
        };
        let header: Header = json(header)?;
        if header.alg != "EdDSA" {
            return Err(Refusal::Algorithm);
        }
        let signed = token.get(..token.len() - signature.len() - 1).unwrap_or_default();
        match crypto::verify(signature, signed.as_bytes(), &self.key, Algorithm::EdDSA) {
            Ok(true) => json(payload),
            Ok(false) => Err(Refusal::Signature),
            Err(_) => Err(Refusal::Malformed("its signature is no base64")),
        }
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Refusal> {
        #[expect(clippy::cast_precision_loss, reason = "claims are numbers of JSON")]
        let now = self.clock.unix() as f64;
        if claims.exp.is_some_and(|exp| now >= exp) {
            return Err(Refusal::Expired);
        }
        if claims.iat.is_some_and(|iat| now < iat) {
            return Err(Refusal::IssuedInFuture);
        }
        if claims.nbf.is_some_and(|nbf| now < nbf) {
            return Err(Refusal::NotYet);
        }
        Ok(())
    }
}

/// `Authorization: Bearer …`, else `X-Auth-Token: …`.
fn token(headers: &HeaderMap) -> Option<&str> {
    match header_text(headers, "authorization") {
        Some(value) => value.strip_prefix("Bearer "),
        None => header_text(headers, "x-auth-token"),
    }
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed("a part is no base64"))?;
    serde_json::from_slice(&text).map_err(|_| Refusal::Malformed("a part is no JSON of a token"))
}

/// The role `api` alone, or with one of `user`, `manager`, `admin`, as cc-backend asks for.
fn has_role(claims: &Claims) -> bool {
    let roles: Vec<&str> = match &claims.roles {
        Some(serde_json::Value::Array(roles)) => roles.iter().filter_map(serde_json::Value::as_str).collect(),
        _ => Vec::new(),
    };
    let person = roles.iter().any(|role| matches!(*role, "user" | "manager" | "admin"));
    roles.contains(&"api") && (roles.len() == 1 || person)
}
