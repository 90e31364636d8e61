//! The query string of the job list (rest-api.md 6.7). Unknown keys are errors: a filter that silently does not filter
//! is worse than none.

use cc_model::JobState;
use cc_proto::job_db::v1::{JobFilter, Order, StringFilter, StringSet, TimeRange};

use crate::problem::Problem;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ListQuery {
    pub(super) filter: JobFilter,
    /// Counts from 1.
    pub(super) page: u64,
    /// No upper bound: adapters ask for everything.
    pub(super) items: u64,
    pub(super) with_metadata: bool,
}

impl ListQuery {
    pub(super) fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = Self { filter: JobFilter::default(), page: 1, items: 25, with_metadata: false };
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in pairs {
            let first = !seen.contains(&key);
            match key.as_str() {
                "state" => query.add_state(value)?,
                // of everything else the first value counts
                "cluster" if first => query.filter.cluster = Some(equal(value)),
                "project" if first => query.filter.project = Some(equal(value)),
                "start-time" if first => query.filter.start_time = Some(time_range(&value)?),
                "page" if first => query.page = positive("page", &value)?,
                "items-per-page" if first => query.items = positive("items-per-page", &value)?,
                // being there is enough, whatever the value says: recorded so, and adapters send `false`
                "with-metadata" => query.with_metadata = true,
                "cluster" | "project" | "start-time" | "page" | "items-per-page" => {}
                _ => return Err(Problem::bad(format!("invalid query parameter: {key}"))),
            }
            seen.push(key);
        }
        Ok(query)
    }

    /// Newest first.
    pub(super) fn order() -> Order {
        Order { field: "startTime".to_owned(), footprint: false, descending: true }
    }

    fn add_state(&mut self, state: String) -> Result<(), Problem> {
        if state.parse::<JobState>().is_err() {
            return Err(Problem::bad("invalid query parameter value: state"));
        }
        self.filter.state.get_or_insert_with(StringSet::default).values.push(state);
        Ok(())
    }
}

fn equal(value: String) -> StringFilter {
    StringFilter { eq: Some(value), ..StringFilter::default() }
}

fn time_range(value: &str) -> Result<TimeRange, Problem> {
    let mut parts = value.split('-');
    let (Some(from), Some(to), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Problem::bad("invalid query parameter value: startTime"));
    };
    let number = |text: &str| {
        text.parse::<i64>()
            .map_err(|_| Problem::bad(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
    };
    Ok(TimeRange { from: Some(number(from)?), to: Some(number(to)?) })
}

fn positive(key: &str, value: &str) -> Result<u64, Problem> {
    let number: i64 = value
        .parse()
        .map_err(|_| Problem::bad(format!("strconv.Atoi: parsing {value:?}: invalid syntax")))?;
    u64::try_from(number)
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Problem::bad(format!("{key} must be >= 1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ListQuery, String> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        });
        ListQuery::read(pairs.collect()).map_err(|problem| problem.error.into_owned())
    }

    #[test]
    fn defaults_and_the_question_of_the_slurm_adapter() {
        let query = read("").unwrap();
        assert_eq!((query.page, query.items, query.with_metadata), (1, 25, false));
        assert_eq!(query.filter, JobFilter::default());
        let query = read("state=running&items-per-page=9999999&page=1&with-metadata=false").unwrap();
        assert_eq!((query.page, query.items, query.with_metadata), (1, 9_999_999, true));
        assert_eq!(query.filter.state.unwrap().values, ["running"]);
    }

    #[test]
    fn states_add_up_and_of_others_the_first_counts() {
        let query = read("state=timeout&state=failed&cluster=fritz&cluster=alex&start-time=1-2&start-time=x")
            .unwrap();
        assert_eq!(query.filter.state.unwrap().values, ["timeout", "failed"]);
        assert_eq!(query.filter.cluster.unwrap().eq.unwrap(), "fritz");
        assert_eq!(query.filter.start_time.unwrap(), TimeRange { from: Some(1), to: Some(2) });
    }

    #[test]
    fn errors_are_those_recorded() {
        for (text, error) in [
            ("state=nonsense", "invalid query parameter value: state"),
            ("state=Completed", "invalid query parameter value: state"),
            ("start-time=5", "invalid query parameter value: startTime"),
            ("start-time=1-2-3", "invalid query parameter value: startTime"),
            ("start-time=a-b", "strconv.ParseInt: parsing \"a\": invalid syntax"),
            ("page=0", "page must be >= 1"),
            ("page=-1", "page must be >= 1"),
            ("page=x", "strconv.Atoi: parsing \"x\": invalid syntax"),
            ("items-per-page=0", "items-per-page must be >= 1"),
            ("items-per-page=1e3", "strconv.Atoi: parsing \"1e3\": invalid syntax"),
            ("items_per_page=5", "invalid query parameter: items_per_page"),
            ("startTime=1-2", "invalid query parameter: startTime"),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
    }
}
