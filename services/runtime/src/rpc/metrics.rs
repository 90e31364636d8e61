//! Counters of calls. Label values come from the access table and the gRPC codes only.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit};
use tonic::Code;

use crate::rpc::methods::{self, Method};

/// Calls made, by service, method and code.
pub const CLIENT_REQUESTS: &str = "rpc_client_requests_total";
/// Seconds until the last byte of an answer, as the caller saw it, by service and method.
pub const CLIENT_SECONDS: &str = "rpc_client_duration_seconds";
/// Calls sent again after `Unavailable`, by service and method.
pub const CLIENT_RETRIES: &str = "rpc_client_retries_total";
/// Calls answered, by service, method and code.
pub const SERVER_REQUESTS: &str = "rpc_server_requests_total";
/// Seconds until the last byte of an answer, by service and method.
pub const SERVER_SECONDS: &str = "rpc_server_duration_seconds";
/// Calls being answered now, by service.
pub const SERVER_IN_FLIGHT: &str = "rpc_server_in_flight";

/// Tells the process's recorder what the numbers mean.
pub fn describe() {
    metrics::describe_counter!(CLIENT_REQUESTS, "Calls made to other services, by service, method and code.");
    metrics::describe_histogram!(
        CLIENT_SECONDS,
        Unit::Seconds,
        "Time until the last byte of an answer, as the caller saw it."
    );
    metrics::describe_counter!(CLIENT_RETRIES, "Calls sent again after UNAVAILABLE, by service and method.");
    metrics::describe_counter!(SERVER_REQUESTS, "Calls answered, by service, method and code.");
    metrics::describe_histogram!(SERVER_SECONDS, Unit::Seconds, "Time until the last byte of an answer.");
    metrics::describe_gauge!(SERVER_IN_FLIGHT, "Calls being answered now, by service.");
}

/// Which side of a call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

const CODES: usize = 17;
const UNKNOWN: &str = "unknown";

/// The counters of one stack. Handles are looked up once, at the first use of each; a stack must not be used before
/// the process has installed its recorder.
pub(crate) struct Calls {
    side: Side,
    /// One per row of the access table, and one for everything else.
    methods: Vec<PerMethod>,
}

#[derive(Default)]
struct PerMethod {
    codes: [OnceLock<Counter>; CODES],
    seconds: OnceLock<Histogram>,
    retries: OnceLock<Counter>,
    in_flight: OnceLock<Gauge>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Calls").field("side", &self.side).finish_non_exhaustive()
    }
}

impl Calls {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, methods: (0..=methods::COUNT).map(|_| PerMethod::default()).collect() }
    }

    /// Counts a call that has ended.
    pub(crate) fn ended(&self, method: Option<&'static Method>, code: Code, took: Duration) {
        let (service, name) = labels(method);
        let Some(row) = self.row(method) else { return };
        let (requests, seconds) = match self.side {
            Side::Client => (CLIENT_REQUESTS, CLIENT_SECONDS),
            Side::Server => (SERVER_REQUESTS, SERVER_SECONDS),
        };
        if let Some(counter) = usize::try_from(i32::from(code)).ok().and_then(|place| row.codes.get(place)) {
            counter
                .get_or_init(|| {
                    metrics::counter!(requests, "service" => service, "method" => name, "code" => code_name(code))
                })
                .increment(1);
        }
        row.seconds
            .get_or_init(|| metrics::histogram!(seconds, "service" => service, "method" => name))
            .record(took.as_secs_f64());
    }

    /// Counts a repetition.
    pub(crate) fn retried(&self, method: &'static Method) {
        let Some(row) = self.row(Some(method)) else { return };
        row.retries
            .get_or_init(
                || metrics::counter!(CLIENT_RETRIES, "service" => method.service, "method" => method.name),
            )
            .increment(1);
    }

    /// Adjusts the number of calls in flight by one up or down.
    pub(crate) fn in_flight(&self, method: &'static Method, begins: bool) {
        let Some(row) = self.row(Some(method)) else { return };
        let gauge =
            row.in_flight.get_or_init(|| metrics::gauge!(SERVER_IN_FLIGHT, "service" => method.service));
        if begins { gauge.increment(1.0) } else { gauge.decrement(1.0) }
    }

    fn row(&self, method: Option<&'static Method>) -> Option<&PerMethod> {
        self.methods.get(method.map_or(methods::COUNT, |method| method.index))
    }
}

fn labels(method: Option<&'static Method>) -> (&'static str, &'static str) {
    method.map_or((UNKNOWN, UNKNOWN), |method| (method.service, method.name))
}

/// The label value of a code.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
