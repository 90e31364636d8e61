//! The schema against the contract that pages are typed by.

use std::collections::BTreeMap;
use std::path::Path;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};

use super::sdl;

/// Every type as `name -> its members in one line each`; order and descriptions carry no meaning.
fn shape(sdl: &str) -> BTreeMap<String, Vec<String>> {
    let document = parse_schema(sdl).expect("an SDL");
    let mut types = BTreeMap::new();
    for definition in document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let definition = definition.node;
        let mut members: Vec<String> = match definition.kind {
            TypeKind::Scalar => vec!["scalar".to_owned()],
            TypeKind::Enum(values) => {
                values.values.iter().map(|value| value.node.value.node.to_string()).collect()
            }
            TypeKind::Object(object) => object
                .fields
                .iter()
                .map(|field| {
                    let arguments: Vec<String> = field
                        .node
                        .arguments
                        .iter()
                        .map(|argument| format!("{}: {}", argument.node.name.node, argument.node.ty.node))
                        .collect();
                    format!("{}({}): {}", field.node.name.node, arguments.join(", "), field.node.ty.node)
                })
                .collect(),
            TypeKind::InputObject(input) => input
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.node.name.node, field.node.ty.node))
                .collect(),
            TypeKind::Interface(_) | TypeKind::Union(_) => {
                panic!("{} is of a kind we do not use", definition.name.node)
            }
        };
        members.sort_unstable();
        types.insert(definition.name.node.to_string(), members);
    }
    types
}

#[test]
fn the_schema_is_the_one_that_pages_are_typed_by() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/schema.graphql");
    let committed = shape(&std::fs::read_to_string(path).unwrap());
    let ours = shape(&sdl());
    for name in committed.keys().chain(ours.keys()) {
        assert_eq!(
            ours.get(name),
            committed.get(name),
            "type {name}: left is the server's, right web/schema.graphql"
        );
    }
}
