//! A list of jobs, and a notebook of everything that was asked.

use std::collections::VecDeque;

use cc_proto::common::v1::{Job, JobKey, Tag};
use cc_proto::job_db::v1::job_db_server::JobDb;
use cc_proto::job_db::v1::*;
use cc_proto::scheduler::v1::{Ack, EventResult, HelloRequest, HelloResponse, Outcome};
use cc_runtime::caller::{self, Caller, Role};
use cc_runtime::error::{Failure, Kind};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status};

use super::{Answers, Shared};

/// Something that was asked, with who asked.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Start(Box<StartJobRequest>, Caller),
    Stop(StopJobRequest),
    Nodes(ReportNodesRequest, Caller),
    Ingest(IngestRequest, Caller),
    Watch(WatchRequest, Caller),
    Tags(ChangeTagsRequest, Caller),
    DeleteTags(DeleteTagsRequest),
    Edit(EditMetaRequest, Caller),
    Delete(DeleteJobsRequest, Caller),
}

#[derive(Debug, Default)]
pub(crate) struct JobDbState {
    pub(crate) jobs: Vec<Job>,
    pub(crate) heard: Vec<Heard>,
    /// Failures of the next calls of Ingest.
    pub(crate) ingest_fails: VecDeque<Status>,
    /// Followers of `Watch`.
    pub(crate) watchers: Vec<mpsc::UnboundedSender<Result<WatchResponse, Status>>>,
    /// Larger pages are refused as too large a message.
    pub(crate) page_max: Option<u32>,
    /// Called before each answer to `ListJobs`, with the number of calls so far.
    pub(crate) lists: usize,
    /// Jobs that stop before the second page is read.
    pub(crate) stops_meanwhile: Vec<i64>,
    /// Nothing is answered.
    pub(crate) down: bool,
    /// Held by a test: `StartJob` waits until it is released.
    pub(crate) hold: Option<std::sync::Arc<tokio::sync::Semaphore>>,
}

pub(crate) struct FakeJobDb {
    pub(crate) state: Shared<JobDbState>,
}

/// A running job.
pub(crate) fn job(id: i64, user: &str, start_time: i64) -> Job {
    Job {
        id,
        job_id: 1000 + id,
        cluster: "fritz".to_owned(),
        sub_cluster: "main".to_owned(),
        project: "pa01".to_owned(),
        user: user.to_owned(),
        shared: "none".to_owned(),
        state: "running".to_owned(),
        start_time,
        num_nodes: 1,
        monitoring_status: 1,
        ..Job::default()
    }
}

fn sees(caller: &Caller, job: &Job) -> bool {
    let everything =
        caller.has_any(&[Role::Admin, Role::Support, Role::Service]) || caller.roles == [Role::Api];
    everything || job.user == caller.name
}

fn failure(kind: Kind, reason: &'static str, text: &str) -> Status {
    Failure::new(kind, reason, text).into()
}

impl FakeJobDb {
    fn up(&self) -> Result<(), Status> {
        if self.state.get().down { Err(failure(Kind::Unavailable, "STARTING", "loading")) } else { Ok(()) }
    }
}

#[tonic::async_trait]
impl JobDb for FakeJobDb {
    async fn start_job(
        &self,
        request: Request<StartJobRequest>,
    ) -> Result<Response<StartJobResponse>, Status> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let job_id = request.job.as_ref().unwrap().job_id;
        let hold = self.state.get().hold.clone();
        if let Some(hold) = hold {
            drop(hold.acquire().await.unwrap());
        }
        self.state.get().heard.push(Heard::Start(Box::new(request), caller));
        match job_id {
            1 => Err(failure(
                Kind::Conflict,
                "JOB_EXISTS",
                "a job with that jobId, cluster and startTime already exists: dbid: 5, jobid: 1",
            )),
            2 => Err(failure(Kind::Invalid, "UNKNOWN_CLUSTER", "no such cluster: nosuch")),
            3 => Err(failure(Kind::Forbidden, "TAG_SCOPE", "cannot write tag scope")),
            4 => Err(failure(Kind::Unavailable, "STARTING", "database /var/x is locked")),
            5 => Err(failure(Kind::Internal, "DATABASE", "UNIQUE constraint failed: job.id")),
            _ => Ok(Response::new(StartJobResponse { id: 7 })),
        }
    }

    async fn stop_job(&self, request: Request<StopJobRequest>) -> Result<Response<StopJobResponse>, Status> {
        let request = request.into_inner();
        self.state.get().heard.push(Heard::Stop(request.clone()));
        match request.job_id {
            1 => Err(failure(Kind::NotFound, "JOB_NOT_FOUND", "no such job")),
            2 => Err(Failure::new(
                Kind::Conflict,
                "JOB_ALREADY_STOPPED",
                "job has already been stopped (state is: failed)",
            )
            .precondition()
            .into()),
            3 => Err(failure(
                Kind::Invalid,
                "STOP_BEFORE_START",
                "stopTime 1 must be larger/equal than startTime 2",
            )),
            _ => {
                let mut job = job(9, "alice", 1_700_000_000);
                job.job_id = request.job_id;
                job.state = if request.state.is_empty() { "completed".to_owned() } else { request.state };
                job.tags = vec![cc_proto::common::v1::Tag { id: 1, ..Default::default() }];
                job.has_metadata = true;
                Ok(Response::new(StopJobResponse { job: Some(job) }))
            }
        }
    }

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        let hello = request.into_inner();
        if hello.revision_min > 1 {
            return Err(Failure::new(Kind::Conflict, "REVISION", "revision 1 is spoken")
                .precondition()
                .into());
        }
        let durable_seq = hello.clusters.iter().map(|cluster| (cluster.clone(), 4)).collect();
        Ok(Response::new(HelloResponse {
            revision: 1,
            durable_seq,
            epoch: hello.epoch,
            ..HelloResponse::default()
        }))
    }

    async fn ingest(&self, request: Request<IngestRequest>) -> Result<Response<IngestResponse>, Status> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let mut state = self.state.get();
        if let Some(status) = state.ingest_fails.pop_front() {
            return Err(status);
        }
        state.heard.push(Heard::Ingest(request.clone(), caller));
        let batch = request.batch.unwrap();
        let result = |seq| EventResult { seq, outcome: Outcome::Applied.into(), ..EventResult::default() };
        let ack = Ack {
            cluster: batch.cluster,
            epoch: batch.epoch,
            durable_seq: batch.events.last().map_or(0, |event| event.seq),
            results: batch.events.iter().map(|event| result(event.seq)).collect(),
        };
        let fetch = batch.events.iter().filter(|event| event.seq == 99);
        let fetch = fetch.map(|_| JobKey { cluster: "fritz".to_owned(), job_id: 1, start_time: 2 }).collect();
        Ok(Response::new(IngestResponse { ack: Some(ack), credit: None, fetch }))
    }

    async fn list_jobs(
        &self,
        request: Request<ListJobsRequest>,
    ) -> Result<Response<ListJobsResponse>, Status> {
        self.up()?;
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        if let Some(order) = &request.order {
            assert!(order.field == "startTime", "{order:?}");
        }
        let mut state = self.state.get();
        if state.page_max.is_some_and(|max| request.page_size > max) {
            return Err(failure(Kind::TooLarge, "TOO_LARGE", "message too large"));
        }
        state.lists += 1;
        if state.lists == 2 {
            let stopped = std::mem::take(&mut state.stops_meanwhile);
            for job in state.jobs.iter_mut().filter(|job| stopped.contains(&job.id)) {
                job.state = "completed".to_owned();
            }
        }
        let filter = request.filters.into_iter().next().unwrap_or_default();
        let mut jobs: Vec<Job> =
            state.jobs.iter().filter(|job| sees(&caller, job) && matches(&filter, job)).cloned().collect();
        jobs.sort_by_key(|job| (-job.start_time, -job.id));
        let size = request.page_size as usize;
        let begin = (request.page as usize - 1).saturating_mul(size).min(jobs.len());
        let end = begin.saturating_add(size).min(jobs.len());
        let has_next_page = end < jobs.len();
        let page = jobs[begin..end].to_vec();
        Ok(Response::new(ListJobsResponse { jobs: page, has_next_page, ..ListJobsResponse::default() }))
    }

    async fn count_jobs(
        &self,
        _request: Request<CountJobsRequest>,
    ) -> Result<Response<CountJobsResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        self.up()?;
        let caller = caller::of(&request)?;
        let id = request.into_inner().id;
        let found = self.state.get().jobs.iter().find(|job| job.id == id).cloned();
        let missing = Failure::new(Kind::NotFound, "JOB_NOT_FOUND", "no such job");
        match found {
            Some(job) if sees(&caller, &job) => Ok(Response::new(GetJobResponse { job: Some(job) })),
            Some(_) => Err(missing.with("forbidden", "true").with("needs", "support").into()),
            None => Err(missing.into()),
        }
    }

    async fn list_tags(
        &self,
        _request: Request<ListTagsRequest>,
    ) -> Result<Response<ListTagsResponse>, Status> {
        Ok(Response::new(ListTagsResponse::default()))
    }

    async fn change_tags(
        &self,
        request: Request<ChangeTagsRequest>,
    ) -> Result<Response<ChangeTagsResponse>, Status> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let mut state = self.state.get();
        state.heard.push(Heard::Tags(request.clone(), caller));
        let Some(mut job) = state.jobs.iter().find(|job| job.id == request.id).cloned() else {
            return Err(failure(Kind::NotFound, "JOB_NOT_FOUND", "no such job"));
        };
        if request.attach.iter().any(|tag| tag.name == "forbidden") {
            return Err(failure(Kind::Forbidden, "TAG_SCOPE", "cannot write tag scope"));
        }
        if request.detach.iter().any(|tag| tag.name == "nosuch") {
            return Err(failure(Kind::NotFound, "TAG_NOT_FOUND", "tag does not exist"));
        }
        let attached: Vec<Tag> = (100..)
            .zip(request.attach)
            .map(|(id, tag)| Tag {
                id,
                scope: if tag.scope.is_empty() { "global".to_owned() } else { tag.scope },
                ..tag
            })
            .collect();
        // what the caller may see
        job.tags.extend(attached.iter().filter(|tag| tag.scope == "global").cloned());
        Ok(Response::new(ChangeTagsResponse { job: Some(job), attached }))
    }

    async fn create_tag(
        &self,
        request: Request<CreateTagRequest>,
    ) -> Result<Response<CreateTagResponse>, Status> {
        let tag = request.into_inner().tag.unwrap();
        if tag.scope.is_empty() {
            return Err(failure(Kind::Forbidden, "TAG_SCOPE", "cannot write tag scope"));
        }
        Ok(Response::new(CreateTagResponse { tag: Some(Tag { id: 100, ..tag }) }))
    }

    async fn delete_tags(
        &self,
        request: Request<DeleteTagsRequest>,
    ) -> Result<Response<DeleteTagsResponse>, Status> {
        let request = request.into_inner();
        let ids = (1..).zip(&request.tags).map(|(id, _)| id).collect();
        self.state.get().heard.push(Heard::DeleteTags(request));
        Ok(Response::new(DeleteTagsResponse { ids }))
    }

    async fn edit_meta(
        &self,
        request: Request<EditMetaRequest>,
    ) -> Result<Response<EditMetaResponse>, Status> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let id = match request.job.clone().unwrap() {
            edit_meta_request::Job::Id(id) => id,
            edit_meta_request::Job::Selector(selector) => selector.job_id,
        };
        self.state.get().heard.push(Heard::Edit(request, caller));
        if id == 99 {
            return Err(failure(Kind::NotFound, "JOB_NOT_FOUND", "no such job"));
        }
        Ok(Response::new(EditMetaResponse { job: Some(job(id, "alice", 5)) }))
    }

    async fn delete_jobs(
        &self,
        request: Request<DeleteJobsRequest>,
    ) -> Result<Response<DeleteJobsResponse>, Status> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        self.state.get().heard.push(Heard::Delete(request.clone(), caller));
        let id = match request.jobs.unwrap() {
            delete_jobs_request::Jobs::Id(id) => id,
            delete_jobs_request::Jobs::Selector(selector) if selector.job_id == 99 => {
                return Err(failure(Kind::NotFound, "JOB_NOT_FOUND", "no such job"));
            }
            delete_jobs_request::Jobs::Selector(_) => 7,
            delete_jobs_request::Jobs::Before(_) => 0,
        };
        Ok(Response::new(DeleteJobsResponse { deleted: 3, id }))
    }

    async fn list_partitions(
        &self,
        _request: Request<ListPartitionsRequest>,
    ) -> Result<Response<ListPartitionsResponse>, Status> {
        Ok(Response::new(ListPartitionsResponse::default()))
    }

    async fn report_nodes(
        &self,
        request: Request<ReportNodesRequest>,
    ) -> Result<Response<ReportNodesResponse>, Status> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let skipped = request.nodes.iter().filter(|node| node.hostname.starts_with('x'));
        let skipped = skipped.map(|node| node.hostname.clone()).collect();
        self.state.get().heard.push(Heard::Nodes(request, caller));
        Ok(Response::new(ReportNodesResponse { updated: 1, skipped }))
    }

    async fn list_nodes(
        &self,
        _request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        Ok(Response::new(ListNodesResponse::default()))
    }

    async fn get_node(&self, _request: Request<GetNodeRequest>) -> Result<Response<GetNodeResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn count_node_states(
        &self,
        _request: Request<CountNodeStatesRequest>,
    ) -> Result<Response<CountNodeStatesResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn time_node_states(
        &self,
        _request: Request<TimeNodeStatesRequest>,
    ) -> Result<Response<TimeNodeStatesResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn allocated_nodes(
        &self,
        _request: Request<AllocatedNodesRequest>,
    ) -> Result<Response<AllocatedNodesResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn used_nodes(
        &self,
        request: Request<UsedNodesRequest>,
    ) -> Result<Response<UsedNodesResponse>, Status> {
        let hosts = vec![format!("f{:04}", request.into_inner().before)];
        let clusters = vec![NameList { name: "fritz".to_owned(), values: hosts }];
        Ok(Response::new(UsedNodesResponse { clusters }))
    }

    async fn concurrent_jobs(
        &self,
        _request: Request<ConcurrentJobsRequest>,
    ) -> Result<Response<ConcurrentJobsResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn job_statistics(
        &self,
        _request: Request<JobStatisticsRequest>,
    ) -> Result<Response<JobStatisticsResponse>, Status> {
        Ok(Response::new(JobStatisticsResponse { groups: vec![JobGroup::default()], ..Default::default() }))
    }

    async fn import_job(
        &self,
        _request: Request<ImportJobRequest>,
    ) -> Result<Response<ImportJobResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn list_taggers(
        &self,
        _: Request<ListTaggersRequest>,
    ) -> Result<Response<ListTaggersResponse>, Status> {
        let tagger = |name: &str, trigger: &str, total: u64| Tagger {
            name: name.to_owned(),
            trigger: trigger.to_owned(),
            total,
            ..Tagger::default()
        };
        let taggers = vec![tagger("AppTagger", "start", 0), tagger("JobClassTagger", "stop", 7)];
        Ok(Response::new(ListTaggersResponse { taggers }))
    }

    async fn run_tagger(
        &self,
        request: Request<RunTaggerRequest>,
    ) -> Result<Response<RunTaggerResponse>, Status> {
        match request.into_inner().name.as_str() {
            "AppTagger" => Ok(Response::new(RunTaggerResponse {})),
            name => Err(failure(Kind::NotFound, "UNKNOWN_TAGGER", &format!("unknown tagger: {name}"))),
        }
    }

    type WatchStream = Answers<WatchResponse>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.up()?;
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let mut state = self.state.get();
        state.heard.push(Heard::Watch(request, caller));
        if request.after.is_some_and(|after| after < 5) {
            return Err(failure(Kind::TooLarge, "HORIZON", "too old"));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        let position = WatchResponse {
            position: request.after.unwrap_or(7),
            kind: ChangeKind::Position.into(),
            ..WatchResponse::default()
        };
        sender.send(Ok(position)).unwrap();
        state.watchers.push(sender);
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(receiver))))
    }
}

fn matches(filter: &JobFilter, job: &Job) -> bool {
    let states = filter.state.as_ref().is_none_or(|states| states.values.contains(&job.state));
    let times = filter.start_time.as_ref().is_none_or(|range| {
        range.from.is_none_or(|from| job.start_time >= from) && range.to.is_none_or(|to| job.start_time <= to)
    });
    let clusters = filter.cluster.as_ref().and_then(|cluster| cluster.eq.as_ref());
    states && times && clusters.is_none_or(|cluster| *cluster == job.cluster)
}
