//! A long job list in pieces: what the database answers per call, with statistics of archived jobs, as JSON.
//!
//! Pages by number would shift while jobs come and go, and a running job that is skipped counts as lost at the adapter.
//! So a long list goes on where the last piece ended: at its start time, leaving out what was sent of that second.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use cc_model::job::MonitoringStatus;
use cc_proto::archive::v1::ReadStatisticsRequest;
use cc_proto::common::v1::{Job, JobKey, MetricStatistics};
use cc_proto::job_db::v1::{JobFilter, ListJobsRequest, ListJobsResponse, TimeRange};
use cc_runtime::caller::{self, Caller};
use cc_runtime::cpu;
use cc_runtime::error::{self, Kind};
use tonic::Status;

use super::jobs_query::ListQuery;
use super::wire;
use crate::state::State;

/// Jobs per call. A job with its metadata is about 4 kB, so that is well below the largest message.
const PIECE_JOBS: u32 = 500;

/// The reader of one list.
pub(super) struct JobPages {
    state: State,
    caller: Arc<Caller>,
    query: ListQuery,
    piece: u32,
    /// Jobs to leave out before the first that is sent.
    skip: u64,
    /// Jobs still to send.
    left: u64,
    /// Start time of the last job read, and the jobs of that second that were read.
    cursor: Option<(i64, HashSet<i64>)>,
    ended: bool,
}

impl JobPages {
    pub(super) fn new(state: State, caller: Arc<Caller>, query: ListQuery) -> Self {
        let skip = (query.page - 1).saturating_mul(query.items);
        let left = query.items;
        Self { state, caller, query, piece: PIECE_JOBS, skip, left, cursor: None, ended: false }
    }

    /// The next jobs as JSON, separated by commas; never an empty piece.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let jobs = self.read().await?;
            if !jobs.is_empty() {
                return self.encode(jobs).await.map(Some);
            }
            if self.ended || self.left == 0 {
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Job>, Status> {
        if self.ended || self.left == 0 {
            return Ok(Vec::new());
        }
        match u32::try_from(self.query.items) {
            Ok(items) if items <= PIECE_JOBS => self.read_short(items).await,
            _ => self.read_on().await,
        }
    }

    /// A page that fits into one call.
    async fn read_short(&mut self, items: u32) -> Result<Vec<Job>, Status> {
        self.ended = true;
        // nothing is so far behind
        let Ok(page) = u32::try_from(self.query.page) else { return Ok(Vec::new()) };
        Ok(self.ask(self.query.filter.clone(), page, items).await?.jobs)
    }

    /// The piece after the last one.
    async fn read_on(&mut self) -> Result<Vec<Job>, Status> {
        let mut filter = self.query.filter.clone();
        if let Some((start, _)) = &self.cursor {
            let range = filter.start_time.get_or_insert_with(TimeRange::default);
            range.to = Some(range.to.map_or(*start, |to| to.min(*start)));
        }
        let answer = match self.ask(filter, 1, self.piece).await {
            Err(status) if error::kind(&status) == Kind::TooLarge && self.piece > 1 => {
                self.piece = (self.piece / 2).max(1);
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let mut jobs = answer.jobs;
        self.ended = !answer.has_next_page;
        let Some(last) = jobs.last().map(|job| job.start_time) else {
            self.ended = true;
            return Ok(jobs);
        };
        let mut seen = match self.cursor.take() {
            Some((start, seen)) => {
                jobs.retain(|job| job.start_time != start || !seen.contains(&job.id));
                if start == last { seen } else { HashSet::new() }
            }
            None => HashSet::new(),
        };
        if jobs.is_empty() {
            // more jobs of one second than fit into a piece
            self.piece = self.piece.saturating_mul(2);
        }
        seen.extend(jobs.iter().filter(|job| job.start_time == last).map(|job| job.id));
        self.cursor = Some((last, seen));
        Ok(self.cut(jobs))
    }

    /// Leaves out earlier pages and what is beyond this one.
    fn cut(&mut self, mut jobs: Vec<Job>) -> Vec<Job> {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(jobs.len());
        jobs.drain(..skipped);
        self.skip -= skipped as u64;
        jobs.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= jobs.len() as u64;
        jobs
    }

    async fn ask(&self, filter: JobFilter, page: u32, page_size: u32) -> Result<ListJobsResponse, Status> {
        let request = ListJobsRequest {
            filters: vec![filter],
            order: Some(ListQuery::order()),
            page,
            page_size,
            with_metadata: self.query.with_metadata,
            with_job_name: false,
            unordered: false,
            with_tags: true,
            with_count: false,
        };
        let answer = self.state.job_db().list_jobs(caller::request(request, &self.caller)).await?;
        Ok(answer.into_inner())
    }

    async fn encode(&self, jobs: Vec<Job>) -> Result<Bytes, Status> {
        let statistics = self.statistics(archived(&jobs)).await?;
        cpu::run(move || encode(jobs, statistics)).await?
    }

    /// Statistics by database id. What the archive cannot read is left out: its entry says `null`.
    async fn statistics(&self, archived: HashMap<Key, i64>) -> Result<Statistics, Status> {
        if archived.is_empty() {
            return Ok(HashMap::new());
        }
        let keys = archived.keys().map(|(cluster, job_id, start_time)| JobKey {
            cluster: cluster.clone(),
            job_id: *job_id,
            start_time: *start_time,
        });
        let request = caller::request(ReadStatisticsRequest { keys: keys.collect() }, &self.caller);
        let answer = self.state.archive().read_statistics(request).await?;
        let found = answer.into_inner().jobs.into_iter().filter_map(|entry| {
            let key = entry.key?;
            let id = archived.get(&(key.cluster, key.job_id, key.start_time))?;
            Some((*id, entry.statistics))
        });
        Ok(found.collect())
    }
}

/// What identifies a job in the archive: cluster, scheduler's id, start time.
type Key = (String, i64, i64);
type Statistics = HashMap<i64, Vec<MetricStatistics>>;

/// Database ids of the archived jobs.
fn archived(jobs: &[Job]) -> HashMap<Key, i64> {
    let archived = jobs.iter().filter(|job| job.monitoring_status == MonitoringStatus::Archived.code());
    archived.map(|job| ((job.cluster.clone(), job.job_id, job.start_time), job.id)).collect()
}

fn encode(jobs: Vec<Job>, mut statistics: Statistics) -> Result<Bytes, Status> {
    let mut out = Vec::with_capacity(jobs.len() * 1024);
    for mut job in jobs {
        if let Some(found) = statistics.remove(&job.id) {
            job.statistics = found;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        let job = wire::from_proto(job)?;
        let json = cc_model::json::to_vec(&job).map_err(|error| Status::internal(error.to_string()))?;
        out.extend_from_slice(&json);
    }
    Ok(out.into())
}
