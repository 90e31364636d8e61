//! What a page of jobs needs at once: the series of many jobs, and the people behind them.

use std::collections::{BTreeSet, HashMap};

use async_graphql::Result;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use cc_runtime::error::public_text;
use futures::stream::{self, StreamExt as _};

use super::context::{Viewing, error, refused};
use super::scalars::{MetricScope, NumericId};
use super::series::{JobMetricsOfJob, MissingMetric, outward};
use crate::series::Wanted;

/// Jobs of one request.
const JOBS_MAX: usize = 100;
/// Jobs whose series are read at the same time.
const AT_ONCE: usize = 8;

/// The series of many jobs.
pub(super) struct Many {
    /// Database ids.
    pub(super) ids: Vec<i64>,
    /// `None`: all.
    pub(super) metrics: Option<Vec<String>>,
    /// `None`: as for one job.
    pub(super) scopes: Option<Vec<MetricScope>>,
    /// Seconds per point.
    pub(super) resolution: u32,
    /// About so many points instead.
    pub(super) points: Option<i64>,
    /// Above it, statistics stand in for the series.
    pub(super) series_max: usize,
}

impl Many {
    /// Loads them, in the order of the ids.
    pub(super) async fn load(self, viewing: &Viewing) -> Result<Vec<JobMetricsOfJob>> {
        if self.ids.len() > JOBS_MAX {
            return Err(error("INVALID", format!("ids: at most {JOBS_MAX} jobs in one request")));
        }
        if self.ids.is_empty() {
            return Ok(Vec::new());
        }
        let filter =
            proto::JobFilter { db_id: Some(proto::IdSet { values: self.ids.clone() }), ..Default::default() };
        let request = proto::ListJobsRequest { filters: vec![filter], page: 1, ..Default::default() };
        let answer = viewing.state.job_db().list_jobs(viewing.request(request)).await;
        let jobs = answer.map_err(|status| refused(&status))?.into_inner().jobs;
        let mut by_id: HashMap<i64, common::Job> = jobs.into_iter().map(|job| (job.id, job)).collect();
        let jobs: Vec<common::Job> = self.ids.iter().filter_map(|id| by_id.remove(id)).collect();
        let many = &self;
        Ok(stream::iter(jobs)
            .map(|job| async move { many.one(viewing, &job).await })
            .buffered(AT_ONCE)
            .collect()
            .await)
    }

    async fn one(&self, viewing: &Viewing, job: &common::Job) -> JobMetricsOfJob {
        let resolution = match self.points {
            Some(points) => u32::try_from(job.duration_s.max(0) / points).unwrap_or(u32::MAX),
            None => self.resolution,
        };
        let wanted = Wanted {
            metrics: self.metrics.clone(),
            scopes: super::query::scopes_of(self.scopes.clone()),
            resolution,
            with_data: true,
        };
        let id = NumericId(job.id);
        match viewing.series(job, wanted).await {
            Ok(loaded) => JobMetricsOfJob {
                id,
                metrics: loaded.metrics.into_iter().map(|metric| outward(metric, self.series_max)).collect(),
                missing: Some(loaded.missing.into_iter().map(MissingMetric::from).collect()),
                error: None,
            },
            // One broken entry does not take the page.
            Err(status) => JobMetricsOfJob {
                id,
                metrics: Vec::new(),
                missing: None,
                error: Some(public_text(&status).to_owned()),
            },
        }
    }
}

/// Looks up the owners of a page's jobs in one call, as far as the caller may see them.
pub(super) async fn prefetch_users(viewing: &Viewing, jobs: &[common::Job]) -> Result<()> {
    let names: BTreeSet<String> = jobs.iter().map(|job| job.user.clone()).collect();
    viewing.look_up(names.into_iter().collect()).await
}
