//! A host's restored samples become those of the host that already takes lines.

use std::collections::BTreeMap;

use super::{ColumnId, HostData};
use crate::grid::Grid;
use crate::names::MetricId;

impl HostData {
    /// Takes over everything of `loaded`. Columns that exist here keep their numbers (batches on their way and the log's dictionary
    /// know them) and hold no samples yet; the others are added behind them. Where both have a series at different intervals, the
    /// one that is here stays the one that is read.
    pub(crate) fn adopt(&mut self, mut loaded: Self) {
        let own: BTreeMap<(MetricId, u32), ColumnId> = self.series.clone();
        let mut origin: Vec<Option<ColumnId>> = vec![None; self.columns.len()];
        for number in 0..loaded.columns() {
            let Some(key) = loaded.key(number) else { continue };
            let column = self.column(key) as usize;
            origin.resize(origin.len().max(column + 1), None);
            if let Some(slot) = origin.get_mut(column) {
                *slot = Some(number);
            }
        }
        self.series.extend(own);
        self.stagger = loaded.stagger;
        for grid_number in 0..self.grids.len() {
            let order = self.lane_origins(grid_number, &origin, &loaded);
            let Some(grid) = self.grids.get_mut(grid_number) else { continue };
            let interval = grid.interval();
            let stored = loaded.grids.iter().position(|grid| grid.interval() == interval);
            let source = stored
                .map_or_else(|| Grid::new(interval, self.stagger), |stored| loaded.grids.swap_remove(stored));
            *grid = source.reordered(&order);
        }
    }

    /// For each lane of a grid here, the lane of `loaded` whose samples it takes.
    fn lane_origins(&self, grid: usize, origin: &[Option<ColumnId>], loaded: &Self) -> Vec<Option<u32>> {
        let mut order = Vec::new();
        for (column, origin) in self.columns.iter().zip(origin) {
            if column.grid as usize != grid {
                continue;
            }
            let lane = column.lane as usize;
            order.resize(order.len().max(lane + 1), None);
            if let Some(slot) = order.get_mut(lane) {
                *slot =
                    origin.and_then(|number| loaded.columns.get(number as usize)).map(|column| column.lane);
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::super::SeriesKey;
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn key(metric: u32, interval: i64, component: &str) -> SeriesKey<'_> {
        SeriesKey { metric: MetricId(metric), interval, component, sub_component: "" }
    }

    fn values(data: &HostData, key: SeriesKey<'_>) -> Vec<f64> {
        let (grid, lane) = data.lane(data.find(key).unwrap()).unwrap();
        let mut out = vec![0.0; 3];
        grid.read(lane, NOW, &mut out);
        out
    }

    #[test]
    fn columns_keep_their_numbers_and_get_their_history() {
        let mut loaded = HostData::new(3);
        let keys = [key(1, 60, ""), key(2, 60, "socket0"), key(3, 10, ""), key(4, 60, "")];
        for (start, key) in (0..).zip(keys) {
            let column = loaded.column(key);
            for step in 0..3 {
                loaded.write(column, NOW + i64::from(step) * key.interval, f64::from(start * 10 + step), NOW);
            }
        }
        let mut live = HostData::new(3);
        let before = [
            live.column(keys[3]),
            live.column(key(9, 60, "")),
            live.column(keys[1]),
            live.column(key(1, 30, "")),
        ];
        live.adopt(loaded);
        assert_eq!(
            before.map(|column| live.key(column).unwrap()),
            [keys[3], key(9, 60, ""), keys[1], key(1, 30, "")]
        );
        assert_eq!(values(&live, keys[3]), [30.0, 31.0, 32.0]);
        assert_eq!(values(&live, keys[1]), [10.0, 11.0, 12.0]);
        assert_eq!(values(&live, keys[2]), [20.0, 21.0, 22.0]);
        assert!(values(&live, key(9, 60, "")).iter().all(|value| value.is_nan()));
        assert_eq!(live.find(keys[0]), None, "the interval that lines have now is the one that is read");
        live.write(before[0], NOW + 180, 5.0, NOW + 180);
        assert_eq!(live.range(before[0]), Some((NOW, NOW + 180)));
    }
}
