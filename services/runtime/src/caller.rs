//! Who asks: the caller of a request, put into an outgoing request and read from an incoming one.
//!
//! Between services a caller travels as a short-lived signed token in the metadata `authorization`
//! (architecture.md 3 "Identity", rust-anchors.md rule 6). Request extensions only carry it between application
//! code and the layers of the same side: [`request`] leaves it for the client layers, which sign it; the server
//! layers verify the token and leave the result for [`of`]. The two use different private types, so a caller put
//! into a request on one side can never be read on the other.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::error::{Failure, Kind};

/// What a caller may do in general; which rows it may see is decided by the service that owns them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Programs of the site: schedulers, collectors.
    Api,
    /// A person with jobs.
    User,
    /// Sees the jobs of the own projects.
    Manager,
    /// Sees all jobs.
    Support,
    /// Sees and changes everything.
    Admin,
    /// Background work of a service itself, never a person.
    Service,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Api, Self::User, Self::Manager, Self::Support, Self::Admin, Self::Service];

    /// The name as in the user table, tokens and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::User => "user",
            Self::Manager => "manager",
            Self::Support => "support",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// How the caller was authenticated at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Session cookie of the UI.
    Session,
    /// Name and password in this very request.
    Password,
    /// JSON web token.
    Jwt,
    /// API token of ours.
    ApiToken,
    /// TLS client certificate.
    Certificate,
    /// Background work of a service.
    Service,
}

/// A verified caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// User name, or `service:<process>` for background work.
    pub name: String,
    /// Roles, without duplicates.
    pub roles: Vec<Role>,
    /// Projects of a manager.
    pub projects: Vec<String>,
    /// How it was authenticated.
    pub how: How,
}

impl Caller {
    /// The identity of a service's own background work: `service:<process>`.
    pub fn service(process: &str) -> Self {
        Self {
            name: format!("service:{process}"),
            roles: vec![Role::Service],
            projects: Vec::new(),
            how: How::Service,
        }
    }

    /// Whether it has the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it has at least one of the roles.
    pub fn has_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }
}

/// Extension of an outgoing request, read and removed by the client layers.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing(pub(crate) Arc<Caller>);

/// Extension of an incoming request, set by the server layers after verification only.
#[derive(Debug, Clone)]
pub(crate) struct Verified(pub(crate) Arc<Caller>);

/// Client side: a request on behalf of `caller`. Without one (a plain message) the process's own service identity
/// is used.
pub fn request<T>(message: T, caller: &Caller) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    set(&mut request, caller);
    request
}

/// Client side: like [`request`], for a request that exists already (streams, requests with a deadline).
pub fn set<T>(request: &mut tonic::Request<T>, caller: &Caller) {
    request.extensions_mut().insert(Outgoing(Arc::new(caller.clone())));
}

/// Server side: the caller that the authentication layer verified.
///
/// # Errors
/// `Unauthenticated` when the request did not pass that layer.
pub fn of<T>(request: &tonic::Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Verified>()
        .map(|verified| Caller::clone(&verified.0))
        .ok_or_else(|| Failure::new(Kind::Unauthenticated, "NO_CALLER", "request without a caller").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outgoing_caller_is_not_a_verified_one() {
        let request = request((), &Caller::service("gateway"));
        let status = of(&request).unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
        assert_eq!(crate::error::reason(&status).as_deref(), Some("NO_CALLER"));
    }

    #[test]
    fn role_names_are_those_of_the_user_table() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>(), Ok(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole("root".to_owned())));
    }
}
