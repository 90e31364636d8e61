//! What a start request must fulfil once cluster and sub-cluster are settled.

use super::Job;
use crate::names::{HostName, NameError, UserName};

/// Why a job cannot be started. Texts of rest-api.md 6.5 where the reference has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// No host, or nobody to own the job.
    #[error("'resources' and 'user' should not be empty")]
    ResourcesOrUser,
    /// A count below its minimum.
    #[error("'numNodes', 'numAcc' or 'numHWThreads' invalid")]
    Counts,
    /// The number of hosts differs from the number of nodes.
    #[error("len(resources) does not equal numNodes ({resources} vs {nodes})")]
    ResourceCount {
        /// Hosts listed.
        resources: usize,
        /// Nodes claimed.
        nodes: i32,
    },
    /// Neither 0 nor 1; the database would refuse it.
    #[error("'smt' must be 0 or 1, not {0}")]
    Smt(i32),
    /// A host that no node can have.
    #[error("resources[{index}].hostname: {source}")]
    Host {
        /// Position of the resource.
        index: usize,
        /// What is wrong with it.
        source: NameError,
    },
    /// A user that nobody can have.
    #[error("user: {0}")]
    User(NameError),
}

impl Job {
    /// Checks what does not depend on clusters, in the reference's order: resources and user, counts, their match;
    /// then what the reference leaves to the database or does not check (`smt`, names).
    ///
    /// Cluster and sub-cluster come before, see [`crate::cluster::Clusters::assign`].
    pub fn validate_start(&self) -> Result<(), StartError> {
        if self.resources.is_empty() || self.user.is_empty() {
            return Err(StartError::ResourcesOrUser);
        }
        if self.num_nodes < 1 || self.num_acc < 0 || self.num_hwthreads < 0 {
            return Err(StartError::Counts);
        }
        if usize::try_from(self.num_nodes) != Ok(self.resources.len()) {
            return Err(StartError::ResourceCount { resources: self.resources.len(), nodes: self.num_nodes });
        }
        if !(0..=1).contains(&self.smt) {
            return Err(StartError::Smt(self.smt));
        }
        UserName::check(&self.user).map_err(StartError::User)?;
        self.resources.iter().enumerate().try_for_each(|(index, resource)| {
            HostName::check(&resource.hostname).map_err(|source| StartError::Host { index, source })
        })
    }
}
