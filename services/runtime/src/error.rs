//! The closed error vocabulary of all services and its one mapping to gRPC and HTTP (design/rust-anchors.md
//! rules 9–11).
//!
//! A service turns each variant of its own error enum into a [`Failure`] in one place; `From<Failure> for Status`
//! makes the wire form with `google.rpc.ErrorInfo` (domain [`DOMAIN`]). Callers read it back with [`kind`],
//! [`reason`] and [`details`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `ErrorInfo.domain` of every failure of this product.
pub const DOMAIN: &str = "clustercockpit";

/// Longest text of a [`Status`] in bytes: HTTP/2 peers accept 16 KiB of headers in total, and the text travels
/// twice (percent-encoded and inside the details).
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Longest single value, and longest sum of keys and values, of the string map in `ErrorInfo`, in bytes.
pub const DETAIL_BYTES_MAX: usize = 2048;

/// What kind of failure it is, i.e. who has to act. Closed: new failures get a new *reason*, not a new kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is wrong and stays wrong when repeated.
    Invalid,
    /// Nobody, or nobody we can verify, asked.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The named thing does not exist, or the caller may not know that it does.
    NotFound,
    /// The present state of the thing forbids it (it exists already, it is stopped already).
    Conflict,
    /// The request or the answer exceeds a stated limit.
    TooLarge,
    /// A stated limit of concurrent work or rate is reached; later it will do.
    Busy,
    /// The time the caller granted is over.
    Deadline,
    /// A part that is needed does not answer now.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Kind {
    /// The gRPC code. [`Kind::Conflict`] is `AlreadyExists` here; [`Failure::precondition`] selects the other one.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::AlreadyExists,
            Self::TooLarge => Code::OutOfRange,
            Self::Busy => Code::ResourceExhausted,
            Self::Deadline => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// The kind behind a gRPC code; total, since a peer may send any code.
    pub fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::Invalid,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Self::Conflict,
            Code::OutOfRange => Self::TooLarge,
            Code::ResourceExhausted => Self::Busy,
            Code::DeadlineExceeded | Code::Cancelled => Self::Deadline,
            Code::Unavailable => Self::Unavailable,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
                Self::Internal
            }
        }
    }

    /// Status of the new HTTP API; recorded legacy routes keep their historic ones by their own adapters.
    pub fn http_status(self) -> http::StatusCode {
        match self {
            Self::Invalid => http::StatusCode::BAD_REQUEST,
            Self::Unauthenticated => http::StatusCode::UNAUTHORIZED,
            Self::Forbidden => http::StatusCode::FORBIDDEN,
            Self::NotFound => http::StatusCode::NOT_FOUND,
            Self::Conflict => http::StatusCode::CONFLICT,
            Self::TooLarge => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => http::StatusCode::TOO_MANY_REQUESTS,
            Self::Deadline => http::StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the same request may succeed later without a change.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Busy | Self::Deadline | Self::Unavailable)
    }

    /// The text shown to people outside instead of the failure's own, where that one must not leave the house
    /// (rule 9, last column); `None` where the own text may be shown.
    pub fn fixed_text(self) -> Option<&'static str> {
        match self {
            Self::Invalid | Self::NotFound | Self::Conflict | Self::TooLarge => None,
            Self::Unauthenticated => Some("authentication required"),
            Self::Forbidden => Some("not allowed"),
            Self::Busy => Some("too many requests, try again later"),
            Self::Deadline => Some("the request took too long"),
            Self::Unavailable => Some("temporarily unavailable, try again later"),
            Self::Internal => Some("internal error"),
        }
    }
}

/// A failure before it becomes a [`Status`]: kind, stable reason, text and the ids that matter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    kind: Kind,
    reason: Cow<'static, str>,
    message: String,
    details: HashMap<String, String>,
    precondition: bool,
}

impl Failure {
    /// A failure with a stable upper-case `reason` (`JOB_NOT_FOUND`) and a text for people.
    pub fn new(kind: Kind, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            message: message.into(),
            details: HashMap::new(),
            precondition: false,
        }
    }

    /// An unexpected error: its chain is logged here, once, and the caller gets a generic text (architecture.md 3).
    pub fn unexpected(operation: &str, error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error = %chain(error), "{operation} failed");
        Self::new(Kind::Internal, "INTERNAL", "internal error").with("operation", operation)
    }

    /// Adds one entry to the string map of `ErrorInfo`, e.g. the cluster or the job id.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.details.insert(key.into(), value.to_string());
        self
    }

    /// Makes a [`Kind::Conflict`] travel as `FailedPrecondition` ("it is in the wrong state") instead of
    /// `AlreadyExists`.
    #[must_use]
    pub fn precondition(mut self) -> Self {
        self.precondition = true;
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let code = match failure.kind {
            Kind::Conflict if failure.precondition => Code::FailedPrecondition,
            kind => kind.code(),
        };
        let mut room = DETAIL_BYTES_MAX;
        let mut entries: Vec<(String, String)> = failure.details.into_iter().collect();
        entries.sort_unstable();
        let mut details = HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            if key.len() >= room {
                continue; // a bounded header matters more than the last id
            }
            room -= key.len();
            let value = cut(&value, room).to_owned();
            room -= value.len();
            details.insert(key, value);
        }
        Status::with_error_details(
            code,
            cut(&failure.message, MESSAGE_BYTES_MAX).to_owned(),
            ErrorDetails::with_error_info(failure.reason, DOMAIN, details),
        )
    }
}

/// The longest prefix of `text` with at most `bytes_max` bytes that does not split a character.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The kind of a received status.
pub fn kind(status: &Status) -> Kind {
    Kind::of_code(status.code())
}

/// The stable reason of a received status; `None` when the peer sent none of our domain.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().filter(|info| info.domain == DOMAIN).map(|info| info.reason)
}

/// The string map of a received status; empty when the peer sent none of our domain.
pub fn details(status: &Status) -> HashMap<String, String> {
    status
        .get_details_error_info()
        .filter(|info| info.domain == DOMAIN)
        .map(|info| info.metadata)
        .unwrap_or_default()
}

/// The text of a received status that may be shown outside the house (rule 9).
pub fn public_text(status: &Status) -> &str {
    let Some(fixed) = kind(status).fixed_text() else { return status.message() };
    match reason(status).as_deref() {
        Some("DATABASE_FULL") => {
            "the file system of the database is full: nothing was changed; try again when there is room"
        }
        Some("LOG_FULL") => {
            "the file system of the metric store's log is full: the samples were not taken; send them again when there is room"
        }
        // Written for people outside: what is wrong with which file of the job, without its path.
        Some("ARCHIVE_FULL" | "ARCHIVE_ENTRY_BROKEN" | "ARCHIVE_ENTRY_UNREADABLE") => status.message(),
        _ => fixed,
    }
}

/// An error and all its sources in one line, outermost first, for the one log line at the boundary.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // some libraries repeat their source in their own text
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_code() {
        for kind in [
            Kind::Invalid,
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Conflict,
            Kind::TooLarge,
            Kind::Busy,
            Kind::Deadline,
            Kind::Unavailable,
            Kind::Internal,
        ] {
            assert_eq!(Kind::of_code(kind.code()), kind);
        }
        assert_eq!(Kind::of_code(Code::FailedPrecondition), Kind::Conflict);
        assert_eq!(Kind::of_code(Code::Cancelled), Kind::Deadline);
    }

    #[test]
    fn reason_and_details_are_read_back() {
        let status: Status =
            Failure::new(Kind::NotFound, "JOB_NOT_FOUND", "job not found").with("job", 404).into();
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "job not found");
        assert_eq!(reason(&status).as_deref(), Some("JOB_NOT_FOUND"));
        assert_eq!(details(&status).get("job").map(String::as_str), Some("404"));
        assert_eq!(kind(&status), Kind::NotFound);
    }

    #[test]
    fn foreign_domain_gives_no_reason() {
        let foreign = Status::with_error_details(
            Code::NotFound,
            "x",
            ErrorDetails::with_error_info("X", "elsewhere", HashMap::<String, String>::new()),
        );
        assert_eq!(reason(&foreign), None);
        assert!(details(&foreign).is_empty());
        assert_eq!(reason(&Status::not_found("plain")), None);
    }

    #[test]
    fn conflict_has_two_codes() {
        let exists: Status = Failure::new(Kind::Conflict, "TAKEN", "taken").into();
        let state: Status =
            Failure::new(Kind::Conflict, "JOB_NOT_RUNNING", "not running").precondition().into();
        assert_eq!(exists.code(), Code::AlreadyExists);
        assert_eq!(state.code(), Code::FailedPrecondition);
    }

    #[test]
    fn long_texts_stay_below_the_header_limit() {
        let long = "ä".repeat(40_000);
        let mut failure = Failure::new(Kind::Invalid, "LONG", long.clone());
        for index in 0..20 {
            failure = failure.with(format!("key{index}"), &long);
        }
        let status: Status = failure.into();
        assert_eq!(status.message().len(), MESSAGE_BYTES_MAX);
        let response = status.into_http::<tonic::body::Body>();
        let header_bytes: usize =
            response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(header_bytes < 12 * 1024, "{header_bytes} bytes of headers");
    }

    #[test]
    fn cut_never_splits_a_character() {
        assert_eq!(cut("äö", 3), "ä");
        assert_eq!(cut("äö", 4), "äö");
        assert_eq!(cut("", 4), "");
    }

    #[test]
    fn chain_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to read meta.json")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk gone"));
        assert_eq!(chain(&error), "failed to read meta.json: disk gone");
    }

    #[test]
    fn unexpected_failures_show_nothing_inside() {
        let status: Status = Failure::unexpected("open", &std::io::Error::other("secret path")).into();
        assert_eq!(status.message(), "internal error");
        assert_eq!(public_text(&Status::unauthenticated("signature of x")), "authentication required");
        assert_eq!(public_text(&Status::not_found("job 4")), "job 4");
        let full = |reason: &'static str| Status::from(Failure::new(Kind::Unavailable, reason, "at /srv/x"));
        assert!(public_text(&full("DATABASE_FULL")).contains("database is full"));
        assert!(public_text(&full("LOG_FULL")).contains("log is full"));
        assert_eq!(public_text(&full("DATABASE_BUSY")), "temporarily unavailable, try again later");
    }
}
