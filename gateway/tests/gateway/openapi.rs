//! `openapi.json` against the router: neither knows a route that the other does not.

use std::collections::BTreeSet;

use cc_gateway::auth::gate::Gate;
use cc_gateway::routes;
use cc_gateway::settings::Settings;
use cc_runtime::config::Config;
use http::Method;
use serde_json::Value;

use crate::house::House;

fn document() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).unwrap()
}

/// Method and path of each operation, other spellings included.
fn described() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        let spellings = item["x-also"].as_array().cloned().unwrap_or_default();
        let spellings: Vec<&str> = spellings.iter().map(|text| text.as_str().unwrap()).collect();
        for (method, _) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "x-also") {
            for path in std::iter::once(path.as_str()).chain(spellings.iter().copied()) {
                found.insert((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    found
}

fn registered() -> Vec<routes::Route> {
    routes::all(&Settings::new(&Config::default()).unwrap()).list().to_vec()
}

#[test]
fn document_and_router_have_the_same_routes() {
    let router: BTreeSet<(String, String)> =
        registered().into_iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
    assert_eq!(described(), router);
}

#[tokio::test]
async fn every_described_route_is_routed() {
    let house = House::new();
    for (method, path) in described() {
        let method: Method = method.parse().unwrap();
        let target = ["{id}", "{ts}"].iter().fold(path.clone(), |path, part| path.replace(part, "1"));
        let target =
            ["{name}", "{cluster}", "{host}"].iter().fold(target, |path, part| path.replace(part, "x"));
        let status = house.ask(method.clone(), &target, "", "").await.status.as_u16();
        assert!(![404, 405].contains(&status), "{method} {path} answers {status}");
    }
}

#[test]
fn every_operation_says_what_it_needs_and_answers() {
    let gates = registered();
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "x-also") {
            let route = gates
                .iter()
                .find(|route| route.path == path && route.method.as_str() == method.to_uppercase());
            let expected = match route.unwrap().gate {
                Gate::Open => "open",
                Gate::Api => "api",
                Gate::Store => "store",
                Gate::UserApi => "userapi",
                Gate::Config => "config",
                Gate::Front => "front",
                Gate::Web => "web",
            };
            assert_eq!(operation["x-gate"], expected, "{method} {path}");
            assert_ne!(operation["summary"], "", "{method} {path}");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path}");
            if expected != "open" {
                assert!(operation["responses"]["401"].is_object(), "{method} {path}");
            }
        }
    }
}

#[test]
fn references_of_the_document_lead_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                map.values().for_each(|value| walk(value, document));
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, document)),
            _ => {}
        }
    }
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    walk(&document, &document);
}
