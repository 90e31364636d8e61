//! GraphQL over HTTP: POST of JSON only, with the status codes that clients know (graphql-api.md 1).

use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Request, Response, ServerError, Value, parser};
use axum::Json;
use axum::response::{IntoResponse, Response as HttpResponse};
use cc_model::cluster::Clusters;
use cc_runtime::caller::Caller;
use http::{HeaderMap, StatusCode, header};

use super::QuerySchema;
use super::context::{Backends, Viewing};

/// Answers one request of an authenticated caller. `body` is complete: its size was limited before.
pub async fn answer(
    schema: &QuerySchema,
    backends: Backends,
    clusters: Arc<Clusters>,
    caller: Caller,
    headers: &HeaderMap,
    body: &[u8],
) -> HttpResponse {
    if !is_json(headers) {
        return refuse(StatusCode::BAD_REQUEST, "transport not supported", None);
    }
    let request: Request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            // Neither the body nor what stood in it goes back: it may hold what somebody pasted.
            let text = format!("json request body could not be decoded: {error}");
            return refuse(StatusCode::BAD_REQUEST, &text, None);
        }
    };
    if let Err(error) = parser::parse_query(&request.query) {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string(), Some("GRAPHQL_PARSE_FAILED"));
    }
    let response = schema.execute(request.data(Viewing::new(caller, backends, clusters))).await;
    told(response)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") && !headers.contains_key(header::UPGRADE)
}

/// Gives a response its status: errors of resolvers are part of an answer, a request that is no valid one is refused.
fn told(mut response: Response) -> HttpResponse {
    // Errors of resolvers have a path; those of validation have none, and nothing was executed.
    let invalid = response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty());
    let complex = response.errors.iter().any(|error| error.message == "Query is too complex.");
    let (status, code) = match (invalid, complex) {
        (true, true) => (StatusCode::OK, Some("COMPLEXITY_LIMIT_EXCEEDED")),
        (true, false) => (StatusCode::UNPROCESSABLE_ENTITY, Some("GRAPHQL_VALIDATION_FAILED")),
        (false, _) => (StatusCode::OK, None),
    };
    if let Some(code) = code {
        for error in &mut response.errors {
            mark(error, code);
        }
    }
    (status, Json(response)).into_response()
}

fn mark(error: &mut ServerError, code: &str) {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code);
}

fn refuse(status: StatusCode, text: &str, code: Option<&str>) -> HttpResponse {
    let mut error = ServerError::new(text, None);
    if let Some(code) = code {
        mark(&mut error, code);
    }
    (status, Json(Response::from_errors(vec![error]))).into_response()
}
