//! Metric scopes: on what part of a node a value was measured (job-archive.md 5).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The part of a node that one series stands for. Ordered from finest to coarsest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricScope {
    /// One accelerator (GPU); ranks below everything, also for metrics of processors.
    Accelerator,
    /// One hardware thread.
    #[serde(rename = "hwthread")]
    HwThread,
    /// One physical core.
    Core,
    /// One memory (NUMA) domain.
    MemoryDomain,
    /// One processor socket.
    Socket,
    /// The whole node.
    Node,
}

/// A text that names no scope. The message is the reference's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SCHEMA/METRICS > {0} is not a valid MetricScope")]
pub struct UnknownScope(pub String);

impl MetricScope {
    /// Every scope, finest first.
    pub const ALL: [Self; 6] =
        [Self::Accelerator, Self::HwThread, Self::Core, Self::MemoryDomain, Self::Socket, Self::Node];

    /// Every scope, ordered by name as bytes: the order of keys in `data.json`.
    pub const BY_NAME: [Self; 6] =
        [Self::Accelerator, Self::Core, Self::HwThread, Self::MemoryDomain, Self::Node, Self::Socket];

    /// The name in JSON, GraphQL and URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accelerator => "accelerator",
            Self::HwThread => "hwthread",
            Self::Core => "core",
            Self::MemoryDomain => "memoryDomain",
            Self::Socket => "socket",
            Self::Node => "node",
        }
    }

    /// The granularity number; higher is coarser.
    pub const fn rank(self) -> i32 {
        match self {
            Self::Accelerator => 1,
            Self::HwThread => 2,
            Self::Core => 3,
            Self::MemoryDomain => 4,
            Self::Socket => 5,
            Self::Node => 10,
        }
    }

    /// The coarser of two scopes: what is delivered when `other` is asked of a metric measured at `self`.
    #[must_use]
    pub fn coarser(self, other: Self) -> Self {
        self.max(other)
    }

    /// The coarsest of some scopes.
    pub fn coarsest(scopes: impl IntoIterator<Item = Self>) -> Option<Self> {
        scopes.into_iter().max()
    }

    /// The finest of some scopes.
    pub fn finest(scopes: impl IntoIterator<Item = Self>) -> Option<Self> {
        scopes.into_iter().min()
    }
}

impl fmt::Display for MetricScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MetricScope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_match_serde() {
        for scope in MetricScope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{scope}\""));
        }
        assert_eq!(
            "Node".parse::<MetricScope>().unwrap_err().to_string(),
            "SCHEMA/METRICS > Node is not a valid MetricScope"
        );
    }

    #[test]
    fn order_is_the_order_of_ranks() {
        assert!(MetricScope::ALL.is_sorted_by_key(|scope| scope.rank()));
        assert!(MetricScope::ALL.is_sorted());
        assert!(MetricScope::BY_NAME.is_sorted_by_key(|scope| scope.as_str()));
        assert_eq!(MetricScope::HwThread.coarser(MetricScope::Core), MetricScope::Core);
        assert_eq!(MetricScope::HwThread.coarser(MetricScope::Accelerator), MetricScope::HwThread);
        assert_eq!(MetricScope::coarsest([MetricScope::Core, MetricScope::Node]), Some(MetricScope::Node));
        assert_eq!(MetricScope::finest([MetricScope::Core, MetricScope::Node]), Some(MetricScope::Core));
    }
}
