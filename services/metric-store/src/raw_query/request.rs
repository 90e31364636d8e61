//! The request, read as leniently as the reference's JSON decoder does: keys match in any case, unknown ones are ignored, `null`
//! leaves the default, a wrong type is an error.

use serde_json::Value;

use crate::host::{ColumnId, HostData};
use crate::names::MetricId;

/// A whole request (spec 9.1).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) cluster: String,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) with_stats: bool,
    pub(crate) with_data: bool,
    pub(crate) with_padding: bool,
    pub(crate) for_all_nodes: Option<Vec<String>>,
    pub(crate) queries: Vec<Query>,
}

/// One query of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) metric: String,
    pub(crate) host: String,
    pub(crate) resolution: i64,
    pub(crate) aggregate: bool,
    pub(crate) kind: Option<String>,
    pub(crate) ids: Vec<String>,
    pub(crate) sub_kind: Option<String>,
    pub(crate) sub_ids: Vec<String>,
    /// 0: none.
    pub(crate) scale: f64,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            from: 0,
            to: 0,
            with_stats: true,
            with_data: true,
            with_padding: true,
            for_all_nodes: None,
            queries: Vec::new(),
        }
    }
}

impl Request {
    /// Reads the first JSON value of `json`.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let value = match serde_json::Deserializer::from_slice(json).into_iter::<Value>().next() {
            None => return Err("the request has no body: a JSON object is expected".to_owned()),
            Some(Err(error)) => return Err(format!("the request is not JSON: {error}")),
            Some(Ok(value)) => value,
        };
        let mut request = Self::default();
        each_key(&value, "request", |key, value| {
            match key {
                "cluster" => set(&mut request.cluster, string(value, key)?),
                "from" => set(&mut request.from, integer(value, key)?),
                "to" => set(&mut request.to, integer(value, key)?),
                "with-stats" => set(&mut request.with_stats, flag(value, key)?),
                "with-data" => set(&mut request.with_data, flag(value, key)?),
                "with-padding" => set(&mut request.with_padding, flag(value, key)?),
                "for-all-nodes" => request.for_all_nodes = strings(value, key)?,
                "queries" => request.queries = list(value, key, Query::parse)?.unwrap_or_default(),
                _ => {}
            }
            Ok(())
        })?;
        Ok(request)
    }
}

impl Query {
    /// The query that `for-all-nodes` means for one host and metric.
    pub(crate) fn of_node(metric: &str, host: &str) -> Self {
        Self { metric: metric.to_owned(), host: host.to_owned(), ..Self::default() }
    }

    fn parse(value: &Value) -> Result<Self, String> {
        let mut query = Self::default();
        each_key(value, "queries", |key, value| {
            match key {
                "metric" => set(&mut query.metric, string(value, key)?),
                "host" => set(&mut query.host, string(value, key)?),
                "resolution" => set(&mut query.resolution, integer(value, key)?),
                "aggreg" => set(&mut query.aggregate, flag(value, key)?),
                "type" => query.kind = string(value, key)?,
                "type-ids" => query.ids = strings(value, key)?.unwrap_or_default(),
                "subtype" => query.sub_kind = string(value, key)?,
                "subtype-ids" => query.sub_ids = strings(value, key)?.unwrap_or_default(),
                "scale-by" => set(&mut query.scale, number(value, key)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(query)
    }

    /// The components it asks for one by one, in the order of the answer; an aggregating query has one.
    pub(crate) fn selectors(&self) -> Vec<(String, String)> {
        let Some(kind) = self.kind.as_deref().filter(|_| !self.aggregate) else {
            return vec![(String::new(), String::new())];
        };
        let components = self.ids.iter().map(|id| [kind, id].concat());
        match &self.sub_kind {
            None => components.map(|component| (component, String::new())).collect(),
            Some(sub_kind) => components
                .flat_map(|component| {
                    self.sub_ids.iter().map(move |id| (component.clone(), [sub_kind.as_str(), id].concat()))
                })
                .collect(),
        }
    }

    /// The series that an aggregating query puts together, in the order of its ids.
    pub(crate) fn all_columns(&self, data: &HostData, metric: MetricId) -> Vec<ColumnId> {
        if self.kind.is_none() {
            return data.select(metric, "", "");
        }
        let single = Self { aggregate: false, ..self.clone() };
        let selectors = single.selectors();
        selectors.iter().flat_map(|(component, part)| data.select(metric, component, part)).collect()
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// Calls `take` with each key, in lower case, and its value. `null` has no keys.
fn each_key(
    value: &Value,
    what: &str,
    mut take: impl FnMut(&str, &Value) -> Result<(), String>,
) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Object(entries) => {
            entries.iter().try_for_each(|(key, value)| take(&key.to_ascii_lowercase(), value))
        }
        other => Err(wrong(what, "an object", other)),
    }
}

fn wrong(key: &str, expected: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number of another kind",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("{key}: expected {expected}, found {found}")
}

fn string(value: &Value, key: &str) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(wrong(key, "a text", other)),
    }
}

fn integer(value: &Value, key: &str) -> Result<Option<i64>, String> {
    match value {
        Value::Null => Ok(None),
        other => other.as_i64().map(Some).ok_or_else(|| wrong(key, "an integer of 64 bits", other)),
    }
}

fn number(value: &Value, key: &str) -> Result<Option<f64>, String> {
    match value {
        Value::Null => Ok(None),
        other => other.as_f64().map(Some).ok_or_else(|| wrong(key, "a number", other)),
    }
}

fn flag(value: &Value, key: &str) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        other => other.as_bool().map(Some).ok_or_else(|| wrong(key, "true or false", other)),
    }
}

fn strings(value: &Value, key: &str) -> Result<Option<Vec<String>>, String> {
    list(value, key, |element| Ok(string(element, key)?.unwrap_or_default()))
}

fn list<T>(
    value: &Value,
    key: &str,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Option<Vec<T>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Array(elements) => elements.iter().map(read).collect::<Result<_, _>>().map(Some),
        other => Err(wrong(key, "a list", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_wire() {
        for json in ["null", "{}", "{\"with-data\":null,\"queries\":null,\"x\":[1]} behind"] {
            assert_eq!(Request::parse(json.as_bytes()), Ok(Request::default()), "{json}");
        }
    }

    #[test]
    fn keys_match_in_any_case() {
        let request =
            Request::parse(br#"{"Cluster":"c","FROM":5,"Queries":[{"Metric":"m","HOST":"h","Scale-By":2}]}"#)
                .unwrap();
        assert_eq!((request.cluster.as_str(), request.from), ("c", 5));
        let query = Query { metric: "m".to_owned(), host: "h".to_owned(), scale: 2.0, ..Query::default() };
        assert_eq!(request.queries, [query]);
    }

    #[test]
    fn wrong_types_name_the_key() {
        for (json, error) in [
            ("", "the request has no body: a JSON object is expected"),
            ("[]", "request: expected an object, found a list"),
            ("{\"from\":1.5}", "from: expected an integer of 64 bits, found a number of another kind"),
            (
                "{\"from\":99999999999999999999}",
                "from: expected an integer of 64 bits, found a number of another kind",
            ),
            ("{\"queries\":{}}", "queries: expected a list, found an object"),
            ("{\"queries\":[\"a\"]}", "queries: expected an object, found a text"),
            (
                "{\"queries\":[{\"type-ids\":[0]}]}",
                "type-ids: expected a text, found a number of another kind",
            ),
            ("{\"queries\":[{\"scale-by\":\"2\"}]}", "scale-by: expected a number, found a text"),
            ("{\"with-data\":1}", "with-data: expected true or false, found a number of another kind"),
        ] {
            assert_eq!(Request::parse(json.as_bytes()), Err(error.to_owned()), "{json}");
        }
        assert!(Request::parse(b"{\"from\":1,}").unwrap_err().starts_with("the request is not JSON: "));
    }

    #[test]
    fn selectors_are_the_product_of_ids() {
        let text = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
        let query = Query {
            kind: Some("socket".to_owned()),
            ids: text(&["0", "1"]),
            sub_kind: Some("device".to_owned()),
            sub_ids: text(&["a", "b"]),
            ..Query::default()
        };
        let pair = |component: &str, part: &str| (component.to_owned(), part.to_owned());
        let all = [
            pair("socket0", "devicea"),
            pair("socket0", "deviceb"),
            pair("socket1", "devicea"),
            pair("socket1", "deviceb"),
        ];
        assert_eq!(query.selectors(), all);
        let node = Query { sub_kind: Some("device".to_owned()), ..Query::default() };
        assert_eq!(node.selectors(), [pair("", "")], "a part without a component is ignored");
        let without = Query { ids: Vec::new(), sub_kind: None, ..query };
        assert!(without.selectors().is_empty());
    }
}
