//! Errors of the public gRPC (integrations.md 9.11): stable reasons, `RetryInfo` where coming back helps, and no text of
//! the inside.

use std::collections::HashMap;
use std::time::Duration;

use cc_runtime::error::{self, Failure, Kind};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Domain of `ErrorInfo`.
const DOMAIN: &str = "clustercockpit";

/// When an adapter may come back.
pub const RETRY: Duration = Duration::from_secs(1);

/// A service's answer as adapters get it.
pub fn public(status: &Status) -> Status {
    let code = match status.code() {
        // what tonic makes of a deadline, and what a call into a process that just died gives
        Code::Cancelled | Code::DeadlineExceeded => Code::Unavailable,
        code => code,
    };
    let text = match error::kind(status) {
        Kind::Unauthenticated | Kind::Forbidden => status.message(),
        _ => error::public_text(status),
    };
    let reason = error::reason(status).unwrap_or_else(|| "INTERNAL".to_owned());
    with_details(code, text, &reason, error::details(status))
}

/// A refusal of the gateway itself.
pub fn refuse(code: Code, reason: &'static str, text: &str) -> Status {
    with_details(code, text, reason, HashMap::new())
}

fn with_details(code: Code, text: &str, reason: &str, details: HashMap<String, String>) -> Status {
    let mut rich = ErrorDetails::with_error_info(reason, DOMAIN, details);
    if matches!(code, Code::Unavailable | Code::ResourceExhausted) {
        rich.set_retry_info(Some(RETRY));
    }
    Status::with_error_details(code, error::cut(text, 1024).to_owned(), rich)
}

/// The process ends; the adapter finds another one, or this one again.
pub fn draining() -> Status {
    refuse(Code::Unavailable, "DRAINING", "the server is being stopped, connect again")
}

/// Whether the same batch may be sent again in a moment without the adapter knowing.
pub fn is_passing(status: &Status) -> bool {
    matches!(error::kind(status), Kind::Unavailable | Kind::Busy | Kind::Deadline | Kind::Internal)
        && status.code() != Code::Unimplemented
}

impl From<crate::auth::AuthFailure> for Status {
    fn from(failure: crate::auth::AuthFailure) -> Self {
        use crate::auth::AuthFailure;

        match failure {
            AuthFailure::Nothing => refuse(Code::Unauthenticated, "NO_TOKEN", "no token in the metadata"),
            AuthFailure::Refused { text, .. } => refuse(Code::Unauthenticated, "INVALID_TOKEN", &text),
            AuthFailure::Insufficient => {
                refuse(Code::PermissionDenied, "ROLE", "this needs a token with the role api")
            }
            AuthFailure::UnknownAddress(address) => {
                refuse(Code::PermissionDenied, "ADDRESS", &format!("unknown ip: {address}"))
            }
            AuthFailure::Unavailable(detail) => {
                tracing::warn!("tokens cannot be checked: {detail}");
                refuse(Code::Unavailable, "AUTH_UNAVAILABLE", "tokens cannot be checked at the moment")
            }
        }
    }
}

/// A batch or request that cannot be taken as a whole.
pub fn invalid(reason: &'static str, text: impl Into<String>) -> Status {
    public(&Failure::new(Kind::Invalid, reason, text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_learn_the_expected_sequence() {
        let gap: Status = Failure::new(Kind::TooLarge, "SEQUENCE_GAP", "gap").with("expected", 5).into();
        let told = public(&gap);
        assert_eq!(told.code(), Code::OutOfRange);
        assert_eq!(error::details(&told).get("expected").map(String::as_str), Some("5"));
        assert!(told.get_details_retry_info().is_none());
    }

    #[test]
    fn the_inside_stays_inside_and_retries_are_named() {
        let told = public(&Failure::new(Kind::Internal, "DATABASE", "near \"SELECT\"").into());
        assert!(!told.message().contains("SELECT"));
        for status in [Failure::new(Kind::Unavailable, "X", "x").into(), Status::cancelled("Timeout expired")]
        {
            let told = public(&status);
            assert_eq!(told.code(), Code::Unavailable);
            assert_eq!(told.get_details_retry_info().unwrap().retry_delay, Some(RETRY));
        }
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for (kind, passing) in [
            (Kind::Unavailable, true),
            (Kind::Busy, true),
            (Kind::Internal, true),
            (Kind::Invalid, false),
            (Kind::Conflict, false),
            (Kind::TooLarge, false),
        ] {
            assert_eq!(is_passing(&Failure::new(kind, "X", "x").into()), passing, "{kind:?}");
        }
    }
}
