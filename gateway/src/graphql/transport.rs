//! GraphQL over HTTP: POST of JSON only, with the status codes that clients know (graphql-api.md 1).

use std::time::Duration;

use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Field, OperationDefinition, Selection,
    VariableDefinition,
};
use async_graphql::{
    ErrorExtensionValues, Name, PathSegment, Pos, Positioned, Request, Response, ServerError, Value,
    Variables, parser,
};
use axum::Json;
use axum::extract::{Request as HttpRequest, State as Extract};
use axum::response::{IntoResponse, Response as HttpResponse};
use cc_runtime::cpu;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::error::Category;

use super::SCHEMA;
use super::coerce;
use super::context::{Viewing, refused};
use super::expansion;
use crate::auth::gate::Web;
use crate::body;
use crate::problem::Problem;
use crate::state::State;

const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";
/// The library's words for a request that costs too much; also used where it is found before.
const TOO_COMPLEX: &str = "Query is too complex.";
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
/// A request that takes longer is given up, with all that it waits for.
const TIME_MAX: Duration = Duration::from_mins(1);
/// Values of an answer from which on it is written on a thread for the processor.
const LARGE: usize = 5_000;

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
            return Ok(refuse(StatusCode::BAD_REQUEST, &undecoded(&error)));
        }
    };
    let (request, hidden) = match prepare(request) {
        Ok(prepared) => prepared,
        Err(NotExecuted::Refused(error, code)) => return Ok(form.refuse(error, code)),
        Err(NotExecuted::TooComplex) => {
            return Ok(form.told(Response::from_errors(vec![ServerError::new(TOO_COMPLEX, None)])).await);
        }
    };
    let Some(request) = request else {
        return Ok(form.told(hidden.add_to(Response::default())).await);
    };
    let clusters = match state.clusters().await {
        Ok(clusters) => clusters,
        Err(status) => return Ok(form.told(Response::from_errors(vec![told_error(&status)])).await),
    };
    let viewing = Viewing::new(identity.caller, state, clusters);
    let executed = tokio::time::timeout(TIME_MAX, SCHEMA.execute(request.data(viewing))).await;
    let response = executed.unwrap_or_else(|_| {
        let status = tonic::Status::deadline_exceeded("the query takes too long");
        Response::from_errors(vec![told_error(&status)])
    });
    Ok(form.told(hidden.add_to(response)).await)
}

/// What is wrong with a body. Neither the body nor what stood in it goes back, and the parser's own words quote values: it
/// may hold what somebody pasted.
fn undecoded(error: &serde_json::Error) -> String {
    let wrong = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Data => "it is no GraphQL request",
        Category::Syntax | Category::Io => "it is no JSON",
    };
    let (line, column) = (error.line(), error.column());
    format!("json request body could not be decoded: {wrong} (line {line}, column {column})")
}

/// Introspection that was asked for: name in the answer, and where.
#[derive(Default)]
struct Hidden(Vec<(Name, Pos)>);

impl Hidden {
    /// Takes introspection out of the roots of a document; what is left is executed without it. Only that of the executed
    /// operation is answered, as far as it is not skipped.
    fn take(document: &mut ExecutableDocument, executed: Option<&str>, variables: &Variables) -> Self {
        let mut hidden = Self::default();
        let name = executed.filter(|name| !name.is_empty());
        let operations: Vec<(bool, &mut OperationDefinition)> = match &mut document.operations {
            DocumentOperations::Single(only) => vec![(true, &mut only.node)],
            DocumentOperations::Multiple(all) => {
                let only = all.len() == 1 && name.is_none();
                let operations = all.iter_mut();
                operations
                    .map(|(own, operation)| (only || name == Some(own.as_str()), &mut operation.node))
                    .collect()
            }
        };
        for (executed, operation) in operations {
            let OperationDefinition { selection_set, variable_definitions, .. } = operation;
            selection_set.node.items.retain(|item| match &item.node {
                Selection::Field(field)
                    if ["__schema", "__type"].contains(&field.node.name.node.as_str()) =>
                {
                    if executed && !is_skipped(&field.node, variable_definitions, variables) {
                        hidden.0.push((field.node.response_key().node.clone(), item.pos));
                    }
                    false
                }
                _ => true,
            });
        }
        hidden
    }

    fn add_to(self, mut response: Response) -> Response {
        if is_invalid(&response) {
            return response;
        }
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

/// Whether `@skip` or `@include` takes a field out of the answer.
fn is_skipped(field: &Field, definitions: &[Positioned<VariableDefinition>], variables: &Variables) -> bool {
    let value = |directive: &Directive| {
        let given = directive.get_argument("if")?.node.clone().into_const_with(|name| {
            let definition = || definitions.iter().find(|one| one.node.name.node == name);
            let default = || definition()?.node.default_value.as_ref().map(|value| &value.node);
            variables.get(&name).or_else(default).cloned().ok_or(())
        });
        match given {
            Ok(Value::Boolean(value)) => Some(value),
            _ => None,
        }
    };
    field.directives.iter().any(|directive| match directive.node.name.node.as_str() {
        "skip" => value(&directive.node) == Some(true),
        "include" => value(&directive.node) == Some(false),
        _ => false,
    })
}

/// Why a request does not get as far as the resolvers.
#[derive(Debug)]
enum NotExecuted {
    /// What is wrong, and its code.
    Refused(ServerError, &'static str),
    /// Not even looked at.
    TooComplex,
}

/// Parses, takes introspection out, and makes the variables fit. Nothing is left of a request for introspection alone.
fn prepare(mut request: Request) -> Result<(Option<Request>, Hidden), NotExecuted> {
    if request.query.trim().is_empty() {
        return Err(NotExecuted::Refused(ServerError::new("no operation provided", None), INVALID));
    }
    let mut document = parser::parse_query(&request.query)
        .map_err(|error| NotExecuted::Refused(ServerError::from(error), "GRAPHQL_PARSE_FAILED"))?;
    if !expansion::is_bounded(&document) {
        return Err(NotExecuted::TooComplex);
    }
    let hidden = Hidden::take(&mut document, request.operation_name.as_deref(), &request.variables);
    if let Some(operation) = coerce::operation(&document, request.operation_name.as_deref()) {
        coerce::variables(operation, &mut request.variables)
            .map_err(|error| NotExecuted::Refused(error, INVALID))?;
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
    async fn told(self, mut response: Response) -> HttpResponse {
        propagate(&mut response);
        response.errors.iter_mut().for_each(unpath);
        let invalid = is_invalid(&response);
        let complex = response.errors.iter().any(|error| error.message == TOO_COMPLEX);
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
        if is_large(&response.data) {
            // series are megabytes of JSON: not on the threads that serve everybody
            let written = cpu::run(move || serde_json::to_vec(&response)).await;
            return match written {
                Ok(Ok(bytes)) => {
                    let kind = HeaderValue::from_static("application/json");
                    self.answer(refused, ([(header::CONTENT_TYPE, kind)], bytes))
                }
                Ok(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                Err(failure) => {
                    let error = told_error(&tonic::Status::from(failure));
                    self.answer(refused, Json(Response::from_errors(vec![error])))
                }
            };
        }
        self.answer(refused, Json(response))
    }

    fn refuse(self, mut error: ServerError, code: &str) -> HttpResponse {
        mark(&mut error, code);
        self.answer(true, Json(Response::from_errors(vec![error])))
    }

    fn answer(self, refused: bool, response: impl IntoResponse) -> HttpResponse {
        let status = match (refused, self) {
            (false, _) => StatusCode::OK,
            (true, Self::Json) => StatusCode::UNPROCESSABLE_ENTITY,
            (true, Self::GraphqlResponse) => StatusCode::BAD_REQUEST,
        };
        let mut answer = (status, response).into_response();
        if self == Self::GraphqlResponse {
            let kind = HeaderValue::from_static(GRAPHQL_RESPONSE);
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        answer
    }
}

/// Errors of resolvers have a path; those of validation have none, and nothing was executed.
fn is_invalid(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Whether there are so many values that writing them takes a while; looks at no more than those.
fn is_large(data: &Value) -> bool {
    let (mut left, mut seen) = (vec![data], 0);
    while let Some(value) = left.pop() {
        match value {
            Value::List(values) => {
                seen += values.len();
                left.extend(values.iter().take(LARGE).filter(|one| is_set(one)));
            }
            Value::Object(members) => {
                seen += members.len();
                left.extend(members.values().filter(|one| is_set(one)));
            }
            _ => {}
        }
        if seen > LARGE {
            return true;
        }
    }
    false
}

fn is_set(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Object(_))
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
mod tests;
