//! Metric data of a job: `data.json` (job-archive.md 5) and what the interfaces show of it.
//!
//! Values are `f64`, a missing sample is not-a-number. [`JobData::from_json`] reads, [`DataWriter`] and
//! [`JobData::to_json`] write byte for byte as the reference does; `Serialize` puts the same bytes into other JSON.

mod decode;
mod encode;
mod statistics;

use std::collections::BTreeMap;

pub use decode::JobDataError;
pub use encode::DataWriter;
pub use statistics::{SYNTHESIZED, job_statistics};

use crate::{
    resample::{Algorithm, NotAMultiple, resample},
    scope::MetricScope,
    unit::Unit,
};

/// The scopes of one metric.
pub type Scopes = BTreeMap<MetricScope, JobMetric>;

/// All metric data of a job: metric → scope → data. Empty for a job without any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobData {
    /// Metric name → its scopes.
    pub metrics: BTreeMap<String, Scopes>,
}

impl JobData {
    /// One metric at one scope.
    pub fn get(&self, metric: &str, scope: MetricScope) -> Option<&JobMetric> {
        self.metrics.get(metric)?.get(&scope)
    }

    /// Puts a metric at a scope, replacing what was there.
    pub fn insert(&mut self, metric: impl Into<String>, scope: MetricScope, data: JobMetric) {
        self.metrics.entry(metric.into()).or_default().insert(scope, data);
    }

    /// Every metric at every scope, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, MetricScope, &JobMetric)> {
        self.metrics.iter().flat_map(|(name, scopes)| {
            let by_name = MetricScope::BY_NAME.into_iter();
            by_name.filter_map(move |scope| scopes.get(&scope).map(|metric| (name.as_str(), scope, metric)))
        })
    }

    /// Keeps the metrics and scopes that were asked for, as the reference filters archived data (job-archive.md 14):
    /// no metrics means all of them; scopes are filtered only if the metric has several and one of those asked for is
    /// among them.
    pub fn retain(&mut self, metrics: Option<&[String]>, scopes: &[MetricScope]) {
        if let Some(wanted) = metrics {
            self.metrics.retain(|name, _| wanted.contains(name));
        }
        for available in self.metrics.values_mut() {
            if available.len() > 1 && available.keys().any(|scope| scopes.contains(scope)) {
                available.retain(|scope, _| scopes.contains(scope));
            }
        }
    }

    /// Thins every metric to a resolution in seconds; 0 or finer than a metric's own leaves that metric as it is.
    ///
    /// # Errors
    /// The resolution is coarser than a metric's timestep but not a multiple of it.
    pub fn resample(
        &mut self,
        resolution: i64,
        minimum_points: usize,
        algorithm: Algorithm,
    ) -> Result<(), NotAMultiple> {
        let mut all = self.metrics.values_mut().flat_map(BTreeMap::values_mut);
        all.try_for_each(|metric| metric.resample(resolution, minimum_points, algorithm))
    }
}

/// One metric at one scope.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobMetric {
    /// Statistics over all series at each time; nothing for few series.
    pub statistics_series: Option<StatsSeries>,
    /// Unit of all values.
    pub unit: Unit,
    /// One series per host, or per part of a host.
    pub series: Vec<Series>,
    /// Seconds between two values; the first one belongs to the start of the job.
    pub timestep: i64,
}

impl JobMetric {
    /// Thins all series to a resolution in seconds, the statistics series too; statistics stay those of all values.
    ///
    /// Whether there is enough data is decided by the longest series, so that all of them keep a common timestep.
    ///
    /// # Errors
    /// As [`resample`].
    pub fn resample(
        &mut self,
        resolution: i64,
        minimum_points: usize,
        algorithm: Algorithm,
    ) -> Result<(), NotAMultiple> {
        let old = self.timestep;
        let mut all: Vec<&mut Vec<f64>> = self.series.iter_mut().map(|series| &mut series.data).collect();
        all.extend(self.statistics_series.iter_mut().flat_map(StatsSeries::arrays_mut));
        let Some(longest) = all.iter().max_by_key(|data| data.len()) else { return Ok(()) };
        if resample(longest, old, resolution, minimum_points, algorithm)?.timestep == old {
            return Ok(());
        }
        for data in all {
            let thinned = resample(data, old, resolution, 0, algorithm)?;
            if thinned.timestep == resolution {
                *data = thinned.data.into_owned();
            } else {
                // shorter than one step
                data.truncate(1);
            }
        }
        self.timestep = resolution;
        Ok(())
    }
}

/// The values of one host or one part of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// The host.
    pub hostname: String,
    /// The part (number of a hardware thread, core, socket, domain; id of an accelerator); nothing for the host.
    pub id: Option<String>,
    /// Statistics of the values.
    pub statistics: SeriesStatistics,
    /// The values; not-a-number where a sample is missing.
    pub data: Vec<f64>,
}

/// Statistics of one series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SeriesStatistics {
    /// Smallest value.
    pub min: f64,
    /// Mean of the values.
    pub avg: f64,
    /// Largest value.
    pub max: f64,
}

/// Statistics over many series, value by value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatsSeries {
    /// Percentile → values; only in old archives.
    pub percentiles: BTreeMap<i32, Vec<f64>>,
    /// Means; only in old archives, which have no median.
    pub mean: Vec<f64>,
    /// Medians.
    pub median: Vec<f64>,
    /// Minima.
    pub min: Vec<f64>,
    /// Maxima.
    pub max: Vec<f64>,
}

impl StatsSeries {
    fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        let named = [&mut self.mean, &mut self.median, &mut self.min, &mut self.max];
        named.into_iter().chain(self.percentiles.values_mut())
    }
}

#[cfg(test)]
mod tests;
