//! Node states as stored and as shown (spec/job-db.md 12, graphql-api.md 5.4, 8.6–8.10).

use std::collections::BTreeMap;

use super::query::TextOp;

/// What a scheduler says of a node, after mapping its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeState {
    Allocated,
    Reserved,
    Idle,
    Mixed,
    Down,
    Unknown,
}

impl NodeState {
    /// Maps the scheduler's words, in any case, first hit wins (rest-api.md 6.4 step 1).
    pub(crate) fn of_words<W: AsRef<str>>(words: &[W]) -> Self {
        let contains = |wanted: &str| words.iter().any(|word| word.as_ref().eq_ignore_ascii_case(wanted));
        match () {
            () if contains("allocated") => Self::Allocated,
            () if contains("reserved") => Self::Reserved,
            () if contains("down") && contains("idle") => Self::Down,
            () if contains("idle") => Self::Idle,
            () if contains("down") => Self::Down,
            () if contains("mixed") => Self::Mixed,
            () => Self::Unknown,
        }
    }

    /// The word in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::Reserved => "reserved",
            Self::Idle => "idle",
            Self::Mixed => "mixed",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the samples of a node arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HealthState {
    Full,
    Partial,
    Failed,
}

impl HealthState {
    /// The state of a word of the metric store; anything unknown is a failure.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "full" => Self::Full,
            "partial" => Self::Partial,
            _ => Self::Failed,
        }
    }

    /// The word in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// One report of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) hostname: String,
    pub(crate) cluster: String,
    /// Only stored when the node is seen for the first time.
    pub(crate) sub_cluster: String,
    pub(crate) state: NodeState,
    pub(crate) health: HealthState,
    /// `{"missing":[…],"degraded":[…]}`, or empty.
    pub(crate) health_metrics: String,
    pub(crate) cpus_allocated: i64,
    pub(crate) memory_allocated_mb: i64,
    pub(crate) gpus_allocated: i64,
    pub(crate) jobs_running: i64,
}

/// Conditions on a node and its latest state; all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeFilter {
    pub(crate) hostname: Option<TextOp>,
    pub(crate) cluster: Option<TextOp>,
    pub(crate) sub_cluster: Option<TextOp>,
    pub(crate) scheduler_state: Option<String>,
    pub(crate) health_state: Option<String>,
    /// Reports after this only; used where reports are looked at one by one.
    pub(crate) time_start: Option<i64>,
}

/// A node with its latest state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeView {
    pub(crate) id: i64,
    pub(crate) hostname: String,
    pub(crate) cluster: String,
    pub(crate) sub_cluster: String,
    pub(crate) scheduler_state: String,
    pub(crate) health_state: String,
    pub(crate) jobs_running: i64,
    pub(crate) cpus_allocated: i64,
    pub(crate) memory_allocated_mb: i64,
    pub(crate) gpus_allocated: i64,
    pub(crate) time_stamp: i64,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) health_data: BTreeMap<String, Vec<String>>,
}

/// Nodes by latest state; states without nodes are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StateCounts {
    pub(crate) scheduler: Vec<(String, u64)>,
    pub(crate) health: Vec<(String, u64)>,
}

/// Nodes in one state over time, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StateTimes {
    pub(crate) state: String,
    /// (Unix seconds, nodes).
    pub(crate) points: Vec<(i64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_schedulers_map_as_recorded() {
        for (words, state) in [
            (&["ALLOCATED"][..], NodeState::Allocated),
            (&["IDLE", "DOWN"], NodeState::Down),
            (&["RESERVED", "IDLE"], NodeState::Reserved),
            (&["Mixed"], NodeState::Mixed),
            (&["DRAIN"], NodeState::Unknown),
            (&[], NodeState::Unknown),
            (&["IDLE", "DRAIN"], NodeState::Idle),
            (&["down", "drain"], NodeState::Down),
            (&["DOWN", "ALLOCATED"], NodeState::Allocated),
        ] {
            assert_eq!(NodeState::of_words(words), state, "{words:?}");
        }
    }
}
