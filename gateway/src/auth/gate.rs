//! The gates: who may use a group of routes (auth.md 12.1). Each is an extractor, so a handler's signature says what it
//! needs, and a wrong path or method is answered before anybody looks at credentials.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use cc_runtime::caller::Caller;
use http::StatusCode;
use http::request::Parts;

use super::{AuthFailure, Identity};
use crate::client::Client;
use crate::problem::Problem;
use crate::settings::AllowedAddresses;
use crate::state::State;
use crate::web::refusal;

/// A group of routes and its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Anybody.
    Open,
    /// Programs of the site: the only role is `api`, or `admin` and `api` are among several; from an allowed address.
    Api,
    /// Senders of samples: `api` alone, or with `user`, `manager` or `admin`.
    Store,
    /// A person's own programs: `api` alone, or with any other role.
    UserApi,
    /// Administration: a session with `admin`.
    Config,
    /// Any session.
    Front,
    /// Any token or session.
    Web,
}

impl Gate {
    /// Whether the roles, as words, open this gate.
    pub fn opens_for(self, words: &[String]) -> bool {
        let has = |word: &str| words.iter().any(|own| own == word);
        let alone = words.len() == 1 && has("api");
        let with = |others: &[&str]| words.len() > 1 && has("api") && others.iter().any(|word| has(word));
        match self {
            Self::Open | Self::Front | Self::Web => true,
            Self::Api => alone || with(&["admin"]),
            Self::Store => alone || with(&["user", "manager", "admin"]),
            Self::UserApi => alone || with(&["user", "manager", "support", "admin"]),
            Self::Config => has("admin"),
        }
    }

    /// What opens this gate, for whoever was refused.
    fn needs(self) -> &'static str {
        match self {
            Self::Open | Self::Web => "a session or a token",
            Self::Api => "a token whose only role is api, or one with admin and api",
            Self::Store => "a token with the role api, alone or with user, manager or admin",
            Self::UserApi => "a token with the role api",
            Self::Config => "a session with the role admin",
            Self::Front => "a session",
        }
    }

    /// Roles and address of somebody who is authenticated.
    pub(crate) fn admit(
        self,
        identity: &Identity,
        client: Option<IpAddr>,
        allowed: &AllowedAddresses,
    ) -> Result<(), AuthFailure> {
        if self == Self::Api && !allowed.allows(client) {
            let client = Client { address: client, encrypted: false };
            return Err(AuthFailure::UnknownAddress(client.text()));
        }
        if self.opens_for(&identity.words) { Ok(()) } else { Err(AuthFailure::Insufficient) }
    }

    async fn pass(self, parts: &Parts, state: &State) -> Result<Identity, AuthFailure> {
        let identity = match self {
            Self::Open | Self::Web => super::identify(state, &parts.headers).await?,
            Self::Api | Self::Store | Self::UserApi => super::identify_token(state, &parts.headers).await?,
            Self::Config | Self::Front => super::identify_session(state, &parts.headers).await?,
        };
        let settings = state.settings();
        if settings.authentication {
            let client = Client::of(&parts.extensions).address;
            self.admit(&identity, client, &settings.api_allowed)?;
        }
        Ok(identity)
    }

    /// The refusal as the REST routes tell it (rest-api.md 3): always 401, because clients of the reference expect it.
    pub(crate) fn refusal(self, failure: AuthFailure) -> Problem {
        match failure {
            AuthFailure::Nothing if self == Self::Api => Problem::unauthorized("no user for secured check"),
            AuthFailure::Insufficient => {
                Problem::unauthorized(format!("unauthorized: this needs {}", self.needs()))
            }
            AuthFailure::Nothing | AuthFailure::Refused { session: true, .. } => {
                Problem::unauthorized("unauthorized")
            }
            AuthFailure::Refused { text, .. } => Problem::unauthorized(text),
            AuthFailure::UnknownAddress(address) => Problem::unauthorized(format!("unknown ip: {address}")),
            AuthFailure::Unavailable(detail) => {
                let mut problem = Problem::unavailable("logins cannot be checked at the moment");
                debug_assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
                problem.detail = Some(detail);
                problem
            }
        }
    }
}

/// A gate that was passed, for handlers behind more than one.
pub trait Passed: FromRequestParts<State, Rejection = Problem> + Send + 'static {
    /// Who passed it.
    fn caller(self) -> Arc<Caller>;
}

macro_rules! gates {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub Arc<Caller>);

        impl Passed for $name {
            fn caller(self) -> Arc<Caller> {
                self.0
            }
        }

        impl FromRequestParts<State> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
                match Gate::$name.pass(parts, state).await {
                    Ok(identity) => Ok(Self(identity.caller)),
                    Err(failure) => Err(Gate::$name.refusal(failure)),
                }
            }
        }
    )*};
}

gates!(
    /// Passed [`Gate::Api`].
    Api,
    /// Passed [`Gate::Store`].
    Store,
    /// Passed [`Gate::UserApi`].
    UserApi,
    /// Passed [`Gate::Config`].
    Config,
    /// Passed [`Gate::Front`].
    Front
);

/// Passed [`Gate::Web`]. Browsers that open a page get the login page when they do not pass, scripts get JSON.
#[derive(Clone, Debug)]
pub struct Web(pub Identity);

impl FromRequestParts<State> for Web {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        Gate::Web.pass(parts, state).await.map(Self).map_err(|failure| refusal::of_web(failure, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_gates_of_programs_open_as_recorded() {
        // roles, G-API, G-MS, G-USERAPI
        for (roles, api, store, user_api) in [
            ("", false, false, false),
            ("admin", false, false, false),
            ("user", false, false, false),
            ("support", false, false, false),
            ("API", false, false, false),
            ("wizard", false, false, false),
            ("api", true, true, true),
            ("admin api", true, true, true),
            ("admin user api", true, true, true),
            ("user api", false, true, true),
            ("manager api", false, true, true),
            ("support api", false, false, true),
            ("wizard api", false, false, false),
        ] {
            let words = words(roles);
            assert_eq!(Gate::Api.opens_for(&words), api, "G-API {roles}");
            assert_eq!(Gate::Store.opens_for(&words), store, "G-MS {roles}");
            assert_eq!(Gate::UserApi.opens_for(&words), user_api, "G-USERAPI {roles}");
            assert_eq!(Gate::Config.opens_for(&words), roles.contains("admin"), "G-CONFIG {roles}");
        }
    }

    #[test]
    fn the_list_of_addresses_counts_for_api_only() {
        let identity = Identity::unauthenticated();
        let listed = AllowedAddresses::Listed(vec!["10.1.2.3".parse().unwrap()]);
        let client = Some("127.0.0.1".parse().unwrap());
        assert_eq!(
            Gate::Api.admit(&identity, client, &listed),
            Err(AuthFailure::UnknownAddress("127.0.0.1".to_owned()))
        );
        for gate in [Gate::Store, Gate::UserApi, Gate::Web] {
            assert_eq!(gate.admit(&identity, client, &listed), Ok(()));
        }
    }
}
