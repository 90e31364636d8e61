//! GraphQL over HTTP: POST of JSON only, with the status codes that clients know (graphql-api.md 1).

use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, Selection, SelectionSet};
use async_graphql::{
    ErrorExtensionValues, Name, PathSegment, Pos, Request, Response, ServerError, Value, parser,
};
use axum::Json;
use axum::extract::{Request as HttpRequest, State as Extract};
use axum::response::{IntoResponse, Response as HttpResponse};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::SCHEMA;
use super::coerce;
use super::context::{Viewing, refused};
use crate::auth::gate::Web;
use crate::body;
use crate::problem::Problem;
use crate::state::State;

const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
/// A request that takes longer is given up, with all that it waits for.
const TIME_MAX: Duration = Duration::from_mins(1);

/// `/query`.
pub(crate) async fn post(
    Web(identity): Web,
    Extract(state): Extract<State>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST || !is_json(&parts.headers) {
        return Ok(refuse(StatusCode::BAD_REQUEST, "transport not supported"));
    }
    let form = Form::of(&parts.headers);
    let bodies = state.settings().bodies;
    let body = body::whole(body, &parts.headers, bodies.json, bodies).await?;
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            // Neither the body nor what stood in it goes back: it may hold what somebody pasted.
            let text = format!("json request body could not be decoded: {error}");
            return Ok(refuse(StatusCode::BAD_REQUEST, &text));
        }
    };
    let (request, hidden) = match prepare(request) {
        Ok(prepared) => prepared,
        Err((error, code)) => return Ok(form.refuse(error, code)),
    };
    let Some(request) = request else { return Ok(form.told(hidden.add_to(Response::default()))) };
    let clusters = match state.clusters().await {
        Ok(clusters) => clusters,
        Err(status) => return Ok(form.told(Response::from_errors(vec![told_error(&status)]))),
    };
    let viewing = Viewing::new(identity.caller, state, clusters);
    let executed = tokio::time::timeout(TIME_MAX, SCHEMA.execute(request.data(viewing))).await;
    let response = executed.unwrap_or_else(|_| {
        let status = tonic::Status::deadline_exceeded("the query takes too long");
        Response::from_errors(vec![told_error(&status)])
    });
    Ok(form.told(hidden.add_to(response)))
}

/// Introspection that was asked for: name in the answer, and where.
#[derive(Default)]
struct Hidden(Vec<(Name, Pos)>);

impl Hidden {
    /// Takes introspection out of the roots of a document; what is left is executed without it.
    fn take(document: &mut ExecutableDocument) -> Self {
        let mut hidden = Self::default();
        let sets: Vec<&mut SelectionSet> = match &mut document.operations {
            DocumentOperations::Single(only) => vec![&mut only.node.selection_set.node],
            DocumentOperations::Multiple(all) => {
                all.values_mut().map(|operation| &mut operation.node.selection_set.node).collect()
            }
        };
        for set in sets {
            set.items.retain(|item| match &item.node {
                Selection::Field(field)
                    if ["__schema", "__type"].contains(&field.node.name.node.as_str()) =>
                {
                    hidden.0.push((field.node.response_key().node.clone(), item.pos));
                    false
                }
                _ => true,
            });
        }
        hidden
    }

    fn add_to(self, mut response: Response) -> Response {
        for (key, position) in self.0 {
            let mut error = ServerError::new("introspection disabled", Some(position));
            error.path = vec![PathSegment::Field(key.to_string())];
            response.errors.push(error);
            if response.data == Value::Null && response.errors.len() == 1 {
                response.data = Value::Object(async_graphql::indexmap::IndexMap::default());
            }
            if let Value::Object(members) = &mut response.data {
                members.insert(key, Value::Null);
            }
        }
        response
    }
}

/// Parses, takes introspection out, and makes the variables fit. Nothing is left of a request for introspection alone.
fn prepare(mut request: Request) -> Result<(Option<Request>, Hidden), (ServerError, &'static str)> {
    if request.query.trim().is_empty() {
        return Err((ServerError::new("no operation provided", None), INVALID));
    }
    let mut document = parser::parse_query(&request.query)
        .map_err(|error| (ServerError::from(error), "GRAPHQL_PARSE_FAILED"))?;
    let hidden = Hidden::take(&mut document);
    if let Some(operation) = coerce::operation(&document, request.operation_name.as_deref()) {
        coerce::variables(operation, &mut request.variables).map_err(|error| (error, INVALID))?;
        if operation.selection_set.node.items.is_empty() {
            return Ok((None, hidden));
        }
    }
    request.set_parsed_query(document);
    Ok((Some(request), hidden))
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

/// Which of the two content types the client wants; the newer one has its own statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    GraphqlResponse,
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for kind in lines.flat_map(|line| line.split(',')) {
            match kind.split(';').next().unwrap_or_default().trim() {
                "*/*" | "application/*" | "application/json" => return Self::Json,
                GRAPHQL_RESPONSE => return Self::GraphqlResponse,
                _ => {}
            }
        }
        Self::Json
    }

    /// Gives a response its status: errors of resolvers are part of an answer, a request that is no valid one is refused.
    fn told(self, mut response: Response) -> HttpResponse {
        propagate(&mut response);
        response.errors.iter_mut().for_each(unpath);
        // Errors of resolvers have a path; those of validation have none, and nothing was executed.
        let invalid = response.data == Value::Null
            && !response.errors.is_empty()
            && response.errors.iter().all(|error| error.path.is_empty());
        let complex = response.errors.iter().any(|error| error.message == "Query is too complex.");
        let (refused, code) = match (invalid, complex) {
            (true, true) => (false, Some("COMPLEXITY_LIMIT_EXCEEDED")),
            (true, false) => (true, Some(INVALID)),
            (false, _) => (false, None),
        };
        if let Some(code) = code {
            for error in &mut response.errors {
                mark(error, code);
            }
        }
        self.answer(refused, response)
    }

    fn refuse(self, mut error: ServerError, code: &str) -> HttpResponse {
        mark(&mut error, code);
        self.answer(true, Response::from_errors(vec![error]))
    }

    fn answer(self, refused: bool, response: Response) -> HttpResponse {
        let status = match (refused, self) {
            (false, _) => StatusCode::OK,
            (true, Self::Json) => StatusCode::UNPROCESSABLE_ENTITY,
            (true, Self::GraphqlResponse) => StatusCode::BAD_REQUEST,
        };
        let mut answer = (status, Json(response)).into_response();
        if self == Self::GraphqlResponse {
            let kind = HeaderValue::from_static(GRAPHQL_RESPONSE);
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        answer
    }
}

/// A literal of another kind where an input object is wanted is found by the library when it calls the resolver only;
/// clients know it as a mistake in the request.
fn unpath(error: &mut ServerError) {
    const WORDS: &str = "Expected input type \"";
    let input = error.message.split_once(WORDS).and_then(|(_, rest)| rest.split('"').next());
    if input.is_some_and(coerce::is_input) {
        error.path.clear();
    }
}

/// A root that must be there and failed takes the whole answer with it.
fn propagate(response: &mut Response) {
    let Value::Object(members) = &response.data else { return };
    let fails = |error: &ServerError| matches!(error.path.first(), Some(PathSegment::Field(root)) if !members.contains_key(root.as_str()));
    if response.errors.iter().any(fails) {
        response.data = Value::Null;
    }
}

fn mark(error: &mut ServerError, code: &str) {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code);
}

fn refuse(status: StatusCode, text: &str) -> HttpResponse {
    (status, Json(Response::from_errors(vec![ServerError::new(text, None)]))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &'static str) -> Form {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Form::of(&headers)
    }

    #[test]
    fn the_first_known_type_counts() {
        assert_eq!(Form::of(&HeaderMap::new()), Form::Json);
        assert_eq!(form("text/html, application/graphql-response+json;q=1, */*"), Form::GraphqlResponse);
        assert_eq!(form("application/json, application/graphql-response+json"), Form::Json);
        assert_eq!(form("image/png"), Form::Json);
    }

    #[test]
    fn introspection_is_refused_and_the_rest_answered() {
        let request = |query: &str| Request::new(query);
        let (left, hidden) = prepare(request("{a: __schema{types{name}} __typename}")).ok().unwrap();
        assert!(left.is_some());
        let response =
            hidden.add_to(Response::new(Value::Object(async_graphql::indexmap::IndexMap::default())));
        assert_eq!(serde_json::to_value(&response.data).unwrap(), serde_json::json!({"a": null}));
        assert_eq!(response.errors[0].message, "introspection disabled");
        let (left, hidden) = prepare(request("{__type(name:\"Job\"){name}}")).ok().unwrap();
        assert!(left.is_none());
        let response = hidden.add_to(Response::default());
        assert_eq!(serde_json::to_value(&response.data).unwrap(), serde_json::json!({"__type": null}));
    }

    #[test]
    fn requests_that_are_none_are_told_apart() {
        let refused = |query: &str| prepare(Request::new(query)).err().map(|(_, code)| code);
        assert_eq!(refused(" "), Some(INVALID));
        assert_eq!(refused("{jobs{count}"), Some("GRAPHQL_PARSE_FAILED"));
        assert_eq!(refused("query($i:ID!){job(id:$i){id}}"), Some(INVALID));
        assert_eq!(refused("{jobs{count}}"), None);
    }
}
