//! A metric and what a sub-cluster changes about it.

use serde::Serialize;

use crate::{scope::MetricScope, unit::Unit};

/// How values of a finer scope make one of a coarser scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Not at all: the metric exists at its native scope only.
    #[default]
    #[serde(rename = "")]
    None,
    /// Added up.
    Sum,
    /// Unweighted mean.
    Avg,
}

impl Aggregation {
    /// The word in the file; empty for none.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Sum => "sum",
            Self::Avg => "avg",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Sum, Self::Avg].into_iter().find(|known| known.as_str() == word)
    }
}

/// Which statistic of a metric goes into the footprint of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FootprintStat {
    /// Mean over nodes and time.
    Avg,
    /// Largest value.
    Max,
    /// Smallest value.
    Min,
}

impl FootprintStat {
    /// The word in the file and at the end of footprint keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Max => "max",
            Self::Min => "min",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Avg, Self::Max, Self::Min].into_iter().find(|known| known.as_str() == word)
    }
}

/// How a metric counts for the energy of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnergyKind {
    /// Not at all.
    #[default]
    #[serde(rename = "")]
    None,
    /// Its values are power in watts.
    Power,
    /// Its values are energy; counted as 0, as the reference does.
    Energy,
}

impl EnergyKind {
    /// The word in the file; empty for none.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Power => "power",
            Self::Energy => "energy",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Power, Self::Energy].into_iter().find(|known| known.as_str() == word)
    }
}

/// One metric of a cluster, or of a sub-cluster with the overrides applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricConfig {
    /// Name; equals the name in the metric store.
    pub name: String,
    /// Unit of its values.
    pub unit: Unit,
    /// Largest value to be expected of a node.
    pub peak: f64,
    /// Typical value of a node.
    pub normal: f64,
    /// Suspicious from here on.
    pub caution: f64,
    /// Needs action from here on.
    pub alert: f64,
    /// Whether and how it counts for the energy of a job.
    pub energy: EnergyKind,
    /// The scope it is measured at.
    pub scope: MetricScope,
    /// How it gets to coarser scopes.
    pub aggregation: Aggregation,
    /// Its statistic in the footprint of a job, if it is part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footprint: Option<FootprintStat>,
    /// What sub-clusters change; empty in the list of a sub-cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sub_clusters: Vec<SubClusterOverride>,
    /// Seconds between two values, at least 1.
    pub timestep: i64,
    /// Hidden from plain users and managers. In the list of a sub-cluster always false, as in the reference: ask
    /// [`super::Cluster::restricted`].
    pub restrict: bool,
    /// High values are the bad ones.
    pub lower_is_better: bool,
}

impl MetricConfig {
    /// A metric without thresholds, unit or overrides.
    pub fn new(name: impl Into<String>, scope: MetricScope, aggregation: Aggregation, timestep: i64) -> Self {
        Self {
            name: name.into(),
            unit: Unit::default(),
            peak: 0.0,
            normal: 0.0,
            caution: 0.0,
            alert: 0.0,
            energy: EnergyKind::None,
            scope,
            aggregation,
            footprint: None,
            sub_clusters: Vec::new(),
            timestep,
            restrict: false,
            lower_is_better: false,
        }
    }

    /// Whether any override removes it from a sub-cluster.
    pub fn removed_in(&self, sub_cluster: &str) -> bool {
        self.sub_clusters.iter().any(|o| o.name == sub_cluster && o.remove)
    }

    /// The override that applies in a sub-cluster: the last one.
    pub fn override_for(&self, sub_cluster: &str) -> Option<&SubClusterOverride> {
        self.sub_clusters.iter().rfind(|o| o.name == sub_cluster)
    }

    pub(super) fn restricted_in(&self, sub_cluster: &str) -> bool {
        self.override_for(sub_cluster).and_then(|o| o.restrict_given).unwrap_or(self.restrict)
    }
}

/// What a sub-cluster changes about a metric. All values replace the cluster's, omitted ones become zero or empty
/// (cluster-config.md 3).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubClusterOverride {
    /// Name of the sub-cluster.
    pub name: String,
    /// Accepted and shown, without effect.
    pub unit: Unit,
    /// As [`MetricConfig::peak`].
    pub peak: f64,
    /// As [`MetricConfig::normal`].
    pub normal: f64,
    /// As [`MetricConfig::caution`].
    pub caution: f64,
    /// As [`MetricConfig::alert`].
    pub alert: f64,
    /// As [`MetricConfig::footprint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footprint: Option<FootprintStat>,
    /// As [`MetricConfig::energy`].
    pub energy: EnergyKind,
    /// As [`MetricConfig::lower_is_better`].
    pub lower_is_better: bool,
    /// As [`MetricConfig::restrict`]; false also if the file does not say.
    pub restrict: bool,
    /// The metric does not exist in that sub-cluster.
    pub remove: bool,
    /// What the file says about `restrict`, if it does.
    #[serde(skip)]
    pub restrict_given: Option<bool>,
}
