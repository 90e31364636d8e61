//! Where a process is killed.

use std::fmt;

use cc_integration_tests::{server::Deployment, simulator::Dice};

/// A moment in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Starts are on their way to the database.
    BeforeCommit,
    /// They are about to be acknowledged.
    AfterCommit,
    /// A stop was acknowledged just now.
    AfterAnswer,
    /// A batch of samples was acknowledged just now.
    AfterWrite,
    /// A batch of samples is being taken.
    DuringWrite,
    /// The store writes a checkpoint: its unfinished file is there.
    DuringCheckpoint,
    /// Jobs were stopped and are being archived.
    WhileArchiving,
    /// The files of an entry appear.
    DuringRename,
    /// People sign in.
    DuringLogin,
    /// Somebody was signed in just now.
    AfterLogin,
}

/// A point and the service that is killed there; in one process that is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub point: Point,
    pub service: &'static str,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.service, self.point)
    }
}

/// Every pair that makes sense. The first five are a service each: what a short run shows.
const TARGETS: [(Point, &str); 16] = [
    (Point::BeforeCommit, "job-db"),
    (Point::DuringRename, "archive"),
    (Point::DuringCheckpoint, "metric-store"),
    (Point::AfterAnswer, "gateway"),
    (Point::DuringLogin, "auth"),
    (Point::AfterCommit, "job-db"),
    (Point::AfterAnswer, "job-db"),
    (Point::WhileArchiving, "job-db"),
    (Point::WhileArchiving, "archive"),
    (Point::WhileArchiving, "metric-store"),
    (Point::DuringRename, "job-db"),
    (Point::DuringWrite, "metric-store"),
    (Point::DuringWrite, "gateway"),
    (Point::BeforeCommit, "gateway"),
    (Point::AfterWrite, "metric-store"),
    (Point::AfterLogin, "auth"),
];

/// The targets of a run: all in turn, from the second turn on in an order of chance.
pub fn order(deployment: Deployment, count: usize, dice: &mut Dice) -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    for (point, service) in TARGETS {
        let service = if deployment == Deployment::OneProcess { "cc-backend" } else { service };
        let target = Target { point, service };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    let mut order = targets.clone();
    while order.len() < count {
        for index in (1..targets.len()).rev() {
            targets.swap(index, usize::try_from(dice.range(0, index as i64)).expect("an index"));
        }
        order.extend(&targets);
    }
    order.truncate(count);
    order
}
