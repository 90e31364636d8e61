//! Section `cron` (config-and-cli.md 3.4).

use std::time::Duration;

use super::section::Section;

/// Periods of background work; the first run is one period after the start. `None`: the task is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// `commit-job-worker`: move started jobs from `job_cache` to `job`. Default 2 min.
    pub commit_job_worker: Option<Duration>,
    /// `duration-worker`: update the duration of running jobs. Default 5 min.
    pub duration_worker: Option<Duration>,
    /// `footprint-worker`: update footprint and energy of running jobs. Default 10 min.
    pub footprint_worker: Option<Duration>,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            commit_job_worker: Some(Duration::from_mins(2)),
            duration_worker: Some(Duration::from_mins(5)),
            footprint_worker: Some(Duration::from_mins(10)),
        }
    }
}

/// Reads the section.
pub(super) fn read(section: Section<'_>) -> Cron {
    let mut cron = Cron::default();
    section.set_period("commit-job-worker", &mut cron.commit_job_worker);
    section.set_period("duration-worker", &mut cron.duration_worker);
    section.set_period("footprint-worker", &mut cron.footprint_worker);
    section.finish();
    cron
}
