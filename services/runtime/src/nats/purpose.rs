//! What messages are listened to for.

/// Who reads a subject. Two readers of one subject, or of subjects that overlap, both get all of its messages: what belongs
/// to a reader in the broker has the purpose in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Starts and stops of jobs.
    JobEvents,
    /// Reports of nodes.
    NodeStates,
    /// Lines for the metric store.
    Samples,
}

impl Purpose {
    /// For the log and for metrics.
    pub fn what(self) -> &'static str {
        match self {
            Self::JobEvents => "job events",
            Self::NodeStates => "node states",
            Self::Samples => "samples",
        }
    }

    /// Something of this purpose in the broker: a group, a consumer.
    pub(super) fn named(self, name: &str) -> String {
        let purpose = match self {
            Self::JobEvents => "job",
            Self::NodeStates => "node",
            Self::Samples => "samples",
        };
        format!("{name}-{purpose}")
    }
}
