//! What the gateway measures about itself (deployment.md D-101).

use std::time::Duration;

use http::{Method, StatusCode};

/// Name, unit or kind, meaning of every metric: the operators' table.
pub const TABLE: &[(&str, &str, &str)] = &[
    ("gateway_http_requests_total", "counter", "requests by route, method and status class"),
    (
        "gateway_http_request_seconds",
        "histogram",
        "from the head of the request to the end of the answer, by route",
    ),
    ("gateway_http_overload_total", "counter", "requests refused because too many were in work"),
    ("gateway_event_streams", "gauge", "open event streams of pages"),
    ("gateway_scheduler_streams", "gauge", "open event streams of scheduler adapters"),
    ("gateway_scheduler_events_total", "counter", "scheduler events by outcome"),
    ("gateway_nats_events_total", "counter", "events from the message broker by kind and outcome"),
];

/// One answered request. A request that no route takes counts under `none`.
pub(crate) fn request(method: &Method, route: Option<&str>, status: StatusCode, elapsed: Duration) {
    let route = route.unwrap_or("none").to_owned();
    let class = match status.as_u16() / 100 {
        1 | 2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    // methods are an open set: anybody may invent one
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        _ => "other",
    };
    metrics::counter!("gateway_http_requests_total", "route" => route.clone(), "method" => method, "status" => class)
        .increment(1);
    metrics::histogram!("gateway_http_request_seconds", "route" => route).record(elapsed.as_secs_f64());
}

pub(crate) fn overloaded() {
    metrics::counter!("gateway_http_overload_total").increment(1);
}

pub(crate) fn event_streams(open: usize) {
    metrics::gauge!("gateway_event_streams").set(f64::from(u32::try_from(open).unwrap_or(u32::MAX)));
}

pub(crate) fn scheduler_streams(change: f64) {
    metrics::gauge!("gateway_scheduler_streams").increment(change);
}

pub(crate) fn scheduler_events(outcome: &'static str, events: u64) {
    metrics::counter!("gateway_scheduler_events_total", "outcome" => outcome).increment(events);
}

pub(crate) fn nats_events(kind: &'static str, outcome: &'static str) {
    metrics::counter!("gateway_nats_events_total", "kind" => kind, "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::TABLE;

    #[test]
    fn the_table_lists_what_is_measured_and_nothing_else() {
        let source = include_str!("metrics.rs");
        let macros = source
            .split("metrics::")
            .skip(1)
            .filter(|text| ["counter!(", "gauge!(", "histogram!("].iter().any(|name| text.starts_with(name)));
        let measured: BTreeSet<&str> = macros.filter_map(|text| text.split('"').nth(1)).collect();
        let listed: BTreeSet<&str> = TABLE.iter().map(|row| row.0).collect();
        assert_eq!(measured, listed);
    }
}
