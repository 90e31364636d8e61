//! What a request presents: a bearer token (auth.md 7.1) or the session cookie.

use std::fmt;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};

use super::cookie;

const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Longest token: far above any that is minted, far below what would be a burden.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A credential. Its debug form hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The value of the session cookie.
    Session(String),
    /// A JSON web token.
    Bearer(String),
}

impl Credential {
    /// The token if there is one, else the session.
    pub fn any(headers: &HeaderMap) -> Option<Self> {
        Self::token(headers).or_else(|| Self::session(headers))
    }

    /// The token of the header `X-Auth-Token`, else of `Authorization`.
    pub fn token(headers: &HeaderMap) -> Option<Self> {
        let header = |name: &HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
        let direct = header(&X_AUTH_TOKEN).filter(|value| !value.is_empty());
        let token = match direct {
            Some(value) => value,
            None => bearer(header(&AUTHORIZATION)?)?,
        };
        // what is no text or too long cannot be a token; the auth service says so in the reference's words
        let token = std::str::from_utf8(token).unwrap_or_default();
        let token = if token.len() > TOKEN_BYTES_MAX { "" } else { token };
        Some(Self::Bearer(token.to_owned()))
    }

    /// The session cookie.
    pub fn session(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        lines.flat_map(|line| line.split(';')).find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == cookie::NAME && cookie::is_value(value)).then(|| Self::Session(value.to_owned()))
        })
    }

    /// What the cache knows it by: never the secret itself.
    pub(super) fn digest(&self) -> [u8; 32] {
        let (kind, secret) = match self {
            Self::Session(value) => (b"s", value),
            Self::Bearer(token) => (b"b", token),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind);
        hasher.update(secret.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Session(_) => "Session(…)",
            Self::Bearer(_) => "Bearer(…)",
        })
    }
}

/// The token in an `Authorization` header: after `Bearer ` in any case, or bare. Another scheme (a Basic login of a
/// proxy in front) is not for us, unless what it carries looks like a token.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    if value.is_empty() {
        return None;
    }
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return Some(value) };
    let (scheme, rest) = value.split_at(space);
    let rest = rest.trim_ascii();
    let segments = rest.split(|byte| *byte == b'.').count();
    (scheme.eq_ignore_ascii_case(b"bearer") || segments == 3).then_some(rest)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn token(pairs: &[(&str, &str)]) -> Option<Credential> {
        Credential::token(&headers(pairs))
    }

    fn is(text: &str) -> Credential {
        Credential::Bearer(text.to_owned())
    }

    #[test]
    fn tokens_are_found_where_clients_put_them() {
        assert_eq!(token(&[("x-auth-token", "a.b.c")]), Some(is("a.b.c")));
        assert_eq!(token(&[("x-auth-token", ""), ("authorization", "Bearer a.b.c")]), Some(is("a.b.c")));
        assert_eq!(token(&[("x-auth-token", "a.b.c"), ("authorization", "Bearer d.e.f")]), Some(is("a.b.c")));
        assert_eq!(token(&[("authorization", "bearer a.b.c")]), Some(is("a.b.c")));
        assert_eq!(token(&[("authorization", "a.b.c")]), Some(is("a.b.c")));
        assert_eq!(token(&[("authorization", "garbage")]), Some(is("garbage")));
        assert_eq!(token(&[("authorization", "Token a.b.c")]), Some(is("a.b.c")));
        assert_eq!(token(&[("authorization", "Basic YTpi")]), None);
        assert_eq!(token(&[("authorization", "")]), None);
        assert_eq!(token(&[]), None);
    }

    #[test]
    fn what_cannot_be_a_token_is_a_bad_token_not_a_missing_one() {
        assert_eq!(token(&[("x-auth-token", &"x".repeat(8 * 1024 + 1))]), Some(is("")));
        assert_eq!(token(&[("x-auth-token", "ü")]), Some(is("ü")));
    }

    #[test]
    fn only_our_cookie_is_a_session() {
        let good = "A".repeat(43);
        let session = |value: &str| Credential::session(&headers(&[("cookie", value)]));
        assert_eq!(session(&format!("a=b; cc_session={good}")), Some(Credential::Session(good)));
        assert_eq!(session("session=abc"), None);
        assert_eq!(session("cc_session="), None);
        assert_eq!(session("cc_session=a b"), None);
        assert_eq!(session(&format!("cc_session={}", "A".repeat(200))), None);
    }

    #[test]
    fn secrets_are_not_shown_and_kinds_differ() {
        let (session, bearer) = (Credential::Session("x".into()), Credential::Bearer("x".into()));
        assert!(!format!("{session:?}{bearer:?}").contains('x'));
        assert_ne!(session.digest(), bearer.digest());
    }
}
