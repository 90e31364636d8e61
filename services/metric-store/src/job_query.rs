//! The series of a job's resources, aggregated to scopes (spec metric-store.md 10).
//!
//! Every answer begins at the time asked for (a series that begins later is filled up in front), so the series of all hosts lie on
//! one grid; it ends with the last sample. What is asked for and cannot be delivered is named.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use cc_model::cluster::MetricConfig;
use cc_model::plan::{Component, Group, Share, plan};
use cc_model::resample::{Algorithm, Resampled, resample};
use cc_model::{Cluster, MetricScope, Resource, SubCluster};

use crate::error::Error;
use crate::host::Host;
use crate::read::{self, Front, ReadError, Statistics};
use crate::store::{Needed, Store};

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobQuery {
    /// Cluster.
    pub cluster: String,
    /// Subcluster; empty: that of each host.
    pub sub_cluster: String,
    /// Hosts, and what of them.
    pub resources: Vec<Resource>,
    /// Metrics; none: all of the subcluster.
    pub metrics: Vec<String>,
    /// Scopes; none: the native one of each metric.
    pub scopes: Vec<MetricScope>,
    /// First time, Unix seconds.
    pub from: i64,
    /// Time behind the last; later than now counts as now.
    pub to: i64,
    /// Seconds per point wanted; 0: native.
    pub resolution: i64,
    /// From how many points on a series is thinned.
    pub minimum_points: usize,
    /// Statistics only, if false.
    pub with_data: bool,
    /// A series that begins later than `from` is given from its first sample on, not with points without a sample before it.
    pub from_first_sample: bool,
}

/// One series of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSeries {
    /// Metric.
    pub metric: String,
    /// Scope delivered.
    pub scope: MetricScope,
    /// Host.
    pub host: String,
    /// Number or id of the component; none for a metric of nodes. At node scope a metric of finer parts has the first part's, which
    /// readers of archives know from the reference.
    pub id: Option<String>,
    /// Time of the first point.
    pub from: i64,
    /// Seconds between points.
    pub timestep: i64,
    /// Seconds between samples.
    pub native_timestep: i64,
    /// Unit: prefix and base.
    pub unit: cc_model::Unit,
    /// Mean, smallest and largest sample.
    pub statistics: (f64, f64, f64),
    /// Points; `NaN` = no sample. Empty without data.
    pub values: Vec<f64>,
    /// How many points there are, also without data.
    pub points: usize,
}

/// Why something asked for is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingReason {
    /// No such metric in the cluster or subcluster.
    UnknownMetric,
    /// No sample in the range.
    NoSamples,
    /// The cluster is not configured.
    NotConfigured,
    /// The metric cannot be given at that scope for these resources.
    ScopeNotAvailable,
    /// The host never sent a sample that is still kept.
    UnknownHost,
}

impl MissingReason {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownMetric => "UNKNOWN_METRIC",
            Self::NoSamples => "NO_SAMPLES",
            Self::NotConfigured => "NOT_CONFIGURED",
            Self::ScopeNotAvailable => "SCOPE_NOT_AVAILABLE",
            Self::UnknownHost => "UNKNOWN_HOST",
        }
    }
}

/// Something asked for that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Metric.
    pub metric: String,
    /// Scope, if it matters.
    pub scope: Option<MetricScope>,
    /// Host; empty: all.
    pub host: String,
    /// Why.
    pub reason: MissingReason,
    /// In words.
    pub detail: String,
}

/// A part of the answer, in the order: metric, scope, host, id.
#[derive(Clone, Debug, PartialEq)]
pub enum JobPart {
    /// A series.
    Series(JobSeries),
    /// None.
    Missing(Missing),
}

/// Hosts that one step answers for.
const HOSTS_AT_ONCE: usize = 32;

/// A query on its way, answered step by step.
#[derive(Debug)]
pub struct JobAnswer {
    query: JobQuery,
    to: i64,
    cluster: Option<Arc<Cluster>>,
    /// By resource: its subcluster's place in the cluster file.
    sub_clusters: Vec<Option<usize>>,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Missing(Missing),
    Hosts { metric: String, scope: MetricScope, first: usize },
}

impl JobQuery {
    /// The hosts whose samples it needs.
    pub fn needed(&self) -> Needed {
        let mut needed = Needed::default();
        for resource in &self.resources {
            needed.add(&self.cluster, &resource.hostname);
        }
        needed
    }

    /// Plans the answer.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the range ends before it begins.
    pub fn prepare(self, store: &Store) -> Result<JobAnswer, Error> {
        if self.from > self.to {
            return Err(Error::Invalid(ReadError::Range.to_string()));
        }
        let registry = store.registry();
        let cluster = registry.cluster(&self.cluster).map(Arc::clone);
        let mut answer = JobAnswer {
            to: self.to.min(store.clock().unix()),
            sub_clusters: Vec::new(),
            steps: Vec::new(),
            cluster: None,
            query: self,
        };
        match cluster {
            None => answer.steps.push(Step::Missing(answer.not_configured(registry.is_empty()))),
            Some(cluster) => answer.plan(cluster),
        }
        Ok(answer)
    }
}

impl JobAnswer {
    fn plan(&mut self, cluster: Arc<Cluster>) {
        let place = |name: &str| cluster.sub_clusters.iter().position(|sub| sub.name == name);
        let named = place(&self.query.sub_cluster);
        let of_host = |resource: &Resource| {
            named.or_else(|| cluster.sub_cluster_of(&resource.hostname).and_then(|sub| place(&sub.name)))
        };
        self.sub_clusters = self.query.resources.iter().map(of_host).collect();
        let mut planned = BTreeSet::new();
        for name in self.metrics(&cluster) {
            let known = cluster
                .metric(&name)
                .or_else(|| cluster.sub_clusters.iter().find_map(|sub| sub.metric(&name)));
            let Some(metric) = known else {
                self.steps.push(Step::Missing(self.unknown_metric(&name)));
                continue;
            };
            let native = [metric.scope];
            let asked = if self.query.scopes.is_empty() { &native[..] } else { &self.query.scopes };
            for scope in asked.iter().map(|&asked| metric.scope.coarser(asked)) {
                if !planned.insert((name.clone(), scope)) {
                    continue;
                }
                let firsts = (0..self.query.resources.len()).step_by(HOSTS_AT_ONCE);
                self.steps.extend(firsts.map(|first| Step::Hosts { metric: name.clone(), scope, first }));
            }
        }
        self.cluster = Some(cluster);
    }

    /// The metrics asked for, or all that any of the hosts has.
    fn metrics(&self, cluster: &Cluster) -> Vec<String> {
        if !self.query.metrics.is_empty() {
            return self.query.metrics.clone();
        }
        let subs: BTreeSet<usize> = self.sub_clusters.iter().flatten().copied().collect();
        let subs: Vec<&SubCluster> =
            subs.into_iter().filter_map(|place| cluster.sub_clusters.get(place)).collect();
        let here = |name: &str| subs.iter().any(|sub| sub.metric(name).is_some());
        cluster.metric_config.iter().map(|metric| metric.name.clone()).filter(|name| here(name)).collect()
    }

    /// Number of steps. The parts of all of them, one after the other, are the answer, in the order metric, scope, host, id.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The parts of a step. CPU work of some milliseconds. The hosts must be loaded.
    pub fn step(&self, number: usize, store: &Store) -> Vec<JobPart> {
        let (metric, scope, first) = match self.steps.get(number) {
            None => return Vec::new(),
            Some(Step::Missing(missing)) => return vec![JobPart::Missing(missing.clone())],
            Some(Step::Hosts { metric, scope, first }) => (metric, *scope, *first),
        };
        let mut parts = Vec::new();
        let resources = self.query.resources.iter().zip(&self.sub_clusters);
        for (resource, sub_cluster) in resources.skip(first).take(HOSTS_AT_ONCE) {
            let sub_cluster = sub_cluster.and_then(|place| self.cluster.as_ref()?.sub_clusters.get(place));
            let before = parts.len();
            let missing = self.host(store, metric, scope, resource, sub_cluster, &mut parts);
            if let Some((reason, detail)) = missing.filter(|_| parts.len() == before) {
                let (metric, host) = (metric.clone(), resource.hostname.clone());
                parts.push(JobPart::Missing(Missing { metric, scope: Some(scope), host, reason, detail }));
            }
        }
        parts
    }

    /// The series of one host; the return value says why there may be none.
    fn host(
        &self,
        store: &Store,
        name: &str,
        scope: MetricScope,
        resource: &Resource,
        sub_cluster: Option<&SubCluster>,
        parts: &mut Vec<JobPart>,
    ) -> Option<(MissingReason, String)> {
        let why = |reason, detail: &str| Some((reason, detail.to_owned()));
        let Some((sub_cluster, metric)) = sub_cluster.and_then(|sub| Some((sub, sub.metric(name)?))) else {
            return why(MissingReason::UnknownMetric, "the host's subcluster does not have the metric");
        };
        let plan = plan(&sub_cluster.topology, metric, Share::Job(resource), scope);
        if plan.groups.is_empty() {
            return why(
                MissingReason::ScopeNotAvailable,
                "the resources on this host have no part of that kind",
            );
        }
        let Some(host) = store.host(&self.query.cluster, &resource.hostname) else {
            return why(MissingReason::UnknownHost, "no sample of this host is kept");
        };
        let mut problem = why(MissingReason::NoSamples, "no sample in the time asked for");
        for group in &plan.groups {
            match self.series(store, &host, metric, scope, group) {
                Ok(Some(series)) => parts.push(JobPart::Series(series)),
                Ok(None) => {}
                Err(error) => problem = why(MissingReason::ScopeNotAvailable, &error.to_string()),
            }
        }
        problem
    }

    fn series(
        &self,
        store: &Store,
        host: &Host,
        metric: &MetricConfig,
        scope: MetricScope,
        group: &Group,
    ) -> Result<Option<JobSeries>, ReadError> {
        let Some(number) = store.names().get(&metric.name) else { return Ok(None) };
        let piece = {
            let data = host.data();
            let select = |component: &Component| data.select(number, &component.to_string(), "");
            let columns: Vec<_> = group.series.iter().flat_map(select).collect();
            read::piece(
                &data,
                &columns,
                self.query.from,
                self.to.max(self.query.from),
                if self.query.from_first_sample { Front::Cut } else { Front::Keep },
                metric.aggregation,
            )?
        };
        let Some((piece, statistics)) = piece.and_then(|piece| {
            let statistics = Statistics::of(&piece.values)?;
            Some((piece, statistics))
        }) else {
            return Ok(None);
        };
        // A resolution that is no multiple of the interval becomes the next coarser one that is.
        let wanted = (self.query.resolution + piece.interval - 1) / piece.interval * piece.interval;
        let thinned =
            resample(&piece.values, piece.interval, wanted, self.query.minimum_points, Algorithm::Lttb);
        let (thinned, timestep) = match thinned {
            Ok(Resampled { data: Cow::Owned(thinned), timestep }) => (Some(thinned), timestep),
            Ok(_) | Err(_) => (None, piece.interval),
        };
        let values = thinned.unwrap_or(piece.values);
        Ok(Some(JobSeries {
            metric: metric.name.clone(),
            scope,
            host: host.key.host.to_string(),
            id: group.id.clone(),
            from: piece.from,
            timestep,
            native_timestep: piece.interval,
            unit: metric.unit.clone(),
            statistics: (statistics.avg, statistics.min, statistics.max),
            points: values.len(),
            values: if self.query.with_data { values } else { Vec::new() },
        }))
    }

    fn not_configured(&self, nothing: bool) -> Missing {
        let detail = if nothing {
            "the metric store has no cluster files yet".to_owned()
        } else {
            format!("there is no cluster file of {}", self.query.cluster)
        };
        let (metric, host) = (String::new(), String::new());
        Missing { metric, scope: None, host, reason: MissingReason::NotConfigured, detail }
    }

    fn unknown_metric(&self, name: &str) -> Missing {
        Missing {
            metric: name.to_owned(),
            scope: None,
            host: String::new(),
            reason: MissingReason::UnknownMetric,
            detail: format!("cluster {} has no metric {name} in its cluster.json", self.query.cluster),
        }
    }
}

#[cfg(test)]
mod tests;
