//! GraphQL over HTTP: POST of JSON only, with the status codes that clients know (graphql-api.md 1).

use async_graphql::{ErrorExtensionValues, PathSegment, Pos, Request, Response, ServerError, Value, parser};
use axum::Json;
use axum::extract::{Request as HttpRequest, State as Extract};
use axum::response::{IntoResponse, Response as HttpResponse};
use http::{HeaderMap, Method, StatusCode, header};

use super::SCHEMA;
use super::context::{Viewing, refused};
use crate::auth::gate::Web;
use crate::body;
use crate::problem::Problem;
use crate::state::State;

/// `/query`.
pub(crate) async fn post(
    Web(identity): Web,
    Extract(state): Extract<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST || !is_json(&parts.headers) {
        return Ok(refuse(StatusCode::BAD_REQUEST, "transport not supported", None));
    }
    let bodies = state.settings().bodies;
    let body = body::whole(body, &parts.headers, bodies.json, bodies).await?;
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            // Neither the body nor what stood in it goes back: it may hold what somebody pasted.
            let text = format!("json request body could not be decoded: {error}");
            return Ok(refuse(StatusCode::BAD_REQUEST, &text, None));
        }
    };
    if let Err(error) = parser::parse_query(&request.query) {
        return Ok(refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            &error.to_string(),
            Some("GRAPHQL_PARSE_FAILED"),
        ));
    }
    let clusters = match state.clusters().await {
        Ok(clusters) => clusters,
        Err(status) => return Ok(told(Response::from_errors(vec![told_error(&status)]))),
    };
    let viewing = Viewing::new(identity.caller, state, clusters);
    Ok(told(SCHEMA.execute(request.data(viewing)).await))
}

/// A failure before any resolver ran, in the shape of one: pages show it as such, with status 200.
fn told_error(status: &tonic::Status) -> ServerError {
    let mut error = refused(status).into_server_error(Pos::default());
    error.path = vec![PathSegment::Field("clusters".to_owned())];
    error
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
