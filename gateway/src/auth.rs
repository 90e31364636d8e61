//! Who asks. The gateway authenticates each request once and hands a [`Caller`] on to the services.
//!
//! - [`credential`]: what a request presents: a bearer token or the session cookie
//! - [`cookie`]: the cookie `cc_session`
//! - [`cache`]: answers of the auth service, for as long as it allows
//! - [`gate`]: the rules of each group of routes (auth.md 12)

pub mod cache;
pub mod cookie;
pub mod credential;
pub mod gate;

use std::sync::Arc;

use cc_proto::auth::v1::authenticate_request::Credential as Presented;
use cc_proto::auth::v1::{AuthenticateRequest, AuthenticateResponse};
use cc_runtime::caller::{Caller, How, Role};
use cc_runtime::error::{self, Kind};
use http::HeaderMap;
use tonic::Status;

use self::credential::Credential;
use crate::state::State;

/// The name of everybody when authentication is switched off.
pub const NOBODY_IN_PARTICULAR: &str = "admin";

/// An authenticated somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the services are told.
    pub caller: Arc<Caller>,
    /// The words that stand in the token or the user table, without duplicates. The gates count them, also the unknown
    /// ones (auth.md 12.1).
    pub words: Arc<[String]>,
    /// When the credential ends, Unix seconds; `None`: never.
    pub expires_at: Option<i64>,
}

impl Identity {
    fn new(answer: AuthenticateResponse, how: How) -> Option<Self> {
        let user = answer.user?;
        let mut words: Vec<String> = Vec::with_capacity(user.roles.len());
        for word in user.roles {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let roles = words.iter().filter_map(|word| role_of_people(word)).collect();
        let caller = Caller { name: user.username, roles, projects: user.projects, how };
        let expires_at = (answer.expires_at > 0).then_some(answer.expires_at);
        Some(Self { caller: Arc::new(caller), words: words.into(), expires_at })
    }

    /// Everybody, while `main.disable-authentication` is set (rest-api.md 13).
    pub fn unauthenticated() -> Self {
        let caller = Caller {
            name: NOBODY_IN_PARTICULAR.to_owned(),
            roles: vec![Role::Admin, Role::Api],
            projects: Vec::new(),
            how: How::Session,
        };
        let words = [Role::Admin, Role::Api].map(|role| role.as_str().to_owned());
        Self { caller: Arc::new(caller), words: words.into(), expires_at: None }
    }
}

/// The role that a word gives to a person or program. `service` is what processes call themselves: a token that says
/// so gives nothing.
fn role_of_people(word: &str) -> Option<Role> {
    word.parse().ok().filter(|role| *role != Role::Service)
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// It presents nothing.
    Nothing,
    /// What it presents is not, or no longer, good. The text is meant for the client (auth.md 7.2).
    Refused {
        /// Why.
        text: String,
        /// It was the session cookie, which the browser may forget.
        session: bool,
    },
    /// The credential is good, its roles do not do.
    Insufficient,
    /// The credential is good, the address is not on the list.
    UnknownAddress(String),
    /// Nobody could be asked.
    Unavailable(String),
}

/// Who is behind the request: the bearer token if it presents one, else the session cookie. The one function for REST,
/// GraphQL, pages and events.
///
/// # Errors
/// [`AuthFailure`]; roles are not looked at, that is the gates' business.
pub async fn viewer(state: &State, headers: &HeaderMap) -> Result<Caller, AuthFailure> {
    identify(state, headers).await.map(|identity| Caller::clone(&identity.caller))
}

/// As [`viewer`], with everything that is known.
///
/// # Errors
/// As [`viewer`].
pub async fn identify(state: &State, headers: &HeaderMap) -> Result<Identity, AuthFailure> {
    if !state.settings().authentication {
        return Ok(Identity::unauthenticated());
    }
    match Credential::any(headers) {
        Some(credential) => check(state, &credential).await,
        None => Err(AuthFailure::Nothing),
    }
}

/// As [`identify`], looking at tokens only: for the routes of programs.
///
/// # Errors
/// As [`viewer`].
pub async fn identify_token(state: &State, headers: &HeaderMap) -> Result<Identity, AuthFailure> {
    if !state.settings().authentication {
        return Ok(Identity::unauthenticated());
    }
    match Credential::token(headers) {
        Some(credential) => check(state, &credential).await,
        None => Err(AuthFailure::Nothing),
    }
}

/// As [`identify`], looking at the session cookie only.
///
/// # Errors
/// As [`viewer`].
pub async fn identify_session(state: &State, headers: &HeaderMap) -> Result<Identity, AuthFailure> {
    if !state.settings().authentication {
        return Ok(Identity::unauthenticated());
    }
    match Credential::session(headers) {
        Some(credential) => check(state, &credential).await,
        None => Err(AuthFailure::Nothing),
    }
}

/// Asks the cache, then the auth service.
///
/// # Errors
/// As [`viewer`].
pub async fn check(state: &State, credential: &Credential) -> Result<Identity, AuthFailure> {
    if let Some(known) = state.identities().get(credential, state.clock().unix()) {
        return Ok(known);
    }
    check_now(state, credential).await
}

/// Asks the auth service, whatever the cache says: for streams that look again whether they may go on.
///
/// # Errors
/// As [`viewer`].
pub async fn check_now(state: &State, credential: &Credential) -> Result<Identity, AuthFailure> {
    let (presented, how) = match credential {
        Credential::Session(value) => (Presented::Session(value.clone()), How::Session),
        Credential::Bearer(token) => (Presented::Bearer(token.clone()), How::Jwt),
    };
    let request = AuthenticateRequest { credential: Some(presented) };
    let asked_at = state.clock().unix();
    let answer = state.auth().authenticate(request).await.map_err(|status| {
        state.identities().forget(credential);
        failure(&status, how == How::Session)
    })?;
    let answer = answer.into_inner();
    let cache_s = answer.cache_s;
    let identity = Identity::new(answer, how)
        .ok_or_else(|| AuthFailure::Unavailable("the auth service named no user".to_owned()))?;
    state.identities().put(credential, &identity, asked_at, cache_s);
    Ok(identity)
}

fn failure(status: &Status, session: bool) -> AuthFailure {
    match error::kind(status) {
        // invalid: a credential that is no text at all, or longer than any of ours
        Kind::Unauthenticated | Kind::Invalid | Kind::NotFound => {
            AuthFailure::Refused { text: status.message().to_owned(), session }
        }
        _ => AuthFailure::Unavailable(format!("{:?}: {}", status.code(), status.message())),
    }
}

#[cfg(test)]
mod tests {
    use cc_proto::auth::v1::User;

    use super::*;

    #[test]
    fn a_word_never_makes_a_process_of_a_person() {
        let roles = ["service", "admin", "api", "api", "API", "wizard"].map(str::to_owned).to_vec();
        let user = User { username: "x".to_owned(), roles, ..User::default() };
        let answer = AuthenticateResponse { user: Some(user), expires_at: 0, cache_s: 0 };
        let identity = Identity::new(answer, How::Jwt).unwrap();
        assert_eq!(identity.caller.roles, [Role::Admin, Role::Api]);
        assert_eq!(*identity.words, ["service", "admin", "api", "API", "wizard"].map(str::to_owned));
        assert_eq!(identity.expires_at, None);
    }
}
