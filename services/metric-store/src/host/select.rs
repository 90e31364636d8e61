//! Which series of a host a query means (spec metric-store.md 7.2).

use super::{ColumnId, HostData};
use crate::names::MetricId;

impl HostData {
    /// The series of a metric at a component: its own, else the nearest ones below it that hold samples, in the order of their names.
    /// An empty component is the node itself.
    pub(crate) fn select(&self, metric: MetricId, component: &str, sub_component: &str) -> Vec<ColumnId> {
        let mut found = Vec::new();
        self.select_into(metric, component, sub_component, &mut found);
        found
    }

    /// As [`HostData::select`], behind what was found before.
    pub(crate) fn select_into(
        &self,
        metric: MetricId,
        component: &str,
        sub_component: &str,
        found: &mut Vec<ColumnId>,
    ) {
        let wanted = super::path_text(component, sub_component);
        if let Some(path) = self.path_numbers.get(&*wanted)
            && let Some(&column) = self.series.get(&(metric, *path))
            && self.range(column).is_some()
        {
            found.push(column);
            return;
        }
        if !sub_component.is_empty() {
            return;
        }
        let mut below: Vec<(&str, ColumnId)> = self
            .series
            .range((metric, 1)..=(metric, u32::MAX))
            .filter_map(|((_, path), &column)| Some((&**self.paths.get(*path as usize)?, column)))
            .filter(|(path, _)| component.is_empty() || is_below(path, component))
            .filter(|(_, column)| self.range(*column).is_some())
            .collect();
        below.sort_unstable();
        // A component that holds the metric itself hides its parts, which sort directly behind it.
        let mut hidden_by: Option<&str> = None;
        below.retain(|(path, _)| match path.split_once('\0') {
            None => {
                hidden_by = Some(path);
                true
            }
            Some((component, _)) => hidden_by != Some(component),
        });
        found.extend(below.into_iter().map(|(_, column)| column));
    }

    /// All series of a metric anywhere on the host, for the health check.
    pub(crate) fn everywhere(&self, metric: MetricId) -> impl Iterator<Item = ColumnId> {
        self.series.range((metric, 0)..=(metric, u32::MAX)).map(|(_, &column)| column)
    }
}

fn is_below(path: &str, component: &str) -> bool {
    path.strip_prefix(component).is_some_and(|rest| rest.starts_with('\0'))
}

#[cfg(test)]
mod tests {
    use super::super::SeriesKey;
    use super::*;

    const METRIC: MetricId = MetricId(1);

    fn host(paths: &[(&str, &str)]) -> HostData {
        let mut data = HostData::new(0);
        for &(component, sub_component) in paths {
            let column = data.column(SeriesKey { metric: METRIC, interval: 60, component, sub_component });
            data.write(column, 1_700_000_000, 1.0, 1_700_000_000);
        }
        data.column(SeriesKey { metric: METRIC, interval: 60, component: "silent", sub_component: "" });
        data
    }

    fn names(data: &HostData, component: &str, sub_component: &str) -> Vec<String> {
        let columns = data.select(METRIC, component, sub_component);
        let key =
            |column| data.key(column).map(|key| format!("{}/{}", key.component, key.sub_component)).unwrap();
        columns.into_iter().map(key).collect()
    }

    #[test]
    fn a_series_at_the_node_beats_what_is_below() {
        let data = host(&[("socket0", ""), ("", "")]);
        assert_eq!(names(&data, "", ""), ["/"]);
        assert_eq!(names(&data, "socket0", ""), ["socket0/"]);
        assert_eq!(names(&data, "socket1", ""), [""; 0]);
    }

    #[test]
    fn else_the_nearest_below_in_the_order_of_names() {
        let data =
            host(&[("socket1", "b"), ("socket10", ""), ("socket1", "a"), ("socket0", "x"), ("socket0", "")]);
        assert_eq!(names(&data, "", ""), ["socket0/", "socket1/a", "socket1/b", "socket10/"]);
        assert_eq!(names(&data, "socket1", ""), ["socket1/a", "socket1/b"]);
        assert_eq!(names(&data, "socket1", "b"), ["socket1/b"]);
        assert_eq!(names(&data, "socket1", "c"), [""; 0]);
    }

    #[test]
    fn series_without_samples_do_not_exist() {
        let data = host(&[]);
        assert_eq!(names(&data, "", ""), [""; 0]);
        assert_eq!(names(&data, "silent", ""), [""; 0]);
        assert_eq!(data.everywhere(METRIC).count(), 1);
    }
}
