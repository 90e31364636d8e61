//! Values of variables as clients of the reference send them (graphql-api.md 2): a number where text is wanted, and text
//! that is a number where a number is wanted. Done before the library looks at them, which knows no such freedom.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, DocumentOperations, ExecutableDocument, OperationDefinition, Type, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{PathSegment, ServerError, Value, Variables};

use super::sdl;

/// Members of each input type.
static INPUTS: LazyLock<HashMap<String, HashMap<String, Type>>> = LazyLock::new(|| {
    let Ok(document) = parse_schema(sdl()) else { return HashMap::new() };
    let inputs = document.definitions.into_iter().filter_map(|definition| {
        let TypeSystemDefinition::Type(definition) = definition else { return None };
        let TypeKind::InputObject(input) = definition.node.kind else { return None };
        let fields =
            input.fields.into_iter().map(|field| (field.node.name.node.to_string(), field.node.ty.node));
        Some((definition.node.name.node.to_string(), fields.collect()))
    });
    inputs.collect()
});

/// Whether a type is an input object.
pub(super) fn is_input(name: &str) -> bool {
    INPUTS.contains_key(name)
}

/// The operation that a request names, or the only one.
pub(super) fn operation<'doc>(
    document: &'doc ExecutableDocument,
    name: Option<&str>,
) -> Option<&'doc OperationDefinition> {
    match (&document.operations, name.filter(|name| !name.is_empty())) {
        (DocumentOperations::Single(only), None) => Some(&only.node),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name).map(|operation| &operation.node),
        (DocumentOperations::Multiple(all), None) => {
            (all.len() == 1).then(|| all.values().next().map(|operation| &operation.node)).flatten()
        }
    }
}

/// Makes the variables fit the types that the operation declares.
///
/// # Errors
/// A variable that must be there and is not.
pub(super) fn variables(
    operation: &OperationDefinition,
    variables: &mut Variables,
) -> Result<(), ServerError> {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let (name, wanted) = (&definition.name.node, &definition.var_type.node);
        match variables.get_mut(name) {
            Some(Value::Null) if !wanted.nullable => return Err(refusal(name, "cannot be null")),
            Some(value) => fit(value, wanted),
            None if !wanted.nullable && definition.default_value.is_none() => {
                return Err(refusal(name, "must be defined"));
            }
            None => {}
        }
    }
    Ok(())
}

fn refusal(name: &str, text: &str) -> ServerError {
    let mut error = ServerError::new(text, None);
    error.path = ["variable", name].map(|word| PathSegment::Field(word.to_owned())).into();
    error
}

fn fit(value: &mut Value, wanted: &Type) {
    match &wanted.base {
        BaseType::List(inner) => match value {
            Value::List(values) => values.iter_mut().for_each(|value| fit(value, inner)),
            single => fit(single, inner),
        },
        BaseType::Named(name) => fit_named(value, name),
    }
}

fn fit_named(value: &mut Value, wanted: &str) {
    let fitting = match (&*value, wanted) {
        (Value::Number(number), "String") => Some(Value::String(number.to_string())),
        (Value::String(text), "Int") => text.parse::<i64>().ok().map(Value::from),
        (Value::String(text), "Float") => {
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
        }
        _ => None,
    };
    if let Some(fitting) = fitting {
        *value = fitting;
        return;
    }
    if let (Value::Object(members), Some(types)) = (value, INPUTS.get(wanted)) {
        for (name, member) in members {
            if let Some(wanted) = types.get(name.as_str()) {
                fit(member, wanted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    fn fitted(query: &str, given: serde_json::Value) -> Result<serde_json::Value, String> {
        let document = parse_query(query).unwrap();
        let mut given = Variables::from_json(given);
        let operation = operation(&document, None).unwrap();
        variables(operation, &mut given).map_err(|error| error.message)?;
        Ok(serde_json::to_value(&given).unwrap())
    }

    #[test]
    fn numbers_become_text_and_text_becomes_numbers_at_any_depth() {
        let query = "query($f:[JobFilter!],$p:PageRequest){jobs(filter:$f,page:$p){count}}";
        let given = json!({
            "f": [{"jobId": {"eq": 12}, "state": ["running"], "arrayJobId": "7"}],
            "p": {"itemsPerPage": "25", "page": 1},
        });
        let want = json!({
            "f": [{"jobId": {"eq": "12"}, "state": ["running"], "arrayJobId": 7}],
            "p": {"itemsPerPage": 25, "page": 1},
        });
        assert_eq!(fitted(query, given).unwrap(), want);
        // one element where a list is wanted, and what is no number at all
        let given = json!({"f": {"user": {"in": 5}}, "p": {"itemsPerPage": "many", "page": 1}});
        let want = json!({"f": {"user": {"in": "5"}}, "p": {"itemsPerPage": "many", "page": 1}});
        assert_eq!(fitted(query, given).unwrap(), want);
    }

    #[test]
    fn what_must_be_there_is_asked_for() {
        let query = "query($i:ID!){job(id:$i){id}}";
        assert_eq!(fitted(query, json!({})).unwrap_err(), "must be defined");
        assert_eq!(fitted(query, json!({"i": null})).unwrap_err(), "cannot be null");
        assert_eq!(fitted("query($i:ID!=5){job(id:$i){id}}", json!({})), Ok(json!({})));
    }
}
