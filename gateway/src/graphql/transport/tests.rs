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
    let response = hidden.add_to(Response::new(Value::Object(async_graphql::indexmap::IndexMap::default())));
    assert_eq!(serde_json::to_value(&response.data).unwrap(), serde_json::json!({"a": null}));
    assert_eq!(response.errors[0].message, "introspection disabled");
    let (left, hidden) = prepare(request("{__type(name:\"Job\"){name}}")).ok().unwrap();
    assert!(left.is_none());
    let response = hidden.add_to(Response::default());
    assert_eq!(serde_json::to_value(&response.data).unwrap(), serde_json::json!({"__type": null}));
}

#[test]
fn requests_that_are_none_are_told_apart() {
    let refused = |query: &str| match prepare(Request::new(query)).err()? {
        NotExecuted::Refused(_, code) => Some(code),
        NotExecuted::TooComplex => Some("too complex"),
    };
    assert_eq!(refused(" "), Some(INVALID));
    assert_eq!(refused("{jobs{count}"), Some("GRAPHQL_PARSE_FAILED"));
    assert_eq!(refused("query($i:ID!){job(id:$i){id}}"), Some(INVALID));
    assert_eq!(refused("{jobs{count}}"), None);
    assert_eq!(refused("{...a} fragment a on Query{...a}"), Some("too complex"));
}

#[test]
fn only_introspection_that_would_be_executed_is_answered() {
    let named = |query: &str, operation: &str, variables: serde_json::Value| {
        let mut request = Request::new(query).variables(Variables::from_json(variables));
        if !operation.is_empty() {
            request = request.operation_name(operation);
        }
        let (_, hidden) = prepare(request).unwrap();
        hidden.0.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>()
    };
    let two = "query a{__typename x:__schema{types{name}}} query b{__typename y:__schema{types{name}}}";
    let none = || serde_json::json!({});
    assert_eq!(named(two, "b", none()), ["y"]);
    assert_eq!(named("{__typename __schema @skip(if:true){types{name}}}", "", none()), Vec::<String>::new());
    assert_eq!(named("{__typename __schema @include(if:true){types{name}}}", "", none()), ["__schema"]);
    let variable = "query($s:Boolean=false){__typename __schema @include(if:$s){types{name}}}";
    assert_eq!(named(variable, "", none()), Vec::<String>::new());
    assert_eq!(named(variable, "", serde_json::json!({"s": true})), ["__schema"]);
}

#[tokio::test]
async fn a_request_that_is_no_valid_one_stays_so_with_introspection_in_it() {
    let (_, hidden) = prepare(Request::new("{__schema{types{name}} nothing}")).unwrap();
    let invalid = Response::from_errors(vec![ServerError::new("Unknown field \"nothing\"", None)]);
    let answer = Form::Json.told(hidden.add_to(invalid)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn what_is_wrong_with_a_body_is_told_without_the_body() {
    let told = |body: &str| undecoded(&serde_json::from_str::<Request>(body).unwrap_err());
    for (body, wrong) in [
        (r#"{"query": 5, "operationName": "secret"}"#, "it is no GraphQL request"),
        (r#"{"query": "{a}", "variables": "secret"}"#, "it is no GraphQL request"),
        (r#""secret""#, "it is no GraphQL request"),
        (r#"{"query": "secret"#, "it ends too early"),
        ("secret", "it is no JSON"),
    ] {
        let text = told(body);
        assert!(text.contains(wrong) && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn large_answers_are_written_elsewhere_in_the_same_form() {
    let list = |values: usize| Value::List(vec![Value::from(1); values]);
    let data = |value: Value| Value::Object([(Name::new("a"), value)].into_iter().collect());
    assert!(!is_large(&data(list(LARGE / 2))));
    assert!(is_large(&data(Value::List(vec![list(LARGE / 2), list(LARGE / 2), list(2)]))));
    let small = Form::Json.told(Response::new(data(list(1)))).await;
    for (form, kind) in [(Form::Json, "application/json"), (Form::GraphqlResponse, GRAPHQL_RESPONSE)] {
        let answer = form.told(Response::new(data(list(LARGE + 1)))).await;
        assert_eq!(
            (answer.status(), &answer.headers()[header::CONTENT_TYPE]),
            (StatusCode::OK, &HeaderValue::from_static(kind))
        );
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read["data"]["a"].as_array().map(Vec::len), Some(LARGE + 1));
    }
    assert_eq!(small.headers()[header::CONTENT_TYPE], "application/json");
}
