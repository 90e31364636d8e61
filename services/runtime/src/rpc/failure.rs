//! Failures of the way between two services, as the calling side sees them.
//!
//! tonic reports an expired deadline as `Cancelled "Timeout expired"`, a panic in the handler as a reset stream and
//! a lost connection as `Unknown`; callers get `DeadlineExceeded`, `Internal` and `Unavailable` on every transport.

use std::error::Error as StdError;

use http::HeaderMap;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::error::{self, Failure, Kind};
use crate::rpc::timeout;
use crate::transport::NoAnswer;

/// The status of a call whose time is over.
pub(crate) fn deadline() -> Status {
    Failure::new(Kind::Deadline, "DEADLINE", "deadline exceeded").into()
}

/// Whether a received status is tonic's way to say that the time is over.
pub(crate) fn is_expired(code: Code, message: &[u8]) -> bool {
    code == Code::Cancelled && (message == timeout::EXPIRED.as_bytes() || message == b"Timeout%20expired")
}

/// The status of a call that got no answer.
pub(crate) fn of_transport(failure: NoAnswer) -> Status {
    let failure = failure.0;
    let text = error::chain(failure.as_ref());
    if in_chain::<tonic::ConnectError>(failure.as_ref()) {
        return Failure::new(Kind::Unavailable, "UNREACHABLE", text).into();
    }
    classify(&Status::from_error(failure), text)
}

/// The status of an answer that broke off.
pub(crate) fn of_body(status: &Status) -> Status {
    if is_expired(status.code(), status.message().as_bytes()) {
        return deadline();
    }
    if status.source().is_none() {
        // a limit of the codec or another status of our own side, not of the way
        return status.clone();
    }
    classify(status, error::chain(status))
}

fn classify(status: &Status, text: String) -> Status {
    if is_expired(status.code(), status.message().as_bytes()) {
        return deadline();
    }
    let lost = in_chain::<std::io::Error>(status)
        || find::<hyper::Error>(status)
            .is_some_and(|error| error.is_closed() || error.is_canceled() || error.is_timeout())
        || matches!(status.code(), Code::Unknown | Code::Unavailable);
    if lost {
        return Failure::new(Kind::Unavailable, "CONNECTION_LOST", text).into();
    }
    if status.code() == Code::ResourceExhausted {
        return Failure::new(Kind::Busy, "TRANSPORT", text).into();
    }
    // the peer reset the stream without a status: its handler died, or it does not speak gRPC
    Failure::new(Kind::Internal, "STREAM_RESET", text).into()
}

fn in_chain<T: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    find::<T>(error).is_some()
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An answer that is nothing but a status.
pub(crate) fn response(status: &Status) -> http::Response<Body> {
    status.clone().into_http()
}

/// The code in the head or the tail of an answer; `None` when there is none (yet).
pub(crate) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Whether head or tail of an answer say that the time is over, in tonic's way.
pub(crate) fn expired_in(headers: &HeaderMap) -> bool {
    code_in(headers) == Some(Code::Cancelled)
        && headers
            .get(Status::GRPC_MESSAGE)
            .is_some_and(|message| is_expired(Code::Cancelled, message.as_bytes()))
}
