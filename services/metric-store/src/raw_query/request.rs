//! What the reference's query JSON asks for.

use super::parse;
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
        parse::request(json)
    }
}

impl Query {
    /// The query that `for-all-nodes` means for one host and metric.
    pub(crate) fn of_node(metric: &str, host: &str) -> Self {
        Self { metric: metric.to_owned(), host: host.to_owned(), ..Self::default() }
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
        let Some(kind) = self.kind.as_deref() else { return data.select(metric, "", "") };
        let mut columns = Vec::with_capacity(self.ids.len());
        let (mut component, mut part) = (String::new(), String::new());
        for id in &self.ids {
            join(&mut component, kind, id);
            match self.sub_kind.as_deref() {
                None => data.select_into(metric, &component, "", &mut columns),
                Some(sub_kind) => {
                    for id in &self.sub_ids {
                        join(&mut part, sub_kind, id);
                        data.select_into(metric, &component, &part, &mut columns);
                    }
                }
            }
        }
        columns
    }
}

/// Makes `text` of a kind and an id.
fn join(text: &mut String, kind: &str, id: &str) {
    text.clear();
    text.push_str(kind);
    text.push_str(id);
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
