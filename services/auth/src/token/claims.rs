//! What a token says about its owner (spec auth.md 7.2, 7.3).

use serde_json::{Map, Value};

use super::TokenError;
use crate::role;

/// What is wrong with the times of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    /// `exp` has come.
    #[error("token is expired")]
    Expired,
    /// `nbf` has not come.
    #[error("token is not valid yet")]
    TooEarly,
    /// The claim of that name is there and is no number.
    #[error("invalid type for claim: {0} is invalid")]
    NoNumber(&'static str),
}

/// A time claim, Unix seconds; absent without one. Zero counts as absent, as in the reference.
type Time = Result<Option<i64>, TimeFault>;

/// The claims of a token whose signature is ours, before its times are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    expires_at: Time,
    not_before: Time,
    subject: String,
    name: String,
    roles: Vec<String>,
}

/// Who a token that is valid now belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: the login name, not empty.
    pub username: String,
    /// `name`: the full name; empty when the token has none.
    pub name: String,
    /// `roles`, unfiltered but for [`role::words`].
    pub roles: Vec<String>,
    /// `exp`, Unix seconds; `None`: valid for ever.
    pub expires_at: Option<i64>,
}

impl Payload {
    pub(super) fn read(claims: &Map<String, Value>) -> Self {
        Self {
            expires_at: time(claims, "exp"),
            not_before: time(claims, "nbf"),
            subject: claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned(),
            name: name(claims.get("name")),
            roles: role::words(strings(claims.get("roles"))),
        }
    }

    /// The claims, if the token is valid at `now` (Unix seconds, rounded down). No leeway.
    pub(super) fn at(&self, now: i64) -> Result<Claims, TokenError> {
        let expired =
            self.expires_at.and_then(|exp| fault(exp.is_some_and(|exp| now >= exp), TimeFault::Expired));
        let early =
            self.not_before.and_then(|nbf| fault(nbf.is_some_and(|nbf| now < nbf), TimeFault::TooEarly));
        let faults: Vec<TimeFault> = [expired, early].into_iter().filter_map(Result::err).collect();
        if !faults.is_empty() {
            return Err(TokenError::Claims(faults));
        }
        if self.subject.is_empty() {
            return Err(TokenError::NoSubject);
        }
        Ok(Claims {
            username: self.subject.clone(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            expires_at: self.expires_at.ok().flatten(),
        })
    }
}

fn fault(wrong: bool, fault: TimeFault) -> Result<(), TimeFault> {
    if wrong { Err(fault) } else { Ok(()) }
}

fn time(claims: &Map<String, Value>, claim: &'static str) -> Time {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(seconds(number).filter(|&seconds| seconds != 0)),
        Some(_) => Err(TimeFault::NoNumber(claim)),
    }
}

/// Whole seconds; fractions are cut off, what no clock reaches is the end of the range.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what is wanted")]
fn seconds(number: &serde_json::Number) -> Option<i64> {
    match number.as_f64() {
        Some(0.0) => None,
        _ => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
    }
}

/// `name` is a text, or an object with a list of texts (some identity providers).
fn name(claim: Option<&Value>) -> String {
    match claim {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Object(object)) => strings(object.get("values")).join(" "),
        _ => String::new(),
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
