//! Lists, counts, single rows, nodes, changes.

use std::collections::{BTreeMap, BTreeSet};

use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;
use cc_runtime::caller::{self, Caller};
use futures::StreamExt;
use tonic::{Request, Response};

use super::{Answer, Service};
use crate::app::concurrent;
use crate::app::watch::{self, Seen};
use crate::convert;
use crate::error::Error;
use crate::store::nodes::NodeView;
use crate::store::query::{Order, SortKey};
use crate::store::visible::{TagScopes, Visible};
use crate::store::{Load, Metadata, NodeStore};

/// Sub-clusters with the hosts in use there.
type HostsByName = BTreeMap<String, BTreeSet<String>>;

impl<S: NodeStore> Service<S> {
    pub(super) async fn list_jobs_impl(
        &self,
        request: Request<proto::ListJobsRequest>,
    ) -> Answer<proto::ListJobsResponse> {
        let caller = caller::of(&request)?;
        let visible = Visible::to(&caller)?;
        let request = request.into_inner();
        let load = Load {
            metadata: match (request.with_metadata, request.with_job_name) {
                (true, _) => Metadata::All,
                (false, true) => Metadata::JobName,
                (false, false) => Metadata::None,
            },
            tags: request.with_tags,
        };
        let mut query = convert::query(
            request.filters,
            request.order.as_ref(),
            request.page,
            request.page_size,
            request.with_count,
        )?;
        if request.unordered && query.order.is_none() {
            query.order = Some(Order { key: SortKey::Any, descending: false });
        }
        let scopes = TagScopes::to(&caller);
        let now = self.clock.unix();
        let listing = self.store.list(&visible, &scopes, &query, load, now).await.map_err(Error::from)?;
        Ok(Response::new(proto::ListJobsResponse {
            jobs: listing.jobs.iter().map(convert::job_to_proto).collect(),
            count: listing.count,
            has_next_page: listing.has_next_page,
            position: listing.position,
        }))
    }

    pub(super) async fn count_jobs_impl(
        &self,
        request: Request<proto::CountJobsRequest>,
    ) -> Answer<proto::CountJobsResponse> {
        let visible = Visible::to(&caller::of(&request)?)?;
        let filters = convert::filters(request.into_inner().filters)?;
        let count = self.store.count(&visible, &filters).await.map_err(Error::from)?;
        Ok(Response::new(proto::CountJobsResponse { count }))
    }

    pub(super) async fn job_statistics_impl(
        &self,
        request: Request<proto::JobStatisticsRequest>,
    ) -> Answer<proto::JobStatisticsResponse> {
        let visible = Visible::to(&caller::of(&request)?)?;
        let asked = convert::question(request.into_inner(), self.short_below)?;
        let now = self.clock.unix();
        let found = self.store.statistics(&visible, &asked.question, now).await.map_err(Error::from)?;
        Ok(Response::new(asked.answer(found)))
    }

    /// A job that the caller may see, dated now.
    async fn visible_job(&self, caller: &Caller, id: i64) -> Result<cc_model::Job, Error> {
        let visible = Visible::to(caller)?;
        let job = self.store.get(&TagScopes::to(caller), id, self.clock.unix()).await?;
        match job {
            Some(job) if visible.allows(&job) => Ok(job),
            Some(_) => Err(Error::JobNotVisible),
            None => Err(Error::JobNotFound),
        }
    }

    pub(super) async fn get_job_impl(
        &self,
        request: Request<proto::GetJobRequest>,
    ) -> Answer<proto::GetJobResponse> {
        let caller = caller::of(&request)?;
        let job = self.visible_job(&caller, request.into_inner().id).await?;
        Ok(Response::new(proto::GetJobResponse { job: Some(convert::job_to_proto(&job)) }))
    }

    pub(super) async fn list_tags_impl(
        &self,
        request: Request<proto::ListTagsRequest>,
    ) -> Answer<proto::ListTagsResponse> {
        let scopes = TagScopes::to(&caller::of(&request)?);
        let tags = self.store.tags(&scopes).await.map_err(Error::from)?;
        Ok(Response::new(proto::ListTagsResponse { tags: tags.iter().map(convert::tag_to_proto).collect() }))
    }

    pub(super) async fn list_nodes_impl(
        &self,
        request: Request<proto::ListNodesRequest>,
    ) -> Answer<proto::ListNodesResponse> {
        let request = request.into_inner();
        let filters = convert::node_filters(request.filters)?;
        let nodes = self.store.nodes(&filters).await.map_err(Error::from)?;
        let nodes = nodes.into_iter().map(|view| node(view, request.with_meta)).collect();
        Ok(Response::new(proto::ListNodesResponse { nodes }))
    }

    pub(super) async fn get_node_impl(
        &self,
        request: Request<proto::GetNodeRequest>,
    ) -> Answer<proto::GetNodeResponse> {
        let found = self.store.node(request.into_inner().id).await.map_err(Error::from)?;
        let view = found.ok_or(Error::NodeNotFound)?;
        Ok(Response::new(proto::GetNodeResponse { node: Some(node(view, true)) }))
    }

    pub(super) async fn count_node_states_impl(
        &self,
        request: Request<proto::CountNodeStatesRequest>,
    ) -> Answer<proto::CountNodeStatesResponse> {
        let filters = convert::node_filters(request.into_inner().filters)?;
        let counts = self.store.node_counts(&filters).await.map_err(Error::from)?;
        Ok(Response::new(proto::CountNodeStatesResponse {
            scheduler: counts.scheduler.into_iter().map(state_count).collect(),
            health: counts.health.into_iter().map(state_count).collect(),
        }))
    }

    pub(super) async fn time_node_states_impl(
        &self,
        request: Request<proto::TimeNodeStatesRequest>,
    ) -> Answer<proto::TimeNodeStatesResponse> {
        let request = request.into_inner();
        let filters = convert::node_filters(request.filters)?;
        let states = self.store.node_times(&filters, request.health).await.map_err(Error::from)?;
        let one = |times: crate::store::nodes::StateTimes| {
            let (times_of, counts) = times.points.into_iter().unzip();
            proto::StateTimes { state: times.state, counts, times: times_of }
        };
        Ok(Response::new(proto::TimeNodeStatesResponse { states: states.into_iter().map(one).collect() }))
    }

    pub(super) async fn allocated_nodes_impl(
        &self,
        request: Request<proto::AllocatedNodesRequest>,
    ) -> Answer<proto::AllocatedNodesResponse> {
        let cluster = request.into_inner().cluster;
        let mut by_sub_cluster = HostsByName::new();
        for job in self.store.running_hosts(Some(&cluster), None).await.map_err(Error::from)? {
            by_sub_cluster.entry(job.sub_cluster).or_default().extend(job.hosts);
        }
        let count = |(state, hosts): (String, BTreeSet<String>)| state_count((state, hosts.len() as u64));
        let counts = by_sub_cluster.into_iter().map(count).collect();
        Ok(Response::new(proto::AllocatedNodesResponse { counts }))
    }

    pub(super) async fn used_nodes_impl(
        &self,
        request: Request<proto::UsedNodesRequest>,
    ) -> Answer<proto::UsedNodesResponse> {
        let before = request.into_inner().before;
        let mut by_cluster = HostsByName::new();
        for job in self.store.running_hosts(None, Some(before)).await.map_err(Error::from)? {
            by_cluster.entry(job.cluster).or_default().extend(job.hosts);
        }
        let list = |(name, hosts): (String, BTreeSet<String>)| proto::NameList {
            name,
            values: hosts.into_iter().collect(),
        };
        Ok(Response::new(proto::UsedNodesResponse { clusters: by_cluster.into_iter().map(list).collect() }))
    }

    pub(super) async fn concurrent_jobs_impl(
        &self,
        request: Request<proto::ConcurrentJobsRequest>,
    ) -> Answer<proto::ConcurrentJobsResponse> {
        let caller = caller::of(&request)?;
        let job = self.visible_job(&caller, request.into_inner().id).await?;
        let visible = Visible::to(&caller)?;
        let Some(found) = concurrent::concurrent(&self.store, &visible, &job).await? else {
            return Ok(Response::new(proto::ConcurrentJobsResponse::default()));
        };
        let link = |(id, job_id): (i64, i64)| proto::JobLink { id, job_id };
        Ok(Response::new(proto::ConcurrentJobsResponse {
            applicable: true,
            list_query: found.list_query,
            items: found.items.into_iter().map(link).collect(),
        }))
    }

    pub(super) async fn watch_impl(
        &self,
        request: Request<proto::WatchRequest>,
    ) -> Answer<<Self as proto::job_db_server::JobDb>::WatchStream> {
        let visible = Visible::to(&caller::of(&request)?)?;
        let after = request.into_inner().after;
        let stream = watch::watch(self.store.clone(), &self.hub, visible, after).await?;
        let ending = self.tasks.token().cancelled_owned();
        let answers = stream.map(|seen| seen.map(change).map_err(tonic::Status::from)).take_until(ending);
        Ok(Response::new(answers.boxed()))
    }
}

fn state_count((state, count): (String, u64)) -> proto::StateCount {
    proto::StateCount { state, count }
}

fn node(view: NodeView, with_meta: bool) -> proto::Node {
    let list = |(name, values): (String, Vec<String>)| proto::NameList { name, values };
    let (metadata, health_data) = if with_meta {
        let health = view.health_data.into_iter().map(list).collect();
        (convert::texts_to_proto(Some(&view.metadata)), health)
    } else {
        (Vec::new(), Vec::new())
    };
    proto::Node {
        id: view.id,
        hostname: view.hostname,
        cluster: view.cluster,
        sub_cluster: view.sub_cluster,
        scheduler_state: view.scheduler_state,
        health_state: view.health_state,
        jobs_running: view.jobs_running,
        cpus_allocated: view.cpus_allocated,
        memory_allocated_mb: view.memory_allocated_mb,
        gpus_allocated: view.gpus_allocated,
        time_stamp: view.time_stamp,
        metadata,
        health_data,
    }
}

fn change(seen: Seen) -> proto::WatchResponse {
    match seen {
        Seen::Position(position) => proto::WatchResponse {
            position,
            kind: proto::ChangeKind::Position.into(),
            ..proto::WatchResponse::default()
        },
        Seen::Change(change) => proto::WatchResponse {
            position: change.position,
            kind: change.kind as i32,
            id: change.id,
            key: Some(common::JobKey {
                cluster: change.key.cluster,
                job_id: change.key.job_id,
                start_time: change.key.start_time,
            }),
            user: change.user,
            project: change.project,
            state: change.state.as_str().to_owned(),
        },
    }
}
