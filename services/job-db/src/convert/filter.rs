//! Filters, order and pages of requests (spec/graphql-api.md 5).

use cc_model::{JobState, Sharing};
use cc_proto::job_db::v1 as proto;

use crate::error::Error;
use crate::store::nodes::NodeFilter;
use crate::store::query::{
    Bounds, Filter, IntColumn, LIST_VALUES_MAX, MetricKey, NumberOp, Order, Page, Query, SortColumn, SortKey,
    TERMS_MAX, TEXT_BYTES_MAX, Term, TextColumn, TextOp,
};

pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> Error {
    Error::InvalidFilter { field, problem: problem.into() }
}

/// A list request.
///
/// # Errors
/// [`Error::InvalidFilter`].
pub(crate) fn query(
    filters: Vec<proto::JobFilter>,
    order: Option<&proto::Order>,
    page: u32,
    page_size: u32,
    count: bool,
) -> Result<Query, Error> {
    let page = if page_size == 0 {
        Page::All
    } else {
        let before = u64::from(page.saturating_sub(1));
        Page::Rows { offset: before * u64::from(page_size), limit: page_size }
    };
    Ok(Query { filters: self::filters(filters)?, order: order.map(self::order).transpose()?, page, count })
}

fn order(order: &proto::Order) -> Result<Order, Error> {
    let unknown = || invalid("order.field", format!("there is no field {:?} to sort by", order.field));
    let key = if order.footprint {
        SortKey::Footprint(MetricKey::new(&order.field).ok_or_else(unknown)?)
    } else {
        SortKey::Column(SortColumn::of(&order.field).ok_or_else(unknown)?)
    };
    Ok(Order { key, descending: order.descending })
}

/// Filters of a request, within the stated limits.
///
/// # Errors
/// [`Error::InvalidFilter`].
pub(crate) fn filters(filters: Vec<proto::JobFilter>) -> Result<Vec<Filter>, Error> {
    let filters: Vec<Filter> = filters.into_iter().map(filter).collect::<Result<_, _>>()?;
    let terms: usize = filters.iter().map(|filter| filter.terms.len()).sum();
    if terms > TERMS_MAX {
        return Err(invalid("filter", format!("{terms} conditions are more than {TERMS_MAX}")));
    }
    Ok(filters)
}

fn filter(filter: proto::JobFilter) -> Result<Filter, Error> {
    let mut terms = Vec::new();
    if let Some(ids) = filter.db_id {
        terms.push(ids_term("dbId", ids, Term::DbId)?);
    }
    if let Some(op) = filter.job_id.and_then(text_op) {
        terms.push(number_term(checked("jobId", op)?));
    }
    terms.extend(filter.array_job_id.map(Term::ArrayJobId));
    for (field, column, op) in [
        ("user", TextColumn::User, filter.user),
        ("project", TextColumn::Project, filter.project),
        ("cluster", TextColumn::Cluster, filter.cluster),
        ("subCluster", TextColumn::SubCluster, filter.sub_cluster),
        ("partition", TextColumn::Partition, filter.partition),
    ] {
        if let Some(op) = op.and_then(text_op) {
            terms.push(text_term(checked(field, op)?, |op| Term::Text(column, op)));
        }
    }
    if let Some(op) = filter.job_name.and_then(text_op) {
        terms.push(text_term(checked("jobName", op)?, Term::JobName));
    }
    for (column, range) in [
        (IntColumn::Duration, filter.duration),
        (IntColumn::NumNodes, filter.num_nodes),
        (IntColumn::NumAcc, filter.num_accelerators),
        (IntColumn::NumHwthreads, filter.num_hwthreads),
    ] {
        let bounds = range.and_then(|range| Bounds::of(range.from, range.to));
        terms.extend(bounds.map(|bounds| Term::Int(column, bounds)));
    }
    let energy = filter.energy.and_then(|range| Bounds::of(range.from, range.to));
    terms.extend(energy.map(Term::Energy));
    let start = filter.start_time.and_then(|range| Bounds::of_options(range.from, range.to));
    terms.extend(start.map(Term::StartTime));
    if let Some(states) = filter.state {
        terms.push(state_term(&states)?);
    }
    if let Some(word) = filter.shared {
        terms.push(word.parse::<Sharing>().map_or(Term::Nothing, Term::Shared));
    }
    match filter.schedule.as_deref() {
        Some("interactive") => terms.push(Term::Interactive(true)),
        Some("batch") => terms.push(Term::Interactive(false)),
        _ => {}
    }
    if let Some(tags) = filter.tags {
        terms.push(ids_term("tags", tags, Term::Tags)?);
    }
    if let Some(op) = filter.node.and_then(text_op) {
        terms.push(text_term(checked("node", op)?, Term::Node));
    }
    for stat in &filter.metric_stats {
        terms.extend(metric_term(stat));
    }
    Ok(Filter { terms })
}

/// First set operator wins, in the order of graphql-api.md 5.1.
fn text_op(filter: proto::StringFilter) -> Option<TextOp> {
    None.or(filter.eq.map(TextOp::Eq))
        .or(filter.neq.map(TextOp::Neq))
        .or(filter.starts_with.map(TextOp::StartsWith))
        .or(filter.ends_with.map(TextOp::EndsWith))
        .or(filter.contains.map(TextOp::Contains))
        .or(filter.r#in.map(|set| TextOp::In(set.values)))
}

/// The operator, if its texts are short enough.
fn checked(field: &'static str, op: TextOp) -> Result<TextOp, Error> {
    let texts: &[String] = match &op {
        TextOp::Eq(text)
        | TextOp::Neq(text)
        | TextOp::StartsWith(text)
        | TextOp::EndsWith(text)
        | TextOp::Contains(text) => std::slice::from_ref(text),
        TextOp::In(texts) => texts,
    };
    if texts.len() > LIST_VALUES_MAX {
        return Err(invalid(field, format!("{} values are more than {LIST_VALUES_MAX}", texts.len())));
    }
    if let Some(long) = texts.iter().find(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(invalid(field, format!("{} bytes are more than {TEXT_BYTES_MAX}", long.len())));
    }
    Ok(op)
}

fn text_term(op: TextOp, term: impl FnOnce(TextOp) -> Term) -> Term {
    match op {
        TextOp::In(texts) if texts.is_empty() => Term::Nothing,
        op => term(op),
    }
}

/// The scheduler's id is a number; people type text.
fn number_term(op: TextOp) -> Term {
    match op {
        TextOp::Eq(text) => number(&text).map_or(Term::Nothing, |number| Term::JobId(NumberOp::Eq(number))),
        TextOp::Neq(text) => Term::JobId(number(&text).map_or(NumberOp::Any, NumberOp::Neq)),
        TextOp::In(texts) => {
            let numbers: Vec<i64> = texts.iter().filter_map(|text| number(text)).collect();
            if numbers.is_empty() { Term::Nothing } else { Term::JobId(NumberOp::In(numbers)) }
        }
        pattern => Term::JobId(NumberOp::Like(pattern)),
    }
}

fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

fn ids_term(
    field: &'static str,
    ids: proto::IdSet,
    term: impl FnOnce(Vec<i64>) -> Term,
) -> Result<Term, Error> {
    match ids.values.len() {
        0 => Ok(Term::Nothing),
        many if many > LIST_VALUES_MAX => {
            Err(invalid(field, format!("{many} values are more than {LIST_VALUES_MAX}")))
        }
        _ => Ok(term(ids.values)),
    }
}

fn state_term(states: &proto::StringSet) -> Result<Term, Error> {
    let mut known = Vec::new();
    for word in &states.values {
        let state: JobState = word.parse().map_err(|error| invalid("state", format!("{error}")))?;
        if !known.contains(&state) {
            known.push(state);
        }
    }
    Ok(if known.is_empty() { Term::Nothing } else { Term::State(known) })
}

fn metric_term(stat: &proto::MetricRange) -> Option<Term> {
    let Some(key) = MetricKey::new(&stat.metric) else { return Some(Term::Nothing) };
    let bounds = stat.range.as_ref().and_then(|range| Bounds::of(range.from, range.to))?;
    Some(Term::Metric(key, bounds))
}

/// Node filters of a request.
///
/// # Errors
/// [`Error::InvalidFilter`].
pub(crate) fn node_filters(filters: Vec<proto::NodeFilter>) -> Result<Vec<NodeFilter>, Error> {
    if filters.len() > TERMS_MAX {
        return Err(invalid("filter", format!("{} filters are more than {TERMS_MAX}", filters.len())));
    }
    let one = |filter: proto::NodeFilter| {
        let op = |field, filter: Option<proto::StringFilter>| {
            filter.and_then(text_op).map(|op| checked(field, op)).transpose()
        };
        Ok(NodeFilter {
            hostname: op("hostname", filter.hostname)?,
            cluster: op("cluster", filter.cluster)?,
            sub_cluster: op("subCluster", filter.sub_cluster)?,
            scheduler_state: filter.scheduler_state,
            health_state: filter.health_state,
            time_start: filter.time_start,
        })
    };
    filters.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(text: &str) -> proto::StringFilter {
        proto::StringFilter { contains: Some(text.to_owned()), ..Default::default() }
    }

    fn terms(filter: proto::JobFilter) -> Vec<Term> {
        super::filter(filter).unwrap().terms
    }

    #[test]
    fn the_first_operator_in_a_fixed_order_counts() {
        let filter = proto::StringFilter {
            contains: Some("zzz".to_owned()),
            eq: Some("x".to_owned()),
            ..Default::default()
        };
        let user = terms(proto::JobFilter { user: Some(filter), ..Default::default() });
        assert_eq!(user, [Term::Text(TextColumn::User, TextOp::Eq("x".to_owned()))]);
        let empty = proto::JobFilter { user: Some(proto::StringFilter::default()), ..Default::default() };
        assert_eq!(terms(empty), []);
    }

    #[test]
    fn empty_lists_and_foreign_words_match_nothing() {
        let set =
            |values: &[&str]| proto::StringSet { values: values.iter().map(ToString::to_string).collect() };
        for filter in [
            proto::JobFilter { db_id: Some(proto::IdSet::default()), ..Default::default() },
            proto::JobFilter { tags: Some(proto::IdSet::default()), ..Default::default() },
            proto::JobFilter { state: Some(set(&[])), ..Default::default() },
            proto::JobFilter { shared: Some("none' OR '1'='1".to_owned()), ..Default::default() },
            proto::JobFilter {
                user: Some(proto::StringFilter { r#in: Some(set(&[])), ..Default::default() }),
                ..Default::default()
            },
            proto::JobFilter {
                job_id: Some(proto::StringFilter { eq: Some("abc".to_owned()), ..Default::default() }),
                ..Default::default()
            },
            proto::JobFilter {
                metric_stats: vec![proto::MetricRange { metric: "cpu') or 1=1 --".to_owned(), range: None }],
                ..Default::default()
            },
        ] {
            assert_eq!(terms(filter), [Term::Nothing]);
        }
        assert!(
            super::filter(proto::JobFilter { state: Some(set(&["done"])), ..Default::default() }).is_err()
        );
    }

    #[test]
    fn limits_are_stated_and_kept() {
        let long =
            proto::JobFilter { user: Some(contains(&"x".repeat(TEXT_BYTES_MAX + 1))), ..Default::default() };
        assert!(matches!(filters(vec![long]), Err(Error::InvalidFilter { field: "user", .. })));
        let many = proto::JobFilter {
            db_id: Some(proto::IdSet { values: vec![1; LIST_VALUES_MAX + 1] }),
            ..Default::default()
        };
        assert!(matches!(filters(vec![many]), Err(Error::InvalidFilter { field: "dbId", .. })));
        let terms = vec![proto::JobFilter { user: Some(contains("x")), ..Default::default() }; TERMS_MAX + 1];
        assert!(matches!(filters(terms), Err(Error::InvalidFilter { field: "filter", .. })));
    }

    #[test]
    fn pages_count_from_one() {
        let page = |page, size| query(Vec::new(), None, page, size, false).unwrap().page;
        assert_eq!(page(0, 50), Page::Rows { offset: 0, limit: 50 });
        assert_eq!(page(1, 50), Page::Rows { offset: 0, limit: 50 });
        assert_eq!(page(3, 50), Page::Rows { offset: 100, limit: 50 });
        assert_eq!(page(7, 0), Page::All);
        let order =
            |field: &str, footprint| proto::Order { field: field.to_owned(), footprint, descending: true };
        assert!(query(Vec::new(), Some(&order("nosuch", false)), 1, 1, false).is_err());
        assert!(query(Vec::new(), Some(&order("a b", true)), 1, 1, false).is_err());
        assert!(query(Vec::new(), Some(&order("cpu_load_avg", true)), 1, 1, false).is_ok());
    }
}
