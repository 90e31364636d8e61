//! What can be changed (graphql-api.md 9). Fields of one request run one after the other.

use async_graphql::{Context, ID, Object, Result};
use cc_proto::auth::v1 as auth;
use cc_proto::common::v1 as common;
use cc_proto::job_db::v1 as proto;

use super::context::{self, Viewing, refused};
use super::jobs::Tag;
use super::scalars;

/// What can be changed.
pub(super) struct Mutation;

#[Object]
impl Mutation {
    /// Creates a tag. `scope`: `global` (staff), `admin` (administrators), or the caller's own name.
    async fn create_tag(
        &self,
        ctx: &Context<'_>,
        r#type: String,
        name: String,
        scope: String,
    ) -> Result<Tag> {
        let viewing = context::of(ctx)?;
        let tag = common::Tag { id: 0, r#type, name, scope: scope.clone() };
        let request = viewing.request(proto::CreateTagRequest { tag: Some(tag) });
        let mut job_db = viewing.state.job_db();
        let created =
            viewing.state.detached("create tag", async move { job_db.create_tag(request).await }).await;
        let created = created.map_err(|status| {
            context::refused_tag(&status, || format!("not authorized to create tag with scope: {scope}"))
        })?;
        Ok(Tag::from(&created.into_inner().tag.unwrap_or_default()))
    }

    /// Deletes a tag with all its links, as `removeTagFromList` does; returns its id.
    async fn delete_tag(&self, ctx: &Context<'_>, id: ID) -> Result<ID> {
        let ids = delete(context::of(ctx)?, std::slice::from_ref(&id)).await?;
        Ok(ids.first().map_or(id, |id| (*id).into()))
    }

    /// Attaches tags to a job, all or nothing; returns its tags, none for an empty list.
    async fn add_tags_to_job(&self, ctx: &Context<'_>, job: ID, tag_ids: Vec<ID>) -> Result<Vec<Tag>> {
        let viewing = context::of(ctx)?;
        let attach = tags_of(&tag_ids)?;
        let none = attach.is_empty();
        let request = proto::ChangeTagsRequest { id: scalars::id(&job)?, attach, detach: Vec::new() };
        change(viewing, request, "add", none).await
    }

    /// Detaches tags from a job, all or nothing; returns the tags that are left, none for an empty list.
    async fn remove_tags_from_job(&self, ctx: &Context<'_>, job: ID, tag_ids: Vec<ID>) -> Result<Vec<Tag>> {
        let viewing = context::of(ctx)?;
        let detach = tags_of(&tag_ids)?;
        let none = detach.is_empty();
        let request = proto::ChangeTagsRequest { id: scalars::id(&job)?, attach: Vec::new(), detach };
        change(viewing, request, "remove", none).await
    }

    /// Deletes tags with all their links, all or nothing; returns their ids.
    async fn remove_tag_from_list(&self, ctx: &Context<'_>, tag_ids: Vec<ID>) -> Result<Vec<i64>> {
        delete(context::of(ctx)?, &tag_ids).await
    }

    /// Stores one setting of the caller for the UI; `value` is a JSON text. Returns null.
    async fn update_configuration(
        &self,
        ctx: &Context<'_>,
        name: String,
        value: String,
    ) -> Option<Result<String>> {
        let stored = async {
            let viewing = context::of(ctx)?;
            let setting = Some(auth::Setting { name, value });
            let request = viewing.request(auth::PutSettingRequest { setting });
            let mut service = viewing.state.auth();
            let stored =
                viewing.state.detached("put setting", async move { service.put_setting(request).await });
            stored.await.map_err(|status| refused(&status))?;
            Ok::<Option<String>, async_graphql::Error>(None)
        };
        stored.await.transpose()
    }
}

fn tags_of(ids: &[ID]) -> Result<Vec<common::Tag>> {
    Ok(scalars::ids(ids)?.into_iter().map(|id| common::Tag { id, ..common::Tag::default() }).collect())
}

async fn change(
    viewing: &Viewing,
    request: proto::ChangeTagsRequest,
    doing: &str,
    none: bool,
) -> Result<Vec<Tag>> {
    let request = viewing.request(request);
    let mut job_db = viewing.state.job_db();
    let changed =
        viewing.state.detached("change tags", async move { job_db.change_tags(request).await }).await;
    let changed = changed.map_err(|status| {
        context::refused_tag(&status, || {
            let id = cc_runtime::error::details(&status).get("tag").cloned().unwrap_or_default();
            format!("not authorized to {doing} tag: {id}")
        })
    })?;
    let job = changed.into_inner().job.filter(|_| !none).unwrap_or_default();
    Ok(job.tags.iter().map(Tag::from).collect())
}

async fn delete(viewing: &Viewing, ids: &[ID]) -> Result<Vec<i64>> {
    let request = viewing.request(proto::DeleteTagsRequest { tags: tags_of(ids)? });
    let mut job_db = viewing.state.job_db();
    let deleted =
        viewing.state.detached("delete tags", async move { job_db.delete_tags(request).await }).await;
    let deleted = deleted.map_err(|status| {
        context::refused_tag(&status, || {
            let id = cc_runtime::error::details(&status).get("tag").cloned().unwrap_or_default();
            format!("not authorized to remove tag: {id}")
        })
    })?;
    Ok(deleted.into_inner().ids)
}
