//! Changes of single jobs by people and programs, each with a line for the record of who did it.

use cc_model::{Job, Tag};
use cc_proto::convert::tag_from_proto;
use cc_proto::job_db::v1 as proto;
use cc_runtime::caller::{self, Caller};
use tonic::{Request, Response};

use super::{Answer, Service};
use crate::app::edits::{ChangeTags, CreateTag, DeleteJobs, DeleteTags, EditMeta, Named, Which};
use crate::convert;
use crate::error::Error;
use crate::store::visible::Visible;
use crate::store::{DbId, Keep, Store};

/// Rows deleted in one transaction, so that events never wait long for it.
const CHUNK: u32 = 500;

/// Who, for the record.
fn actor(caller: &Caller) -> &str {
    &caller.name
}

fn newest(selector: proto::JobSelector) -> Which {
    let proto::JobSelector { job_id, cluster, start_time } = selector;
    Which::Newest { job_id, cluster: cluster.filter(|cluster| !cluster.is_empty()), start_time }
}

/// With the duration until now while it runs.
fn dated(job: Job, now: i64) -> Job {
    if !job.state.is_running() {
        return job;
    }
    let duration = i32::try_from(now.saturating_sub(job.start_time).max(0)).unwrap_or(i32::MAX);
    Job { duration, ..job }
}

fn words(tags: &[Tag]) -> String {
    let words: Vec<String> =
        tags.iter().map(|tag| format!("{}:{} ({})", tag.kind, tag.name, tag.scope)).collect();
    words.join(", ")
}

impl<S: Store> Service<S> {
    pub(super) async fn change_tags_impl(
        &self,
        request: Request<proto::ChangeTagsRequest>,
    ) -> Answer<proto::ChangeTagsResponse> {
        let caller = caller::of(&request)?;
        let request = request.into_inner();
        let attach: Vec<Tag> = request.attach.into_iter().map(tag_from_proto).collect();
        let detach: Vec<Tag> = request.detach.into_iter().map(tag_from_proto).collect();
        let id = request.id;
        let change = ChangeTags {
            id,
            attach: Named::of(attach)?,
            detach: Named::of(detach.clone())?,
            visible: Visible::to(&caller)?,
            caller: caller.clone(),
        };
        let changed = self.writer.run(change).await??;
        if !changed.attached.is_empty() {
            tracing::info!(
                audit.actor = actor(&caller),
                job.db_id = id,
                "tags of job {id}: {} attached {}",
                actor(&caller),
                words(&changed.attached)
            );
        }
        if !detach.is_empty() {
            tracing::info!(
                audit.actor = actor(&caller),
                job.db_id = id,
                "tags of job {id}: {} detached {}",
                actor(&caller),
                words(&detach)
            );
        }
        self.copies.now(id).await;
        let job = dated(changed.job, self.clock.unix());
        Ok(Response::new(proto::ChangeTagsResponse {
            job: Some(convert::job_to_proto(&job)),
            attached: changed.attached.iter().map(convert::tag_to_proto).collect(),
        }))
    }

    pub(super) async fn create_tag_impl(
        &self,
        request: Request<proto::CreateTagRequest>,
    ) -> Answer<proto::CreateTagResponse> {
        let caller = caller::of(&request)?;
        let tag = request.into_inner().tag.map(tag_from_proto).ok_or(Error::Missing("tag"))?;
        let tag = self.writer.run(CreateTag::new(tag, &caller)?).await??;
        let (actor, words) = (actor(&caller), words(std::slice::from_ref(&tag)));
        tracing::info!(audit.actor = actor, tag.id = tag.id, "{actor} created the tag {words}");
        Ok(Response::new(proto::CreateTagResponse { tag: Some(convert::tag_to_proto(&tag)) }))
    }

    pub(super) async fn delete_tags_impl(
        &self,
        request: Request<proto::DeleteTagsRequest>,
    ) -> Answer<proto::DeleteTagsResponse> {
        let caller = caller::of(&request)?;
        let tags = request.into_inner().tags.into_iter().map(tag_from_proto).collect();
        let delete = DeleteTags { tags: Named::of(tags)?, caller: caller.clone() };
        let ids = self.writer.run(delete).await??;
        if !ids.is_empty() {
            let actor = actor(&caller);
            tracing::info!(audit.actor = actor, "{actor} deleted the tags {ids:?} with all their links");
            self.copies.wake.notify_one();
        }
        Ok(Response::new(proto::DeleteTagsResponse { ids }))
    }

    pub(super) async fn edit_meta_impl(
        &self,
        request: Request<proto::EditMetaRequest>,
    ) -> Answer<proto::EditMetaResponse> {
        use proto::edit_meta_request::Job as Named;

        let caller = caller::of(&request)?;
        let proto::EditMetaRequest { job, key, value } = request.into_inner();
        let which = match job.ok_or(Error::Missing("job"))? {
            Named::Id(id) => Which::Id(id, Visible::to(&caller)?),
            Named::Selector(selector) => newest(selector),
        };
        let (edit, removed) = (EditMeta::new(which, key.clone(), value.clone())?, value.is_none());
        let job = self.writer.run(edit).await??;
        let id = job.id.unwrap_or_default();
        let (actor, what) = (actor(&caller), if removed { "removed" } else { "set" });
        tracing::info!(
            audit.actor = actor,
            job.db_id = id,
            "metadata of job {id}: {actor} {what} the key {key:?}"
        );
        self.copies.now(id).await;
        let job = dated(job, self.clock.unix());
        Ok(Response::new(proto::EditMetaResponse { job: Some(convert::job_to_proto(&job)) }))
    }

    pub(super) async fn delete_jobs_impl(
        &self,
        request: Request<proto::DeleteJobsRequest>,
    ) -> Answer<proto::DeleteJobsResponse> {
        use proto::delete_jobs_request::Jobs;

        let caller = caller::of(&request)?;
        let actor = actor(&caller);
        let (deleted, id) = match request.into_inner().jobs.ok_or(Error::Missing("jobs"))? {
            Jobs::Id(id) => {
                let deleted = self.writer.run(DeleteJobs::Ids(vec![id])).await??;
                (deleted.len() as u64, id)
            }
            Jobs::Selector(selector) => {
                let deleted = self.writer.run(DeleteJobs::Newest(newest(selector))).await??;
                (deleted.len() as u64, deleted.first().copied().unwrap_or_default())
            }
            Jobs::Before(before) => {
                // a word that a newer caller knows must not delete what it wants to keep
                let keep = match proto::OmitTagged::try_from(before.omit) {
                    Ok(proto::OmitTagged::Unspecified) => Keep::Nothing,
                    Ok(proto::OmitTagged::All) => Keep::Tagged,
                    Ok(proto::OmitTagged::User) => Keep::TaggedByPeople,
                    Err(unknown) => {
                        let problem = unknown.to_string();
                        return Err(Error::InvalidFilter { field: "before.omit", problem }.into());
                    }
                };
                let deleted = self.delete_before(before.start_time, keep, before.include_running).await?;
                tracing::info!(
                    audit.actor = actor,
                    "{actor} deleted {deleted} jobs that started before {} (kept: {keep:?})",
                    before.start_time
                );
                return Ok(Response::new(proto::DeleteJobsResponse { deleted, id: 0 }));
            }
        };
        if deleted > 0 {
            tracing::info!(audit.actor = actor, job.db_id = id, "{actor} deleted job {id}");
        }
        Ok(Response::new(proto::DeleteJobsResponse { deleted, id }))
    }

    /// In pieces; what a crash leaves is deleted by the same request again.
    async fn delete_before(&self, time: i64, keep: Keep, with_running: bool) -> Result<u64, Error> {
        let mut after: DbId = 0;
        let mut deleted: u64 = 0;
        loop {
            let ids = self.store.started_before(time, keep, with_running, after, CHUNK).await?;
            let Some(last) = ids.last() else { return Ok(deleted) };
            after = *last;
            deleted += self.writer.run(DeleteJobs::Ids(ids)).await??.len() as u64;
        }
    }
}
