//! What can fail here, and its one mapping to the vocabulary of the house.

use cc_runtime::error::{Failure, Kind};

use crate::attempts::TooMany;
use crate::settings::SettingsError;
use crate::token::TokenError;

/// A failed operation of this service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Name or password is wrong, or there is no such login. One text for all of it.
    #[error("Authentication failed")]
    WrongCredentials,
    /// Too many failed logins; the credentials were not looked at.
    #[error(transparent)]
    TooManyAttempts(#[from] TooMany),
    /// Too many logins at this moment.
    #[error("too many logins at the same time, try again")]
    LoginsBusy,
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The owner of a token or session is no user (any more).
    #[error("unknown user")]
    UnknownUser,
    /// No such session, it was ended, or its user has another password by now.
    #[error("unknown session")]
    UnknownSession,
    /// The session is past its end.
    #[error("session is expired")]
    ExpiredSession,
    /// The request names neither session nor token.
    #[error("no session and no token to check")]
    NoCredential,
    /// No user of that name.
    #[error("there is no user '{username}'")]
    UserNotFound {
        /// The name.
        username: String,
    },
    /// The caller may see its own user only.
    #[error("only support, managers and administrators see other users")]
    OtherUser,
    /// More names in one request than allowed.
    #[error("{found} names in one request, at most {limit}")]
    TooManyNames {
        /// Names given.
        found: usize,
        /// Names allowed.
        limit: usize,
    },
    /// A setting that cannot be one.
    #[error("setting: {problem}")]
    InvalidSetting {
        /// What is wrong with it.
        problem: String,
    },
    /// The caller is not in the user table, where settings belong to.
    #[error("settings are kept for users of the user table only")]
    NoAccount,
    /// A user that cannot be made. The text is for the administrator.
    #[error("{0}")]
    InvalidUser(String),
    /// A change of a user that is not done. The text is the reference's.
    #[error("{0}")]
    RefusedChange(String),
    /// The name is taken.
    #[error("UNIQUE constraint failed: hpc_user.username")]
    UserExists,
    /// Nobody would be left to administer the site.
    #[error("'{username}' is the last administrator")]
    LastAdmin {
        /// The name.
        username: String,
    },
    /// The database did not do what it was asked.
    #[error(transparent)]
    Database(#[from] cc_database::Error),
    /// The CPU pool did not take the password check.
    #[error("failed to check a password")]
    Cpu(#[source] Failure),
    /// The settings do not allow to start.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::WrongCredentials => Self::new(Kind::Unauthenticated, "WRONG_CREDENTIALS", text),
            Error::TooManyAttempts(too_many) => {
                Self::new(Kind::Busy, "TOO_MANY_ATTEMPTS", text).with("retry_after_s", too_many.retry_after_s)
            }
            Error::LoginsBusy => Self::new(Kind::Busy, "LOGINS_BUSY", text).with("retry_after_s", 1),
            Error::Token(token) if token.is_expired() => {
                Self::new(Kind::Unauthenticated, "EXPIRED_TOKEN", text)
            }
            Error::Token(_) => Self::new(Kind::Unauthenticated, "INVALID_TOKEN", text),
            Error::UnknownUser => Self::new(Kind::Unauthenticated, "UNKNOWN_USER", text),
            Error::UnknownSession => Self::new(Kind::Unauthenticated, "UNKNOWN_SESSION", text),
            Error::ExpiredSession => Self::new(Kind::Unauthenticated, "EXPIRED_SESSION", text),
            Error::NoCredential => Self::new(Kind::Invalid, "NO_CREDENTIAL", text),
            Error::UserNotFound { username } => {
                Self::new(Kind::NotFound, "USER_NOT_FOUND", text).with("username", username)
            }
            Error::OtherUser => Self::new(Kind::Forbidden, "OTHER_USER", text),
            Error::TooManyNames { limit, .. } => {
                Self::new(Kind::TooLarge, "TOO_MANY_NAMES", text).with("limit", limit)
            }
            Error::InvalidSetting { .. } => Self::new(Kind::Invalid, "INVALID_SETTING", text),
            Error::NoAccount => Self::new(Kind::Conflict, "NO_ACCOUNT", text).precondition(),
            Error::InvalidUser(_) => Self::new(Kind::Invalid, "INVALID_USER", text),
            Error::RefusedChange(_) => Self::new(Kind::Conflict, "REFUSED_CHANGE", text).precondition(),
            Error::UserExists => Self::new(Kind::Conflict, "USER_EXISTS", text),
            Error::LastAdmin { .. } => Self::new(Kind::Conflict, "LAST_ADMIN", text).precondition(),
            Error::Database(error) => error.into(),
            Error::Cpu(failure) => failure,
            Error::Settings(error) => Self::unexpected("settings", &error),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Failure::from(error).into()
    }
}
